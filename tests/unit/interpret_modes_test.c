/*
 * The interpreter outside 64-bit mode against the manual: stacks and branches of both widths, segments with their
 * limits and rights, instructions that 64-bit mode lacks, and code that is decoded anew when the mode changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

#define BASE   0x10000 /* of segments that have one */
#define STACK  0x8000  /* offset in them */
#define HALTED 0xff

#define DATA_SEGMENT (X86_DESC_P | X86_DESC_S | X86_DESC_ACCESSED)
#define FLAT_LIMIT   0xfffffu

/* A segment at `base`, of `limit` bytes, or pages if `flags` has X86_DESC_G. */
static struct vcpu_segment segment(uint32_t base, uint32_t limit, uint64_t flags)
{
	return seg_make(0x10, DATA_SEGMENT | flags | (limit & 0xffff) | (uint64_t)(limit >> 16 & 15) << 48 |
				      (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56);
}

static struct vcpu *enter(struct machine_fixture *m, unsigned bits, uint32_t base)
{
	struct vcpu *c = m->vcpu;
	uint64_t wide = bits == 32 ? X86_DESC_DB : 0;
	c->efer = 0;
	c->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	c->cr4 &= ~X86_CR4_PAE;
	c->cpl = 0;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = base ? segment(base, 0xffff, X86_DESC_RW | wide)
				  : segment(0, FLAT_LIMIT, X86_DESC_RW | X86_DESC_G | wide);
	c->sreg[SREG_CS] = base ? segment(base, 0xffff, X86_DESC_CODE | X86_DESC_RW | wide)
				: segment(0, FLAT_LIMIT, X86_DESC_CODE | X86_DESC_RW | X86_DESC_G | wide);
	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[RSP] = (base ? 0 : BASE) + STACK;
	c->rip = FIX_CODE - base;
	c->rflags = X86_RFLAGS_FIXED;
	return c;
}

static void enter_real(struct machine_fixture *m)
{
	struct vcpu *c = enter(m, 16, BASE);
	c->cr0 &= ~X86_CR0_PE;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make_8086(BASE >> 4, false);
}

/* Runs from RIP until HLT, or an exception: its vector. */
static unsigned run(struct machine_fixture *m, const uint8_t *code, size_t len)
{
	struct vcpu *c = m->vcpu;
	struct vm_exit exit;
	static const uint8_t hlt = 0xf4;
	uint64_t at = c->sreg[SREG_CS].base + c->rip;
	/* What is written is forgotten where it was decoded. */
	if (memcmp(m->vm.mem.base + at, code, len)) {
		fix_put(m, at, code, len);
		fix_put(m, at + len, &hlt, sizeof(hlt));
	}
	c->halted = false;
	for (unsigned n = 0; n < 100; n++) {
		interpret_enter(c, &exit);
		if (c->halted)
			return HALTED;
		if (exit.reason == EXIT_EXCEPTION)
			return exit.vector;
		if (c->event_pending) {
			c->event_pending = false;
			return c->event.vector;
		}
	}
	return 0;
}

/* RUN(m, 32, "push %eax"): assembles for code of so many bits, and runs. One a line. */
#define RUN(m, bits, text)	    RUN_AT(m, bits, text, __LINE__)
#define RUN_AT(m, bits, text, line) RUN_NAMED(m, bits, text, line)
#define RUN_NAMED(m, bits, text, line)                                                                                 \
	({                                                                                                             \
		extern const uint8_t modes_code_##line[], modes_end_##line[];                                          \
		__asm__(".pushsection .text.fix,\"ax\",@progbits\n\t.code" #bits "\nmodes_code_" #line ": " text       \
			"\nmodes_end_" #line ":\n\t.code64\n\t.popsection");                                           \
		run(m, modes_code_##line, (size_t)(modes_end_##line - modes_code_##line));                             \
	})

static uint32_t get32(struct machine_fixture *m, uint64_t gpa)
{
	return (uint32_t)fix_get64(m, gpa);
}

/* --------------------------------------------------------------------------------------------------------- stacks */

static void test_push_pop(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	c->gpr[RAX] = 0x1122334455667788;
	c->gpr[RSP] |= R3_U64(0xdead) << 32;
	assert_int_equal(
		RUN(m, 32, "push %eax; push %ax; push $-2; pop %ecx; pop %dx; pushl $0x12345678; popl 8(%esp)"),
		HALTED);
	assert_int_equal(c->gpr[RSP], BASE + STACK - 4);
	assert_int_equal(c->gpr[RCX], 0xfffffffe);
	assert_int_equal(c->gpr[RDX], 0x7788);
	assert_int_equal(get32(m, BASE + STACK - 4), 0x55667788);
	/* The address through ESP is that after the pop. */
	assert_int_equal(get32(m, BASE + STACK + 4), 0x12345678);
}

static void test_narrow_stack(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	c->sreg[SREG_SS] = segment(BASE, 0xffff, X86_DESC_RW);
	c->gpr[RSP] = 0x56780000;
	c->gpr[RAX] = 0x99aabbcc;
	/* SP goes round at 16 bits, and the upper half stays. */
	assert_int_equal(RUN(m, 32, "push %eax"), HALTED);
	assert_int_equal(c->gpr[RSP], 0x5678fffc);
	assert_int_equal(get32(m, BASE + 0xfffc), 0x99aabbcc);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "pop %ecx"), HALTED);
	assert_int_equal(c->gpr[RSP], 0x56780000);
	assert_int_equal(c->gpr[RCX], 0x99aabbcc);
	/* Beyond the limit on both sides of the end. */
	c->gpr[RSP] = 0x56780002;
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "push %eax"), X86_VEC_SS);
	assert_int_equal(c->gpr[RSP], 0x56780002);
	assert_int_equal(c->rip, FIX_CODE);
}

static void test_stack_limit(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	/* Expand-down: valid above the limit alone. */
	c->sreg[SREG_SS] = segment(0, BASE + STACK - 5, X86_DESC_RW | X86_DESC_EXPAND_DOWN | X86_DESC_DB);
	assert_int_equal(RUN(m, 32, "push %eax"), HALTED);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "push %eax"), X86_VEC_SS);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "call . + 5"), X86_VEC_SS);
	assert_int_equal(c->gpr[RSP], BASE + STACK - 4);
	c->rip = FIX_CODE;
	c->gpr[RBP] = 0x1000;
	assert_int_equal(RUN(m, 32, "mov (%ebp), %eax"), X86_VEC_SS);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "mov %ds:(%ebp), %eax"), HALTED);
}

static void test_all_registers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	for (unsigned n = RAX; n <= RDI; n++)
		if (n != RSP)
			c->gpr[n] = 0x10101010 * (n + 1);
	assert_int_equal(RUN(m, 32, "pushal; pushaw; popaw; mov $0, %eax; mov $0, %ebp; popal"), HALTED);
	assert_int_equal(get32(m, BASE + STACK - 4), c->gpr[RAX]);
	assert_int_equal(get32(m, BASE + STACK - 20), BASE + STACK);
	assert_int_equal(get32(m, BASE + STACK - 32), c->gpr[RDI]);
	assert_int_equal(c->gpr[RAX], 0x10101010);
	assert_int_equal(c->gpr[RBP], 0x60606060);
	assert_int_equal(c->gpr[RSP], BASE + STACK);
}

static void test_frames(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 16, BASE);
	c->gpr[RSP] = 0xabcd0000 | STACK;
	c->gpr[RBP] = 0x12344321;
	assert_int_equal(RUN(m, 16, ".byte 0xc8, 8, 0, 2; push %bp; .byte 0xc9"), HALTED);
	assert_int_equal(get32(m, BASE + STACK - 2) & 0xffff, 0x4321);
	assert_int_equal(get32(m, BASE + STACK - 6) & 0xffff, STACK - 2);
	assert_int_equal(get32(m, BASE + STACK - 16) & 0xffff, STACK - 2);
	assert_int_equal(c->gpr[RSP], 0xabcd0000 | STACK);
	assert_int_equal(c->gpr[RBP], 0x12344321);
}

static void test_flags(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	assert_int_equal(RUN(m, 32, "stc; pushfl; pushl $0xcd7; popfl; pushfw; pop %ax; pop %ecx"), HALTED);
	assert_int_equal(c->gpr[RAX], 0xcd7);
	assert_int_equal(c->gpr[RCX], X86_RFLAGS_FIXED | X86_RFLAGS_CF);
	enter_real(m);
	c->rflags |= X86_RFLAGS_VM;
	c->cr0 |= X86_CR0_PE;
	c->cpl = 3;
	assert_int_equal(RUN(m, 16, "pushf"), X86_VEC_GP);
	assert_int_equal(RUN(m, 16, "popf"), X86_VEC_GP);
	assert_int_equal(c->gpr[RSP], STACK);
	c->rflags |= X86_RFLAGS_IOPL;
	assert_int_equal(RUN(m, 16, "pushf; pop %ax; popf; mov $5, %bx; hlt"), X86_VEC_GP);
	assert_int_equal(c->gpr[RAX], X86_RFLAGS_FIXED | X86_RFLAGS_IOPL);
	assert_int_equal(c->gpr[RBX], 5);
}

/* ------------------------------------------------------------------------------------------------------- branches */

static void test_branch_widths(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	static const uint8_t hlt = 0xf4;
	fix_put(m, FIX_HANDLER, &hlt, sizeof(hlt));
	fix_put(m, 0x40, &hlt, sizeof(hlt));
	assert_int_equal(RUN(m, 32, "push $0x20000; ret"), HALTED);
	assert_int_equal(c->rip, FIX_HANDLER + 1);
	/* Operands of 16 bits cut the target. */
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "mov $0x10040, %eax; jmp *%ax"), HALTED);
	assert_int_equal(c->rip, 0x41);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, ".byte 0x66, 0xe8, 0x3c, 0"), HALTED); /* callw . + 0x40 */
	assert_int_equal(c->rip, 0x41);
	assert_int_equal(c->gpr[RSP], BASE + STACK - 2);
	assert_int_equal(get32(m, BASE + STACK - 2) & 0xffff, 4);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, ".byte 0x66, 0x0f, 0x85, 0x3b, 0"), HALTED); /* jnzw . + 0x40 */
	assert_int_equal(c->rip, 0x41);
}

static void test_branch_limit(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, BASE);
	c->sreg[SREG_CS].limit = 0xff;
	c->gpr[RCX] = 7;
	assert_int_equal(RUN(m, 32, "jnz . + 0x100"), X86_VEC_GP);
	assert_int_equal(c->rip, 0);
	assert_int_equal(RUN(m, 32, "jz . + 0x100"), HALTED);
	c->rip = 0;
	assert_int_equal(RUN(m, 32, "jmp . + 0x100"), X86_VEC_GP);
	assert_int_equal(RUN(m, 32, "call . + 0x100"), X86_VEC_GP);
	assert_int_equal(RUN(m, 32, "push $0x100; ret"), X86_VEC_GP);
	assert_int_equal(c->rip, 5);
	assert_int_equal(c->gpr[RSP], STACK - 4);
	c->rip = 0xc0;
	assert_int_equal(RUN(m, 32, "loop . + 0x50"), X86_VEC_GP);
	assert_int_equal(c->gpr[RCX], 7);
}

/* Code that was decoded where the limit did not stand in its way stops at the limit all the same. */
static void test_limit_within_block(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, BASE);
	assert_int_equal(RUN(m, 32, "inc %eax; inc %eax; mov $1, %ebx; inc %eax"), HALTED);
	assert_int_equal(c->gpr[RAX], 3);
	c->rip = 0;
	c->sreg[SREG_CS].limit = 5; /* within the MOV */
	assert_int_equal(RUN(m, 32, "inc %eax; inc %eax; mov $2, %ebx; inc %eax"), X86_VEC_GP);
	assert_int_equal(c->gpr[RAX], 5);
	assert_int_equal(c->gpr[RBX], 1);
	assert_int_equal(c->rip, 2);
}

static void test_counts(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	c->gpr[RCX] = 0x10000;
	assert_int_equal(RUN(m, 32, "jcxz 1f; mov $1, %eax; 1: jecxz 1f; mov $2, %ebx; 1:"), HALTED);
	assert_int_equal(c->gpr[RAX], 0);
	assert_int_equal(c->gpr[RBX], 2);
	c->rip = FIX_CODE;
	c->gpr[RCX] = 0x50003;
	assert_int_equal(RUN(m, 32, "1: inc %eax; addr16 loop 1b"), HALTED);
	assert_int_equal(c->gpr[RAX], 3);
	assert_int_equal(c->gpr[RCX], 0x50000);
}

/* ------------------------------------------------------------------------------------------------------- segments */

static void test_segments(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	fix_put64(m, FIX_DATA, 0x8877665544332211);
	c->sreg[SREG_FS] = segment(FIX_DATA, 7, X86_DESC_RW);
	assert_int_equal(RUN(m, 32, "mov %fs:4, %eax; movb $0x99, %fs:7"), HALTED);
	assert_int_equal(c->gpr[RAX], 0x88776655);
	assert_int_equal(get32(m, FIX_DATA + 4), 0x99776655);
	c->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "mov %fs:5, %eax"), X86_VEC_GP);
	c->sreg[SREG_GS] = segment(FIX_DATA, 7, 0);
	assert_int_equal(RUN(m, 32, "mov %gs:4, %eax; movb $1, %gs:0"), X86_VEC_GP);
	assert_int_equal(c->gpr[RAX], 0x99776655);
	c->rip = FIX_CODE;
	/* Code can be read where it says so, and never be written. */
	assert_int_equal(RUN(m, 32, "mov %cs:0x18000, %ecx; incl %cs:0x18000"), X86_VEC_GP);
	assert_int_equal(c->gpr[RCX], 0x44332211);
	c->rip = FIX_CODE;
	c->sreg[SREG_DS].present = false;
	assert_int_equal(RUN(m, 32, "mov 0x18000, %ecx"), X86_VEC_GP);
	assert_int_equal(RUN(m, 32, "mov %es:0x18000, %ecx; lea 0x18000, %ebx"), HALTED);
	assert_int_equal(c->gpr[RBX], 0x18000);
}

/* Strings use DS, or what stands for it, and ES. */
static void test_string_segments(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 16, BASE);
	for (unsigned n = 0; n < 8; n++)
		fix_put64(m, FIX_DATA + 8 * n, n + 1);
	c->sreg[SREG_ES] = segment(FIX_DATA + 0x1000, 0xff, X86_DESC_RW);
	c->gpr[RSI] = 0xffff0000 | (FIX_DATA - BASE);
	c->gpr[RDI] = 0x77770000;
	c->gpr[RCX] = 0x10;
	assert_int_equal(RUN(m, 16, "rep movsl"), HALTED);
	assert_int_equal(fix_get64(m, FIX_DATA + 0x1038), 8);
	assert_int_equal(c->gpr[RSI], 0xffff0000 | (FIX_DATA - BASE + 0x40));
	assert_int_equal(c->gpr[RDI], 0x77770040);
	assert_int_equal(c->gpr[RCX], 0);
	/* As far as the limit of ES goes. */
	c->rip = FIX_CODE - BASE;
	c->gpr[RCX] = 0x1000;
	c->gpr[RAX] = 0x5a;
	assert_int_equal(RUN(m, 16, "rep stosb"), X86_VEC_GP);
	assert_int_equal(c->gpr[RDI], 0x77770100);
	assert_int_equal(c->gpr[RCX], 0xf40);
	assert_int_equal(get32(m, FIX_DATA + 0x10fc), 0x5a5a5a5a);
	assert_int_equal(get32(m, FIX_DATA + 0x1100), 0);
	/* Offsets begin anew at 64 KiB. */
	c->sreg[SREG_ES] = c->sreg[SREG_DS];
	c->rip = FIX_CODE - BASE;
	c->gpr[RDI] = 0xfff8;
	c->gpr[RCX] = 12;
	assert_int_equal(RUN(m, 16, ".skip 16, 0x90; rep stosb"), HALTED);
	assert_int_equal(c->gpr[RDI], 4);
	assert_int_equal(get32(m, BASE), 0x5a5a5a5a);
	assert_int_equal(get32(m, 2 * BASE - 4), 0x5a5a5a5a);
}

static void test_real_mode(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	enter_real(m);
	fix_put64(m, BASE + 0x200, 0x1234);
	fix_put64(m, BASE + 0x8030, 0x4321);
	c->gpr[RBX] = 0x11118000;
	c->gpr[RSI] = 0x222281fe;
	c->gpr[RBP] = 0x8000;
	c->gpr[RDI] = 0x30;
	/* Sums of 16 bits go round. */
	assert_int_equal(RUN(m, 16, "mov 2(%bx,%si), %ax; mov (%bp,%di), %cx; mov $-1, %si; mov (%si), %dx"),
			 X86_VEC_GP);
	assert_int_equal(c->gpr[RAX], 0x1234);
	assert_int_equal(c->gpr[RCX], 0x4321);
	enter_real(m);
	c->gpr[RBX] = 0x10000;
	assert_int_equal(RUN(m, 16, "mov (%ebx), %al"), X86_VEC_GP);
	enter_real(m);
	c->gpr[RBP] = 0xffff;
	assert_int_equal(RUN(m, 16, "mov (%bp), %ax"), X86_VEC_SS);
}

/* Linear addresses go round at 4 GiB, though compatibility mode has tables for more. The last page there is FIX_DATA.
 */
static void test_end_of_memory(void **state)
{
	const uint64_t open = X86_PTE_P | X86_PTE_W, last = 0xff8, pd = 0xa000, pt = 0xb000;
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	c->efer = X86_EFER_LME | X86_EFER_LMA;
	c->cr0 |= X86_CR0_PG;
	c->cr4 |= X86_CR4_PAE;
	fix_put64(m, FIX_PML4 + 0x1000 + 3 * 8, pd | open);
	fix_put64(m, pd + last, pt | open);
	fix_put64(m, pt + last, FIX_DATA | open);
	fix_put64(m, 0, 0x44332211);
	fix_put64(m, FIX_DATA + last, 0x8877665544332211);
	c->sreg[SREG_FS] = segment(0xfffff000, FLAT_LIMIT, X86_DESC_RW | X86_DESC_G | X86_DESC_DB);
	assert_int_equal(RUN(m, 32, "mov %fs:0x1001, %ecx; mov %fs:0xffe, %eax; movl $0x12345678, %fs:0xffe"), HALTED);
	assert_int_equal(c->gpr[RCX], 0x00443322);
	assert_int_equal(c->gpr[RAX], 0x22118877);
	assert_int_equal(get32(m, 0), 0x44331234);
	assert_int_equal(get32(m, FIX_DATA + 0xffc), 0x56786655);
}

/* AVX-512's mask registers want its state switched on, though their instructions are encoded as AVX's. */
static void test_mask_registers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	c->cr4 |= X86_CR4_OSXSAVE | X86_CR4_OSFXSR;
	c->xcr0 = X86_XCR0_X87 | X86_XCR0_SSE | X86_XCR0_AVX;
	assert_int_equal(RUN(m, 32, "kmovw %eax, %k1"), X86_VEC_UD);
}

/* --------------------------------------------------------------------------------------------- old instructions */

static void check_ax(struct machine_fixture *m, unsigned result, uint64_t ax, uint64_t flags, uint64_t mask)
{
	assert_int_equal(result, HALTED);
	assert_int_equal(m->vcpu->gpr[RAX], ax);
	assert_int_equal(m->vcpu->rflags & mask, flags);
	m->vcpu->rip = FIX_CODE;
}

static void test_decimal(void **state)
{
	const uint64_t cf = X86_RFLAGS_CF, af = X86_RFLAGS_AF, zf = X86_RFLAGS_ZF, sf = X86_RFLAGS_SF;
	struct machine_fixture *m = *state;
	enter(m, 32, 0);
	check_ax(m, RUN(m, 32, "mov $0x109, %eax; add $5, %al; aaa"), 0x204, cf | af, cf | af);
	check_ax(m, RUN(m, 32, "mov $0x103, %eax; add $5, %al; aaa"), 0x108, 0, cf | af);
	check_ax(m, RUN(m, 32, "mov $0x203, %eax; sub $5, %al; aas"), 0x108, cf | af, cf | af);
	check_ax(m, RUN(m, 32, "mov $0x79, %eax; add $0x35, %al; daa"), 0x14, cf | af, cf | af | zf | sf);
	check_ax(m, RUN(m, 32, "mov $0x50, %eax; add $0x50, %al; daa"), 0, cf | zf, cf | af | zf | sf);
	check_ax(m, RUN(m, 32, "mov $0x35, %eax; sub $0x47, %al; das"), 0x88, cf | af | sf, cf | af | zf | sf);
	check_ax(m, RUN(m, 32, "mov $0x1111ff3f, %eax; aam"), 0x11110603, 0, zf | sf);
	check_ax(m, RUN(m, 32, "mov $0x11110603, %eax; aad"), 0x1111003f, 0, zf | sf);
	check_ax(m, RUN(m, 32, "mov $0x0102, %eax; .byte 0xd5, 16"), 0x12, 0, zf | sf); /* base 16 */
	check_ax(m, RUN(m, 32, "xor %eax, %eax; stc; .byte 0xd6"), 0xff, cf, cf);	/* SALC */
	assert_int_equal(RUN(m, 32, ".byte 0xd4, 0"), X86_VEC_DE);
}

static void test_bound_arpl(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	fix_put64(m, FIX_DATA, 5ull << 32 | (uint32_t)-5);
	c->gpr[RAX] = (uint32_t)-5;
	assert_int_equal(
		RUN(m, 32, "bound %eax, 0x18000; mov $5, %eax; bound %eax, 0x18000; inc %eax; bound %eax, 0x18000"),
		X86_VEC_BR);
	assert_int_equal(c->gpr[RAX], 6);
	c->rip = FIX_CODE;
	c->gpr[RAX] = 0x10;
	c->gpr[RBX] = 3;
	assert_int_equal(RUN(m, 32, "arpl %bx, %ax; setz %cl; arpl %bx, %ax; setz %ch; arpl %bx, 0x18000; setz %dl"),
			 HALTED);
	assert_int_equal(c->gpr[RAX], 0x13);
	assert_int_equal(c->gpr[RCX], 1);
	assert_int_equal(c->gpr[RDX], 0);
	enter_real(m);
	assert_int_equal(RUN(m, 16, ".byte 0x63, 0xd8"), X86_VEC_UD);
	/* Not of 64-bit mode only: INC, and not PUSH, is what REX would be. */
	enter(m, 32, 0);
	assert_int_equal(RUN(m, 32, ".byte 0x48, 0x90"), HALTED);
	assert_int_equal(c->gpr[RAX], 0xffffffff);
}

/* What later processors of Intel's keep for an exception that is not masked (CPUID 7, EBX bits 6 and 13). */
static void test_environment_of_exceptions(void **state)
{
	struct machine_fixture *m = *state;
	enter(m, 32, 0);
	m->vm.cpu.amd = false;
	m->vm.cpu.has[CPU_fdp_excptn_only] = m->vm.cpu.has[CPU_zero_fcs_fds] = true;
	assert_int_equal(RUN(m, 32, "fninit; flds 0x19000; fnstenv 0x18000"), HALTED);
	assert_int_equal(get32(m, FIX_DATA + 12), FIX_CODE + 2);
	assert_int_equal(get32(m, FIX_DATA + 16), 0);
	assert_int_equal(get32(m, FIX_DATA + 20), 0);
	/* A signalling NaN, with the invalid operation not masked. */
	fix_put64(m, 0x19000, 0x7fa00000);
	m->vcpu->rip = FIX_CODE;
	assert_int_equal(RUN(m, 32, "fninit; movl $0x37e, 0x18040; fldcw 0x18040; fadds 0x19000; fnstenv 0x18000"),
			 HALTED);
	assert_int_equal(get32(m, FIX_DATA + 16), 0x005 << 16);
	assert_int_equal(get32(m, FIX_DATA + 20), 0x19000);
}

/* FNSTENV in its four formats: control, status and tags, then pointers to where the last instruction lay. */
static void test_environment(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = enter(m, 32, 0);
	m->vm.cpu.amd = true;
	m->vm.cpu.has[CPU_fdp_excptn_only] = m->vm.cpu.has[CPU_zero_fcs_fds] = false;
	assert_int_equal(RUN(m, 32, "fninit; flds 0x19000; fnstenv 0x18000; fldenv 0x18000; fnstenv 0x18020"), HALTED);
	assert_int_equal(get32(m, FIX_DATA) & 0xffff, X86_FCW_RESET);
	assert_int_equal(get32(m, FIX_DATA + 12), FIX_CODE + 2);
	assert_int_equal(get32(m, FIX_DATA + 16) & 0xffff, c->sreg[SREG_CS].selector);
	assert_int_equal(get32(m, FIX_DATA + 20), 0x19000);
	assert_int_equal(get32(m, FIX_DATA + 32 + 12), FIX_CODE + 2);
	enter_real(m);
	assert_int_equal(RUN(m, 16, "fninit; flds 0x9000; .byte 0xd9, 0x36, 0, 0x80, 0x66, 0xd9, 0x36, 0x20, 0x80"),
			 HALTED);
	assert_int_equal(get32(m, FIX_DATA + 6), (BASE >> 16) << 28 | 0x106 << 16 | 2);
	assert_int_equal(get32(m, FIX_DATA + 10), (BASE >> 16) << 28 | 0x9000);
	assert_int_equal(get32(m, FIX_DATA + 32 + 12), 2);
	assert_int_equal(get32(m, FIX_DATA + 32 + 16), (BASE >> 16) << 12 | 0x106);
	assert_int_equal(get32(m, FIX_DATA + 32 + 20), 0x9000);
}

/* ---------------------------------------------------------------------------------------------------------- modes */

/* The same bytes at the same place mean another thing in each mode. */
static void test_same_bytes(void **state)
{
	static const uint8_t code[] = {0xb8, 0x34, 0x12, 0x40, 0x90, 0x48, 0xff, 0xc0}; /* MOV; then by mode */
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	for (unsigned turn = 0; turn < 3; turn++) {
		enter(m, 16, BASE);
		assert_int_equal(run(m, code, sizeof(code)), HALTED);
		assert_int_equal(c->gpr[RAX], 0x1235); /* INC AX, NOP, DEC AX, INC AX */
		enter(m, 32, 0);
		assert_int_equal(run(m, code, sizeof(code)), HALTED);
		assert_int_equal(c->gpr[RAX], 0x90401234); /* DEC EAX, INC EAX */
		enter(m, 32, BASE);
		assert_int_equal(run(m, code, sizeof(code)), HALTED);
		assert_int_equal(c->gpr[RAX], 0x90401234);
		c->efer = X86_EFER_LME | X86_EFER_LMA;
		c->cr0 |= X86_CR0_PG;
		c->cr4 |= X86_CR4_PAE;
		c->sreg[SREG_CS] = seg_make(FIX_KCODE, SEG_FLAT_CODE(0));
		c->rip = FIX_CODE;
		assert_int_equal(run(m, code, sizeof(code)), HALTED);
		assert_int_equal(c->gpr[RAX], 0x90401235); /* INC RAX */
	}
}

static int setup(void **state)
{
	fix_setup(state);
	return interpret_create(&((struct machine_fixture *)*state)->vm, NULL);
}

static int teardown(void **state)
{
	interpret_destroy(&((struct machine_fixture *)*state)->vm);
	return fix_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(push_pop),	     TEST(narrow_stack),   TEST(stack_limit),
		TEST(all_registers), TEST(frames),	   TEST(flags),
		TEST(branch_widths), TEST(branch_limit),   TEST(limit_within_block),
		TEST(counts),	     TEST(segments),	   TEST(string_segments),
		TEST(real_mode),     TEST(end_of_memory),  TEST(decimal),
		TEST(bound_arpl),    TEST(environment),	   TEST(environment_of_exceptions),
		TEST(same_bytes),    TEST(mask_registers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

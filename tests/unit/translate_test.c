/*
 * The compiler of engine `translate`: rules that hold of random bytes, and sequences executed host instruction by host
 * instruction. After each one the state is rebuilt as after a fault or kick there; it must be the guest's before the
 * instruction or after it, to the last register.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "hypercalls/x86.h"
#include "tests/random/generate.h"
#include "tests/unit/translate_rules.h"
#include "tests/unit/translate_steps.h"

#define BLOCKS_RANDOM 20000
/* Behind those that are templates alone. */
#define SEQUENCES_FROM 5000
#define SEQUENCES      6000

/* Guest code in the middle of the lower half, and where a sign-extended displacement reaches. */
#define GVA_HIGH (TEST_BASE + 0x500000000)
#define GVA_LOW	 0x200000
#define STACK	 (TEST_BASE + 0x8000)

/* Of the guest's memory, where it lies. */
typedef uint64_t word __attribute__((aligned(1)));

#define ALL_FLAVOURS (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES)
#define ARITHMETIC   0x8d5u

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < BLOCKS_RANDOM; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		struct bt_source source = {.gva = n & 1 ? GVA_HIGH : GVA_LOW,
					   .bytes = bytes,
					   .len = 1 + (unsigned)(random % sizeof(bytes)),
					   .flavour = (unsigned)(random >> 8) & ALL_FLAVOURS};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

/* ------------------------------------------------------------------------------------------------- step by step */

static struct user_regs_struct at_start;

static int start_child(void **state)
{
	void *far = mmap((void *)GVA_HIGH, 0x9000, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	return far == (void *)GVA_HIGH ? steps_start(&at_start) : -1;
}

static int end_child(void **state)
{
	return steps_end();
}

static volatile struct bt_state *state_page(void)
{
	return steps_state();
}

/* Runs the block of one instruction and an HLT behind it, and returns how it ended. */
static struct snapshot run(uint64_t gva, const uint8_t *insn, unsigned len, bool enabled, uint64_t kept_flags)
{
	uint8_t bytes[16];
	struct user_regs_struct regs = at_start;
	memcpy(bytes, insn, len);
	bytes[len] = 0xf4;
	struct bt_source source = {.gva = gva, .bytes = bytes, .len = len + 1, .flavour = ALL_FLAVOURS};
	regs.rax = GVA_HIGH + 0x100, regs.rcx = 3, regs.rdx = 0x1234, regs.rbx = GVA_HIGH + 0x200;
	regs.rsp = STACK, regs.rbp = 0x55, regs.rsi = GVA_HIGH + 0x300, regs.rdi = GVA_HIGH + 0x400;
	regs.r8 = 8, regs.r9 = 9, regs.r10 = 10, regs.r11 = GVA_HIGH + 0x500, regs.r12 = 12, regs.r13 = 13;
	regs.r14 = 14, regs.r15 = 15;
	regs.eflags = 0x202 | X86_RFLAGS_CF | X86_RFLAGS_SF;
	return steps_run(&source, &regs, enabled, kept_flags, 0);
}

static const uint64_t places[] = {GVA_HIGH, GVA_LOW};
#define RUN(gva, enabled, ...)                                                                                         \
	run(gva, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), enabled, ~0ull)

static uint64_t stack(int64_t at)
{
	return *(word *)(STACK + (uint64_t)at);
}

static void test_copies(void **state)
{
	struct snapshot end = RUN(GVA_HIGH, true, 0x48, 0x01, 0xd1); /* ADD RCX, RDX */
	assert_int_equal(end.regs.rcx, 0x1237);
	assert_int_equal(end.regs.rip, GVA_HIGH + 3);
	/* FXSAVE [RBX] would show where the host's code lies: the monitor's. */
	assert_int_equal(RUN(GVA_HIGH, true, 0x0f, 0xae, 0x03).regs.rip, GVA_HIGH);
	assert_int_equal(RUN(GVA_HIGH, true, 0x48, 0x0f, 0xae, 0x03).regs.rip, GVA_HIGH);
}

/* Relative to RIP: through a register that the instruction leaves alone, high registers' bits cleared. */
static void test_rip_relative(void **state)
{
	*(word *)(GVA_HIGH + 0x1007) = 0x1122334455667788;
	struct snapshot end = RUN(GVA_HIGH, true, 0x48, 0x8b, 0x05, 0x00, 0x10, 0, 0); /* MOV RAX, [RIP + 0x1000] */
	assert_int_equal(end.regs.rax, 0x1122334455667788);
	end = RUN(GVA_HIGH, true, 0x4b, 0x8b, 0x0d, 0x00, 0x10, 0, 0); /* with REX.X and REX.B set: RCX */
	assert_int_equal(end.regs.rcx, 0x1122334455667788);
	end = RUN(GVA_HIGH, true, 0x4c, 0x01, 0x05, 0x00, 0x10, 0, 0); /* ADD [RIP + 0x1000], R8 */
	assert_int_equal(*(word *)(GVA_HIGH + 0x1007), 0x1122334455667790);
	end = RUN(GVA_HIGH, true, 0x48, 0x8d, 0x15, 0x00, 0x10, 0, 0); /* LEA RDX, [RIP + 0x1000] */
	assert_int_equal(end.regs.rdx, GVA_HIGH + 0x1007);
}

static void test_calls(void **state)
{
	for (unsigned n = 0; n < 2; n++) {
		uint64_t gva = places[n];
		struct snapshot end = RUN(gva, true, 0xe8, 0x10, 0, 0, 0); /* CALL +0x10 */
		assert_int_equal(end.regs.rip, gva + 0x15);
		assert_int_equal(end.regs.rsp, STACK - 8);
		assert_int_equal(stack(-8), gva + 5);
		end = RUN(gva, true, 0xff, 0xd2); /* CALL RDX */
		assert_int_equal(end.regs.rip, 0x1234);
		assert_int_equal(stack(-8), gva + 2);
		*(word *)(GVA_HIGH + 0x208) = 0x5678;
		end = RUN(gva, true, 0xff, 0x53, 0x08); /* CALL [RBX + 8] */
		assert_int_equal(end.regs.rip, 0x5678);
		assert_int_equal(stack(-8), gva + 3);
		end = RUN(gva, true, 0xff, 0x63, 0x08); /* JMP [RBX + 8] */
		assert_int_equal(end.regs.rip, 0x5678);
		assert_int_equal(end.regs.rsp, STACK);
	}
	*(word *)(GVA_HIGH + 0x1006) = 0x9abc;
	struct snapshot end = RUN(GVA_HIGH, true, 0xff, 0x25, 0x00, 0x10, 0, 0); /* JMP [RIP + 0x1000] */
	assert_int_equal(end.regs.rip, 0x9abc);
}

static void test_returns(void **state)
{
	*(word *)STACK = 0x4321;
	struct snapshot end = RUN(GVA_HIGH, true, 0xc3);
	assert_int_equal(end.regs.rip, 0x4321);
	assert_int_equal(end.regs.rsp, STACK + 8);
	assert_int_equal(end.regs.rcx, 3);
	end = RUN(GVA_LOW, true, 0xc2, 0x10, 0x00); /* RET 16 */
	assert_int_equal(end.regs.rsp, STACK + 24);
}

static void test_branches(void **state)
{
	assert_int_equal(RUN(GVA_HIGH, true, 0x72, 0x10).regs.rip, GVA_HIGH + 0x12);		 /* JB, taken */
	assert_int_equal(RUN(GVA_HIGH, true, 0x0f, 0x83, 0x10, 0, 0, 0).regs.rip, GVA_HIGH + 6); /* JNB */
	struct snapshot end = RUN(GVA_HIGH, true, 0xe2, 0x10);					 /* LOOP */
	assert_int_equal(end.regs.rip, GVA_HIGH + 0x12);
	assert_int_equal(end.regs.rcx, 2);
	assert_int_equal(RUN(GVA_HIGH, true, 0xe3, 0x10).regs.rip, GVA_HIGH + 2); /* JRCXZ */
}

/* The number of the guest's CPU, not of the host's. */
static void test_processor_id(void **state)
{
	state_page()->tsc_aux = 0x77;
	struct snapshot end = RUN(GVA_HIGH, true, 0x0f, 0x01, 0xf9); /* RDTSCP */
	assert_int_equal(end.regs.rcx, 0x77);
	assert_int_equal(end.regs.rip, GVA_HIGH + 3);
}

static void test_interrupt_flag(void **state)
{
	state_page()->hold = 0;
	assert_false(RUN(GVA_HIGH, true, 0xfa).enabled); /* CLI */
	assert_true(RUN(GVA_HIGH, false, 0xfb).enabled); /* STI */
	for (unsigned on = 0; on < 2; on++) {
		RUN(GVA_HIGH, on, 0x9c); /* PUSHF */
		assert_int_equal(stack(-8) & X86_RFLAGS_IF, on ? X86_RFLAGS_IF : 0);
		assert_int_equal(stack(-8) & ARITHMETIC, X86_RFLAGS_CF | X86_RFLAGS_SF);
		*(word *)STACK = 0x2 | X86_RFLAGS_ZF | X86_RFLAGS_DF | (on ? X86_RFLAGS_IF : 0);
		struct snapshot end = run(GVA_HIGH, (const uint8_t[]){0x9d}, 1, !on, ~(uint64_t)ARITHMETIC); /* POPF */
		assert_int_equal(end.enabled, on);
		assert_int_equal(end.regs.rip, GVA_HIGH + 1);
		assert_int_equal(end.regs.eflags & (ARITHMETIC | X86_RFLAGS_DF), X86_RFLAGS_ZF | X86_RFLAGS_DF);
	}
}

/* An interrupt waits, or flags that are not the processor's to load: the monitor is to execute them. */
static void test_interrupt_flag_given_up(void **state)
{
	state_page()->hold = X86_RFLAGS_IF;
	struct snapshot end = RUN(GVA_HIGH, false, 0xfb);
	assert_false(end.enabled);
	assert_int_equal(end.regs.rip, GVA_HIGH);
	*(word *)STACK = 0x202;
	end = run(GVA_HIGH, (const uint8_t[]){0x9d}, 1, false, ~(uint64_t)ARITHMETIC);
	assert_int_equal(end.regs.rip, GVA_HIGH);
	assert_int_equal(end.regs.rsp, STACK);
	/* What keeps interrupts masked lets none in; flags of its own keep all. */
	for (unsigned own = 0; own < 2; own++) {
		state_page()->hold = X86_RFLAGS_IF | (own ? X86_RFLAGS_FIXED : 0);
		*(word *)STACK = X86_RFLAGS_ZF;
		end = run(GVA_HIGH, (const uint8_t[]){0x9d}, 1, false, ~(uint64_t)ARITHMETIC);
		assert_int_equal(end.regs.rip, GVA_HIGH + !own);
		assert_false(end.enabled);
	}
	state_page()->hold = 0;
	*(word *)STACK = 0x2 | X86_RFLAGS_TF;
	end = run(GVA_HIGH, (const uint8_t[]){0x9d}, 1, false, ~(uint64_t)ARITHMETIC);
	assert_int_equal(end.regs.rip, GVA_HIGH);
}

static void test_reads(void **state)
{
	state_page()->cr0 = 0x80050033;
	state_page()->selector[1] = 8;
	assert_int_equal(RUN(GVA_HIGH, true, 0x0f, 0x20, 0xc2).regs.rdx, 0x80050033); /* MOV RDX, CR0 */
	assert_int_equal(RUN(GVA_HIGH, true, 0x44, 0x8c, 0xc8).regs.rip, GVA_HIGH + 3);
	assert_int_equal(RUN(GVA_HIGH, true, 0x8c, 0xca).regs.rdx, 8); /* MOV EDX, CS */
	/* Of 16 bits the others stay. */
	assert_int_equal(RUN(GVA_HIGH, true, 0x66, 0x8c, 0xcb).regs.rbx, GVA_HIGH + 8);	      /* MOV BX, CS */
	assert_int_equal(RUN(GVA_HIGH, true, 0x66, 0x41, 0x8c, 0xcb).regs.r11, GVA_HIGH + 8); /* MOV R11W, CS */
}

/* The first instruction of each; most of what they name in memory is not there. */
static void test_random_instructions(void **state)
{
	struct sequence s;
	struct emu_insn insn;
	state_page()->hold = 0;
	for (unsigned n = SEQUENCES_FROM; n < SEQUENCES_FROM + SEQUENCES; n++) {
		generate(&s, 1, n, GENERATE_KERNEL);
		if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, s.code, s.size, &insn)) ||
		    steps_has_parts(&insn))
			continue;
		uint64_t kept = insn.info.mnemonic == ZYDIS_MNEMONIC_POPFQ ? ~(uint64_t)ARITHMETIC : ~0ull;
		run(places[n % 2], s.code, insn.info.length, n % 3, kept);
	}
}

/* Where a check goes on to the next is a jump that one store patches, and over which the right target passes. */
static void test_checks(void **state)
{
	const unsigned line = 64;
	for (unsigned n = 0; n < 2 * line / BT_ALIGN; n++) {
		uint8_t bytes[BT_THUNK_MAX];
		struct bt_place place;
		unsigned otherwise = 0;
		test_place(&place);
		place.host += n * BT_ALIGN;
		place.narrow = n % 2;
		unsigned len = bt_compile_thunk(&place, GVA_LOW, place.host + 4096, &otherwise, bytes);
		assert_true(otherwise && otherwise + 4 < len && len <= BT_THUNK_MAX);
		assert_true((place.host + otherwise) % line <= line - 4);
		unsigned at = 0, jumps = 0, over = 0;
		for (struct emu_insn insn; at < len; at += insn.info.length) {
			assert_true(ZYAN_SUCCESS(
				emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, bytes + at, len - at, &insn)));
			if (insn.info.mnemonic == ZYDIS_MNEMONIC_JRCXZ)
				over = at + insn.info.length + (unsigned)insn.operands[0].imm.value.u;
			if (insn.info.mnemonic == ZYDIS_MNEMONIC_JMP && !jumps++)
				assert_true(at + 1 == otherwise && over == otherwise + 4);
		}
		assert_int_equal(jumps, 2);
	}
}

/* Stopped anywhere in a check, the guest is at the target of its jump. */
static void test_checks_stopped_anywhere(void **state)
{
	struct user_regs_struct regs = at_start;
	regs.rax = 0x1111, regs.rcx = 3;
	regs.eflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_CF | X86_RFLAGS_SF;
	assert_int_equal(steps_check(GVA_LOW, GVA_LOW, &regs), 0);
	assert_int_equal(steps_check(GVA_HIGH, GVA_HIGH, &regs), 0);
	assert_int_equal(steps_check(GVA_LOW, GVA_LOW + 65536, &regs), 1);
	assert_int_equal(steps_check(GVA_HIGH, GVA_LOW, &regs), 1);
	/* Every bit of the address counts, whatever its halves are. */
	const uint64_t gvas[] = {0x7fffffff,	     0x80000000,	 0xffffffff80000000, 0xffffffff7fffffff,
				 0x00007f0080000000, 0xffff888012345678, 0xffff888080000000, 0xffff800000000000};
	for (unsigned n = 0; n < sizeof(gvas) / sizeof(gvas[0]); n++) {
		assert_int_equal(steps_check(gvas[n], gvas[n], &regs), 0);
		for (unsigned bit = 0; bit < 64; bit++)
			assert_int_equal(steps_check(gvas[n], gvas[n] ^ R3_BIT(bit), &regs), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_random_bytes),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_rip_relative),
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_returns),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_checks_stopped_anywhere),
		cmocka_unit_test(test_processor_id),
		cmocka_unit_test(test_interrupt_flag),
		cmocka_unit_test(test_interrupt_flag_given_up),
		cmocka_unit_test(test_reads),
		cmocka_unit_test(test_random_instructions),
	};
	return cmocka_run_group_tests(tests, start_child, end_child);
}

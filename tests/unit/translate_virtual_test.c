/*
 * Sensitive instructions of 64-bit code that are done in the cache, on the state there: each sequence executed host
 * instruction by host instruction, where memory lies as the guest has it and where it lies UPPER_BASE further up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"
#include "tests/unit/translate_child.h"
#include "tests/unit/translate_rules.h"
#include "tests/unit/translate_steps.h"

#define FLAVOUR	   (BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES | BT_SWAPS | BT_LOADS)
#define ARITHMETIC 0x8d5u
#define FLAGS	   (0x202 | X86_RFLAGS_CF | X86_RFLAGS_SF | X86_RFLAGS_OF)

#define CS	   0x10
#define HANDLER	   0x3000u /* from the code */
#define DESCRIBED  0x00af9b000000ffffu
#define GATE_LOW   0x1122334455667788u
#define GATE_HIGH  0x8877665544332211u
#define KERNEL_GS  0x1800u
#define NO_ADDRESS 0xfff000u

typedef uint64_t word __attribute__((aligned(1)));

/* Where guest code lies, its memory behind it, and how far up that is shown. */
static const struct world {
	unsigned flavour;
	uint64_t code, up;
} worlds[] = {{FLAVOUR, TEST_BASE + 0x500000000, 0},
	      {FLAVOUR | BT_UPPER, 0xffffffff81000000, UPPER_BASE},
	      {FLAVOUR | BT_UPPER | BT_GS_SLOT, 0xffffffff82000000, UPPER_BASE}};
#define WORLDS 3
#define SIZE   0x8000
#define STACK  0x6008

static const struct world *world;
static struct user_regs_struct at_start;

static int start(void **state)
{
	for (unsigned n = 0; n < WORLDS; n++) {
		void *to = (void *)(worlds[n].code + worlds[n].up);
		if (mmap(to, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
		    to)
			return -1;
	}
	return steps_start(&at_start);
}

static int end(void **state)
{
	return steps_end();
}

static volatile struct bt_state *page(void)
{
	return steps_state();
}

static word *at(uint64_t offset)
{
	return (word *)(world->code + world->up + offset);
}

/* As engine/translate/state.c fills it: nothing waits, and the gate of #DE is plain. */
static void begin(const struct world *w)
{
	volatile struct bt_state *s = page();
	world = w;
	memset((void *)s, 0, sizeof(*s));
	s->selector[SREG_CS] = s->match[SREG_CS] = CS;
	s->described_at[SREG_CS] = w->code + w->up + 0x4000;
	s->described_at[SREG_SS] = TEST_STATE + offsetof(struct bt_state, nothing);
	s->described[SREG_CS] = *at(0x4000) = DESCRIBED;
	s->gate.at = w->code + w->up + 0x5000;
	s->gate.low = *at(0x5000) = GATE_LOW;
	s->gate.high = *at(0x5008) = GATE_HIGH;
	s->gate.handler = w->code + HANDLER;
	s->kernel_gs = w->code + w->up + KERNEL_GS;
}

static struct user_regs_struct registers(void)
{
	struct user_regs_struct r = at_start;
	r.rax = 0x1111, r.rcx = 3, r.rdx = 0x2222, r.rbx = world->code + 0x2000, r.rbp = 5, r.rsi = 6, r.rdi = 7;
	r.r8 = 8, r.r9 = 9, r.r10 = 10, r.r11 = 11, r.r12 = 12, r.r13 = 13, r.r14 = 14, r.r15 = 15;
	r.rsp = world->code + STACK;
	r.eflags = FLAGS;
	r.gs_base = world->code + 0x1000;
	return r;
}

/* site: what faults taught of it; BT_SITES: nothing. */
static struct snapshot run(struct user_regs_struct regs, bool enabled, enum bt_site site, const uint8_t *insn,
			   unsigned len)
{
	uint8_t bytes[16];
	memcpy(bytes, insn, len);
	bytes[len] = 0xf4;
	struct bt_source source = {.gva = world->code, .bytes = bytes, .len = len + 1, .flavour = world->flavour};
	if (site != BT_SITES)
		source.site_mask[site] = 1;
	return steps_run(&source, &regs, enabled, ~0ull, 0);
}

/* What it loads of a base of GS, or of FS, is the processor's. */
static void need_bases(void)
{
	if (!(world->flavour & BT_GS_SLOT) && !test_child_keeps_bases())
		skip();
}

#define RUN_FROM(regs, enabled, ...)                                                                                   \
	run(regs, enabled, BT_SITES, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define DIVIDE(regs, ...)                                                                                              \
	run(regs, true, BT_SITE_DIVIDES, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define END(regs, ...)                                                                                                 \
	run(regs, true, BT_SITE_DEVICE, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* The monitor is to execute it. */
static void assert_given_up(const struct snapshot *end)
{
	assert_int_equal(end->regs.rip, world->code);
	assert_int_equal(end->regs.rsp, world->code + STACK);
	assert_int_equal(end->regs.eflags & ARITHMETIC, FLAGS & ARITHMETIC);
}

static void test_rules_hold_of_random_bytes(void **state)
{
	uint8_t bytes[200];
	for (unsigned n = 0; n < 20000; n++) {
		uint64_t random = test_random_bytes(bytes, sizeof(bytes));
		const struct world *w = &worlds[n % WORLDS];
		struct bt_source source = {.gva = w->code,
					   .bytes = bytes,
					   .len = 1 + (unsigned)(random % sizeof(bytes)),
					   .flavour = w->flavour,
					   .site_mask = {[BT_SITE_DIVIDES] = ~0u, [BT_SITE_DEVICE] = ~0u}};
		const char *rule = broken_rule(&source);
		if (rule)
			fail_msg("block %u: %s", n, rule);
	}
}

/* -------------------------------------------------------------------------------------------------------- registers */

static void test_task_priority(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rbx = 9, regs.rax = 15, regs.r9 = 16;
	assert_int_equal(RUN_FROM(regs, true, 0x44, 0x0f, 0x22, 0xc3).regs.rip, world->code + 4); /* MOV CR8, RBX */
	assert_int_equal(page()->cr8, 9);
	RUN_FROM(regs, true, 0x44, 0x0f, 0x22, 0xc0); /* MOV CR8, RAX */
	assert_int_equal(page()->cr8, 15);
	RUN_FROM(regs, true, 0x44, 0x0f, 0x22, 0xc1); /* MOV CR8, RCX */
	assert_int_equal(page()->cr8, 3);
	struct snapshot end = RUN_FROM(regs, true, 0x45, 0x0f, 0x22, 0xc1); /* MOV CR8, R9 */
	assert_given_up(&end);
	page()->held = 1;
	end = RUN_FROM(regs, true, 0x44, 0x0f, 0x22, 0xc3);
	assert_given_up(&end);
	assert_int_equal(page()->cr8, 3);
}

static void test_control_registers(void **state)
{
	struct user_regs_struct regs = registers();
	page()->cr0 = regs.rbx = 0x80050033;
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x22, 0xc3).regs.rip, world->code + 3); /* MOV CR0, RBX */
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x06).regs.rip, world->code + 2);	    /* CLTS */
	page()->cr0 |= X86_CR0_TS;
	struct snapshot end = RUN_FROM(regs, true, 0x0f, 0x22, 0xc3);
	assert_given_up(&end);
	end = RUN_FROM(regs, true, 0x0f, 0x06);
	assert_given_up(&end);
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x22, 0xd3).regs.rip, world->code + 3); /* MOV CR2, RBX */
	assert_int_equal(page()->cr2, 0x80050033);
}

static void test_swapgs(void **state)
{
	need_bases();
	struct snapshot end = RUN_FROM(registers(), true, 0x0f, 0x01, 0xf8);
	assert_int_equal(end.regs.rip, world->code + 3);
	assert_int_equal(end.regs.gs_base, world->code + KERNEL_GS);
	assert_int_equal(page()->kernel_gs, world->code + world->up + 0x1000);
}

static void test_bases(void **state)
{
	need_bases();
	struct user_regs_struct regs = registers();
	const uint64_t base = world->code + 0x1230;
	struct snapshot end;
	page()->fs = regs.fs_base = world->up ? base : 0x1230;
	const uint64_t fs = page()->fs;
	regs.rbx = base + 1, regs.r9 = fs + 1;
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xc2).regs.rdx, fs); /* RDFSBASE RDX */
	end = RUN_FROM(regs, true, 0xf3, 0x49, 0x0f, 0xae, 0xd1);			   /* WRFSBASE R9 */
	assert_int_equal(end.regs.rip, world->code + 5);
	assert_int_equal(world->up ? page()->fs : end.regs.fs_base, fs + 1);
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x49, 0x0f, 0xae, 0xca).regs.r10, regs.gs_base); /* RDGSBASE R10 */
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xc8).regs.rax, regs.gs_base); /* RDGSBASE RAX */
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xc9).regs.rcx, regs.gs_base); /* RDGSBASE RCX */
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xdb).regs.gs_base, base + 1); /* WRGSBASE RBX */
	regs.rbx = 1ull << 47;
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xdb).regs.rip, world->code);
	assert_int_equal(RUN_FROM(regs, true, 0xf3, 0x48, 0x0f, 0xae, 0xd3).regs.rip, world->code); /* WRFSBASE RBX */
}

#define WRMSR 0x0f, 0x30

static void test_msrs(void **state)
{
	need_bases();
	struct user_regs_struct regs = registers();
	const uint64_t base = world->code + 0x1230;
	regs.rax = 0xabcdef0000000000 | (uint32_t)base;
	regs.rdx = 0x1234567800000000 | base >> 32;
	regs.rcx = X86_MSR_KERNEL_GS_BASE;
	assert_int_equal(RUN_FROM(regs, true, WRMSR).regs.rip, world->code + 2);
	assert_int_equal(page()->kernel_gs, base + world->up);
	regs.rcx = X86_MSR_FS_BASE;
	struct snapshot end = RUN_FROM(regs, true, WRMSR);
	assert_int_equal(end.regs.rip, world->code + 2);
	assert_int_equal(world->up ? page()->fs : end.regs.fs_base, base);
	regs.rcx = X86_MSR_GS_BASE;
	end = RUN_FROM(regs, true, WRMSR);
	assert_int_equal(end.regs.rip, world->code + 2);
	assert_int_equal(end.regs.gs_base, base);
	regs.rcx = X86_MSR_LSTAR;
	end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
	regs.rcx = X86_MSR_FS_BASE;
	regs.rdx = 0x8000;
	end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
}

static void test_deadline(void **state)
{
	struct user_regs_struct regs = registers();
	page()->deadline.from = 0x123456789a;
	regs.rcx = X86_MSR_TSC_DEADLINE;
	regs.rax = 0xabcdef003456789a, regs.rdx = 0x12;
	assert_int_equal(RUN_FROM(regs, true, WRMSR).regs.rip, world->code + 2);
	assert_int_equal(page()->deadline.written, 0x123456789a);
	page()->deadline.written = 0;
	regs.rax--;
	struct snapshot end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
	page()->deadline.from = UINT64_MAX;
	end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
	assert_int_equal(page()->deadline.written, 0);
}

static void test_end_by_msr(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rcx = X86_MSR_X2APIC_EOI;
	regs.rax = regs.rdx = 0xabcdef0000000000;
	struct snapshot end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
	page()->end.by_msr = 1;
	regs.rdx++;
	end = RUN_FROM(regs, true, WRMSR);
	assert_given_up(&end);
	assert_int_equal(page()->end.by_msr, 1);
	regs.rdx--;
	assert_int_equal(RUN_FROM(regs, true, WRMSR).regs.rip, world->code + 2);
	assert_int_equal(page()->end.by_msr, 0);
}

static void assert_stored(struct snapshot end, unsigned len, uint32_t value)
{
	assert_int_equal(end.regs.rip, world->code + len);
	assert_int_equal(end.regs.eflags & ARITHMETIC, FLAGS & ARITHMETIC);
	assert_int_equal(*at(0x2008), value);
	*at(0x2008) = 0;
}

static void assert_ended(struct snapshot end, unsigned len)
{
	assert_stored(end, len, 0);
	assert_int_equal(page()->end.by_store, 0);
	page()->end.by_store = 1;
}

/* To where the register is, if EOI may be so; else to memory, by whatever address. */
static void test_end_by_store(void **state)
{
	struct user_regs_struct regs = registers();
	*at(0x2008) = 0;
	page()->end.at = world->code + 0x2008;
	regs.rdx = 0x55667788;
	assert_stored(END(regs, 0x89, 0x53, 0x08), 3, 0x55667788); /* MOV [RBX + 8], EDX */
	page()->end.by_store = 1;
	assert_ended(END(regs, 0x89, 0x53, 0x08), 3);
	assert_ended(END(regs, 0xc7, 0x43, 0x08, 1, 2, 3, 4), 7); /* MOV DWORD [RBX + 8], 04030201h */
	regs.rax = regs.rcx = regs.r9 = regs.rbx;
	assert_ended(END(regs, 0x89, 0x50, 0x08), 3);	    /* MOV [RAX + 8], EDX */
	assert_ended(END(regs, 0x89, 0x49, 0x08), 3);	    /* MOV [RCX + 8], ECX */
	assert_ended(END(regs, 0x45, 0x89, 0x41, 0x08), 4); /* MOV [R9 + 8], R8D */
	page()->end.at += 4;
	assert_stored(END(regs, 0x89, 0x53, 0x08), 3, 0x55667788);
	assert_stored(END(regs, 0x45, 0x89, 0x41, 0x08), 4, 8);
	assert_stored(END(regs, 0xc7, 0x43, 0x08, 1, 2, 3, 4), 7, 0x04030201);
	regs.rsp = regs.rbx;
	page()->end.at -= 4;
	assert_stored(END(regs, 0x89, 0x54, 0x24, 0x08), 4, 0x55667788); /* MOV [RSP + 8], EDX */
	assert_int_equal(page()->end.by_store, 1);
}

static void test_debug_registers(void **state)
{
	struct user_regs_struct regs = registers();
	page()->dr[6] = 0xffff0ff0;
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x21, 0xf2).regs.rdx, 0xffff0ff0);	    /* MOV RDX, DR6 */
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x23, 0xdb).regs.rip, world->code + 3); /* MOV DR3, RBX */
	assert_int_equal(page()->dr[3], regs.rbx);
	struct snapshot end = RUN_FROM(regs, true, 0x0f, 0x23, 0xfb); /* MOV DR7, RBX */
	assert_given_up(&end);
	end = RUN_FROM(regs, true, 0x0f, 0x21, 0xea); /* MOV RDX, DR5 */
	assert_given_up(&end);
}

static struct bt_identity *identity(uint32_t leaf)
{
	return (struct bt_identity *)TEST_IDENTITY + bt_identity_of(leaf);
}

#define CPUID 0x0f, 0xa2

static void test_identity(void **state)
{
	static const uint32_t leaves[] = {0, 0x80000001, UINT32_MAX};
	struct user_regs_struct regs = registers();
	for (unsigned n = 0; n < sizeof(leaves) / sizeof(leaves[0]); n++) {
		regs.rax = 0x1234567800000000 | leaves[n];
		regs.rcx = 0xabcdef0000000000 | n;
		*identity(leaves[n]) = (struct bt_identity){.question = -(leaves[n] | (uint64_t)n << 32),
							    .eax = 0xaaaaaaaa,
							    .ebx = 0xbbbbbbbb,
							    .ecx = 0xcccccccc,
							    .edx = 0xdddddddd};
		struct snapshot end = RUN_FROM(regs, true, CPUID);
		assert_int_equal(end.regs.rip, world->code + 2);
		assert_int_equal(end.regs.rax, 0xaaaaaaaa);
		assert_int_equal(end.regs.rbx, 0xbbbbbbbb);
		assert_int_equal(end.regs.rcx, 0xcccccccc);
		assert_int_equal(end.regs.rdx, 0xdddddddd);
		/* Another subleaf, another leaf in the same place. */
		regs.rcx++;
		end = RUN_FROM(regs, true, CPUID);
		assert_given_up(&end);
		assert_int_equal(end.regs.rax, regs.rax);
		regs.rcx--, regs.rax ^= 0x100;
		end = RUN_FROM(regs, true, CPUID);
		assert_given_up(&end);
	}
}

static void test_msrs_shown(void **state)
{
	static const uint32_t numbers[] = {X86_MSR_EFER, X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE};
	struct user_regs_struct regs = registers();
	page()->efer = 0x1234567890;
	page()->fs = regs.fs_base = world->up ? world->code + 0x1230 : 0x1230;
	const uint64_t values[] = {0x1234567890, page()->fs, regs.gs_base, world->code + KERNEL_GS};
	for (unsigned n = 0; n < sizeof(numbers) / sizeof(numbers[0]); n++) {
		regs.rcx = 0xabcdef0000000000 | numbers[n];
		struct snapshot end = RUN_FROM(regs, true, 0x0f, 0x32); /* RDMSR */
		assert_int_equal(end.regs.rip, world->code + 2);
		assert_int_equal(end.regs.rax, (uint32_t)values[n]);
		assert_int_equal(end.regs.rdx, values[n] >> 32);
		assert_int_equal(end.regs.rcx, regs.rcx);
	}
	regs.rcx = X86_MSR_LSTAR;
	struct snapshot end = RUN_FROM(regs, true, 0x0f, 0x32);
	assert_given_up(&end);
}

static void test_tables_shown(void **state)
{
	struct user_regs_struct regs = registers();
	page()->gdtr.limit = 0x1234, page()->gdtr.base = 0x1122334455667788;
	page()->idtr.limit = 0x4321, page()->idtr.base = 0x8877665544332211;
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x01, 0x43, 0x08).regs.rip, world->code + 4); /* SGDT [RBX + 8] */
	assert_int_equal(*at(0x2008) & 0xffff, 0x1234);
	assert_int_equal(*at(0x200a), 0x1122334455667788);
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x01, 0x4c, 0x24, 0x10).regs.rip,
			 world->code + 5); /* SIDT [RSP + 16] */
	assert_int_equal(*at(STACK + 0x12), 0x8877665544332211);
	regs.rbx = world->code + SIZE - 12;
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x01, 0x43, 0x08).regs.rip, world->code);
}

static void test_segments_shown(void **state)
{
	page()->selector[SREG_GS] = 0x2b;
	assert_int_equal(RUN_FROM(registers(), true, 0x0f, 0xa8).regs.rsp, world->code + STACK - 8); /* PUSH GS */
	assert_int_equal(*at(STACK - 8), 0x2b);
	page()->cr0 = 0x80050033;
	assert_int_equal(RUN_FROM(registers(), true, 0x0f, 0x01, 0xe2).regs.rdx, 0x80050033); /* SMSW EDX */
	assert_int_equal(RUN_FROM(registers(), true, 0x0f, 0x09).regs.rip, world->code + 2);  /* WBINVD */
}

static void test_segments(void **state)
{
	struct user_regs_struct regs = registers();
	page()->match[SREG_DS] = 0x18;
	page()->described_at[SREG_DS] = page()->described_at[SREG_CS];
	page()->described[SREG_DS] = DESCRIBED;
	regs.rbx = 0xdeadbeef0018;
	assert_int_equal(RUN_FROM(regs, true, 0x8e, 0xdb).regs.rip, world->code + 2); /* MOV DS, EBX */
	*at(0x4000) = 0;
	struct snapshot end = RUN_FROM(regs, true, 0x8e, 0xdb);
	assert_given_up(&end);
	regs.rbx = 0x20;
	end = RUN_FROM(regs, true, 0x8e, 0xdb);
	assert_given_up(&end);
	end = RUN_FROM(regs, true, 0x8e, 0xd3); /* MOV SS, EBX */
	assert_given_up(&end);
}

/* What has a base of its own loses that by a null selector, and nothing else where there was one before. */
static void test_null_segments(void **state)
{
	need_bases();
	struct user_regs_struct regs = registers();
	page()->match[SREG_FS] = page()->match[SREG_GS] = 3;
	page()->fs = regs.fs_base = world->up ? world->code + 0x1230 : 0x1230;
	const uint64_t fs = page()->fs;
	regs.rbx = 0xdeadbeef0003;
	struct snapshot end = RUN_FROM(regs, true, 0x8e, 0xeb); /* MOV GS, EBX */
	assert_int_equal(end.regs.rip, world->code + 2);
	assert_int_equal(end.regs.gs_base, 0);
	assert_int_equal(end.regs.rbx, regs.rbx);
	assert_int_equal(world->up ? page()->fs : end.regs.fs_base, fs);
	end = RUN_FROM(regs, true, 0x8e, 0xe3); /* MOV FS, EBX */
	assert_int_equal(end.regs.rip, world->code + 2);
	assert_int_equal(world->up ? page()->fs : end.regs.fs_base, 0);
	assert_int_equal(end.regs.gs_base, regs.gs_base);
	/* Another null selector; one of a descriptor, which may have changed. */
	regs.rbx = 0;
	end = RUN_FROM(regs, true, 0x8e, 0xeb);
	assert_given_up(&end);
	assert_int_equal(end.regs.gs_base, regs.gs_base);
	page()->match[SREG_GS] = regs.rbx = 0x2b;
	end = RUN_FROM(regs, true, 0x8e, 0xeb);
	assert_given_up(&end);
	assert_int_equal(end.regs.gs_base, regs.gs_base);
}

static void describe(uint16_t selector, uint64_t descriptor)
{
	*at(0x4100 + selector) = descriptor;
}

static void assert_verw(struct user_regs_struct regs, bool done, const uint8_t *insn, unsigned len)
{
	struct snapshot end = run(regs, true, BT_SITES, insn, len);
	assert_int_equal(end.regs.rip, world->code + (done ? len : 0));
	assert_int_equal(end.regs.eflags & ARITHMETIC, (FLAGS | (done ? X86_RFLAGS_ZF : 0)) & ARITHMETIC);
	assert_int_equal(end.regs.rax, regs.rax);
	assert_int_equal(end.regs.rcx, regs.rcx);
}
#define VERW(regs, done, ...)                                                                                          \
	assert_verw(regs, done, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Where the answer is yes; all else is the monitor's to find out. */
static void test_writable_segments(void **state)
{
	const uint64_t writable = 0x00cf92000000ffff, read_only = 0x00cf90000000ffff, code = 0x00af9a000000ffff;
	struct user_regs_struct regs = registers();
	page()->descriptors.at = world->code + world->up + 0x4100;
	page()->descriptors.end = 0x2f - 6;
	describe(0, writable), describe(0x18, writable), describe(0x20, read_only);
	describe(0x28, code), describe(0x30, writable);
	regs.r9 = 0xdeadbeef0018, regs.rcx = 0x18;
	VERW(regs, true, 0x41, 0x0f, 0x00, 0xe9); /* VERW R9W */
	VERW(regs, true, 0x0f, 0x00, 0xe9);	  /* VERW CX */
	*at(0x2008) = 0xffff0018, *at(0x2010) = 0x18;
	VERW(regs, true, 0x0f, 0x00, 0x6b, 0x08);		    /* VERW [RBX + 8] */
	VERW(regs, true, 0x2e, 0x0f, 0x00, 0x2d, 0x08, 0x20, 0, 0); /* VERW CS:[RIP + 0x2008], at 0x2010 */
	*at(STACK + 0x10) = 0x18;
	VERW(regs, true, 0x0f, 0x00, 0x6c, 0x24, 0x10); /* VERW [RSP + 16] */
	static const uint16_t others[] = {0, 0x1b, 0x1c, 0x20, 0x28, 0x30};
	for (unsigned n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
		regs.r9 = others[n];
		VERW(regs, false, 0x41, 0x0f, 0x00, 0xe9);
	}
	regs.r9 = 0x18;
	describe(0x18, writable & ~X86_DESC_P);
	VERW(regs, false, 0x41, 0x0f, 0x00, 0xe9);
	describe(0x18, writable | X86_DESC_ACCESSED | (uint64_t)3 << X86_DESC_DPL_SHIFT);
	VERW(regs, true, 0x41, 0x0f, 0x00, 0xe9);
	page()->descriptors.end = 0;
	VERW(regs, false, 0x41, 0x0f, 0x00, 0xe9);
	regs.rbx = world->code + NO_ADDRESS;
	VERW(regs, false, 0x0f, 0x00, 0x6b, 0x08);
}

/* VERR, LAR and LSL of the same segments, and of what is none of code or data. */
static void test_segments_asked_about(void **state)
{
	const uint64_t data = 0x00cf92000000ffff, small = 0x004092345678ffff, system = 0x000089000000ffff;
	struct user_regs_struct regs = registers();
	struct snapshot end;
	page()->descriptors.at = world->code + world->up + 0x4100;
	page()->descriptors.end = 0x2f - 6;
	describe(0x18, data), describe(0x20, small), describe(0x28, system);
	regs.r9 = regs.rax = regs.rcx = regs.rdx = 0xdeadbeef0018;
	VERW(regs, true, 0x41, 0x0f, 0x00, 0xe1);	    /* VERR R9W */
	end = RUN_FROM(regs, true, 0x41, 0x0f, 0x02, 0xd9); /* LAR EBX, R9D */
	assert_int_equal(end.regs.rbx, 0xcf9200);
	assert_int_equal(end.regs.eflags & ARITHMETIC, (FLAGS | X86_RFLAGS_ZF) & ARITHMETIC);
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x03, 0xc2).regs.rax, 0xffffffff);	     /* LSL EAX, EDX */
	assert_int_equal(RUN_FROM(regs, true, 0x48, 0x0f, 0x03, 0xc8).regs.rcx, 0xffffffff); /* LSL RCX, EAX */
	assert_int_equal(RUN_FROM(regs, true, 0x0f, 0x02, 0xc9).regs.rcx, 0xcf9200);	     /* LAR ECX, ECX */
	*at(0x2008) = 0x20;
	end = RUN_FROM(regs, true, 0x0f, 0x03, 0x7b, 0x08); /* LSL EDI, [RBX + 8] */
	assert_int_equal(end.regs.rdi, 0xffff);
	assert_int_equal(end.regs.rax, regs.rax);
	assert_int_equal(end.regs.rcx, regs.rcx);
	static const uint16_t others[] = {0, 0x1b, 0x1c, 0x28, 0x30};
	for (unsigned n = 0; n < sizeof(others) / sizeof(others[0]); n++) {
		regs.r9 = others[n];
		VERW(regs, false, 0x41, 0x0f, 0x00, 0xe1);
		end = RUN_FROM(regs, true, 0x41, 0x0f, 0x02, 0xd9);
		assert_given_up(&end);
		assert_int_equal(end.regs.rbx, regs.rbx);
		end = RUN_FROM(regs, true, 0x41, 0x0f, 0x03, 0xd9);
		assert_given_up(&end);
	}
	/* A register whose other half stays, and those that take more. */
	regs.r9 = 0x18;
	assert_int_equal(RUN_FROM(regs, true, 0x66, 0x41, 0x0f, 0x02, 0xd9).regs.rip, world->code); /* LAR BX, R9W */
	assert_int_equal(RUN_FROM(regs, true, 0x45, 0x0f, 0x02, 0xd9).regs.rip, world->code);	    /* LAR R11D, R9D */
	assert_int_equal(RUN_FROM(regs, true, 0x41, 0x0f, 0x02, 0xe1).regs.rip, world->code);	    /* LAR ESP, R9D */
}

/* -------------------------------------------------------------------------------------------- returns, exceptions */

static void frame(uint64_t rip, uint64_t cs, uint64_t rflags, uint64_t rsp, uint64_t ss)
{
	const uint64_t words[] = {rip, cs, rflags, rsp, ss};
	memcpy(at(STACK), words, sizeof(words));
}

#define IRETQ 0x48, 0xcf

static void test_iret(void **state)
{
	for (unsigned on = 0; on < 2; on++) {
		frame(world->code + 0x123, CS, 0x2 | X86_RFLAGS_ZF | X86_RFLAGS_RF | (on ? X86_RFLAGS_IF : 0),
		      world->code + 0x5678, 0);
		struct snapshot end = RUN_FROM(registers(), !on, IRETQ);
		assert_int_equal(end.regs.rip, world->code + 0x123);
		assert_int_equal(end.regs.rsp, world->code + 0x5678);
		assert_int_equal(end.regs.eflags & ARITHMETIC, X86_RFLAGS_ZF);
		assert_int_equal(end.enabled, on);
	}
	/* Any stack pointer: it is not used yet. */
	frame(world->code + 0x123, CS, 0x2, 0x1234, 0);
	assert_int_equal(RUN_FROM(registers(), true, IRETQ).regs.rsp, 0x1234);
}

static void assert_iret_given_up(void)
{
	struct snapshot end = RUN_FROM(registers(), true, IRETQ);
	assert_given_up(&end);
	assert_true(end.enabled);
}

static void test_iret_given_up(void **state)
{
	const uint64_t rip = world->code + 0x123, rsp = world->code + 0x5678;
	frame(rip, CS | 3, 0x202, rsp, 0);
	assert_iret_given_up();
	frame(rip, CS, 0x202, rsp, 0x18);
	assert_iret_given_up();
	frame(rip, CS, 0x202 | X86_RFLAGS_TF, rsp, 0);
	assert_iret_given_up();
	frame(rip, CS, 0x202 | X86_RFLAGS_NT, rsp, 0);
	assert_iret_given_up();
	frame(1ull << 47, CS, 0x202, rsp, 0);
	assert_iret_given_up();
	frame(rip, CS, 0x202, rsp, 0);
	*at(0x4000) = DESCRIBED + 1;
	assert_iret_given_up();
	*at(0x4000) = DESCRIBED;
	page()->hold = 1;
	assert_iret_given_up();
}

/* Whatever of it is not there, nothing has happened. */
static void test_faults(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rsp = world->code + SIZE - 24;
	frame(0, 0, 0, 0, 0);
	*at(SIZE - 16) = CS;
	assert_int_equal(RUN_FROM(regs, true, IRETQ).regs.rip, world->code);
	regs.rsp = world->code + 8;
	regs.rbx = 0;
	assert_int_equal(DIVIDE(regs, 0x48, 0xf7, 0xf3).regs.rip, world->code); /* DIV RBX */
	regs.rbx = world->code + NO_ADDRESS;
	assert_int_equal(DIVIDE(regs, 0x48, 0xf7, 0x33).regs.rip, world->code); /* DIV [RBX] */
}

static void assert_delivered(const struct snapshot *end, bool enabled)
{
	const uint64_t rsp = STACK & ~15u;
	assert_int_equal(end->regs.rip, world->code + HANDLER);
	assert_int_equal(end->regs.rsp, world->code + rsp - 40);
	assert_int_equal(end->regs.eflags & ARITHMETIC, FLAGS & ARITHMETIC);
	assert_int_equal(end->regs.rax, 0x1111);
	assert_int_equal(end->enabled, enabled);
	assert_int_equal(*at(rsp - 40), world->code);
	assert_int_equal(*at(rsp - 32), CS);
	assert_int_equal(*at(rsp - 24) & ~(uint64_t)X86_RFLAGS_TF, FLAGS | X86_RFLAGS_RF);
	assert_int_equal(*at(rsp - 16), world->code + STACK);
	assert_int_equal(*at(rsp - 8), page()->selector[SREG_SS]);
	assert_true(page()->gate.delivered);
}

static void test_divisions(void **state)
{
	struct user_regs_struct regs = registers();
	struct snapshot end;
	regs.rbx = 0;
	end = DIVIDE(regs, 0x48, 0xf7, 0xf3); /* DIV RBX */
	assert_delivered(&end, false);
	page()->gate.keeps = X86_RFLAGS_IF;
	page()->selector[SREG_SS] = 0x18;
	end = DIVIDE(regs, 0x48, 0xf7, 0xfb); /* IDIV RBX */
	assert_delivered(&end, true);
	end = DIVIDE(regs, 0xf6, 0xf3); /* DIV BL */
	assert_delivered(&end, true);
	end = DIVIDE(regs, 0x66, 0xf7, 0xf3); /* DIV BX */
	assert_delivered(&end, true);
	end = DIVIDE(regs, 0xf7, 0xfb); /* IDIV EBX */
	assert_delivered(&end, true);
	/* The least number by -1, of each width. */
	static const uint8_t prefixes[] = {0x48, 0x66, 0x90};
	regs.rdx = regs.rbx = ~0ull;
	for (unsigned n = 0; n < sizeof(prefixes); n++) {
		regs.rax = (unsigned[]){0, 0x8000, 0x80000000}[n];
		regs.rax |= n ? 0 : 1ull << 63;
		end = n == 2 ? DIVIDE(regs, 0xf7, 0xfb) : DIVIDE(regs, prefixes[n], 0xf7, 0xfb); /* IDIV RBX */
		assert_int_equal(end.regs.rax, regs.rax);
		end.regs.rax = 0x1111;
		assert_delivered(&end, true);
	}
	regs.rax = 0xff80;
	end = DIVIDE(regs, 0xf6, 0xfb); /* IDIV BL */
	end.regs.rax = 0x1111;
	assert_delivered(&end, true);
	regs = registers();
	/* Too large a quotient, by what lies in memory. */
	regs.rbx = world->code + 0x2000;
	*at(0x2010) = 0x2222;
	end = DIVIDE(regs, 0x48, 0xf7, 0x73, 0x10); /* DIV [RBX + 16] */
	assert_delivered(&end, true);
	*at(0x2007) = 0;
	end = DIVIDE(regs, 0x48, 0xf7, 0x35, 0x00, 0x20, 0, 0); /* DIV [RIP + 0x2000] */
	if (world->up)
		assert_delivered(&end, true);
}

static void test_divisions_that_are_done(void **state)
{
	struct user_regs_struct regs = registers();
	regs.rbx = world->code + 0x2000;
	*at(0x2010) = 0x2223;
	assert_int_equal(DIVIDE(regs, 0x48, 0xf7, 0x73, 0x10).regs.rip, world->code + 4);
	regs.rdx = 0, regs.rcx = 0x11;
	struct snapshot end = DIVIDE(regs, 0x48, 0xf7, 0xf1); /* DIV RCX */
	assert_int_equal(end.regs.rax, 0x101);
	assert_int_equal(end.regs.rcx, 0x11);
	end = DIVIDE(regs, 0xf7, 0xf9); /* IDIV ECX */
	assert_int_equal(end.regs.rax, 0x101);
	regs.rdx = regs.rbx = ~0ull;
	regs.rax = ~0ull << 62;
	end = DIVIDE(regs, 0x48, 0xf7, 0xfb); /* IDIV RBX: of less than the least */
	assert_int_equal(end.regs.rax, 1ull << 62);
	regs.rdx = 0;
	regs.rax = 0x1100;
	end = DIVIDE(regs, 0x48, 0xf7, 0xfb);
	assert_int_equal(end.regs.rax, -0x1100ull);
	regs.rax = 0xff81;
	end = DIVIDE(regs, 0xf6, 0xfb); /* IDIV BL */
	assert_int_equal(end.regs.rax, 0x7f);
	regs.rdx = 0, regs.rax = 0x1111;
	regs.rbx = 0x12;
	end = DIVIDE(regs, 0xf6, 0xf3); /* DIV BL: of AX */
	assert_int_equal(end.regs.rax, 0x0df2);
	regs.rax = 0x1111;
	end = DIVIDE(regs, 0xf6, 0xf4); /* DIV AH */
	assert_int_equal(end.regs.rip, world->code + HANDLER);
}

/* Another gate, another code segment than the monitor saw: it delivers the exception. */
static void test_gate_changed(void **state)
{
	struct user_regs_struct regs = registers();
	static const unsigned words[] = {0x4000, 0x5000, 0x5008};
	regs.rbx = 0;
	for (unsigned n = 0; n < sizeof(words) / sizeof(words[0]); n++) {
		++*at(words[n]);
		struct snapshot end = DIVIDE(regs, 0x48, 0xf7, 0xf3);
		assert_given_up(&end);
		--*at(words[n]);
	}
	assert_int_equal(page()->gate.delivered, 0);
}

/* ------------------------------------------------------------------------------------------------------------- main */

static int plain(void **state)
{
	begin(&worlds[0]);
	return 0;
}

static int upper(void **state)
{
	begin(&worlds[1]);
	return 0;
}

static int upper_slot(void **state)
{
	begin(&worlds[2]);
	return 0;
}

#define ALL(test)                                                                                                      \
	cmocka_unit_test_setup(test, plain), {#test " (upper half)", test, upper, NULL, NULL},                         \
	{                                                                                                              \
#test " (GS in a slot)", test, upper_slot, NULL, NULL                                                  \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_hold_of_random_bytes),
		ALL(test_task_priority),
		ALL(test_control_registers),
		ALL(test_swapgs),
		ALL(test_bases),
		ALL(test_msrs),
		ALL(test_deadline),
		ALL(test_end_by_msr),
		ALL(test_end_by_store),
		ALL(test_debug_registers),
		ALL(test_identity),
		ALL(test_msrs_shown),
		ALL(test_tables_shown),
		ALL(test_segments_shown),
		ALL(test_segments),
		ALL(test_null_segments),
		ALL(test_writable_segments),
		ALL(test_segments_asked_about),
		ALL(test_iret),
		ALL(test_iret_given_up),
		ALL(test_faults),
		ALL(test_divisions),
		ALL(test_divisions_that_are_done),
		ALL(test_gate_changed),
	};
	return cmocka_run_group_tests(tests, start, end);
}

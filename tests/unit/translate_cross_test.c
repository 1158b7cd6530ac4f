/*
 * The ways between user mode of 32-bit code and its kernel: executed host instruction by host instruction. At each the
 * guest is at the instruction as it was, or through with it, and which of the two the store to the level says. With
 * anything other than it is known, nothing happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/vm/vcpu.h"
#include "tests/unit/translate_child.h"
#include "tests/unit/translate_rules.h"

#define STEPS_MAX 200

/* In the kernel's window. */
#define TABLES	   0x00300000u
#define IDT_ENTRY  (TABLES + 0x40)
#define GDT_ENTRY  (TABLES + 0x80)
#define TSS	   (TABLES + 0x100)
#define STACK	   0x00201000u
#define OUTER_SP   0x00701000u
#define INT_RIP	   0x00401000u
#define IRET_RIP   0x00102000u
#define HANDLER	   0x00104560u
#define VECTOR	   0x40
#define FLAGS	   (X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_SF)
#define DESCRIPTOR 0x00cf9b000000ffffull
#define GATE	   0x0010ef0000084560ull
#define OTHER_FS   0x5000u

typedef uint32_t word __attribute__((aligned(1)));

static pid_t child;
static uint8_t code[BT_CROSSING_MAX];
static struct bt_place kernel, user;

static struct bt_state *const state_page = (void *)TEST_STATE;

static word *at(uint32_t gva)
{
	return (word *)(BT_WINDOW_BASE + gva);
}

static bool map(uint64_t address, size_t size)
{
	return mmap((void *)address, size, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)address;
}

static int start_child(void **state)
{
	if (!map(TEST_BASE, 0x100000) || !map(BT_WINDOW_BASE + TABLES, 0x1000) ||
	    !map(BT_WINDOW_BASE + STACK - 0x1000, 0x1000))
		return -1;
	for (unsigned n = 0; n < (0x100000 - 0x80000) / 8; n++)
		((uint64_t *)TEST_TABLE)[n] = TEST_GATE;
	test_place(&kernel);
	test_place(&user);
	kernel.narrow = user.narrow = true;
	user.window = BT_WINDOW_USER;
	child = test_child();
	return child > 0 ? 0 : -1;
}

static int end_child(void **state)
{
	test_child_end(child);
	return 0;
}

/* All as the monitor knows it. */
static void prepare(enum bt_cross way)
{
	struct bt_state *s = state_page;
	memset(s, 0, 0xff8);
	memset(at(TABLES), 0, 0x1000);
	s->level = bt_crosses_in(way) ? 3 : 0;
	s->iflag = way == BT_CROSS_OUT ? 0 : X86_RFLAGS_IF;
	s->sysenter_esp = STACK - 20;
	s->sysenter_eip = HANDLER;
	s->pushed = -(uint64_t)X86_RFLAGS_IF;
	s->may[way] = 1;
	const uint64_t selector[] = {0x08, 0x10, 0x1b, 0x23};
	for (unsigned n = 0; n < BT_CROSS_SEGMENTS; n++) {
		const uint64_t descriptor = DESCRIPTOR + n;
		s->cross_selector[n] = selector[n];
		s->cross_segment[n] = (struct bt_described){BT_WINDOW_BASE + GDT_ENTRY + n * 8, descriptor};
		memcpy(at(GDT_ENTRY + n * 8), &descriptor, sizeof(descriptor));
	}
	unsigned now = bt_crosses_in(way) ? BT_USER_CS : BT_KERNEL_CS;
	s->selector[SREG_CS] = selector[now];
	s->selector[SREG_SS] = selector[now + 1];
	s->tss_at = BT_WINDOW_BASE + TSS;
	*at(TSS + X86_TSS_RSP0) = STACK;
	*at(TSS + X86_TSS_SS0) = 0x10;
	s->gates[VECTOR % BT_GATES] =
		(struct bt_gate){VECTOR, {BT_WINDOW_BASE + IDT_ENTRY, GATE}, HANDLER, ~(uint64_t)X86_RFLAGS_IF};
	const uint64_t gate = GATE;
	memcpy(at(IDT_ENTRY), &gate, sizeof(gate));
	s->fs_base[0] = BT_WINDOW_BASE + OTHER_FS;
	s->fs_base[1] = BT_WINDOW_USER + OTHER_FS;
	const uint32_t frame[] = {HANDLER, 0x1b, FLAGS | X86_RFLAGS_IF | X86_RFLAGS_RF, OUTER_SP, 0x23};
	memcpy(at(STACK - sizeof(frame)), frame, sizeof(frame));
}

struct guest {
	uint64_t rip, rsp, rcx, flags; /* with IF */
	uint64_t level;
};

static struct guest before(enum bt_cross way)
{
	bool in = bt_crosses_in(way);
	return (struct guest){in ? INT_RIP : IRET_RIP, in ? OUTER_SP : STACK - 20,
			      way == BT_CROSS_EXIT ? OUTER_SP : 0x1234, FLAGS | state_page->iflag, in ? 3 : 0};
}

static void enter(enum bt_cross way)
{
	struct user_regs_struct regs;
	struct guest guest = before(way);
	ptrace(PTRACE_GETREGS, child, 0, &regs);
	regs.rip = TEST_CODE, regs.orig_rax = ~0ull;
	regs.rsp = guest.rsp, regs.rcx = guest.rcx, regs.eflags = FLAGS | X86_RFLAGS_IF;
	regs.r15 = guest.rip, regs.r9 = INT_RIP + 2, regs.r14 = VECTOR;
	regs.r10 = guest.rcx, regs.rdx = HANDLER;
	regs.gs_base = bt_crosses_in(way) ? BT_WINDOW_USER : BT_WINDOW_BASE;
	regs.fs_base = 0;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &regs), 0);
}

/* As engine/translate/cross.c does it. */
static void rebuild_fast(const struct user_regs_struct *r, enum bt_stage stage, struct guest *guest)
{
	bool through = stage == BT_THROUGH;
	if (stage == BT_ASIDE)
		guest->rcx = r->r10;
	if (through)
		guest->rip = r->r8, guest->rsp = r->r13;
	guest->flags =
		(r->eflags & ~(uint64_t)(X86_RFLAGS_IF | X86_RFLAGS_TF)) | (through ? r->r12 : state_page->iflag);
}

static struct guest rebuild(const struct user_regs_struct *r, enum bt_cross way, enum bt_stage *stage)
{
	bool in = bt_crosses_in(way);
	struct guest guest = {r->r15, r->rsp, r->rcx, 0, state_page->level};
	*stage = bt_locate_crossing(in ? &user : &kernel, in ? &kernel : &user, way, (unsigned)(r->rip - TEST_CODE));
	uint64_t flags = (r->eflags & ~(uint64_t)X86_RFLAGS_IF) | state_page->iflag;
	bool behind = *stage == BT_BEHIND;
	if (*stage >= BT_ASIDE) {
		rebuild_fast(r, *stage, &guest);
		return guest;
	}
	if (*stage >= BT_DECIDE)
		flags = behind ? r->r12 : r->r10;
	if (*stage != BT_BEFORE)
		guest.rsp = behind ? r->r13 : r->r11;
	if (behind)
		guest.rip = r->r8;
	guest.flags = flags & ~(uint64_t)X86_RFLAGS_TF;
	return guest;
}

static void assert_same(const struct guest *a, const struct guest *b, uint64_t offset)
{
	if (a->rip != b->rip || a->rsp != b->rsp || a->rcx != b->rcx || a->flags != b->flags || a->level != b->level)
		fail_msg("at offset %#lx: rip %lx %lx, rsp %lx %lx, rcx %lx %lx, flags %lx %lx, level %ld %ld", offset,
			 a->rip, b->rip, a->rsp, b->rsp, a->rcx, b->rcx, a->flags, b->flags, a->level, b->level);
}

/* Goes the way. True: to its end, where the guest is `after`; false: it was refused, or faulted, with nothing done. */
static bool go(enum bt_cross way, const struct guest *after)
{
	bool in = bt_crosses_in(way);
	struct guest start = before(way);
	struct user_regs_struct regs;
	enum bt_stage stage;
	int status;
	unsigned len = bt_compile_crossing(in ? &user : &kernel, in ? &kernel : &user, way, code);
	assert_true(len <= sizeof(code));
	memcpy((void *)TEST_CODE, code, len);
	enter(way);
	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &regs), 0);
		if (regs.rip == TEST_GATE) {
			struct guest end = {regs.r8, regs.rsp, (uint32_t)regs.r10,
					    (regs.eflags & ~(uint64_t)(X86_RFLAGS_IF | X86_RFLAGS_TF)) |
						    state_page->iflag,
					    state_page->level};
			assert_same(&end, after, ~0ull);
			assert_int_equal(regs.rcx, start.rcx);
			assert_int_equal(regs.gs_base, after->level ? BT_WINDOW_USER : BT_WINDOW_BASE);
			return true;
		}
		struct guest now = rebuild(&regs, way, &stage);
		bool behind = stage == BT_BEHIND || stage == BT_THROUGH;
		assert_same(&now, behind ? after : &start, regs.rip - TEST_CODE);
		if (stage == BT_REFUSE || stage == BT_DENY)
			return false;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) != SIGTRAP)
			return false;
	}
	fail_msg("it never ends");
	return false;
}

static const struct guest in_kernel = {HANDLER, STACK - 20, 0x1234, FLAGS, 0};
static const struct guest after_exit = {HANDLER, OUTER_SP, OUTER_SP, FLAGS | X86_RFLAGS_IF, 3};
static const struct guest in_user = {HANDLER, OUTER_SP, 0x1234, FLAGS | X86_RFLAGS_IF, 3};

/* Where a way ends, bases are the other level's. */
static void need_bases(void)
{
	if (!test_child_keeps_bases())
		skip();
}

static void test_int(void **state)
{
	need_bases();
	prepare(BT_CROSS_IN);
	assert_true(go(BT_CROSS_IN, &in_kernel));
	const uint32_t frame[] = {INT_RIP + 2, 0x1b, FLAGS | X86_RFLAGS_IF, OUTER_SP, 0x23};
	*at(STACK - 12) &= ~(word)X86_RFLAGS_TF; /* the tracer's */
	assert_memory_equal(at(STACK - sizeof(frame)), frame, sizeof(frame));
	assert_int_equal(state_page->selector[SREG_CS], 0x08);
	assert_int_equal(state_page->selector[SREG_SS], 0x10);
	assert_int_equal(state_page->crossings, 1);
	/* A gate that leaves interrupts on. */
	prepare(BT_CROSS_IN);
	state_page->gates[VECTOR % BT_GATES].kept = ~0ull;
	struct guest on = in_kernel;
	on.flags |= X86_RFLAGS_IF;
	assert_true(go(BT_CROSS_IN, &on));
}

static void test_iret(void **state)
{
	need_bases();
	prepare(BT_CROSS_OUT);
	assert_true(go(BT_CROSS_OUT, &in_user));
	assert_int_equal(state_page->selector[SREG_CS], 0x1b);
	assert_int_equal(state_page->selector[SREG_SS], 0x23);
	/* Within the kernel, with and without interrupts. */
	for (unsigned on = 0; on < 2; on++) {
		struct guest inner = {HANDLER, STACK - 8, 0x1234, FLAGS | (on ? X86_RFLAGS_IF : 0), 0};
		prepare(BT_CROSS_OUT);
		*at(STACK - 16) = 0x08;
		*at(STACK - 12) = (word)inner.flags;
		assert_true(go(BT_CROSS_OUT, &inner));
		assert_int_equal(state_page->crossings, 0);
	}
}

static void test_fast(void **state)
{
	need_bases();
	prepare(BT_CROSS_ENTER);
	assert_true(go(BT_CROSS_ENTER, &in_kernel));
	assert_int_equal(state_page->selector[SREG_CS], 0x08);
	assert_int_equal(state_page->selector[SREG_SS], 0x10);
	assert_int_equal(state_page->crossings, 1);
	prepare(BT_CROSS_EXIT);
	assert_true(go(BT_CROSS_EXIT, &after_exit));
	assert_int_equal(state_page->selector[SREG_CS], 0x1b);
	assert_int_equal(state_page->selector[SREG_SS], 0x23);
	assert_int_equal(state_page->crossings, 1);
}

#define REFUSED(way, change)                                                                                           \
	do {                                                                                                           \
		prepare(way);                                                                                          \
		change;                                                                                                \
		assert_false(go(way, bt_crosses_in(way) ? &in_kernel : &in_user));                                     \
		assert_int_equal(state_page->crossings, 0);                                                            \
	} while (0)

static void test_refusals(void **state)
{
	REFUSED(BT_CROSS_IN, state_page->may[BT_CROSS_IN] = 0);
	REFUSED(BT_CROSS_IN, state_page->gates[VECTOR % BT_GATES].vector = VECTOR + BT_GATES);
	REFUSED(BT_CROSS_IN, *at(IDT_ENTRY) ^= 1);
	REFUSED(BT_CROSS_IN, *at(GDT_ENTRY + BT_KERNEL_CS * 8 + 4) ^= 1);
	REFUSED(BT_CROSS_IN, *at(GDT_ENTRY + BT_KERNEL_SS * 8) ^= 1);
	REFUSED(BT_CROSS_IN, *at(TSS + X86_TSS_SS0) = 0x18);
	REFUSED(BT_CROSS_IN, *at(TSS + X86_TSS_RSP0) = 16);
	REFUSED(BT_CROSS_IN, *at(TSS + X86_TSS_RSP0) = STACK - 0x1000 + 8);
	REFUSED(BT_CROSS_IN, state_page->tss_at = BT_WINDOW_BASE);
	REFUSED(BT_CROSS_OUT, state_page->may[BT_CROSS_OUT] = 0);
	REFUSED(BT_CROSS_OUT, state_page->hold = 1);
	REFUSED(BT_CROSS_OUT, *at(STACK - 16) = 0x2b);
	REFUSED(BT_CROSS_OUT, *at(STACK - 4) = 0x2b);
	for (unsigned sreg = SREG_ES; sreg < SREG_COUNT; sreg++)
		if (sreg != SREG_CS && sreg != SREG_SS)
			REFUSED(BT_CROSS_OUT, state_page->privileged[sreg] = 1);
	REFUSED(BT_CROSS_OUT, *at(GDT_ENTRY + BT_USER_CS * 8) ^= 1);
	REFUSED(BT_CROSS_OUT, *at(GDT_ENTRY + BT_USER_SS * 8 + 4) ^= 1);
	REFUSED(BT_CROSS_OUT, *at(STACK - 12) = FLAGS);
	const uint64_t odd[] = {X86_RFLAGS_TF, X86_RFLAGS_NT, X86_RFLAGS_VM, X86_RFLAGS_IOPL, X86_RFLAGS_AC};
	for (unsigned n = 0; n < sizeof(odd) / sizeof(odd[0]); n++)
		REFUSED(BT_CROSS_OUT, *at(STACK - 12) |= (word)odd[n]);
	REFUSED(BT_CROSS_ENTER, state_page->may[BT_CROSS_ENTER] = 0);
	REFUSED(BT_CROSS_EXIT, state_page->may[BT_CROSS_EXIT] = 0);
	REFUSED(BT_CROSS_EXIT, state_page->iflag = 0);
	/* Within the kernel. */
	REFUSED(BT_CROSS_OUT, (*at(STACK - 16) = 0x08, state_page->hold = 1));
	REFUSED(BT_CROSS_OUT, (*at(STACK - 16) = 0x08, *at(GDT_ENTRY) ^= 1));
	REFUSED(BT_CROSS_OUT, *at(STACK - 16) = state_page->selector[SREG_CS] = 0x30);
}

/* Behind STI nobody who stops on the way could tell that no interrupt may come yet: the monitor does it. */
static void test_iret_behind_sti(void **state)
{
	static const uint8_t bytes[] = {0x90, 0xcf, 0xfb, 0xcf}; /* NOP; IRETD; STI; IRETD */
	static struct bt_code block;
	struct bt_place place = kernel;
	place.cross[BT_CROSS_OUT] = TEST_GATE;
	for (unsigned sti = 0; sti < 2; sti++) {
		const struct bt_source source = {.gva = 0x80100000,
						 .bytes = bytes + 2 * sti,
						 .len = 2,
						 .flavour = BT_NARROW | BT_IF | BT_CLOCK | BT_READ | BT_BASES};
		assert_true(bt_compile(&source, &place, &block));
		assert_int_equal(block.insns, 2);
		assert_int_equal(block.leaves, sti);
	}
	assert_int_equal(block.exits[block.exit_count - 1].kind, BT_INSN);
	assert_int_equal(block.exits[block.exit_count - 1].target, 0x80100001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_int),
		cmocka_unit_test(test_iret),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_iret_behind_sti),
	};
	return cmocka_run_group_tests(tests, start_child, end_child);
}

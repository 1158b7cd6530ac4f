/*
 * The compiler of engine `translate` for code of 32 bits: sequences executed host instruction by host instruction, as
 * in translate_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
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

#define STEPS_MAX    64
#define INSNS_RANDOM 30000

/* In the window: code, a stack that ends where nothing is, data at both ends. */
#define GVA   0x80100000u
#define STACK 0x00201000u
#define DATA  0x00300000u
#define TOP   0xfffff000u
#define GDT   0x00301000u
#define BASE  0x00100000u /* of FS */

#define KERNEL	   (BT_NARROW | BT_FPU | BT_AVX | BT_IF | BT_CLOCK | BT_READ | BT_BASES)
#define ARITHMETIC 0x8d5u

typedef uint32_t word __attribute__((aligned(1)));

static uint64_t random_state = 88172645463325252u;

static uint64_t any(void)
{
	random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
	return random_state;
}

/* ------------------------------------------------------------------------------------------------- step by step */

static pid_t child;
static struct bt_code code;
static const uint8_t *last; /* random instruction */

static void *window(uint32_t gva)
{
	return (void *)(BT_WINDOW_BASE + gva);
}

static word *at(uint32_t gva)
{
	return window(gva);
}

static volatile struct bt_state *state_page(void)
{
	return (volatile struct bt_state *)TEST_STATE;
}

static bool map(uint64_t address, size_t size, int prot)
{
	return mmap((void *)address, size, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
	       (void *)address;
}

static int start_child(void **state)
{
	const int rw = PROT_READ | PROT_WRITE;
	if (!map(TEST_BASE, 0x100000, rw | PROT_EXEC) || !map(BT_WINDOW_BASE, 0x1000, rw) ||
	    !map(BT_WINDOW_BASE + STACK - 0x1000, 0x1000, rw) || !map(BT_WINDOW_BASE + DATA, 0x2000, rw) ||
	    !map(BT_WINDOW_BASE + TOP, 0x1000, rw))
		return -1;
	for (unsigned n = 0; n < (0x100000 - 0x80000) / 8; n++)
		((uint64_t *)TEST_TABLE)[n] = TEST_GATE;
	child = test_child();
	return child > 0 ? 0 : -1;
}

static int end_child(void **state)
{
	test_child_end(child);
	return 0;
}

struct snapshot {
	uint64_t gpr[GPR_COUNT], rip, flags;
	bool enabled;
	unsigned resume;
};

static void take(const struct user_regs_struct *r, struct snapshot *s)
{
	*s = (struct snapshot){{r->rax, r->rcx, r->rdx, r->rbx, r->rsp, r->rbp, r->rsi, r->rdi, r->r8, r->r9, r->r10,
				r->r11, r->r12, r->r13, r->r14, r->r15},
			       r->rip,
			       r->eflags,
			       state_page()->iflag,
			       BT_NOWHERE};
}

static void assert_same(const struct snapshot *a, const struct snapshot *b, uint64_t flags, unsigned offset)
{
	bool same = a->rip == b->rip && a->enabled == b->enabled && !((a->flags ^ b->flags) & flags & ~X86_RFLAGS_TF);
	for (unsigned n = RAX; n <= RDI; n++)
		same &= a->gpr[n] == b->gpr[n];
	if (same)
		return;
	for (unsigned n = RAX; n <= RDI; n++)
		print_error("%u: %lx %lx\n", n, a->gpr[n], b->gpr[n]);
	for (unsigned n = 0; n < 15 && last; n++)
		print_error("%02x ", last[n]);
	fail_msg("at offset %#x: rip %lx %lx, flags %lx %lx, IF %d %d", offset, a->rip, b->rip, a->flags, b->flags,
		 a->enabled, b->enabled);
}

static struct snapshot entry;
/* The instruction does the same when it is done once more; it was seen to read a device's register. */
static bool repeats, device;
static unsigned flavour = KERNEL;

static void enter(bool enabled)
{
	struct user_regs_struct regs;
	ptrace(PTRACE_GETREGS, child, 0, &regs);
	regs.rax = DATA + 0x100, regs.rcx = 3, regs.rdx = 0x1234, regs.rbx = DATA + 0x200;
	regs.rsp = STACK - 0x100, regs.rbp = STACK - 0x80, regs.rsi = DATA + 0x300, regs.rdi = DATA + 0x400;
	regs.r8 = any(), regs.r9 = any(), regs.r10 = any(), regs.r11 = any();
	regs.eflags = 0x202 | X86_RFLAGS_CF | X86_RFLAGS_SF;
	regs.orig_rax = ~0ull;
	regs.rip = TEST_CODE;
	regs.gs_base = BT_WINDOW_BASE, regs.fs_base = BT_WINDOW_BASE + BASE;
	state_page()->iflag = enabled ? X86_RFLAGS_IF : 0;
	state_page()->pushed = -(uint64_t)X86_RFLAGS_IF;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &regs), 0);
	take(&regs, &entry);
	entry.rip = GVA;
}

/* The guest's state where the child stopped; true: the block has come to its end. */
static bool rebuild(const struct bt_source *source, const struct bt_place *place, struct snapshot *now)
{
	struct bt_locus locus = {.undo = BT_JUMPED};
	uint64_t offset = now->rip - TEST_CODE;
	if (offset >= code.stubs && offset < code.len) {
		for (unsigned n = 0; n < code.exit_count; n++)
			if (code.exits[n].stub == offset)
				now->rip = code.exits[n].target;
		return true;
	}
	bool ended = offset >= code.len;
	if (ended)
		assert_int_equal(now->rip, TEST_GATE);
	else
		assert_true(bt_locate(source, place, (unsigned)offset, &locus));
	bt_undo_narrow(&locus, now->gpr, &now->rip, &now->enabled);
	now->resume = ended || locus.undo == BT_JUMPED ? BT_NOWHERE : locus.resume;
	return ended;
}

static void step(void)
{
	int status;
	assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
}

/* The block goes on from there to the same end, whatever the registers hold that are not the guest's. */
static void go_on(const struct bt_source *source, const struct bt_place *place, const struct snapshot *from,
		  const struct snapshot *after)
{
	struct user_regs_struct regs;
	struct snapshot now;
	assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &regs), 0);
	const uint64_t *gpr = from->gpr;
	regs.rax = gpr[RAX], regs.rcx = gpr[RCX], regs.rdx = gpr[RDX], regs.rbx = gpr[RBX];
	regs.rsp = gpr[RSP], regs.rbp = gpr[RBP], regs.rsi = gpr[RSI], regs.rdi = gpr[RDI];
	regs.r8 = any(), regs.r9 = any(), regs.r10 = any(), regs.r11 = any();
	regs.r12 = any(), regs.r13 = any(), regs.r14 = any(), regs.r15 = any();
	regs.eflags = from->flags, regs.rip = TEST_CODE + from->resume, regs.orig_rax = ~0ull;
	state_page()->iflag = from->enabled ? X86_RFLAGS_IF : 0;
	assert_int_equal(ptrace(PTRACE_SETREGS, child, 0, &regs), 0);
	for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
		step();
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &regs), 0);
		take(&regs, &now);
		if (rebuild(source, place, &now)) {
			assert_same(&now, after, ~0ull, from->resume);
			return;
		}
	}
	fail_msg("it never ends");
}

/* Runs the block of one instruction and an HLT behind it, and returns how it ended. */
static struct snapshot run(const uint8_t *insn, unsigned len, bool enabled, uint64_t kept_flags)
{
	static uint8_t bytes[32];
	memcpy(bytes, insn, len);
	bytes[len] = 0xf4;
	struct bt_source source = {GVA, bytes, len + 1, flavour, .site_mask = {[BT_SITE_DEVICE] = device}};
	struct bt_place place;
	struct snapshot trail[STEPS_MAX];
	unsigned offsets[STEPS_MAX], steps = 0;
	test_place(&place);
	place.narrow = true;
	assert_true(bt_compile(&source, &place, &code));
	source.len = code.guest_len;
	memcpy((void *)TEST_CODE, code.bytes, code.len);
	enter(enabled);
	for (;;) {
		struct user_regs_struct regs;
		int status;
		assert_int_equal(ptrace(PTRACE_GETREGS, child, 0, &regs), 0);
		take(&regs, &trail[steps]);
		offsets[steps] = (unsigned)(regs.rip - TEST_CODE);
		if (rebuild(&source, &place, &trail[steps]))
			break;
		assert_true(steps + 1 < STEPS_MAX);
		steps++;
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, child, 0, 0), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSTOPPED(status));
		/* A fault: where it happens nothing of the guest's instruction may have. */
		if (WSTOPSIG(status) != SIGTRAP) {
			assert_int_equal(trail[steps - 1].rip, GVA);
			trail[steps] = trail[steps - 1];
			break;
		}
	}
	for (unsigned n = 0; n < steps; n++) {
		bool undone = trail[n].rip == GVA && trail[steps].rip != GVA;
		assert_same(&trail[n], undone || trail[n].rip == GVA ? &entry : &trail[steps],
			    trail[n].rip == GVA ? kept_flags : ~0ull, offsets[n]);
	}
	for (unsigned n = 0; n < steps && repeats && trail[steps].rip != GVA; n++)
		if (trail[n].resume != BT_NOWHERE)
			go_on(&source, &place, &trail[n], &trail[steps]);
	return trail[steps];
}

#define RUN(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), true, ~0ull)

static void test_copies(void **state)
{
	assert_int_equal(RUN(0x01, 0xd1).gpr[RCX], 0x1237);		     /* ADD ECX, EDX */
	assert_int_equal(RUN(0x42).gpr[RDX], 0x1235);			     /* INC EDX */
	assert_int_equal(RUN(0x66, 0x4a).gpr[RDX], 0x1233);		     /* DEC DX */
	assert_int_equal(RUN(0x83, 0xe9, 0x04).gpr[RCX], 0xffffffff);	     /* SUB ECX, 4 */
	assert_int_equal(RUN(0x8d, 0x04, 0x88).gpr[RAX], DATA + 0x100 + 12); /* LEA EAX, [EAX + ECX * 4] */
	assert_int_equal(RUN(0x82, 0xc1, 0x05).gpr[RCX], 8);		     /* ADD CL, 5 */
	assert_int_equal(RUN(0x0f, 0xae, 0x03).rip, GVA); /* FXSAVE stores less than in 64-bit code */
	*at(DATA + 0x208) = 0x11223344;
	*at(0x20) = 0x55667788;
	*at(TOP + 0xffc) = 0x99aabbcc;
	assert_int_equal(RUN(0x8b, 0x53, 0x08).gpr[RDX], 0x11223344); /* MOV EDX, [EBX + 8] */
	assert_int_equal(RUN(0x8b, 0x15, 0x20, 0, 0, 0).gpr[RDX], 0x55667788);
	assert_int_equal(RUN(0xa1, 0x20, 0, 0, 0).gpr[RAX], 0x55667788);
	assert_int_equal(RUN(0x8b, 0x15, 0xfc, 0xff, 0xff, 0xff).gpr[RDX], 0x99aabbcc);
	/* FS: 0x10 wraps nowhere; what would leave the window faults. */
	*at(BASE + 0x200000) = 0x12345678;
	assert_int_equal(RUN(0x64, 0x8b, 0x15, 0, 0, 0x20, 0).gpr[RDX], 0x12345678);
	assert_int_equal(RUN(0x64, 0x8b, 0x15, 0xfc, 0xff, 0xff, 0xff).rip, GVA);
	/* The last word straddles the end. */
	assert_int_equal(RUN(0x8b, 0x15, 0xfe, 0xff, 0xff, 0xff).rip, GVA);
	assert_int_equal(RUN(0x65, 0x8b, 0x15, 0x20, 0, 0, 0).rip, GVA);	     /* GS is not there */
	assert_int_equal(RUN(0x2e, 0x8b, 0x15, 0x20, 0, 0, 0).gpr[RDX], 0x55667788); /* CS */
	assert_int_equal(RUN(0x2e, 0x89, 0x15, 0x20, 0, 0, 0).rip, GVA);
}

static void test_device(void **state)
{
	const uint32_t memory = 0x11223344, held = 0x55667788;
	device = repeats = true;
	state_page()->constant_at = DATA + 0x208, state_page()->constant = held;
	*at(DATA + 0x208) = *at(DATA + 0x204) = memory;
	assert_int_equal(RUN(0x8b, 0x53, 0x08).gpr[RDX], held); /* MOV EDX, [EBX + 8] */
	assert_int_equal(RUN(0x8b, 0x4b, 0x08).gpr[RCX], held);
	assert_int_equal(RUN(0xa1, 0x08, 0x02, 0x30, 0).gpr[RAX], held);
	assert_int_equal(RUN(0x8b, 0x4b, 0x04).gpr[RCX], memory);  /* another address */
	assert_int_equal(RUN(0x8b, 0x93, 0, 0, 0x10, 0).rip, GVA); /* which faults */
	assert_int_equal(RUN(0x0b, 0x53, 0x08).gpr[RDX], memory | 0x1234);
	assert_int_equal(RUN(0x66, 0x8b, 0x53, 0x08).gpr[RDX], (uint16_t)memory);
	device = repeats = false;
}

static void test_stack(void **state)
{
	repeats = true;
	const uint32_t esp = STACK - 0x100;
	struct snapshot end = RUN(0x52); /* PUSH EDX */
	assert_int_equal(end.gpr[RSP], esp - 4);
	assert_int_equal(*at(esp - 4), 0x1234);
	assert_int_equal(RUN(0x54).gpr[RSP], esp - 4); /* PUSH ESP */
	assert_int_equal(*at(esp - 4), esp);
	RUN(0x6a, 0xfe);
	assert_int_equal(*at(esp - 4), 0xfffffffe);
	*at(DATA + 0x208) = 0x600d;
	RUN(0xff, 0x73, 0x08); /* PUSH [EBX + 8] */
	assert_int_equal(*at(esp - 4), 0x600d);
	*at(esp) = 0xabc;
	end = RUN(0x5a); /* POP EDX */
	assert_int_equal(end.gpr[RDX], 0xabc);
	assert_int_equal(end.gpr[RSP], esp + 4);
	assert_int_equal(RUN(0x5c).gpr[RSP], 0xabc); /* POP ESP */
	RUN(0x8f, 0x43, 0x08);			     /* POP [EBX + 8] */
	assert_int_equal(*at(DATA + 0x208), 0xabc);
	end = RUN(0x60); /* PUSHA */
	assert_int_equal(end.gpr[RSP], esp - 32);
	assert_int_equal(*at(esp - 4), DATA + 0x100);
	assert_int_equal(*at(esp - 20), esp);
	assert_int_equal(*at(esp - 32), DATA + 0x400);
	for (unsigned n = 0; n < 8; n++)
		*at(esp + 4 * n) = 0x100 + n;
	end = RUN(0x61); /* POPA */
	assert_int_equal(end.gpr[RDI], 0x100);
	assert_int_equal(end.gpr[RAX], 0x107);
	assert_int_equal(end.gpr[RSP], esp + 32);
	*at(STACK - 0x80) = 0x77;
	end = RUN(0xc9); /* LEAVE */
	assert_int_equal(end.gpr[RBP], 0x77);
	assert_int_equal(end.gpr[RSP], STACK - 0x7c);
	repeats = false;
}

static void test_transfers(void **state)
{
	repeats = true;
	const uint32_t esp = STACK - 0x100;
	struct snapshot end = RUN(0xe8, 0x10, 0, 0, 0x90); /* CALL, around the end of addresses */
	assert_int_equal(end.rip, (uint32_t)(GVA + 5 + 0x90000010u));
	assert_int_equal(*at(esp - 4), GVA + 5);
	assert_int_equal(end.gpr[RSP], esp - 4);
	end = RUN(0xff, 0xd2); /* CALL EDX */
	assert_int_equal(end.rip, 0x1234);
	assert_int_equal(*at(esp - 4), GVA + 2);
	*at(DATA + 0x208) = 0x5678;
	assert_int_equal(RUN(0xff, 0x63, 0x08).rip, 0x5678); /* JMP [EBX + 8] */
	*at(esp) = 0x87654321;
	end = RUN(0xc2, 0x10, 0); /* RET 16 */
	assert_int_equal(end.rip, 0x87654321);
	assert_int_equal(end.gpr[RSP], esp + 20);
	assert_int_equal(end.gpr[RCX], 3);
	assert_int_equal(RUN(0x72, 0x10).rip, GVA + 0x12); /* JB, taken */
	end = RUN(0xe2, 0x10);				   /* LOOP */
	assert_int_equal(end.rip, GVA + 0x12);
	assert_int_equal(end.gpr[RCX], 2);
	assert_int_equal(RUN(0xe3, 0x10).rip, GVA + 2); /* JECXZ */
	repeats = false;
}

static void test_strings(void **state)
{
	*at(DATA + 0x300) = 0x31323334;
	struct snapshot end = RUN(0xa5); /* MOVSD */
	assert_int_equal(*at(DATA + 0x400), 0x31323334);
	assert_int_equal(end.gpr[RSI], DATA + 0x304);
	assert_int_equal(end.gpr[RDI], DATA + 0x404);
	*at(DATA + 0x400) = 0;
	end = RUN(0xaa); /* STOSB */
	assert_int_equal(*at(DATA + 0x400), 0x00);
	assert_int_equal(end.gpr[RDI], DATA + 0x401);
	assert_int_equal(RUN(0xad).gpr[RAX], 0x31323334);	  /* LODSD */
	assert_int_equal(RUN(0x64, 0xa5).rip, GVA);		  /* from FS: the monitor's */
	assert_int_equal(RUN(0xa7).gpr[RDI], DATA + 0x404);	  /* CMPSD */
	assert_int_equal(RUN(0x66, 0xaf).gpr[RDI], DATA + 0x402); /* SCASW */
}

static void test_flags(void **state)
{
	repeats = true;
	const uint32_t esp = STACK - 0x100;
	state_page()->hold = 0;
	for (unsigned on = 0; on < 2; on++) {
		run((const uint8_t[]){0x9c}, 1, on, ~0ull); /* PUSHF */
		assert_int_equal(*at(esp - 4) & X86_RFLAGS_IF, on ? X86_RFLAGS_IF : 0);
		assert_int_equal(*at(esp - 4) & ARITHMETIC, X86_RFLAGS_CF | X86_RFLAGS_SF);
		*at(esp) = 0x2 | X86_RFLAGS_ZF | X86_RFLAGS_DF | (on ? X86_RFLAGS_IF : 0);
		struct snapshot end = run((const uint8_t[]){0x9d}, 1, !on, ~(uint64_t)ARITHMETIC); /* POPF */
		assert_int_equal(end.enabled, on);
		assert_int_equal(end.rip, GVA + 1);
		assert_int_equal(end.gpr[RSP], esp + 4);
		assert_int_equal(end.flags & (ARITHMETIC | X86_RFLAGS_DF), X86_RFLAGS_ZF | X86_RFLAGS_DF);
	}
	assert_false(RUN(0xfa).enabled);				    /* CLI */
	assert_true(run((const uint8_t[]){0xfb}, 1, false, ~0ull).enabled); /* STI */
	/* An interrupt waits: let in or not. There are flags of the machine's own. */
	for (unsigned n = 0; n < 3; n++) {
		state_page()->hold = X86_RFLAGS_IF | (n == 2 ? X86_RFLAGS_FIXED : 0);
		*at(esp) = n == 0 ? X86_RFLAGS_IF : 0;
		assert_int_equal(run((const uint8_t[]){0x9d}, 1, false, ~(uint64_t)ARITHMETIC).rip, GVA + (n == 1));
	}
	state_page()->hold = 0;
	repeats = false;
}

/* The monitor has seen these loaded: one entry, where all selectors lead. */
static void know(uint64_t selector, uint64_t flat, uint64_t at, uint64_t descriptor)
{
	struct bt_state *s = (void *)TEST_STATE;
	for (unsigned n = 0; n <= UINT8_MAX; n++)
		s->known_at[n] = offsetof(struct bt_state, known[1]);
	s->known[1] =
		(struct bt_known){selector, flat, {at, descriptor}, {BT_WINDOW_BASE + BASE, BT_WINDOW_USER + BASE}, 0};
}

static void test_segments(void **state)
{
	repeats = true;
	const uint32_t esp = STACK - 0x100;
	const uint64_t descriptor = 0x00cf93000000ffff;
	state_page()->selector[SREG_ES] = 0x10;
	RUN(0x06); /* PUSH ES */
	assert_int_equal(*at(esp - 4), 0x10);
	know(0x10, 0x10, BT_WINDOW_BASE + GDT + 0x10, descriptor);
	memcpy(window(GDT + 0x10), &descriptor, sizeof(descriptor));
	*at(esp) = 0xffff0010;
	struct snapshot end = RUN(0x07); /* POP ES */
	assert_int_equal(end.rip, GVA + 1);
	assert_int_equal(end.gpr[RSP], esp + 4);
	assert_int_equal(state_page()->selector[SREG_ES], 0x10);
	assert_int_equal(state_page()->loaded[SREG_ES], TEST_STATE + offsetof(struct bt_state, known[1]));
	*at(esp) = 0x18;
	assert_int_equal(RUN(0x07).rip, GVA);
	*at(esp) = 0x110;
	assert_int_equal(RUN(0x07).rip, GVA);
	*at(esp) = 0x10;
	*at(GDT + 0x14) ^= 0x100;
	assert_int_equal(RUN(0x07).rip, GVA);
	*at(GDT + 0x14) ^= 0x100;
	know(0x1234, UINT16_MAX + 1, BT_WINDOW_BASE + GDT + 0x10, descriptor);
	assert_int_equal(RUN(0x8e, 0xc2).rip, GVA);	/* MOV ES, DX: not flat */
	assert_int_equal(RUN(0x8e, 0xe2).rip, GVA + 2); /* MOV FS, DX */
	assert_int_equal(state_page()->fs_base[0], BT_WINDOW_BASE + BASE);
	assert_int_equal(RUN(0x8e, 0xea).rip, GVA + 2); /* MOV GS, DX */
	assert_int_equal(state_page()->fs_base[1], BT_WINDOW_USER + BASE);
	know(0x1234, 0x1234, BT_WINDOW_BASE + 0x5000, descriptor);
	assert_int_equal(RUN(0x8e, 0xc2).rip, GVA); /* faults */
	assert_int_equal(RUN(0x17).rip, GVA);	    /* POP SS */
	repeats = false;
}

static void test_verify(void **state)
{
	repeats = true;
	struct bt_state *s = (void *)TEST_STATE;
	const uint64_t descriptor = 0x00cf93000000ffff;
	memcpy(window(GDT + 0x10), &descriptor, sizeof(descriptor));
	s->cross_selector[BT_KERNEL_SS] = 0x1234;
	s->cross_segment[BT_KERNEL_SS] = (struct bt_described){BT_WINDOW_BASE + GDT + 0x10, descriptor};
	struct snapshot end = RUN(0x0f, 0x00, 0xea); /* VERW DX */
	assert_int_equal(end.rip, GVA + 3);
	assert_int_equal(end.gpr[RDX], 0x1234);
	assert_int_equal(end.flags & ARITHMETIC, X86_RFLAGS_CF | X86_RFLAGS_SF | X86_RFLAGS_ZF);
	*at(0x20) = 0xffff1234;
	assert_int_equal(RUN(0x2e, 0x0f, 0x00, 0x2d, 0x20, 0, 0, 0).rip, GVA + 8); /* VERW CS:[20h] */
	*at(0x20) = 0x1235;
	assert_int_equal(RUN(0x2e, 0x0f, 0x00, 0x2d, 0x20, 0, 0, 0).rip, GVA);
	*at(GDT + 0x14) ^= 0x200;
	assert_int_equal(RUN(0x0f, 0x00, 0xea).rip, GVA);
	s->cross_segment[BT_KERNEL_SS].at = BT_WINDOW_BASE + 0x5000;
	assert_int_equal(RUN(0x0f, 0x00, 0xea).rip, GVA); /* faults */
	repeats = false;
}

static bool has_parts(const struct emu_insn *insn)
{
	return insn->info.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}

/* What it leads to cannot be told from where it was. */
static bool leads_to_itself(const struct emu_insn *insn)
{
	return insn->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE &&
	       insn->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE &&
	       (uint32_t)insn->operands[0].imm.value.u == 0u - insn->info.length;
}

/* Random opcodes and ModRMs, most of whose memory is not there. */
static void step_random(unsigned as)
{
	struct emu_insn insn;
	unsigned done = 0;
	state_page()->hold = 0;
	flavour = as;
	for (unsigned n = 0; n < INSNS_RANDOM; n++) {
		uint64_t low = any(), high = any();
		uint8_t bytes[16];
		memcpy(bytes, &low, 8);
		memcpy(bytes + 8, &high, 8);
		if (n % 3 == 0)
			bytes[0] = 0x0f;
		if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LEGACY_32, bytes, 15, &insn)) || has_parts(&insn) ||
		    leads_to_itself(&insn))
			continue;
		uint64_t kept = insn.info.mnemonic == ZYDIS_MNEMONIC_POPFD ? ~(uint64_t)ARITHMETIC : ~0ull;
		last = bytes;
		run(bytes, insn.info.length, n % 3, kept);
		done++;
	}
	assert_true(done > INSNS_RANDOM / 2);
	flavour = KERNEL;
}

static void test_random_instructions(void **state)
{
	step_random(KERNEL);
}

static void test_random_instructions_of_programs(void **state)
{
	step_random(KERNEL | BT_USER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_device),
		cmocka_unit_test(test_stack),
		cmocka_unit_test(test_transfers),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_verify),
		cmocka_unit_test(test_random_instructions),
		cmocka_unit_test(test_random_instructions_of_programs),
	};
	return cmocka_run_group_tests(tests, start_child, end_child);
}

/*
 * Against the gate: its text entered anywhere, its writable pages overwritten, its hand-over forged.
 */
#include "forge.h"

#define TICK_NS (10 * PVG_NS_PER_MS)

/* What stands in for the exchange page, with any state the attacker likes. */
static uint8_t decoy[2 * GATE_PAGE] __attribute__((aligned(4096)));
static uint64_t jump_stack[512];

/* Registers as an attacker sets them before jumping; `rsp` is where RET finds the target. */
static struct {
	uint64_t rax, rcx, rdx, rbx, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rsp;
} jumper;

__asm__(".text\n"
	"jump_with:\n\t"
	"mov %rdi, %rsp\n\t"
	"pop %rax\n\tpop %rcx\n\tpop %rdx\n\tpop %rbx\n\tpop %rbp\n\tpop %rsi\n\tpop %rdi\n\t"
	"pop %r8\n\tpop %r9\n\tpop %r10\n\tpop %r11\n\tpop %r12\n\tpop %r13\n\tpop %r14\n\tpop %r15\n\t"
	"mov (%rsp), %rsp\n\t"
	"ret\n");
_Noreturn void jump_with(const void *registers);

/* Set 0: nothing. 1: a page of the guest's in place of the exchange page. 2: the real pages, a system call ready. */
static _Noreturn void jump(uint64_t offset, unsigned set)
{
	unsigned top = sizeof(jump_stack) / sizeof(jump_stack[0]) - 8;

	memset(&jumper, 0, sizeof(jumper));
	if (set == 1) {
		jumper.rbx = jumper.rdx = jumper.rbp = jumper.r15 = (uint64_t)decoy;
		jumper.rdi = jumper.r13 = GATE_TURN;
	} else if (set == 2) {
		jumper.rbx = GATE_XCHG;
		jumper.rdx = GATE_STACK + GATE_STACK_SIZE / 2;
		jumper.rax = HOST_YIELD;
		jumper.rdi = jumper.r13 = GATE_TURN;
	}
	jumper.r9 = GATE_COOKIE;
	jumper.rcx = jumper.r12 = 100;
	jump_stack[top] = GATE_TEXT + offset;
	jumper.rsp = (uint64_t)&jump_stack[top];
	jump_with(&jumper);
}

static void jump_user(uint64_t at)
{
	jump(at % GATE_TEXT_SIZE, (unsigned)(at / GATE_TEXT_SIZE));
}

static void tick(void *arg)
{
	(*(volatile unsigned *)arg)++;
	user_tick();
}

/*
 * From user mode to every `step`th byte of the text, with the registers of `set`: the kernel outlives it, whatever the
 * program did to the gate.
 */
void attack_jumps_user(void)
{
	char set[4], step[8];
	struct pvg_caught caught;
	unsigned ticks = 0, jumps = 0;

	pvg_option("set", set, sizeof(set));
	pvg_option("step", step, sizeof(step));
	user_init();
	pvg_timer_every(TICK_NS, tick, &ticks);
	pvg_assert(pvg_strtoul(step));
	for (uint64_t at = 0; at < GATE_TEXT_SIZE; at += pvg_strtoul(step)) {
		user_run(jump_user, pvg_strtoul(set) * GATE_TEXT_SIZE + at, &caught);
		jumps++;
	}
	pvg_timer_stop();
	pvg_test(jumps > 10, "the kernel lives after %u jumps", jumps);
}

#define ICEBP 0xf1

/* To each byte of the text that is an instruction which traps behind itself: an exit, with nobody to kick it out. */
void attack_icebp_user(void)
{
	const uint8_t *text = (const uint8_t *)GATE_TEXT;
	struct pvg_caught caught;

	user_init();
	for (uint64_t at = 0; at < GATE_TEXT_SIZE; at++)
		if (text[at] == ICEBP)
			pvg_test(!user_run(jump_user, at, &caught), "ICEBP at %lx of the gate comes out", at);
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "and the kernel lives");
}

/* From kernel mode, one a run: `at=OFFSET set=N`. */
void attack_jump(void)
{
	char offset[16], set[16];

	pvg_option("at", offset, sizeof(offset));
	pvg_option("set", set, sizeof(set));
	jump(pvg_strtoul(offset), (unsigned)pvg_strtoul(set));
}

/* ----------------------------------------------------------------------------------------- the exchange page &c. */

static void do_cli(void *arg)
{
	pvg_cli();
}

static void write_word_user(uint64_t at)
{
	static const uint32_t values[] = {0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff};

	*xchg32((unsigned)(at / 7 * 4)) = values[at % 7];
	/* An exit by each of the two ways. */
	((void (*)(void))(uint64_t)pvg_hypercall_page)();
}

/* Each word of the exchange page with each of a few values, from user mode: the kernel does not suffer. */
void attack_words_user(void)
{
	const unsigned words = 80; /* beyond the last field */
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	pvg_timer_every(TICK_NS, tick, &ticks);
	for (uint64_t at = 0; at < words * 7; at++)
		user_run(write_word_user, at, &caught);
	pvg_timer_stop();
	pvg_test(true, "the kernel lives");
}

/* The same from kernel mode, `at=OFFSET value=N`, followed by exits of both kinds. */
void attack_words(void)
{
	char offset[16], value[16];
	struct pvg_caught caught;

	pvg_option("at", offset, sizeof(offset));
	pvg_option("value", value, sizeof(value));
	*xchg32((unsigned)pvg_strtoul(offset)) = (uint32_t)pvg_strtoul(value);
	pvg_catch(do_cli, NULL, &caught);
	*xchg32((unsigned)pvg_strtoul(offset)) = (uint32_t)pvg_strtoul(value);
	pvg_hypercall0(R3_HC_abi_version);
	pvg_test(true, "survived");
}

/* Everything writable in the gate filled with one pattern, then again with luck. */
void attack_fill(void)
{
	volatile uint8_t *gate = (volatile uint8_t *)GATE_XCHG;

	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < GATE_END - GATE_XCHG; i++)
			gate[i] = round < 3 ? (uint8_t)(round * 0x7f) : (uint8_t)luck();
		pvg_cli();
		pvg_sti();
	}
	pvg_test(true, "survived");
}

static void forge_user(uint64_t kind)
{
	uint64_t start = pvg_rdtsc();

	while (while_forging(start)) {
		*xchg64(XCHG_GPR) = R3_HC_exit;
		*xchg64(XCHG_GPR + 8 * 7) = 77;
		forge_handover((uint32_t)kind);
	}
}

/* User code that forges exits of every kind, for ever: none of them is a hypercall, and the kernel lives. */
void attack_handover(void)
{
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	pvg_timer_every(TICK_NS, tick, &ticks);
	for (uint64_t kind = 0; kind < 5; kind++)
		user_run(forge_user, kind, &caught);
	pvg_timer_stop();
	pvg_test(true, "the kernel lives");
}

/* ------------------------------------------------------------------------------------ keeping the monitor waiting */

/* Sleeps with RIP in the gate, where a kick is not an exit. */
static _Noreturn void sleep_in_gate(void)
{
	unsigned top = sizeof(jump_stack) / sizeof(jump_stack[0]) - 8;

	/* The decoy says for ever that the monitor has its turn, so that the gate's own loop sleeps again. */
	((volatile uint32_t *)decoy)[XCHG_STATE / 4] = GATE_EXITED;
	memset(&jumper, 0, sizeof(jumper));
	jumper.rax = HOST_FUTEX;
	jumper.rdi = jumper.r13 = GATE_TURN;
	jumper.rsi = HOST_FUTEX_WAIT;
	jumper.rdx = *(volatile uint32_t *)GATE_TURN;
	jumper.r9 = GATE_COOKIE;
	jumper.rbx = (uint64_t)decoy;
	jump_stack[top] = GATE_TEXT + gate_syscall(0);
	jumper.rsp = (uint64_t)&jump_stack[top];
	jump_with(&jumper);
}

void attack_sleep_gate(void)
{
	say("ready");
	sleep_in_gate();
}

static void sleep_in_gate_user(uint64_t arg)
{
	sleep_in_gate();
}

void attack_sleep_gate_user(void)
{
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	pvg_timer_every(TICK_NS, tick, &ticks);
	pvg_test(!user_run(sleep_in_gate_user, 0, &caught), "user code that sleeps in the gate is brought back");
	pvg_timer_stop();
}

/* Spins in the gate's own loop, on a page that never changes. */
void attack_spin_gate(void)
{
	const uint8_t *text = (const uint8_t *)GATE_TEXT;
	unsigned at = 0;

	((volatile uint32_t *)decoy)[XCHG_STATE / 4] = GATE_EXITED;
	/* PAUSE and what comes before it: CMPL $1, (%rbx); JNE */
	while (text[at] != 0xf3 || text[at + 1] != 0x90)
		at++;
	memset(&jumper, 0, sizeof(jumper));
	jumper.rbx = (uint64_t)decoy;
	jumper.rcx = 0xffffffff;
	jump_stack[100] = GATE_TEXT + at;
	jumper.rsp = (uint64_t)&jump_stack[100];
	say("ready");
	jump_with(&jumper);
}

/* Wipes out every nudge as soon as it is written. */
void attack_rewrite_state(void)
{
	say("ready");
	for (;;)
		__atomic_store_n(xchg32(XCHG_STATE), GATE_RUN, __ATOMIC_RELAXED);
}

/* Exits without waking the monitor: only this guest waits. */
void attack_silent(void)
{
	say("ready");
	for (;;) {
		*xchg32(XCHG_MONITOR_WAITS) = 0;
		pvg_cli();
	}
}

static void park_user(uint64_t arg)
{
	uint64_t start = pvg_rdtsc();

	forge_handover(GATE_KIND_HYPERCALL);
	while (while_forging(start))
		;
}

/* User code that claims to wait, so that the kernel's cell is woken by nobody. */
void attack_park(void)
{
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	for (unsigned i = 0; i < 10; i++)
		user_run(park_user, 0, &caught);
	pvg_timer_every(TICK_NS, tick, &ticks);
	user_run(park_user, 0, &caught);
	pvg_timer_stop();
	pvg_test(true, "the kernel lives");
}

/* ------------------------------------------------------------------------------------- state that outlives a cell */

static void bases_user(uint64_t arg)
{
	uint64_t start = pvg_rdtsc();

	*xchg64(XCHG_FS_BASE) = 0x8000000000000000;
	*xchg64(XCHG_GS_BASE) = 0x8000000000000000;
	forge_handover(GATE_KIND_HYPERCALL);
	while (while_forging(start))
		;
}

void attack_bases_user(void)
{
	struct pvg_caught caught;

	user_init();
	user_run(bases_user, 0, &caught);
	pvg_cli();
	pvg_sti();
	pvg_test(true, "non-canonical bases of user code do not end the kernel");
}

/* Headers and control words that XRSTOR refuses, SDM 1 13.8.1. */
static void fpu_user(uint64_t arg)
{
	volatile uint8_t *areas[] = {(volatile uint8_t *)GATE_FPU, (volatile uint8_t *)GATE_STACK};
	const unsigned sizes[] = {GATE_FPU_SIZE, GATE_STACK_SIZE};
	uint64_t start = pvg_rdtsc();

	*xchg64(XCHG_XCR0) = ~0ull;
	for (unsigned a = 0; a < 2; a++)
		for (unsigned i = 0; i < sizes[a]; i++)
			areas[a][i] = 0xff;
	forge_handover(arg ? GATE_KIND_HYPERCALL : GATE_KIND_SIGNAL);
	while (while_forging(start))
		;
}

void attack_fpu_user(void)
{
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	pvg_timer_every(TICK_NS, tick, &ticks);
	user_run(fpu_user, 0, &caught);
	user_run(fpu_user, 1, &caught);
	pvg_timer_stop();
	pvg_test(true, "a forged FPU image of user code does not end the kernel");
}

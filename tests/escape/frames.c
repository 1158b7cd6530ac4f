/*
 * Signal frames that the host's kernel never made, loaded by rt_sigreturn.
 */
#include "escape.h"

/* The kernel's struct rt_sigframe from its second word on: what RSP points to at rt_sigreturn is the ucontext. */
static struct {
	uint64_t flags, link;
	uint64_t ss_sp;
	uint32_t ss_flags, pad;
	uint64_t ss_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint64_t csgsfs, error, trapno, oldmask, cr2;
	uint64_t fpstate, reserved[8];
	uint64_t sigmask;
} frame __attribute__((aligned(64)));

#define SS_DISABLE  2
#define ALL_SIGNALS (~0ull)
#define LINUX_CS    0x33ull
#define LINUX_CS32  0x23ull
#define LINUX_SS    (0x2bull << 48)

static uint64_t frame_stack[512];
static volatile unsigned landed;

static void make_frame(void (*target)(void))
{
	frame.ss_sp = GATE_STACK;
	frame.ss_size = GATE_STACK_SIZE;
	frame.rsp = (uint64_t)&frame_stack[505];
	frame.rip = (uint64_t)target;
	frame.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	frame.csgsfs = LINUX_CS | LINUX_SS;
}

static void land(void)
{
	landed++;
	pvg_test(landed == 1, "landed where the frame said");
	pvg_cli();
	pvg_sti();
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "and the gate still works");
	pvg_exit((unsigned)pvg_test_finish());
}

static void land_cli(void)
{
	for (;;)
		pvg_cli();
}

static void land_loop(void)
{
	for (;;)
		;
}

/* At a futex call of the gate, on a word that the monitor does not change meanwhile. */
static void make_sleep_frame(void)
{
	make_frame((void (*)(void))(GATE_TEXT + gate_syscall(0)));
	frame.rax = HOST_FUTEX;
	frame.rdi = GATE_TURN + GATE_TURN_SIZE - 4;
	frame.rsi = HOST_FUTEX_WAIT;
	frame.rdx = *(volatile uint32_t *)frame.rdi;
	frame.r10 = 0;
	frame.r9 = GATE_COOKIE;
}

/* A frame that asks for nothing special is a jump. */
void attack_sigreturn(void)
{
	make_frame(land);
	gate_sigreturn(&frame);
}

/* With all signals blocked a fault is the end of the process. */
void attack_sigreturn_blocked_fault(void)
{
	make_frame(land_cli);
	frame.sigmask = ALL_SIGNALS;
	gate_sigreturn(&frame);
}

void attack_sigreturn_blocked_loop(void)
{
	say("ready");
	make_frame(land_loop);
	frame.sigmask = ALL_SIGNALS;
	gate_sigreturn(&frame);
}

void attack_sigreturn_blocked_sleep(void)
{
	say("ready");
	make_sleep_frame();
	frame.sigmask = ALL_SIGNALS;
	gate_sigreturn(&frame);
}

static void blocked_user(uint64_t arg)
{
	gate_sigreturn(&frame);
}

static void tick(void *arg)
{
	(*(volatile unsigned *)arg)++;
}

/* User code in an infinite loop that no signal ends: the kernel goes on. */
void attack_sigreturn_blocked_user(void)
{
	void (*const lands[])(void) = {land_loop, land_cli};
	struct pvg_caught caught;
	unsigned ticks = 0;

	user_init();
	pvg_timer_every(10 * PVG_NS_PER_MS, tick, &ticks);
	for (unsigned i = 0; i < 3; i++) {
		if (i < 2)
			make_frame(lands[i]);
		else
			make_sleep_frame();
		frame.sigmask = ALL_SIGNALS;
		pvg_test(!user_run(blocked_user, 0, &caught), "user code that blocks signals is brought back");
	}
	pvg_timer_stop();
}

/* The next frame would lie where the guest wants it. */
void attack_sigreturn_altstack(void)
{
	make_frame(land_cli);
	frame.ss_sp = (uint64_t)pvg_pages_alloc(16, 1);
	frame.ss_size = 16 * X86_PAGE_SIZE;
	memset((void *)frame.ss_sp, 1, frame.ss_size);
	gate_sigreturn(&frame);
}

void attack_sigreturn_noaltstack(void)
{
	make_frame(land_cli);
	frame.ss_flags = SS_DISABLE;
	frame.rsp = (uint64_t)pvg_pages_alloc(16, 1) + 15 * X86_PAGE_SIZE;
	memset((void *)(frame.rsp - 15 * X86_PAGE_SIZE), 1, 16 * X86_PAGE_SIZE);
	gate_sigreturn(&frame);
}

/* 32-bit code makes a 32-bit system call. */
__asm__(".text\n"
	"land_32:\n\t"
	".code32\n\t"
	"mov $20, %eax\n\t"
	"int $0x80\n\t"
	"ud2\n\t"
	".code64\n");
void land_32(void);

static void load_cs32(void *arg)
{
	make_frame(land_32);
	frame.csgsfs = LINUX_CS32 | LINUX_SS;
	gate_sigreturn(&frame);
}

void attack_sigreturn_cs32(void)
{
	struct pvg_caught caught;
	char transport[12];

	/* Under ptrace the frame is not even looked at. */
	if (pvg_option("transport", transport, sizeof(transport)) && !pvg_strcmp(transport, "signal") &&
	    host_lacks_32()) {
		pvg_test_skip("a frame of 32-bit code", "the host has no segment for it");
		return;
	}
	pvg_test(pvg_catch(load_cs32, NULL, &caught), "32-bit code traps");
	pvg_test_equal(caught.vector, 0x80, "at its system call");
	pvg_cli();
	pvg_sti();
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "64-bit code runs on");
}

static void load_bad(void *arg)
{
	gate_sigreturn(&frame);
}

/* What the host's kernel refuses to load becomes a fault of the guest's. */
static void refused(const char *what)
{
	struct pvg_caught caught;

	pvg_test(pvg_catch(load_bad, NULL, &caught), "%s: a fault", what);
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "%s: runs on", what);
}

void attack_sigreturn_fpstate(void)
{
	static const uint64_t places[] = {1, 64, 0x8000000000000000, 0xffffffffff600000, GATE_TEXT, GATE_END - 64};

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		make_frame(land);
		frame.flags = 7;
		frame.fpstate = places[i];
		refused("FPU state nowhere");
	}
}

void attack_sigreturn_rip(void)
{
	make_frame((void (*)(void))0x8000000000000000);
	refused("non-canonical RIP");
	make_frame((void (*)(void))0xffffffff80000000);
	refused("RIP in the host's kernel");
}

void attack_sigreturn_ss(void)
{
	make_frame(land);
	frame.csgsfs = LINUX_CS | 0x1234ull << 48;
	frame.flags = 4; /* UC_STRICT_RESTORE_SS */
	refused("SS of no segment");
	make_frame(land);
	frame.csgsfs = 0x10 | LINUX_SS;
	refused("CS of the host's kernel");
}

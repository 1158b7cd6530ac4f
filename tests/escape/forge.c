/*
 * Every field of a forged exit, with values that no processor and no host would have left there: what the guest's
 * kernel is shown of it is compared, field by field, with what a processor could show.
 */
#include "forge.h"

#define VEC_DONE	0x41 /* the kernel itself is back where it called */
#define SYSCALL_LENGTH	2
#define VSYSCALL	0xffffffffff600400
#define NONCANONICAL	0x8000000000000000
#define UNMAPPED	R3_BIT(40)
#define SUPERVISOR_PAGE user_view(pvg_gpa_to_ptr(0x100000)) /* RAM below what user_init opens */

/* What user mode may say about its flags; IF is the virtual one, which is set. */
#define FLAGS_OWN                                                                                                      \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_TF |               \
	 X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_AC | X86_RFLAGS_ID)
#define FLAGS_SHOWN(claimed) (((claimed)&FLAGS_OWN) | X86_RFLAGS_FIXED | X86_RFLAGS_IF)

static struct host_frame claim;
static struct forge_shown shown;
static volatile bool forging;
static bool traced; /* transport ptrace: no frame is believed, and the way to the gate is a bad jump */
static unsigned bad;
static uint64_t back_stack[512], claimed_stack[64];

extern const char forge_landing[];
__asm__(".text\nforge_landing:\n\tnop\n\tint $0x40\n");
#define LANDED (user_view(forge_landing) + 3)

/* mov %rsp, XCHG_FRAME(%rbx): from here the gate does all of an exit. */
static const uint8_t *way_out(void)
{
	const uint8_t exit[] = {0x48, 0x89, 0x63, XCHG_FRAME};
	const uint8_t *at = (const uint8_t *)GATE_TEXT;

	while (memcmp(at, exit, sizeof(exit)))
		at++;
	return at;
}

static _Noreturn void leave_by(const uint8_t *at)
{
	__asm__ volatile("mov %0, %%rsp\n\tjmp *%1" : : "r"(forge_frame()), "r"(at), "b"(GATE_XCHG) : "memory");
	__builtin_unreachable();
}

_Noreturn void forge_exit(void)
{
	leave_by(way_out());
}

void forge_handover(uint32_t kind)
{
	*xchg32(XCHG_KIND) = kind;
	__atomic_store_n(xchg32(XCHG_STATE), GATE_EXITED, __ATOMIC_SEQ_CST);
}

/* ---------------------------------------------------------------------------------------------- what is shown */

static void back(void)
{
	__asm__ volatile("int %0" : : "i"(VEC_DONE));
}

/* Every way into the kernel: remembers the frame, and goes back to where user mode was entered from. */
static void note(struct pvg_frame *frame, void *arg)
{
	if (frame->vector == PVG_TRAP_SYSCALL && !forging) {
		frame->rax = ANSWER;
		return;
	}
	shown.frame = *frame;
	shown.cr2 = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0;
	frame->cs = PVG_SEL_KERNEL_CODE;
	frame->ss = PVG_SEL_KERNEL_DATA;
	frame->rip = (uint64_t)back;
	frame->rsp = (uint64_t)&back_stack[504];
	frame->rflags = X86_RFLAGS_FIXED;
}

static void note_all(pvg_trap_handler handler)
{
	for (unsigned vector = 0; vector < 32; vector++)
		pvg_trap_register(vector, handler, NULL);
	pvg_trap_register(VEC_BACK, handler, NULL);
	pvg_trap_register(0x80, handler, NULL);
}

/* Last of all the claim is written: a kick that came behind that would be claimed in its place, and that for ever. */
static void forge_user(uint64_t arg)
{
	const uint8_t *at;

	/*
	 * So that the kernel's cell is armed, and there is a frame. A translated kernel's is when the interpreter has
	 * tried some calls in vain (engine/translate/linger.c, stay.c).
	 */
	for (unsigned i = 0; i < 50; i++)
		raw_syscall(1, 0, 0, 0, 0, 0, 0);
	at = way_out();
	forging = true;
	claim.fpstate = forge_frame()->fpstate;
	*forge_frame() = claim;
	leave_by(at);
}

/* ------------------------------------------------------------------------------------------------ comparing */

static void check(const char *field, const char *what, uint64_t value, uint64_t is, uint64_t must)
{
	if (is == must)
		return;
	if (!bad++)
		pvg_printf("# %s = %lx: %s is %lx, not %lx\n", what, value, field, is, must);
}

static void show(void)
{
	struct pvg_caught caught;

	forging = false;
	memset(&shown, 0, sizeof(shown));
	user_run(forge_user, 0, &caught);
}

struct expected {
	unsigned vector;
	uint64_t error, rip, rflags, rsp, cr2;
};

/* Forges `claim` and compares. The general registers are user mode's own: shown as they were claimed. */
static void forge(const char *what, uint64_t value, struct expected must)
{
	show();
	if (traced) {
		check("vector", what, value, shown.frame.vector, X86_VEC_PF);
		check("RIP's pages", what, value, shown.frame.rip & -(uint64_t)GATE_TEXT_SIZE, GATE_TEXT);
		check("CR2", what, value, shown.cr2, shown.frame.rip);
		return;
	}
	check("vector", what, value, shown.frame.vector, must.vector);
	check("error", what, value, shown.frame.error, must.error);
	check("RIP", what, value, shown.frame.rip, must.rip);
	check("RFLAGS", what, value, shown.frame.rflags, must.rflags);
	check("RSP", what, value, shown.frame.rsp, must.rsp);
	check("CR2", what, value, shown.cr2, must.cr2);
	check("CS", what, value, shown.frame.cs, PVG_SEL_USER_CODE);
	check("SS", what, value, shown.frame.ss, PVG_SEL_USER_DATA);
	check("RAX", what, value, shown.frame.rax, claim.rax);
	check("RBX", what, value, shown.frame.rbx, claim.rbx);
	check("RCX", what, value, shown.frame.rcx, must.vector == PVG_TRAP_SYSCALL ? must.rip : claim.rcx);
	check("RDX", what, value, shown.frame.rdx, claim.rdx);
	check("RSI", what, value, shown.frame.rsi, claim.rsi);
	check("RDI", what, value, shown.frame.rdi, claim.rdi);
	check("RBP", what, value, shown.frame.rbp, claim.rbp);
	check("R8", what, value, shown.frame.r8, claim.r8);
	check("R9", what, value, shown.frame.r9, claim.r9);
	check("R10", what, value, shown.frame.r10, claim.r10);
	check("R11", what, value, shown.frame.r11, must.vector == PVG_TRAP_SYSCALL ? must.rflags : claim.r11);
	check("R12", what, value, shown.frame.r12, claim.r12);
	check("R13", what, value, shown.frame.r13, claim.r13);
	check("R14", what, value, shown.frame.r14, claim.r14);
	check("R15", what, value, shown.frame.r15, claim.r15);
}

static void report(const char *what)
{
	pvg_test_equal(bad, 0, "%s: the kernel is shown what a processor could show", what);
	bad = 0;
}

/* ------------------------------------------------------------------------------------------- honest so far */

static void claim_registers(void)
{
	uint64_t *gpr = &claim.r8;

	memset(&claim, 0, sizeof(claim));
	for (unsigned i = 0; i < 17; i++)
		gpr[i] = 0x0123456789abcd00 + i;
	claim.rip = user_view(forge_landing);
	claim.rsp = user_view(&claimed_stack[60]);
	claim.rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	claim.csgsfs = HOST_CS_SS;
	claim.ss_sp = GATE_STACK;
	claim.ss_size = GATE_STACK_SIZE;
	claim.flags = 7;
}

static struct expected claim_syscall(void)
{
	claim_registers();
	claim.signo = HOST_SIGSYS;
	claim.code = 2;
	claim.si_addr = claim.rip;
	claim.si_arch = HOST_ARCH_64;
	return (struct expected){PVG_TRAP_SYSCALL, 0, claim.rip, FLAGS_SHOWN(0), claim.rsp, 0};
}

static struct expected claim_exception(uint64_t trapno)
{
	claim_registers();
	claim.signo = HOST_SIGSEGV;
	claim.code = 1;
	claim.trapno = trapno;
	return (struct expected){(unsigned)trapno, 0, claim.rip, FLAGS_SHOWN(0) | X86_RFLAGS_RF, claim.rsp, 0};
}

/* Claims that end in user mode's own next instruction. */
static struct expected claim_nothing(void)
{
	claim_registers();
	claim.signo = HOST_SIGURG;
	return (struct expected){VEC_BACK, 0, LANDED, FLAGS_SHOWN(0), claim.rsp, 0};
}

/* ------------------------------------------------------------------------------------------- field by field */

static void flags(void)
{
	struct expected must;

	for (unsigned bit = 0; bit < 64; bit++) {
		must = claim_syscall();
		claim.rflags |= R3_BIT(bit);
		must.rflags = FLAGS_SHOWN(claim.rflags);
		forge("RFLAGS of a SYSCALL", R3_BIT(bit), must);
		must = claim_exception(X86_VEC_GP);
		claim.rflags |= R3_BIT(bit);
		must.rflags = FLAGS_SHOWN(claim.rflags) | X86_RFLAGS_RF;
		forge("RFLAGS of #GP", R3_BIT(bit), must);
	}
	must = claim_syscall();
	claim.rflags = ~0ull;
	must.rflags = FLAGS_SHOWN(~0ull);
	forge("RFLAGS of a SYSCALL", ~0ull, must);
	must = claim_syscall();
	claim.rflags = 0;
	forge("RFLAGS of a SYSCALL", 0, must);
	report("flags");
}

static void addresses(void)
{
	static const uint64_t stacks[] = {0,	 1,	      GATE_STACK + 0x200, 0x7fffffffffff, 0xffff800000000000,
					  ~0ull, NONCANONICAL};
	static const uint64_t places[] = {GATE_TEXT,	  GATE_TEXT + 100,    GATE_END,		  GATE_PEERS_END,
					  0x7fffffffffff, 0xffff800000000000, 0xffffffff81000000, ~0ull};
	static const uint64_t nowhere[] = {0x800000000000, NONCANONICAL, 0xffff7fffffffffff, 0x7fffffffffffffff};
	struct expected (*const claims[])(void) = {claim_syscall, claim_nothing};
	struct expected must;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		for (unsigned c = 0; c < 2; c++) {
			claims[c]();
			claim.rip = places[i];
			must = (struct expected){X86_VEC_PF, X86_PF_U | X86_PF_I,
						 places[i],  FLAGS_SHOWN(0) | X86_RFLAGS_RF,
						 claim.rsp,  places[i]};
			forge("RIP", places[i], must);
		}
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		for (unsigned c = 0; c < 2; c++) {
			claims[c]();
			must = claim_exception(X86_VEC_GP);
			claims[c]();
			claim.rip = must.rip = nowhere[i];
			forge("RIP", nowhere[i], must);
		}
	}
	/* A register like any other, which SYSCALL leaves as it is: also one that leads nowhere. */
	for (unsigned i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
		must = claim_syscall();
		claim.rsp = must.rsp = stacks[i];
		forge("RSP", stacks[i], must);
	}
	must = claim_syscall();
	claim.si_addr = VSYSCALL;
	must = (struct expected){
		X86_VEC_PF, X86_PF_U | X86_PF_I, VSYSCALL, FLAGS_SHOWN(0) | X86_RFLAGS_RF, claim.rsp - sizeof(uint64_t),
		VSYSCALL};
	forge("call address", VSYSCALL, must);
	report("addresses");
}

static bool user_can_raise(uint64_t vector)
{
	const uint64_t can = R3_BIT(X86_VEC_DE) | R3_BIT(X86_VEC_DB) | R3_BIT(X86_VEC_BP) | R3_BIT(X86_VEC_OF) |
			     R3_BIT(X86_VEC_BR) | R3_BIT(X86_VEC_UD) | R3_BIT(X86_VEC_NM) | R3_BIT(X86_VEC_TS) |
			     R3_BIT(X86_VEC_NP) | R3_BIT(X86_VEC_SS) | R3_BIT(X86_VEC_GP) | R3_BIT(X86_VEC_PF) |
			     R3_BIT(X86_VEC_MF) | R3_BIT(X86_VEC_AC) | R3_BIT(X86_VEC_XM) | R3_BIT(X86_VEC_CP);
	return vector < 64 && can >> vector & 1;
}

static bool is_trap(uint64_t vector)
{
	return vector == X86_VEC_DB || vector == X86_VEC_BP || vector == X86_VEC_OF;
}

static void vector(uint64_t trapno, int32_t signo)
{
	struct expected must = claim_exception(trapno);

	if (!user_can_raise(trapno))
		must.vector = X86_VEC_GP;
	else if (is_trap(trapno))
		must.rflags = FLAGS_SHOWN(0);
	claim.signo = signo;
	if (trapno == X86_VEC_PF) {
		claim.cr2 = must.cr2 = UNMAPPED;
		must.error = X86_PF_U;
	} else if (trapno == X86_VEC_AC) { /* CR0.AM is clear: the host alone minds */
		must = (struct expected){VEC_BACK, 0, LANDED, FLAGS_SHOWN(0), claim.rsp, 0};
	}
	forge(signo == HOST_SIGBUS ? "vector of SIGBUS" : "vector of SIGSEGV", trapno, must);
}

static void vectors(void)
{
	static const uint64_t odd[] = {64, 128, 255, 256, 256 + X86_VEC_GP, R3_BIT(32) | X86_VEC_GP, ~0ull};

	for (uint64_t trapno = 0; trapno < 40; trapno++) {
		vector(trapno, HOST_SIGSEGV);
		vector(trapno, HOST_SIGBUS);
	}
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
		vector(odd[i], HOST_SIGSEGV);
	report("vectors");
}

static void errors(void)
{
	static const struct {
		uint64_t trapno, kept;
	} codes[] = {{X86_VEC_TS, 0xffff}, {X86_VEC_NP, 0xffff}, {X86_VEC_SS, 0xffff},
		     {X86_VEC_GP, 0xffff}, {X86_VEC_DE, 0},	 {X86_VEC_UD, 0}};
	const uint64_t addresses[] = {UNMAPPED, SUPERVISOR_PAGE, 0xffff800000000000};
	struct expected must;

	for (unsigned i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		must = claim_exception(codes[i].trapno);
		claim.error = ~0ull;
		must.error = codes[i].kept;
		forge("error code", codes[i].trapno, must);
	}
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		must = claim_exception(X86_VEC_PF);
		claim.error = ~0ull & ~X86_PF_I;
		claim.cr2 = must.cr2 = addresses[i];
		must.error = X86_PF_U | X86_PF_W | (addresses[i] == SUPERVISOR_PAGE ? X86_PF_P : 0);
		forge("#PF at", addresses[i], must);
	}
	must = claim_exception(X86_VEC_GP);
	claim.trapno = X86_VEC_PF;
	claim.cr2 = NONCANONICAL;
	forge("#PF at", NONCANONICAL, must);
	report("error codes");
}

/* The host's other words: which signal, from whom, for which kind of code, and that it has no memory. */
static void signals(void)
{
	struct expected must;

	for (int signo = -1; signo < 70; signo++) {
		must = claim_nothing();
		claim.signo = signo;
		if (signo != HOST_SIGILL && signo != HOST_SIGTRAP && signo != HOST_SIGBUS && signo != HOST_SIGFPE &&
		    signo != HOST_SIGSEGV && signo != HOST_SIGSYS)
			forge("signal", (uint64_t)signo, must);
	}
	must = claim_nothing();
	claim.signo = HOST_SIGSEGV;
	claim.code = -6;
	claim.trapno = X86_VEC_NMI;
	forge("origin", (uint64_t)claim.code, must);
	must = claim_nothing();
	claim.signo = HOST_SIGBUS;
	claim.code = 2;
	claim.trapno = X86_VEC_PF;
	claim.cr2 = user_view(&claimed_stack[0]);
	forge("no memory at", claim.cr2, must);
	must = claim_syscall();
	claim.si_arch = 0x40000003;
	must.vector = X86_VEC_GP;
	must.error = 0x80 * 8 + 2;
	must.rip = claim.rip - SYSCALL_LENGTH;
	must.rflags |= X86_RFLAGS_RF;
	forge("architecture", claim.si_arch, must);
	must = claim_nothing();
	claim.csgsfs = 0x23 | 0x2bull << 48;
	forge("code segment", claim.csgsfs, must);
	must = claim_nothing();
	claim.csgsfs = 0;
	forge("code segment", claim.csgsfs, must);
	report("signals");
}

const struct forge_shown *forge_claim(enum forge_kind kind, void (*change)(struct host_frame *claim))
{
	switch (kind) {
	case FORGE_SYSCALL:
		claim_syscall();
		break;
	case FORGE_EXCEPTION:
		claim_exception(X86_VEC_GP);
		break;
	default:
		claim_nothing();
	}
	change(&claim);
	show();
	return &shown;
}

void forge_begin(void)
{
	char text[8];

	traced = pvg_option("transport", text, sizeof(text)) && text[0] == 'p';
	user_init();
	pvg_syscall_register(note, NULL);
	if (pvg_is_paravirt() && !pvg_option("direct", text, sizeof(text)))
		pvg_assert(!pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DIRECT, 0));
	note_all(note);
}

void attack_forge(void)
{
	forge_begin();
	flags();
	addresses();
	vectors();
	errors();
	signals();
	note_all(NULL);
}

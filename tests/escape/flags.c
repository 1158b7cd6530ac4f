/*
 * Flags that the processor acts on by itself: which TF makes a trap, what RF and AC do on the way into the kernel, and
 * how long an interrupt flag must be set to let one in.
 */
#include "escape.h"

#define PORT_NOBODY 0x64
#define PATIENCE    1000 /* rounds */

static volatile unsigned traps;
static volatile uint64_t trap_rip, trap_clears;

static void note_trap(struct pvg_frame *frame, void *arg)
{
	traps++;
	trap_rip = frame->rip;
	if (frame->rip == trap_clears)
		frame->rflags &= ~X86_RFLAGS_TF;
}

/* ------------------------------------------------------------------------------------------------------- TF, RF */

/* TF goes on, three instructions run under it, the last of which takes it off; what follows is privileged. */
__asm__(".text\n"
	"flags_popf:\n\t"
	"pushfq\n\torl $0x100, (%rsp)\n\tpopfq\n\t"
	"pushfq\n\tandl $~0x100, (%rsp)\n\tpopfq\n"
	"flags_popf_after:\n\tcli\n\tsti\n\tret\n");
void flags_popf(void *arg);
extern const char flags_popf_after[];

static void popf_user(uint64_t arg)
{
	flags_popf(NULL);
}

static void popf_traps(const char *mode)
{
	pvg_test_equal(traps, 3, "%s: three instructions under TF, three traps", mode);
	pvg_test_equal(trap_rip, (uint64_t)flags_popf_after, "%s: the last after the POPF that cleared it", mode);
	traps = 0;
}

/* SYSCALL of the kernel's own, entered with RF; SYSCALL under TF that nobody masks. */
__asm__(".text\n"
	"flags_syscall:\n\t"
	"mov %rsp, %rax\n\t"
	"push $0x10\n\tpush %rax\n\tpush %rdi\n\tpush $0x08\n\tlea 1f(%rip), %rax\n\tpush %rax\n\tiretq\n"
	"1:\tsyscall\n\tret\n"
	"flags_entry:\n\tmov %r11, flags_r11(%rip)\n\tjmp *%rcx\n");
void flags_syscall(uint64_t rflags);
extern const char flags_entry[];
uint64_t flags_r11;

/* SYSRET to user mode with these flags, at code that ends by INT. */
__asm__(".text\n"
	"flags_sysret:\n\tmov %rdi, %r11\n\tlea flags_landing(%rip), %rcx\n\tsysretq\n"
	"flags_landing:\n\tnop\n\tint $0x40\n");
void flags_sysret(void *rflags);
extern const char flags_landing[];

void attack_trap_flag(void)
{
	struct pvg_caught caught;

	user_init();
	pvg_trap_register(X86_VEC_DB, note_trap, NULL);
	flags_popf(NULL);
	popf_traps("kernel");
	pvg_test(!user_run(popf_user, 0, &caught), "user mode runs on");
	pvg_test_equal(caught.rip, (uint64_t)flags_popf_after, "into what it may not do");
	popf_traps("user");

	pvg_wrmsr(X86_MSR_LSTAR, (uint64_t)flags_entry);
	flags_syscall(X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_RF);
	pvg_test_equal(flags_r11, X86_RFLAGS_FIXED | X86_RFLAGS_IF, "SYSCALL saves RFLAGS without RF");
	trap_clears = (uint64_t)flags_entry;
	flags_syscall(X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_TF);
	pvg_test_equal(traps, 1, "SYSCALL with TF open: one trap");
	pvg_test_equal(trap_rip, trap_clears, "at the entry's first instruction");

	traps = 0;
	trap_clears = (uint64_t)flags_landing;
	pvg_catch(flags_sysret, (void *)(X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_TF), &caught);
	pvg_test_equal(caught.vector, VEC_BACK, "user mode ran on after SYSRET with TF");
	pvg_test_equal(traps, 1, "one trap");
	pvg_test_equal(trap_rip, trap_clears, "before its first instruction");
	pvg_trap_register(X86_VEC_DB, NULL, NULL);
}

/* -------------------------------------------------------------------------------------------------------- SYSRET */

__asm__(".text\n"
	"flags_sysret_to:\n\tmov %rdi, %rcx\n\tmov $0x202, %r11d\n\tsysretq\n");
void flags_sysret_to(void *rip);

static bool is_intel(void)
{
	uint32_t eax = 0, ebx, ecx, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	return ebx == 0x756e6547; /* "Genu" */
}

/* To an address that is none: Intel's processors are in ring 0 still, others have left it. As often as it takes until
 * whoever does SYSRET fast does this one. */
void attack_sysret(void)
{
	const uint64_t cpl = is_intel() ? 0 : 3;
	struct pvg_caught caught;
	unsigned wrong = 0;

	user_init();
	for (unsigned n = 0; n < 300; n++) {
		uint64_t bit = R3_BIT(47 + n % 17);

		wrong += !pvg_catch(flags_sysret_to, (void *)bit, &caught) || caught.vector != X86_VEC_GP ||
			 caught.error || (caught.cs & X86_SEL_RPL) != cpl;
	}
	pvg_test_equal(wrong, 0, "SYSRET to no canonical address is #GP at CPL %u", (unsigned)cpl);
}

/* ----------------------------------------------------------------------------------------------------------- AC */

static uint64_t misaligned(void)
{
	static const uint8_t bytes[16] __attribute__((aligned(16))) = {0, 1, 2, 3, 4, 5, 6, 7, 8};
	uint64_t value;

	__asm__ volatile("mov %1, %0" : "=r"(value) : "m"(bytes[1]));
	return value;
}

#define MISALIGNED 0x0807060504030201

static uint64_t with_ac(void)
{
	uint64_t value;

	__asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq" : : "i"(X86_RFLAGS_AC) : "memory", "cc");
	value = misaligned();
	__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq" : : "i"(~X86_RFLAGS_AC) : "memory", "cc");
	return value;
}

static volatile uint64_t in_user, in_kernel;

static void set_cr0(uint64_t set, uint64_t clear)
{
	uint64_t cr0;

	__asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
	cr0 = (cr0 | set) & ~clear;
	__asm__ volatile("mov %0, %%cr0" : : "r"(cr0) : "memory");
}

static void ac_user(uint64_t arg)
{
	in_user = with_ac();
	__asm__ volatile("pushfq\n\torq %0, (%%rsp)\n\tpopfq\n\tint $0x42" : : "i"(X86_RFLAGS_AC) : "memory", "cc");
}

static void look_misaligned(struct pvg_frame *frame, void *arg)
{
	in_kernel = misaligned();
	frame->rflags &= ~X86_RFLAGS_AC;
}

/* CR0.AM and CPL decide, not the host, which checks wherever the flag is set. */
void attack_alignment(void)
{
	struct pvg_caught caught;

	user_init();
	pvg_trap_allow_user(0x42);
	pvg_trap_register(0x42, look_misaligned, NULL);
	pvg_test_equal(with_ac(), MISALIGNED, "a kernel is not checked");
	pvg_test(user_run(ac_user, 0, &caught), "nor is user mode without CR0.AM");
	pvg_test_equal(in_user, MISALIGNED, "which read what was there");
	pvg_test_equal(in_kernel, MISALIGNED, "nor the kernel that it enters with AC");
	set_cr0(X86_CR0_AM, 0);
	pvg_test_equal(with_ac(), MISALIGNED, "a kernel is not checked with CR0.AM either");
	pvg_test(!user_run(ac_user, 0, &caught), "user mode is");
	pvg_test_equal(caught.vector, X86_VEC_AC, "by #AC");
	set_cr0(0, X86_CR0_AM);
}

/* ----------------------------------------------------------------------------------------------------------- IF */

static void done(void *arg)
{
	*(volatile bool *)arg = true;
}

#define WINDOW(code)                                                                                                   \
	do {                                                                                                           \
		volatile bool taken = false;                                                                           \
		uint64_t deadline = pvg_clock_ns() + PVG_NS_PER_MS;                                                    \
		unsigned rounds = 0;                                                                                   \
		pvg_irq_disable();                                                                                     \
		pvg_timer_at(deadline, done, (void *)&taken);                                                          \
		while (pvg_clock_ns() < deadline + 20 * PVG_NS_PER_MS)                                                 \
			;                                                                                              \
		while (!taken && rounds++ < PATIENCE)                                                                  \
			__asm__ volatile(code : : "d"(PORT_NOBODY) : "rax", "memory");                                 \
		pvg_irq_enable();                                                                                      \
		pvg_test_equal(rounds, 1, "what waits comes in at: %s", #code);                                        \
	} while (0)

void attack_window(void)
{
	WINDOW("sti\n\tin %%dx, %%al\n\tcli");
	WINDOW("sti\n\tsti\n\tcli");
	WINDOW("sti\n\tnop\n\tcli");
}

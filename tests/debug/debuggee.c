/*
 * A guest for debuggers: functions to stop in, data to watch, and one each of what a step has to get over: a hypercall,
 * a trapped instruction, a system call.
 */
#include <pvguest/pvguest.h>

struct point {
	uint64_t x, y;
};

volatile uint64_t counter, quiet, answer, released, touched;
volatile struct point place = {3, 4};
volatile char text[] = "written by the guest";
static uint64_t user_stack[512], trap_stack[512];

__attribute__((noinline)) void count(uint64_t by)
{
	counter += by;
}

__attribute__((noinline)) void read_place(void)
{
	answer = place.x + place.y;
}

/* The labels are where the debugger stops, and where one step must lead. */
__attribute__((noinline)) void call_monitor(void)
{
	__asm__ volatile("mov %0, %%eax\n"
			 "at_hypercall:\n\t"
			 "call pvg_hypercall_page\n"
			 "after_hypercall:\n\t"
			 "nop"
			 :
			 : "i"(R3_HC_features)
			 : "rax", "rdi", "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
}

__attribute__((noinline)) void trapped_instruction(void)
{
	__asm__ volatile("at_trapped:\n\t"
			 "mov %%cr3, %%rax\n"
			 "after_trapped:\n\t"
			 "nop"
			 :
			 :
			 : "rax", "memory");
}

/* ------------------------------------------------------------------------------------------------------ user mode */

static void open_table(uint64_t table, unsigned level)
{
	uint64_t *entries = pvg_gpa_to_ptr(table);

	for (unsigned i = 0; i < X86_PT_ENTRIES; i++) {
		if (!(entries[i] & X86_PTE_P))
			continue;
		entries[i] |= X86_PTE_U;
		if (level > 1 && !(entries[i] & X86_PTE_PS))
			open_table(entries[i] & X86_PTE_ADDR, level - 1);
	}
}

static __attribute__((noinline, used)) void user_mode(void)
{
	touched = 1;
	__asm__ volatile("mov $1, %%eax\n"
			 "at_syscall:\n\t"
			 "syscall\n"
			 "after_syscall:\n\t"
			 "mov $2, %%eax\n\t"
			 "syscall\n\t"
			 "ud2"
			 :
			 :
			 : "rax", "rcx", "r11", "memory");
}

static struct pvg_context kernel;

/* The second call ends user mode. */
static void on_syscall(struct pvg_frame *frame, void *arg)
{
	struct pvg_context gone;

	(void)arg;
	if (frame->rax == 2)
		pvg_context_switch(&gone, &kernel);
}

static void enter_user(void *arg)
{
	(void)arg;
	open_table(pvg_read_cr3() & X86_PTE_ADDR, X86_PT_LEVELS);
	pvg_write_cr3(pvg_read_cr3());
	pvg_set_kernel_stack((uint64_t)(trap_stack + 512));
	pvg_syscall_register(on_syscall, NULL);
	__asm__ volatile("push %0\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push %3\n\t"
			 "push %4\n\t"
			 "iretq"
			 :
			 : "i"(PVG_SEL_USER_DATA), "r"(user_stack + 511), "i"(X86_RFLAGS_FIXED | X86_RFLAGS_IF),
			   "i"(PVG_SEL_USER_CODE), "r"(user_mode)
			 : "memory", "cc");
}

volatile uint32_t fpu_environment[7];

/* Zero, one and infinity in the x87's registers, and what the processor's own tag word says of them (SDM 1 8.1.10). */
__attribute__((noinline)) void use_fpu(void)
{
	__asm__ volatile("fninit\n\t"
			 "fldz\n\t"
			 "fld1\n\t"
			 "fld1\n\t"
			 "fldz\n\t"
			 "fdivrp\n\t"
			 "fnstenv %0\n"
			 "at_fpu:\n\t"
			 "nop\n\t"
			 "fninit"
			 : "=m"(fpu_environment));
}

__attribute__((noinline)) void crash(void)
{
	pvg_traps_clear();
	*(volatile uint64_t *)(PVG_SPACE_BASE + 0xdead000) = 1;
}

/* How long the guest believes that it ran: a debugger's user thinks in between. */
__attribute__((noinline)) void tell_time(uint64_t ns)
{
	pvg_printf("time %s\n", ns < 1000000000 ? "stood still" : "went on");
}

int main(const char *cmdline)
{
	static uint8_t user_entry_stack[4096] __attribute__((aligned(16)));
	struct pvg_context user;
	char wanted[2];

	(void)cmdline;
	/* Debuggers come and go meanwhile. */
	while (pvg_option("hold", wanted, sizeof(wanted)) && !released)
		pvg_sleep_ns(1000000);
	uint64_t start = pvg_clock_ns();
	for (uint64_t i = 1; i <= 3; i++)
		count(i);
	quiet = 1;
	read_place();
	call_monitor();
	trapped_instruction();
	if (pvg_option("fpu", wanted, sizeof(wanted)))
		use_fpu();
	pvg_context_make(&user, user_entry_stack + sizeof(user_entry_stack), enter_user, NULL);
	pvg_context_switch(&kernel, &user);
	tell_time(pvg_clock_ns() - start);
	pvg_printf("counter %lu, answer %lu\n", counter, answer);
	if (pvg_option("crash", wanted, sizeof(wanted)))
		crash();
	return 7;
}

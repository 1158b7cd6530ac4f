/*
 * Odd processor states: single step everywhere, selectors of the host's, stacks and addresses that are none.
 */
#include "escape.h"

static volatile uint64_t steps;

static void count_step(struct pvg_frame *frame, void *arg)
{
	steps++;
}

static inline void trap_flag_on(void)
{
	__asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
}

static inline void trap_flag_off(void)
{
	__asm__ volatile("pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
}

/* A trap after every instruction, exits of all kinds among them. */
void attack_step(void)
{
	struct pvg_caught caught;

	pvg_trap_register(X86_VEC_DB, count_step, NULL);
	trap_flag_on();
	for (unsigned i = 0; i < 50; i++) {
		pvg_cli();
		pvg_inb(0x64);
		pvg_sti();
		pvg_write_cr3(pvg_read_cr3());
	}
	trap_flag_off();
	pvg_trap_register(X86_VEC_DB, NULL, NULL);
	pvg_test(steps > 200, "stepped through privileged instructions: %lu", steps);
	pvg_catch((void (*)(void *))(uint64_t)pvg_cli, NULL, &caught);
}

void attack_step_hypercall(void)
{
	int64_t version = 0;

	pvg_trap_register(X86_VEC_DB, count_step, NULL);
	trap_flag_on();
	for (unsigned i = 0; i < 50; i++)
		version = pvg_hypercall0(R3_HC_abi_version);
	trap_flag_off();
	pvg_trap_register(X86_VEC_DB, NULL, NULL);
	pvg_test_equal((uint64_t)version, R3_ABI_VERSION, "stepped through hypercalls");
	pvg_test(steps > 50, "%lu steps seen", steps);
}

/* ----------------------------------------------------------------------------------------------------- selectors */

static void far_return(void *arg)
{
	__asm__ volatile("lea 1f(%%rip), %%rax\n\t"
			 "push %0\n\t"
			 "push %%rax\n\t"
			 "lretq\n"
			 "1:\tnop\n\tud2"
			 :
			 : "r"(arg)
			 : "rax", "memory");
}

static void iret_to(void *arg)
{
	__asm__ volatile("mov %%rsp, %%rcx\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push $0x2b\n\t"
			 "push %%rcx\n\t"
			 "pushfq\n\t"
			 "push %0\n\t"
			 "push %%rax\n\t"
			 "iretq\n"
			 "1:\tnop\n\tud2"
			 :
			 : "r"(arg)
			 : "rax", "rcx", "memory");
}

static void load_data(void *arg)
{
	__asm__ volatile("mov %0, %%ds\n\tmov %0, %%es\n\tmov %0, %%fs\n\tmov %0, %%gs" : : "r"(arg) : "memory");
}

void attack_far_cs(void)
{
	struct pvg_caught caught;

	for (uint64_t selector = 0; selector < 0x100; selector++)
		pvg_catch(far_return, (void *)selector, &caught);
	for (uint64_t selector = 0; selector < 0x100; selector++)
		pvg_catch(load_data, (void *)selector, &caught);
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "runs on");
}

void attack_iret_cs(void)
{
	struct pvg_caught caught;

	for (uint64_t selector = 0; selector < 0x100; selector++)
		if ((selector & X86_SEL_RPL) != 3) /* user mode has a case of its own */
			pvg_catch(iret_to, (void *)selector, &caught);
	pvg_test_equal((uint64_t)pvg_hypercall0(R3_HC_abi_version), R3_ABI_VERSION, "runs on");
}

/* ----------------------------------------------------------------------------------------------------- addresses */

static void jump_to(void *arg)
{
	__asm__ volatile("jmp *%0" : : "r"(arg) : "memory");
}

void attack_rip(void)
{
	static const uint64_t places[] = {0x7fffffffffff,     0x7ffffffff000,	  0x800000000000,
					  0x8000000000000000, 0xffff800000000000, 0xffffffff81000000,
					  0xffffffffff600400, 0xffffffffffffffff};
	struct pvg_caught caught;

	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		pvg_test(pvg_catch(jump_to, (void *)places[i], &caught), "a jump to 0x%lx is a fault", places[i]);
}

/* `at=RSP`: an exit there, then a fault, for which the guest has no stack. */
static _Noreturn void stack_at(uint64_t rsp)
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "cli\n\t"
			 "sti\n\t"
			 "ud2"
			 :
			 : "r"(rsp)
			 : "memory");
	__builtin_unreachable();
}

void attack_rsp(void)
{
	char text[24];

	pvg_option("at", text, sizeof(text));
	stack_at(pvg_strtoul(text));
}

/* All of the gate as a stack: exits with RSP in each page, then frames pushed there. */
void attack_rsp_gate(void)
{
	char text[24];

	pvg_option("at", text, sizeof(text));
	stack_at(GATE_TEXT + pvg_strtoul(text));
}

/* A page-fault handler that faults, ever deeper. */
static void fault_again(struct pvg_frame *frame, void *arg)
{
	(void)*(volatile uint8_t *)R3_BIT(39);
}

void attack_recursion(void)
{
	pvg_trap_register(X86_VEC_PF, fault_again, NULL);
	(void)*(volatile uint8_t *)R3_BIT(39);
	pvg_test(false, "came back");
}

/* Canonical, but no host process may have them: bases in the upper half. */
void attack_bases_high(void)
{
	static const uint64_t bases[] = {0xffff800000000000, 0xffffffffffffffff, 0x7fffffffffff, GATE_XCHG};

	for (unsigned i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		pvg_wrmsr(X86_MSR_FS_BASE, bases[i]);
		pvg_wrmsr(X86_MSR_GS_BASE, bases[i]);
		pvg_cli();
		pvg_sti();
		pvg_hypercall2(R3_HC_set_segment_base, R3_SEGBASE_FS, bases[i]);
		pvg_cli();
		pvg_test_equal(pvg_rdmsr(X86_MSR_FS_BASE), bases[i], "the base is kept");
	}
}

/* Code that writes the code it is about to run. */
void attack_smc(void)
{
	static uint8_t code[] __attribute__((section(".data"), aligned(4096))) = {0xb8, 0, 0, 0, 0, 0xfa, 0xc3};
	unsigned wrong = 0;

	for (uint32_t i = 0; i < 5000; i++) {
		*(volatile uint32_t *)(code + 1) = i;
		code[5] = i % 2 ? 0xfa : 0x90;
		__asm__ volatile("" : : : "memory");
		wrong += ((uint32_t(*)(void))(uint64_t)code)() != i;
	}
	pvg_test_equal(wrong, 0, "the latest code ran");
	pvg_sti();
}

/*
 * A guest that dies in the way that `crash=NAME` on its command line says. What the crash report must tell of it is in
 * CMakeLists.txt.
 */
#include <pvguest/pvguest.h>

#define ABSENT	    (PVG_SPACE_BASE + 0xdead000)
#define SMALL_STACK (PVG_SPACE_BASE + 0x200000)

static uint64_t idt[2 * X86_VEC_COUNT];

static __attribute__((noinline)) void touch(uint64_t gva)
{
	*(volatile uint64_t *)gva = 1;
	__asm__ volatile("" ::: "memory");
}

/* --------------------------------------------------------------------------------------------- no way to a handler */

static void load_idt(uint16_t limit)
{
	const struct pvg_table_register idtr = {.limit = limit, .base = (uint64_t)idt};

	pvg_lidt(&idtr);
	touch(ABSENT);
}

static void crash_no_idt(void)
{
	load_idt(0);
}

static void crash_short_idt(void)
{
	load_idt(8 * X86_GATE_SIZE - 1);
}

static void crash_empty_gate(void)
{
	load_idt(sizeof(idt) - 1);
}

static void crash_no_handler(void)
{
	pvg_traps_clear();
	touch(ABSENT);
}

/* Of one page, with nothing below it. */
static void on_small_stack(uint64_t (*function)(uint64_t arg))
{
	pvg_map(pvg_space_current(), SMALL_STACK, pvg_ptr_to_gpa(pvg_page_alloc()), 1, X86_PTE_W);
	__asm__ volatile("mov %0, %%rsp\n\tcall *%1"
			 :
			 : "r"(SMALL_STACK + X86_PAGE_SIZE), "r"(function), "D"(0)
			 : "memory");
}

static uint64_t load_whole_idt(uint64_t arg)
{
	load_idt(sizeof(idt) - 1);
	return arg;
}

static void crash_lost_handler(void)
{
	uint64_t handler = ABSENT + 0x123;

	idt[2 * X86_VEC_PF] = (handler & 0xffff) | PVG_SEL_KERNEL_CODE << 16 | X86_DESC_P |
			      (uint64_t)X86_GATE_INTERRUPT << X86_DESC_TYPE_SHIFT | (handler >> 16 & 0xffff) << 48;
	idt[2 * X86_VEC_PF + 1] = handler >> 32;
	on_small_stack(load_whole_idt);
}

static __attribute__((noinline)) uint64_t recurse(uint64_t depth)
{
	volatile uint64_t room[64];

	room[depth % 64] = depth;
	return recurse(depth + 1) + room[depth % 64];
}

/* The library would report a double fault by itself. */
static void without_double_fault_stack(void)
{
	if (pvg_is_paravirt())
		pvg_hypercall2(R3_HC_set_callback, R3_CALLBACK_DOUBLE_FAULT, 0);
}

static void crash_overflow(void)
{
	without_double_fault_stack();
	on_small_stack(recurse);
}

/* ------------------------------------------------------------------------------------------ a handler that dies */

static __attribute__((noinline)) void die(void)
{
	pvg_traps_clear();
	touch(ABSENT + 0x1000);
	__asm__ volatile("" ::: "memory");
}

static void on_fault(struct pvg_frame *frame, void *arg)
{
	(void)frame, (void)arg;
	die();
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void inner(void)
{
	touch(ABSENT + 8);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline)) void outer(void)
{
	inner();
	__asm__ volatile("" ::: "memory");
}

static void crash_nested(void)
{
	pvg_trap_register(X86_VEC_PF, on_fault, NULL);
	outer();
}

/* ------------------------------------------------------------------------------------------------------ user mode */

static uint64_t user_stack[512], trap_stack[512];

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

static __attribute__((noinline)) void user_inner(void)
{
	touch(ABSENT);
	__asm__ volatile("" ::: "memory");
}

static __attribute__((noinline, used)) void user_outer(void)
{
	user_inner();
	__asm__ volatile("" ::: "memory");
}

static void enter_user(void)
{
	open_table(pvg_read_cr3() & X86_PTE_ADDR, X86_PT_LEVELS);
	pvg_write_cr3(pvg_read_cr3());
	__asm__ volatile("push %0\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push %3\n\t"
			 "push %4\n\t"
			 "iretq"
			 :
			 : "i"(PVG_SEL_USER_DATA), "r"(user_stack + 511), "i"(X86_RFLAGS_FIXED | X86_RFLAGS_IF),
			   "i"(PVG_SEL_USER_CODE), "r"(user_outer)
			 : "memory", "cc");
}

static void crash_user(void)
{
	pvg_set_kernel_stack((uint64_t)(trap_stack + 512));
	pvg_trap_register(X86_VEC_PF, on_fault, NULL);
	enter_user();
}

static void crash_rsp0(void)
{
	without_double_fault_stack();
	pvg_set_kernel_stack(ABSENT);
	enter_user();
}

/* ---------------------------------------------------------------------------------------------------- other ends */

static void crash_halt(void)
{
	pvg_cli();
	__asm__ volatile("hlt");
}

static void crash_hole(void)
{
	__asm__ volatile("jmp *%0" : : "r"(R3_U64(0x3f8000002123)) : "memory");
}

static void crash_no_stack(void)
{
	__asm__ volatile("mov $8, %%esp\n\tmov %0, %%eax\n\tjmp pvg_hypercall_page" : : "i"(R3_HC_features) : "memory");
}

static void crash_exit_port(void)
{
	pvg_outb(X86_PORT_EXIT, 200);
}

static __attribute__((noinline)) void give_up(void)
{
	pvg_panic("no way out of room %d", 7);
}

static void crash_panic(void)
{
	give_up();
	__asm__ volatile("" ::: "memory");
}

static void crash_unhandled(void)
{
	outer();
}

/* No page is mapped any more, and so nothing that a report would read by the guest's tables. */
static void crash_cr3(void)
{
	static uint64_t nothing[X86_PT_ENTRIES] __attribute__((aligned(X86_PAGE_SIZE)));

	pvg_write_cr3(pvg_ptr_to_gpa(nothing));
}

static __attribute__((noinline)) void spin(void)
{
	pvg_puts("spinning\n");
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void crash_spin(void)
{
	spin();
	__asm__ volatile("" ::: "memory");
}

static void crash_wait(void)
{
	pvg_puts("spinning\n");
	for (;;)
		pvg_halt();
}

int main(const char *cmdline)
{
	static const struct {
		const char *name;
		void (*die)(void);
	} ways[] = {
		{"no_idt", crash_no_idt},
		{"short_idt", crash_short_idt},
		{"empty_gate", crash_empty_gate},
		{"no_handler", crash_no_handler},
		{"lost_handler", crash_lost_handler},
		{"overflow", crash_overflow},
		{"nested", crash_nested},
		{"user", crash_user},
		{"rsp0", crash_rsp0},
		{"halt", crash_halt},
		{"hole", crash_hole},
		{"no_stack", crash_no_stack},
		{"exit_port", crash_exit_port},
		{"panic", crash_panic},
		{"unhandled", crash_unhandled},
		{"cr3", crash_cr3},
		{"spin", crash_spin},
		{"wait", crash_wait},
	};
	char name[16];

	(void)cmdline;
	pvg_option("crash", name, sizeof(name));
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!pvg_strcmp(name, ways[i].name))
			ways[i].die();
	}
	pvg_printf("still alive, or crash=%s is none\n", name);
	return 1;
}

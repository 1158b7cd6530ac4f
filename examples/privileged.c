/*
 * privileged: every privileged or otherwise sensitive instruction that ring3 answers, one after the other, and what
 * came of it. It teaches trap-and-emulate: each line is an instruction that the processor refused to execute in ring 3,
 * because a kernel means something by it, and that the monitor performed on the virtual processor instead, checks and
 * faults included. Each attempt runs in pvg_catch, so that a fault is an answer too.
 */
#include <pvguest/pvguest.h>

#define VECTOR_SOFT   0x41
#define VECTOR_USER   0x40
#define SEL_BEYOND    0x50 /* past the end of the GDT */
#define SEL_TSS	      PVG_SEL_TSS
#define SEL_LDT	      PVG_SEL_FREE
#define MSR_UNKNOWN   0x12345
#define NON_CANONICAL R3_U64(0x8000000000000000)
#define PORT_NOBODY   0x1234
#define WINDOW	      PVG_SPACE_BASE
#define USER_CODE     (PVG_SPACE_BASE + 0x100000)
#define USER_STACK    (USER_CODE + X86_PAGE_SIZE)

static char answer[96];

#define say(...) pvg_snprintf(answer, sizeof(answer), __VA_ARGS__)

/* Interrupt flag as a trap frame shows it: PUSHF would show the host's. */
static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

static unsigned interrupt_flag(void)
{
	struct pvg_caught caught;

	pvg_catch(breakpoint, NULL, &caught);
	return !!(caught.rflags & X86_RFLAGS_IF);
}

/* ------------------------------------------------------------------------------------------------- interrupts */

static void try_cli(void)
{
	unsigned before = interrupt_flag();

	pvg_cli();
	say("IF %u -> %u", before, interrupt_flag());
}

static void try_sti(void)
{
	unsigned before = interrupt_flag();

	pvg_sti();
	say("IF %u -> %u", before, interrupt_flag());
}

static void woken(void *arg)
{
	*(volatile bool *)arg = true;
}

static void try_hlt(void)
{
	volatile bool done = false;

	pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, woken, (void *)&done);
	pvg_cli();
	while (!done) {
		pvg_sti_hlt();
		pvg_cli();
	}
	pvg_sti();
	say("woken by the timer");
}

/* ------------------------------------------------------------------------------------------ control registers */

static void try_cr0(void)
{
	uint64_t cr0 = pvg_read_cr0();

	pvg_write_cr0(cr0 ^ X86_CR0_AM);
	say("PE %d PG %d, AM %s", !!(cr0 & X86_CR0_PE), !!(cr0 & X86_CR0_PG),
	    (pvg_read_cr0() ^ cr0) == X86_CR0_AM ? "toggles" : "does not toggle");
	pvg_write_cr0(cr0);
}

static void try_cr0_bad(void)
{
	pvg_write_cr0(pvg_read_cr0() & ~X86_CR0_PE);
}

static void try_cr2(void)
{
	pvg_write_cr2(0x1234);
	say("reads back 0x%lx", pvg_read_cr2());
}

static void try_cr3(void)
{
	uint64_t cr3 = pvg_read_cr3();

	pvg_write_cr3(cr3);
	say("reads back %s", pvg_read_cr3() == cr3 ? "the root" : "something else");
}

static void try_cr4(void)
{
	uint64_t cr4 = pvg_read_cr4();

	pvg_write_cr4(cr4 | X86_CR4_PGE);
	say("PAE %d, PGE %d", !!(cr4 & X86_CR4_PAE), !!(pvg_read_cr4() & X86_CR4_PGE));
	pvg_write_cr4(cr4);
}

static void try_cr4_bad(void)
{
	pvg_write_cr4(pvg_read_cr4() | R3_BIT(40));
}

static void try_cr8(void)
{
	pvg_write_cr8(5);
	say("reads back %lu", pvg_read_cr8());
	pvg_write_cr8(0);
}

static void try_clts(void)
{
	unsigned before;

	pvg_write_cr0(pvg_read_cr0() | X86_CR0_TS);
	before = !!(pvg_read_cr0() & X86_CR0_TS);
	__asm__ volatile("clts" : : : "memory");
	say("TS %u -> %u", before, !!(pvg_read_cr0() & X86_CR0_TS));
}

static void try_lmsw(void)
{
	uint64_t cr0 = pvg_read_cr0();
	uint16_t word = (uint16_t)((cr0 & 0xf) | X86_CR0_TS);

	__asm__ volatile("lmsw %0" : : "r"(word) : "memory");
	say("TS %u -> %u", !!(cr0 & X86_CR0_TS), !!(pvg_read_cr0() & X86_CR0_TS));
	pvg_write_cr0(cr0);
}

static void xsetbv(uint32_t reg, uint32_t value)
{
	__asm__ volatile("xsetbv" : : "c"(reg), "a"(value), "d"(0) : "memory");
}

static void try_xsetbv_off(void)
{
	pvg_write_cr4(pvg_read_cr4() & ~X86_CR4_OSXSAVE);
	xsetbv(0, X86_XCR0_X87 | X86_XCR0_SSE);
}

static void try_xsetbv(void)
{
	pvg_write_cr4(pvg_read_cr4() | X86_CR4_OSXSAVE);
	xsetbv(0, X86_XCR0_X87 | X86_XCR0_SSE);
	say("accepted");
}

static void try_xsetbv_bad(void)
{
	xsetbv(0, X86_XCR0_SSE); /* x87 state cannot be switched off */
}

/* -------------------------------------------------------------------------------------------- debug registers */

static void try_debug_addresses(void)
{
	pvg_write_dr0(0x1000);
	pvg_write_dr1(0x2000);
	pvg_write_dr2(0x3000);
	pvg_write_dr3(0x4000);
	say("read back %lx %lx %lx %lx", pvg_read_dr0(), pvg_read_dr1(), pvg_read_dr2(), pvg_read_dr3());
}

static void try_dr6(void)
{
	pvg_write_dr6(X86_DR6_BS);
	say("reads back %s", pvg_read_dr6() == (X86_DR6_FIXED | X86_DR6_BS) ? "with its fixed bits" : "otherwise");
	pvg_write_dr6(0);
}

static void try_dr7(void)
{
	pvg_write_dr7(0);
	say("reads back 0x%lx", pvg_read_dr7());
}

static void try_dr7_bad(void)
{
	pvg_write_dr7(R3_BIT(32));
}

/* ------------------------------------------------------------------------------------------ descriptor tables */

static uint64_t gdt[9];
static uint8_t tss[X86_TSS_SIZE] __attribute__((aligned(16)));
static uint64_t ldt[2];
static uint8_t trap_stack[16384] __attribute__((aligned(16)));
static uint64_t idt[X86_VEC_COUNT][2];
static volatile unsigned soft_interrupts __attribute__((used));

static void system_descriptor(unsigned selector, const void *base, uint64_t limit, uint64_t type)
{
	uint64_t b = (uint64_t)base;

	gdt[selector / 8] =
		limit | (b & 0xffffff) << 16 | (b >> 24 & 0xff) << 56 | type << X86_DESC_TYPE_SHIFT | X86_DESC_P;
	gdt[selector / 8 + 1] = b >> 32;
}

static void try_lgdt(void)
{
	struct pvg_table_register gdtr = {sizeof(gdt) - 1, (uint64_t)gdt};
	uint64_t stack = (uint64_t)trap_stack + sizeof(trap_stack);

	memcpy(gdt, pvg_gdt, SEL_TSS);
	memcpy(tss + X86_TSS_RSP0, &stack, sizeof(stack));
	memcpy(tss + X86_TSS_IST1, &stack, sizeof(stack));
	tss[X86_TSS_IOMAP] = X86_TSS_SIZE;
	system_descriptor(SEL_TSS, tss, sizeof(tss) - 1, X86_SYSTYPE_TSS_AVAIL);
	system_descriptor(SEL_LDT, ldt, sizeof(ldt) - 1, X86_SYSTYPE_LDT);
	pvg_lgdt(&gdtr);
	say("accepted");
}

static void try_lgdt_bad(void)
{
	struct pvg_table_register gdtr = {sizeof(gdt) - 1, NON_CANONICAL};

	pvg_lgdt(&gdtr);
}

static void try_ltr(void)
{
	pvg_ltr(SEL_TSS);
	say("descriptor %s",
	    (gdt[SEL_TSS / 8] >> X86_DESC_TYPE_SHIFT & 0xf) == X86_SYSTYPE_TSS_BUSY ? "now busy" : "not busy");
}

static void try_ltr_busy(void)
{
	pvg_ltr(SEL_TSS);
}

static void try_lldt(void)
{
	pvg_lldt(SEL_LDT);
	pvg_lldt(0);
	say("accepted");
}

static void try_lldt_bad(void)
{
	pvg_lldt(SEL_BEYOND);
}

/* Taken through the local IDT only. */
__asm__(".text\n"
	"soft_gate:\n\t"
	"incl soft_interrupts(%rip)\n\t"
	"iretq\n");
extern const char soft_gate[];

static void soft_interrupt(void *arg)
{
	(void)arg;
	__asm__ volatile("int %0" : : "i"(VECTOR_SOFT) : "memory");
}

static void try_lidt(void)
{
	struct pvg_table_register idtr = {sizeof(idt) - 1, (uint64_t)idt};
	uint64_t entry = (uint64_t)soft_gate;
	struct pvg_caught caught;
	bool was_caught;

	idt[VECTOR_SOFT][0] = (entry & 0xffff) | PVG_SEL_KERNEL_CODE << 16 |
			      (uint64_t)X86_GATE_INTERRUPT << X86_DESC_TYPE_SHIFT | X86_DESC_P |
			      (entry >> 16 & 0xffff) << 48;
	idt[VECTOR_SOFT][1] = entry >> 32;
	pvg_cli();
	pvg_lidt(&idtr);
	was_caught = pvg_catch(soft_interrupt, NULL, &caught);
	pvg_trap_allow_user(VECTOR_USER); /* installs the library's own table again */
	pvg_sti();
	say("%s", was_caught ? "accepted; the trap table stands in for it" : "INT took the new table's gate");
}

static void try_lidt_bad(void)
{
	struct pvg_table_register idtr = {sizeof(idt) - 1, NON_CANONICAL};

	pvg_lidt(&idtr);
}

/* -------------------------------------------------------------------------------------------- segment registers */

static void try_mov_ds(void)
{
	__asm__ volatile("mov %0, %%ds" : : "r"(PVG_SEL_KERNEL_DATA) : "memory");
	say("accepted");
}

static void try_mov_es_bad(void)
{
	__asm__ volatile("mov %0, %%es" : : "r"(SEL_BEYOND) : "memory");
}

static void try_mov_ss_bad(void)
{
	__asm__ volatile("mov %0, %%ss" : : "r"(PVG_SEL_USER_DATA) : "memory");
}

static void try_pop_fs(void)
{
	pvg_wrmsr(X86_MSR_FS_BASE, 0x1000);
	__asm__ volatile("push %0; pop %%fs" : : "i"(PVG_SEL_KERNEL_DATA) : "memory");
	say("base 0x1000 -> 0x%lx", pvg_rdmsr(X86_MSR_FS_BASE));
}

/* --------------------------------------------------------------------------------------------- caches, paging */

static void try_invlpg(void)
{
	volatile uint64_t *word = (volatile uint64_t *)WINDOW;
	uint64_t *page[2] = {pvg_page_alloc(), pvg_page_alloc()}, *entry, before;
	unsigned level;

	page[0][0] = 1;
	page[1][0] = 2;
	pvg_assert(!pvg_map(pvg_space_current(), WINDOW, pvg_ptr_to_gpa(page[0]), 1, X86_PTE_W));
	entry = pvg_lookup(pvg_space_current(), WINDOW, &level);
	before = *word;
	*(volatile uint64_t *)entry = pvg_ptr_to_gpa(page[1]) | X86_PTE_P | X86_PTE_W;
	pvg_invlpg(WINDOW);
	say("page %lu -> page %lu", before, *word);
}

static void try_invd(void)
{
	__asm__ volatile("invd" : : : "memory");
	say("done");
}

static void try_wbinvd(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
	say("done");
}

/* --------------------------------------------------------------------------------------------------- port I/O */

static void try_out(void)
{
	pvg_outb(X86_PORT_POST, 0x42);
	pvg_outw(X86_PORT_POST, 0x42);
	pvg_outl(X86_PORT_POST, 0x42);
	say("done");
}

static void try_in(void)
{
	say("debug console 0x%x, nobody 0x%x 0x%x 0x%x", pvg_inb(X86_PORT_DEBUGCON), pvg_inb(PORT_NOBODY),
	    pvg_inw(PORT_NOBODY), pvg_inl(PORT_NOBODY));
}

static void try_rep_ins(void)
{
	uint8_t bytes[4] = {0};

	pvg_insb(X86_PORT_DEBUGCON, bytes, sizeof(bytes));
	say("%x %x %x %x", bytes[0], bytes[1], bytes[2], bytes[3]);
}

static void try_rep_outs(void)
{
	static const char text[] = "(this line came by REP OUTSB)\n";

	pvg_console_flush();
	pvg_outsb(X86_PORT_DEBUGCON, text, sizeof(text) - 1);
	say("done");
}

/* --------------------------------------------------------------------------------- model-specific registers */

static void msr_round_trip(uint32_t msr, uint64_t value)
{
	uint64_t old = pvg_rdmsr(msr), now;

	pvg_wrmsr(msr, value);
	now = pvg_rdmsr(msr);
	pvg_wrmsr(msr, old);
	if (now == value)
		say("reads back 0x%lx", now);
	else
		say("reads back 0x%lx, not 0x%lx", now, value);
}

static void try_efer(void)
{
	uint64_t efer = pvg_rdmsr(X86_MSR_EFER);

	pvg_wrmsr(X86_MSR_EFER, efer | X86_EFER_NXE | X86_EFER_SCE);
	efer = pvg_rdmsr(X86_MSR_EFER);
	say("LMA %d, NXE %d, SCE %d", !!(efer & X86_EFER_LMA), !!(efer & X86_EFER_NXE), !!(efer & X86_EFER_SCE));
}

static void try_star(void)
{
	msr_round_trip(X86_MSR_STAR, PVG_STAR);
}

static void try_lstar(void)
{
	msr_round_trip(X86_MSR_LSTAR, 0x201000);
}

static void try_sfmask(void)
{
	msr_round_trip(X86_MSR_SFMASK, X86_RFLAGS_IF);
}

static void try_fs_base(void)
{
	msr_round_trip(X86_MSR_FS_BASE, 0x300000);
}

static void try_gs_base(void)
{
	msr_round_trip(X86_MSR_GS_BASE, 0x310000);
}

static void try_kernel_gs_base(void)
{
	msr_round_trip(X86_MSR_KERNEL_GS_BASE, 0x320000);
}

static void try_pat(void)
{
	msr_round_trip(X86_MSR_PAT, R3_U64(0x0606060606060606));
}

static void try_tsc(void)
{
	uint64_t first = pvg_rdmsr(X86_MSR_TSC);

	say("%s", pvg_rdmsr(X86_MSR_TSC) > first ? "goes up" : "stands still");
}

static void try_lstar_bad(void)
{
	pvg_wrmsr(X86_MSR_LSTAR, NON_CANONICAL);
}

static void try_rdmsr_bad(void)
{
	pvg_rdmsr(MSR_UNKNOWN);
}

static void try_wrmsr_bad(void)
{
	pvg_wrmsr(MSR_UNKNOWN, 0);
}

static void try_swapgs(void)
{
	pvg_wrmsr(X86_MSR_GS_BASE, 0x1000);
	pvg_wrmsr(X86_MSR_KERNEL_GS_BASE, 0x2000);
	__asm__ volatile("swapgs" : : : "memory");
	say("GS 0x%lx, the other 0x%lx", pvg_rdmsr(X86_MSR_GS_BASE), pvg_rdmsr(X86_MSR_KERNEL_GS_BASE));
}

/* --------------------------------------------------------------------------- software interrupts and returning */

static void try_int(void)
{
	soft_interrupt(NULL);
}

static void try_int3(void)
{
	breakpoint(NULL);
}

static void try_icebp(void)
{
	__asm__ volatile(".byte 0xf1");
}

static void try_iretq(void)
{
	uint64_t rflags_if = interrupt_flag() ? X86_RFLAGS_IF : 0;

	__asm__ volatile("mov %%rsp, %%rax\n\t"
			 "push %0\n\t"
			 "push %%rax\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "iretq\n"
			 "1:"
			 :
			 : "i"(PVG_SEL_KERNEL_DATA), "r"(rflags_if | X86_RFLAGS_FIXED), "i"(PVG_SEL_KERNEL_CODE)
			 : "rax", "memory", "cc");
	say("arrived, IF %u", interrupt_flag());
}

static void try_iretq_bad(void)
{
	__asm__ volatile("push %0\n\t"
			 "push %%rsp\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push $0\n\t"
			 "iretq"
			 :
			 : "i"(PVG_SEL_KERNEL_DATA), "i"(X86_RFLAGS_FIXED), "i"(SEL_BEYOND)
			 : "memory", "cc");
}

/* ---------------------------------------------------------------------------------------------------- user mode */

/* Copied to a user page: what each entry does to come back. */
__asm__(".text\n"
	".balign 16\n"
	"user_code:\n\t"
	"int $0x40\n\t"
	".balign 16\n\t"
	"syscall\n\t"
	".balign 16\n\t"
	"cli\n\t"
	".balign 16\n"
	"user_code_end:\n"
	/* Where SYSCALL arrives: on the user's stack; the #UD brings it back to pvg_catch. */
	"syscall_entry:\n\t"
	"ud2\n");
extern const char user_code[], user_code_end[], syscall_entry[];

enum user_entry { USER_INT = 0, USER_SYSCALL = 16, USER_CLI = 32 };

static void make_user_pages(void)
{
	char *code = pvg_page_alloc(), *stack = pvg_page_alloc();

	memcpy(code, user_code, (size_t)(user_code_end - user_code));
	pvg_assert(!pvg_map(pvg_space_current(), USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
	pvg_assert(!pvg_map(pvg_space_current(), USER_STACK, pvg_ptr_to_gpa(stack), 1, X86_PTE_U | X86_PTE_W));
	pvg_set_kernel_stack((uint64_t)trap_stack + sizeof(trap_stack));
	pvg_ops->set_syscall_entry((uint64_t)syscall_entry);
}

static void enter_by_iretq(void *entry)
{
	__asm__ volatile("push %0\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "push %3\n\t"
			 "push %4\n\t"
			 "iretq"
			 :
			 : "i"(PVG_SEL_USER_DATA), "r"(USER_STACK + X86_PAGE_SIZE), "i"(X86_RFLAGS_FIXED),
			   "i"(PVG_SEL_USER_CODE), "r"(USER_CODE + (uint64_t)entry)
			 : "memory", "cc");
}

static void enter_by_sysret(void *entry)
{
	register uint64_t flags __asm__("r11") = X86_RFLAGS_FIXED;

	__asm__ volatile("mov %0, %%rsp\n\t"
			 "sysretq"
			 :
			 : "r"(USER_STACK + X86_PAGE_SIZE), "c"(USER_CODE + (uint64_t)entry), "r"(flags)
			 : "memory", "cc");
}

static void visit_user(void (*enter)(void *entry), enum user_entry entry)
{
	struct pvg_caught caught;

	pvg_catch(enter, (void *)(uint64_t)entry, &caught);
	if (caught.rip == (uint64_t)syscall_entry)
		say("there, and back by SYSCALL");
	else if (caught.rip - USER_CODE >= X86_PAGE_SIZE)
		say("%s(0x%lx), never there", pvg_vector_name(caught.vector), caught.error);
	else if (pvg_vector_has_error(caught.vector))
		say("%s(0x%lx) at CPL %lu", pvg_vector_name(caught.vector), caught.error, caught.cs & X86_SEL_RPL);
	else
		say("there, and back by vector 0x%x from CPL %lu", caught.vector, caught.cs & X86_SEL_RPL);
}

static void try_user_iretq(void)
{
	make_user_pages();
	visit_user(enter_by_iretq, USER_INT);
}

static void try_user_cli(void)
{
	visit_user(enter_by_iretq, USER_CLI);
}

static void try_user_sysret(void)
{
	pvg_wrmsr(X86_MSR_STAR, PVG_STAR);
	visit_user(enter_by_sysret, USER_SYSCALL);
}

/* ----------------------------------------------------------------------------------------------------- the list */

static const struct {
	const char *name;
	void (*attempt)(void);
} attempts[] = {
	{"cli", try_cli},
	{"sti", try_sti},
	{"sti; hlt", try_hlt},
	{"mov cr0", try_cr0},
	{"mov cr0, PE clear", try_cr0_bad},
	{"mov cr2", try_cr2},
	{"mov cr3", try_cr3},
	{"mov cr4", try_cr4},
	{"mov cr4, reserved bit", try_cr4_bad},
	{"mov cr8", try_cr8},
	{"clts", try_clts},
	{"lmsw", try_lmsw},
	{"xsetbv, OSXSAVE clear", try_xsetbv_off},
	{"xsetbv", try_xsetbv},
	{"xsetbv, x87 off", try_xsetbv_bad},
	{"mov dr0 to dr3", try_debug_addresses},
	{"mov dr6", try_dr6},
	{"mov dr7", try_dr7},
	{"mov dr7, high half", try_dr7_bad},
	{"lgdt", try_lgdt},
	{"lgdt, non-canonical", try_lgdt_bad},
	{"ltr", try_ltr},
	{"ltr, busy", try_ltr_busy},
	{"lldt", try_lldt},
	{"lldt, beyond the GDT", try_lldt_bad},
	{"lidt", try_lidt},
	{"lidt, non-canonical", try_lidt_bad},
	{"mov ds", try_mov_ds},
	{"mov es, beyond the GDT", try_mov_es_bad},
	{"mov ss, user segment", try_mov_ss_bad},
	{"pop fs", try_pop_fs},
	{"invlpg", try_invlpg},
	{"invd", try_invd},
	{"wbinvd", try_wbinvd},
	{"out", try_out},
	{"in", try_in},
	{"rep insb", try_rep_ins},
	{"rep outsb", try_rep_outs},
	{"rdmsr, wrmsr EFER", try_efer},
	{"rdmsr, wrmsr STAR", try_star},
	{"rdmsr, wrmsr LSTAR", try_lstar},
	{"rdmsr, wrmsr SFMASK", try_sfmask},
	{"rdmsr, wrmsr FS base", try_fs_base},
	{"rdmsr, wrmsr GS base", try_gs_base},
	{"rdmsr, wrmsr kernel GS", try_kernel_gs_base},
	{"rdmsr, wrmsr PAT", try_pat},
	{"rdmsr TSC", try_tsc},
	{"wrmsr, non-canonical", try_lstar_bad},
	{"rdmsr, unknown", try_rdmsr_bad},
	{"wrmsr, unknown", try_wrmsr_bad},
	{"swapgs", try_swapgs},
	{"int 0x41", try_int},
	{"int3", try_int3},
	{"icebp", try_icebp},
	{"iretq", try_iretq},
	{"iretq, beyond the GDT", try_iretq_bad},
	{"iretq to user mode", try_user_iretq},
	{"cli in user mode", try_user_cli},
	{"sysret to user mode", try_user_sysret},
};

static void run_attempt(void *attempt)
{
	((void (*)(void))attempt)();
}

int main(const char *cmdline)
{
	(void)cmdline;
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		struct pvg_caught caught;

		say("nothing happened");
		if (pvg_catch(run_attempt, (void *)attempts[i].attempt, &caught)) {
			if (pvg_vector_has_error(caught.vector))
				say("%s(0x%lx)", pvg_vector_name(caught.vector), caught.error);
			else if (caught.vector < 32)
				say("%s", pvg_vector_name(caught.vector));
			else
				say("vector 0x%x", caught.vector);
		}
		pvg_printf("%-24s %s\n", attempts[i].name, answer);
	}
	return 0;
}

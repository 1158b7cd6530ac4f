/*
 * pv=off: the operations by privileged instructions and PC devices, as on hardware.
 *
 * The interrupt flag is kept in memory besides: under direct execution PUSHF shows IF set whatever it is. The frame of
 * a trap is the processor's own and tells the truth.
 */
#include "pvguest/internal.h"
#include "pvguest/pc.h"

static volatile bool interrupts_on;

static void init(void)
{
	pvg_cli();
	pvg_tables_init();
	pvg_pic_init();
}

static void irq_enable(void)
{
	interrupts_on = true; /* before STI: from then on handlers may run */
	pvg_sti();
}

static void irq_disable(void)
{
	pvg_cli();
	interrupts_on = false;
}

static bool irq_enabled(void)
{
	return interrupts_on;
}

static void halt(void)
{
	interrupts_on = true;
	pvg_sti_hlt();
}

static void trap_enter(void)
{
	interrupts_on = false; /* every gate is an interrupt gate */
}

static void trap_leave(const struct pvg_frame *frame)
{
	if (interrupts_on)
		pvg_cli();
	interrupts_on = frame->rflags & X86_RFLAGS_IF;
}

static void clear_traps(void)
{
	static const struct pvg_table_register none;

	pvg_lidt(&none);
}

static void set_syscall_entry(uint64_t entry)
{
	pvg_wrmsr(X86_MSR_STAR, PVG_STAR);
	pvg_wrmsr(X86_MSR_LSTAR, entry);
	pvg_wrmsr(X86_MSR_SFMASK, X86_RFLAGS_IF | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_NT | X86_RFLAGS_AC);
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_SCE);
}

static void set_base(unsigned which, uint64_t base)
{
	static const uint32_t msr[] = {
		[R3_SEGBASE_FS] = X86_MSR_FS_BASE,
		[R3_SEGBASE_GS] = X86_MSR_GS_BASE,
		[R3_SEGBASE_KERNEL_GS] = X86_MSR_KERNEL_GS_BASE,
	};

	pvg_wrmsr(msr[which], base);
}

static void set_kernel_stack(uint64_t rsp0)
{
	pvg_syscall_stack = rsp0;
	pvg_tables_set_rsp0(rsp0);
}

static void user_switch(struct pvg_user *from, struct pvg_user *to)
{
	struct pvg_space *space = to ? to->space : pvg_space_boot();

	if (from) {
		from->fs_base = pvg_rdmsr(X86_MSR_FS_BASE);
		from->gs_base = pvg_rdmsr(X86_MSR_GS_BASE);
		pvg_fpu_store(from->fpu);
	}
	if (space != pvg_space_current())
		pvg_space_switch(space);
	if (!to || to == from)
		return;
	set_kernel_stack(to->stack_top);
	pvg_wrmsr(X86_MSR_FS_BASE, to->fs_base);
	pvg_wrmsr(X86_MSR_GS_BASE, to->gs_base);
	pvg_fpu_load(to->fpu);
}

static void fpu_switch(void *store, void *load)
{
	if (store)
		pvg_fpu_store(store);
	if (load)
		pvg_fpu_load(load);
}

static void drop_root(uint64_t cr3)
{
	(void)cr3;
}

static void pte_write(uint64_t *entry, uint64_t value)
{
	*(volatile uint64_t *)entry = value;
}

static void pte_sync(void)
{
}

static void flush_tlb(void)
{
	pvg_write_cr3(pvg_space_current()->root);
}

static int irq_bind(unsigned source)
{
	switch (source) {
	case PVG_IRQ_TIMER:
		return PIC_LINE_PIT;
	case PVG_IRQ_CONSOLE:
		pvg_uart_listen();
		return PIC_LINE_COM1;
	default:
		return -R3_EINVAL;
	}
}

static void irq_mask(unsigned line, bool masked)
{
	if (line < PIC_LINES)
		pvg_pic_mask(line, masked);
}

static _Noreturn void end(unsigned status)
{
	pvg_outb(X86_PORT_EXIT, (uint8_t)status);
	for (;;) /* no exit port: stop for good */
		__asm__ volatile("cli; hlt");
}

static void panic(const char *why)
{
	while (*why)
		pvg_outb(X86_PORT_PANIC_TEXT, (uint8_t)*why++);
	pvg_outb(X86_PORT_PANIC, X86_PANIC_PANICKED);
}

const struct pvg_ops pvg_native_ops = {
	.name = "off",
	.init = init,
	.irq_enable = irq_enable,
	.irq_disable = irq_disable,
	.irq_enabled = irq_enabled,
	.halt = halt,
	.trap_enter = trap_enter,
	.trap_leave = trap_leave,
	.trap_return = pvg_trap_return_iretq,
	.set_traps = pvg_tables_set_idt,
	.clear_traps = clear_traps,
	.set_kernel_stack = set_kernel_stack,
	.set_syscall_entry = set_syscall_entry,
	.set_base = set_base,
	.read_cr2 = pvg_read_cr2,
	.load_cr3 = pvg_write_cr3,
	.drop_root = drop_root,
	.user_switch = user_switch,
	.fpu_switch = fpu_switch,
	.pte_write = pte_write,
	.pte_sync = pte_sync,
	.pte_replaced = pvg_invlpg,
	.invlpg = pvg_invlpg,
	.flush_tlb = flush_tlb,
	.irq_bind = irq_bind,
	.irq_mask = irq_mask,
	.clock_ns = pvg_pit_clock_ns,
	.timer_arm = pvg_pit_arm,
	.console_write = pvg_uart_write,
	.console_read = pvg_uart_read,
	.exit = end,
	.panic = panic,
};

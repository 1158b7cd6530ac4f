/*
 * 13-stranger: a kernel that does not know that it is a guest. These are Linux's functions with Linux's names
 * (arch/x86/include/asm/irqflags.h), and its two questions while it starts (start_kernel, init/main.c): are interrupts
 * off, as they must be here? Between them a lock is taken and given back with the flag as it was found.
 */
#include <pvguest/pvguest.h>

static unsigned long native_save_fl(void)
{
	unsigned long flags;

	__asm__ volatile("pushf\n\tpop %0" : "=rm"(flags) : : "memory");
	return flags;
}

static void native_irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static void native_irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static bool irqs_disabled(void)
{
	return !(native_save_fl() & X86_RFLAGS_IF);
}

static unsigned long local_irq_save(void)
{
	unsigned long flags = native_save_fl();

	native_irq_disable();
	return flags;
}

static void local_irq_restore(unsigned long flags)
{
	if (flags & X86_RFLAGS_IF)
		native_irq_enable();
}

static void warn_on(bool wrong, const char *text)
{
	if (wrong)
		pvg_printf("WARNING: start_kernel: %s\n", text);
}

#define PIC_COMMAND  0x20
#define PIC_READ_IRR 0x0a
#define PIC_TIMER    1

static volatile bool came;

static void timer_interrupt(void *arg)
{
	(void)arg;
	came = true;
}

/* Until the timer has asked for its interrupt, whether that was let in or has to wait. */
static void wait_until_due(void)
{
	do
		pvg_outb(PIC_COMMAND, PIC_READ_IRR);
	while (!came && !(pvg_inb(PIC_COMMAND) & PIC_TIMER));
}

int main(const char *cmdline)
{
	unsigned long flags;

	(void)cmdline;
	if (pvg_is_paravirt())
		pvg_panic("with hypercalls the interrupt flag is elsewhere: -a pv=off");
	pvg_irq_disable(); /* for the library, which sets the timer */
	native_irq_disable();
	warn_on(!irqs_disabled(), "Interrupts were enabled *very* early, fixing it");

	/* A lock, with interrupts off all along; then the timer, which must wait. */
	flags = local_irq_save();
	local_irq_restore(flags);
	pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, timer_interrupt, NULL);
	wait_until_due();
	warn_on(!irqs_disabled(), "Interrupts were enabled early");
	pvg_printf("before the kernel is ready: %s\n", came ? "AN INTERRUPT CAME" : "no interrupt");

	native_irq_enable();
	while (!came)
		__asm__ volatile("pause");
	pvg_printf("afterwards: the timer comes\n");
	return 0;
}

/*
 * Solution of 13-stranger: Linux's cure. What asks for the flag goes through a pointer (pv_ops.irq in Linux, which
 * patches the calls away afterwards), and the kernel tries at its very start whether the processor's own flag can be
 * believed.
 */
#include <pvguest/pvguest.h>

static unsigned long native_save_fl(void)
{
	unsigned long flags;

	__asm__ volatile("pushf\n\tpop %0" : "=rm"(flags) : : "memory");
	return flags;
}

/* The flag as this kernel has set it. */
static volatile unsigned long soft_flag;

static unsigned long soft_save_fl(void)
{
	return soft_flag;
}

static unsigned long (*save_fl)(void) = native_save_fl;

static void irq_disable(void)
{
	/* EXERCISE: mind the order */
	__asm__ volatile("cli" : : : "memory");
	soft_flag = 0;
	/* END */
}

static void irq_enable(void)
{
	/* EXERCISE: mind the order */
	soft_flag = X86_RFLAGS_IF;
	__asm__ volatile("sti" : : : "memory");
	/* END */
}

/* Once, with interrupts off: who is told otherwise has not the processor for itself. */
static void choose_save_fl(void)
{
	/* EXERCISE: believe the processor, or not */
	if (native_save_fl() & X86_RFLAGS_IF)
		save_fl = soft_save_fl;
	/* END */
	pvg_printf("the flag is %s\n", save_fl == native_save_fl ? "the processor's" : "the kernel's own copy");
}

static bool irqs_disabled(void)
{
	return !(save_fl() & X86_RFLAGS_IF);
}

static unsigned long local_irq_save(void)
{
	unsigned long flags = save_fl();

	irq_disable();
	return flags;
}

static void local_irq_restore(unsigned long flags)
{
	if (flags & X86_RFLAGS_IF)
		irq_enable();
}

static void warn_on(bool wrong, const char *text)
{
	if (wrong)
		pvg_printf("WARNING: start_kernel: %s\n", text);
}

int main(const char *cmdline)
{
	unsigned long flags;

	(void)cmdline;
	pvg_irq_disable(); /* for the library, which prints */
	irq_disable();
	choose_save_fl();
	warn_on(!irqs_disabled(), "Interrupts were enabled *very* early, fixing it");
	flags = local_irq_save();
	local_irq_restore(flags);
	warn_on(!irqs_disabled(), "Interrupts were enabled early");
	pvg_printf("interrupts %s when the kernel is ready\n", irqs_disabled() ? "are off" : "ARE ON");
	irq_enable();
	warn_on(irqs_disabled(), "Interrupts are off where they were switched on");
	flags = local_irq_save();
	warn_on(!irqs_disabled(), "a lock leaves interrupts on");
	local_irq_restore(flags);
	warn_on(irqs_disabled(), "a lock has taken interrupts away");
	pvg_printf("and on afterwards\n");
	return 0;
}

/*
 * Solution of 02-popf: the opposite defect. CLI traps, so interrupts go off; POPF with the flag set does not trap, so
 * they stay off, and an interrupt that the timer has asked for waits until an STI.
 */
#include <pvguest/pvguest.h>

#define PIC_COMMAND  0x20
#define PIC_READ_IRR 0x0a
#define PIC_TIMER    1

static volatile bool came;

static void timer_interrupt(void *arg)
{
	(void)arg;
	came = true;
}

static void wait_until_due(void)
{
	do
		pvg_outb(PIC_COMMAND, PIC_READ_IRR);
	while (!came && !(pvg_inb(PIC_COMMAND) & PIC_TIMER));
	pvg_outb(X86_PORT_POST, 0); /* any exit: if interrupts are on, the monitor delivers it now */
}

int main(const char *cmdline)
{
	(void)cmdline;
	if (pvg_is_paravirt())
		pvg_panic("with hypercalls the interrupt flag is elsewhere: -a pv=off");
	do { /* on a busy host the timer may run out before CLI: then again */
		came = false;
		pvg_sti();
		pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, timer_interrupt, NULL);
		pvg_cli();
	} while (came);
	/* EXERCISE: unmask by POPF and say "after POPF with IF set: the interrupt came" or "WAITS"; then by STI */
	__asm__ volatile("pushfq\n\t"
			 "orq %0, (%%rsp)\n\t"
			 "popfq"
			 :
			 : "i"(X86_RFLAGS_IF)
			 : "memory", "cc");
	wait_until_due();
	pvg_printf("after POPF with IF set: the interrupt %s\n", came ? "came" : "WAITS");
	pvg_sti();
	wait_until_due();
	pvg_printf("after STI: the interrupt %s\n", came ? "came" : "WAITS");
	/* END */
	return 0;
}

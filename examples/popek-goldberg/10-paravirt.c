/*
 * 10-paravirt: the program of 02-popf once more, with one change: it asks the library instead of the processor to mask
 * interrupts. With pv=on the library stores a byte in the page shared with the monitor; with pv=off it uses CLI and
 * STI. No sensitive instruction is left that does not trap, and so the lock holds on every engine.
 */
#include <pvguest/pvguest.h>

#define ROUNDS 10

#define PIC_COMMAND  0x20
#define PIC_READ_IRR 0x0a
#define PIC_TIMER    1

static volatile unsigned counter;
static volatile bool came;

static void timer_interrupt(void *arg)
{
	(void)arg;
	counter++;
	came = true;
}

/* True as soon as the timer has asked for an interrupt, whether that was let in or has to wait. */
static bool timer_is_due(void)
{
	if (pvg_is_paravirt())
		return came || *(volatile uint8_t *)&pvg_shared_info->vcpu[0].pending;
	pvg_outb(PIC_COMMAND, PIC_READ_IRR);
	return came || pvg_inb(PIC_COMMAND) & PIC_TIMER;
}

int main(const char *cmdline)
{
	unsigned inside = 0;

	(void)cmdline;
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned start = counter, value;
		bool enabled;

		do { /* on a busy host the timer may run out before the lock is taken: then again */
			counter = start;
			came = false;
			pvg_irq_enable();
			pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, timer_interrupt, NULL);
			enabled = pvg_irq_save(); /* lock */
			value = counter;
		} while (came);
		while (!timer_is_due()) /* a long critical section: the timer runs out in it */
			__asm__ volatile("pause");
		counter = value + 1;
		inside += came;
		pvg_irq_restore(enabled); /* unlock */

		while (!came) /* now it is let in, if it was not before */
			__asm__ volatile("pause");
	}
	pvg_printf("interrupts inside the critical section: %u\n", inside);
	pvg_printf("increments made: %u, counted: %u\n", 2 * ROUNDS, counter);
	pvg_printf("%s\n", counter == 2 * ROUNDS ? "mutual exclusion holds" : "MUTUAL EXCLUSION IS LOST");
	return 0;
}

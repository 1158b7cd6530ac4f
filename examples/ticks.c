/*
 * ticks: timer interrupts, and idling between them. It teaches the two ways a guest gets time: with pv=off the 8254
 * counts down and the 8259 interrupts; with pv=on a hypercall sets a deadline and an event arrives. In both the guest
 * waits in HLT or its hypercall, and the host's CPU is free meanwhile.
 */
#include <pvguest/pvguest.h>

#define TICKS	  10
#define PERIOD_NS (10 * PVG_NS_PER_MS)

static volatile unsigned ticks;

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

int main(const char *cmdline)
{
	uint64_t start = pvg_clock_ns(), elapsed;
	unsigned seen = 0;

	(void)cmdline;
	pvg_timer_every(PERIOD_NS, tick, NULL);
	while (seen < TICKS) {
		/* Look with interrupts off, or the tick that comes between look and halt is slept through. */
		pvg_irq_disable();
		while (ticks == seen) {
			pvg_halt();
			pvg_irq_disable();
		}
		pvg_irq_enable();
		pvg_printf("tick %u\n", ++seen);
	}
	pvg_timer_stop();

	elapsed = pvg_clock_ns() - start;
	pvg_printf("%u ticks at %llu Hz, none early: %s\n", seen, PVG_NS_PER_SEC / PERIOD_NS,
		   elapsed >= TICKS * PERIOD_NS ? "yes" : "no");
	return 0;
}

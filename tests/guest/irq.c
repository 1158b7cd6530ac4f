/*
 * Interrupts are neither lost nor delivered while masked, however masking, unmasking and halting fall together with
 * their arrival.
 */
#include <pvguest/pvguest.h>

#define TICKS	  200
#define PERIOD_NS (200 * PVG_NS_PER_US)
#define ROUNDS	  200
#define PATIENCE  (20 * PVG_NS_PER_SEC)

static volatile unsigned ticks;

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

static void test_mask_hammer(void)
{
	uint64_t start = pvg_clock_ns(), rounds = 0;
	unsigned while_masked = 0;

	ticks = 0;
	pvg_timer_every(PERIOD_NS, tick, NULL);
	/* On a busy host many ticks may come in one round: go on until both have happened often. */
	while ((ticks < TICKS || rounds < TICKS) && pvg_clock_ns() - start < PATIENCE) {
		bool enabled = pvg_irq_save();
		unsigned before = ticks;

		for (volatile unsigned i = 0; i < 50; i++)
			;
		while_masked += ticks != before;
		pvg_irq_restore(enabled);
		rounds++;
	}
	pvg_timer_stop();
	pvg_test(ticks >= TICKS, "%u ticks arrive between masking and unmasking", TICKS);
	pvg_test_equal(while_masked, 0, "none arrives while masked");
	pvg_test(pvg_clock_ns() - start >= TICKS * PERIOD_NS, "none arrives early");
}

static void wake(void *arg)
{
	*(volatile bool *)arg = true;
}

/* A deadline near enough to fall before, into and after the look and the halt. */
static void test_halt_race(void)
{
	unsigned woken = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		volatile bool done = false;

		pvg_timer_at(pvg_clock_ns() + i * PVG_NS_PER_US / 4, wake, (void *)&done);
		pvg_irq_disable();
		while (!done) {
			pvg_halt();
			pvg_irq_disable();
		}
		pvg_irq_enable();
		woken++;
	}
	pvg_test_equal(woken, ROUNDS, "every halt is ended by its timer");
}

/* What arrives while masked is there as soon as the mask goes. */
static void test_arrives_on_unmask(void)
{
	volatile bool done = false;
	uint64_t deadline = pvg_clock_ns() + 2 * PVG_NS_PER_MS;

	pvg_irq_disable();
	pvg_timer_at(deadline, wake, (void *)&done);
	while (pvg_clock_ns() < deadline + 5 * PVG_NS_PER_MS)
		;
	pvg_test(!done, "masked: not delivered");
	pvg_irq_enable();
	/* One instruction after STI the interrupt is due. */
	__asm__ volatile("nop");
	pvg_test(done, "unmasked: delivered at once");
}

static void test_flag(void)
{
	bool first, second;

	pvg_test(pvg_irq_enabled(), "enabled from the start");
	first = pvg_irq_save();
	second = pvg_irq_save();
	pvg_test(first && !second, "saving nests");
	pvg_irq_restore(second);
	pvg_test(!pvg_irq_enabled(), "inner restore leaves it masked");
	pvg_irq_restore(first);
	pvg_test(pvg_irq_enabled(), "outer restore unmasks");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_flag();
	test_arrives_on_unmask();
	test_mask_hammer();
	test_halt_race();
	return pvg_test_finish();
}

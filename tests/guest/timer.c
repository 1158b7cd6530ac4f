/*
 * Clock and timer: monotonic, never early, deadlines longer than the 8254 can count, ticks made up for.
 */
#include <pvguest/pvguest.h>

static volatile unsigned ticks;

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

static void test_clock(void)
{
	uint64_t last = pvg_clock_ns(), start = last;
	unsigned back = 0;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t now = pvg_clock_ns();

		back += now < last;
		last = now;
	}
	pvg_test_equal(back, 0, "the clock never goes back");
	pvg_test(last > start, "the clock goes on");
}

static void test_sleep(uint64_t ns)
{
	uint64_t start = pvg_clock_ns(), slept;

	pvg_sleep_ns(ns);
	slept = pvg_clock_ns() - start;
	pvg_test(slept >= ns, "sleep of %llu us is not short", ns / PVG_NS_PER_US);
	pvg_test(slept < ns + PVG_NS_PER_SEC, "sleep of %llu us is not very long", ns / PVG_NS_PER_US);
}

static void test_past_deadline(void)
{
	uint64_t start = pvg_clock_ns();

	ticks = 0;
	pvg_irq_disable();
	pvg_timer_at(1, tick, NULL);
	while (!ticks) {
		pvg_halt();
		pvg_irq_disable();
	}
	pvg_irq_enable();
	pvg_test(pvg_clock_ns() - start < PVG_NS_PER_SEC, "a deadline in the past fires at once");
}

static void test_catching_up(void)
{
	const uint64_t period = PVG_NS_PER_MS;
	uint64_t start;
	unsigned now;

	ticks = 0;
	pvg_irq_disable();
	start = pvg_clock_ns();
	pvg_timer_every(period, tick, NULL);
	while (pvg_clock_ns() - start < 20 * period + period / 2)
		;
	pvg_irq_enable();
	__asm__ volatile("nop");
	now = ticks;
	pvg_timer_stop();
	pvg_test(now >= 19, "ticks that were masked are made up for");
}

static void test_stop(void)
{
	unsigned before;

	pvg_timer_every(PVG_NS_PER_MS, tick, NULL);
	pvg_timer_stop();
	before = ticks;
	pvg_sleep_ns(10 * PVG_NS_PER_MS);
	pvg_test_equal(ticks, before, "a stopped timer stays silent");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_clock();
	test_sleep(100 * PVG_NS_PER_US);
	test_sleep(5 * PVG_NS_PER_MS);
	test_sleep(150 * PVG_NS_PER_MS);
	test_past_deadline();
	test_catching_up();
	test_stop();
	return pvg_test_finish();
}

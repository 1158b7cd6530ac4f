/*
 * Conversion of counter ticks, and the measured rate against the host's clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "monitor/host/clock.h"

static void rates_are_normalised_and_exact(void **state)
{
	static const uint64_t hz[] = {1, 1000, 999999999, 1000000000, 1000000001, 2596000000, 3999999999, 500000000000};

	for (size_t i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		struct clock_rate rate = clock_rate_make(hz[i], CLOCK_NS_PER_SEC);
		uint64_t ns = clock_rate_ns(rate, hz[i]);

		assert_true(rate.mul >> 31);
		assert_in_range(ns, CLOCK_NS_PER_SEC - 2, CLOCK_NS_PER_SEC);
	}
}

/* Ten years of ticks overflow 64 bits on the way, but not the result. */
static void long_times_do_not_overflow(void **state)
{
	const uint64_t hz = 3000000000, seconds = 10ull * 365 * 86400;
	struct clock_rate rate = clock_rate_make(hz, CLOCK_NS_PER_SEC);
	uint64_t ns = clock_rate_ns(rate, hz * seconds), want = seconds * CLOCK_NS_PER_SEC;

	assert_in_range(ns, want - want / 1000000000, want);
}

static void moment_lies_between_readings(void **state)
{
	uint64_t before_tsc = clock_tsc(), before_ns = clock_ns();
	struct clock_moment now = clock_now();

	assert_in_range(now.tsc, before_tsc, clock_tsc());
	assert_in_range(now.ns, before_ns, clock_ns());
}

/* The first estimate is short; 10 ms later it is good. The margins are many times what the clocks' noise gives. */
static void measured_rate_agrees_with_the_clock(void **state)
{
	struct timespec pause = {.tv_nsec = 10000000};
	struct clock_moment a, b;
	struct clock_rate rough, fine;
	uint64_t ns;

	clock_start();
	a = clock_now();
	rough = clock_tsc_rate();
	nanosleep(&pause, NULL);
	b = clock_now();
	fine = clock_tsc_rate();
	ns = b.ns - a.ns;
	assert_in_range(clock_rate_ns(rough, b.tsc - a.tsc), ns - ns / 100, ns + ns / 100);
	assert_in_range(clock_rate_ns(fine, b.tsc - a.tsc), ns - ns / 5000, ns + ns / 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rates_are_normalised_and_exact),
		cmocka_unit_test(long_times_do_not_overflow),
		cmocka_unit_test(moment_lies_between_readings),
		cmocka_unit_test(measured_rate_agrees_with_the_clock),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

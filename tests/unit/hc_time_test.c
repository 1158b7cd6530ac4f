/*
 * Paravirtual time: a clock that never goes back whatever the estimates of its rate, and the timer behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "monitor/host/clock.h"
#include "monitor/host/timer.h"
#include "tests/unit/hc_fixture.h"

#define HZ 2600000000ull
#define MS 1000000ull

/* ------------------------------------------------------------------------- the clock's line, under made-up time */

static uint64_t ticks(uint64_t ns)
{
	return (uint64_t)((unsigned __int128)ns * HZ / CLOCK_NS_PER_SEC);
}

static struct clock_moment at(uint64_t ns)
{
	return (struct clock_moment){.tsc = 1000 + ticks(ns), .ns = 5000 + ns};
}

/* The rate, wrong by so many parts in a million. */
static struct clock_rate off_by(int ppm)
{
	return clock_rate_make(HZ, (uint64_t)((int64_t)CLOCK_NS_PER_SEC + ppm * 1000));
}

static int64_t error_at(const struct hc_clock *clock, uint64_t ns)
{
	return (int64_t)(hc_clock_read(clock, at(ns).tsc) - ns);
}

static void late_clock_catches_up_at_once(void **state)
{
	struct hc_clock clock = {.start_ns = 5000};

	hc_clock_start(&clock, at(0), off_by(-1000));
	assert_in_range(-error_at(&clock, 10 * MS), 9900, 10100);
	hc_clock_update(&clock, at(10 * MS), off_by(0));
	assert_in_range(error_at(&clock, 10 * MS) + 10, 0, 20);
	assert_in_range(error_at(&clock, 20 * MS) + 10, 0, 20);
}

static void early_clock_slows_down(void **state)
{
	struct hc_clock clock = {.start_ns = 5000};
	uint64_t now = 10 * MS;
	int64_t error;

	hc_clock_start(&clock, at(0), off_by(+200));
	error = error_at(&clock, now);
	assert_in_range(error, 1990, 2010);
	/* Not a step back, and within a few updates right again. */
	for (unsigned i = 0; i < 5; i++) {
		uint64_t before = hc_clock_read(&clock, at(now).tsc);

		hc_clock_update(&clock, at(now), off_by(0));
		assert_true(hc_clock_read(&clock, at(now).tsc) >= before);
		assert_true(hc_clock_read(&clock, at(now).tsc + 100) > before);
		now += clock.interval;
		assert_true(error_at(&clock, now) <= error);
		error = error_at(&clock, now);
	}
	assert_in_range(error + 10, 0, 20);
}

/* Estimates that jump about, updates at odd times: the reading only ever grows, and stays near the truth. */
static void clock_never_steps_back(void **state)
{
	struct hc_clock clock = {.start_ns = 5000};
	uint64_t now = 0, last = 0;
	uint32_t random = 12345;

	hc_clock_start(&clock, at(0), off_by(100));
	for (unsigned i = 0; i < 20000; i++) {
		random = random * 1664525 + 1013904223;
		now += 1 + (random >> 8) % (2 * MS);
		uint64_t read = hc_clock_read(&clock, at(now).tsc);

		assert_true(read >= last);
		last = read;
		if (random >> 28 < 4) {
			hc_clock_update(&clock, at(now), off_by((int)(random >> 16 & 255) - 128));
			read = hc_clock_read(&clock, at(now).tsc);
			assert_true(read >= last);
			last = read;
		}
		assert_in_range(read + 20000, now, now + 40000);
	}
}

static void counter_behind_the_line_reads_its_start(void **state)
{
	struct hc_clock clock = {.start_ns = 5000};

	hc_clock_start(&clock, at(MS), off_by(0));
	assert_int_equal(hc_clock_read(&clock, 0), MS);
	hc_clock_update(&clock, (struct clock_moment){.tsc = 0, .ns = 5000 + MS}, off_by(0));
	assert_int_equal(hc_clock_read(&clock, 0), MS);
}

static void updates_become_seldom(void **state)
{
	struct hc_clock clock = {.start_ns = 5000};
	uint64_t now = 0;
	unsigned updates = 0;

	hc_clock_start(&clock, at(0), off_by(0));
	for (; now < 100 * CLOCK_NS_PER_SEC; now += MS) {
		if (at(now).tsc < clock.due)
			continue;
		hc_clock_update(&clock, at(now), off_by(0));
		updates++;
	}
	assert_in_range(updates, 90, 115);
}

/* ------------------------------------------------------------------------------------------------ the real page */

/* The reader of abi.h. */
static uint64_t guest_reads(volatile struct r3_clock *clock)
{
	for (;;) {
		uint32_t version = clock->version;
		unsigned __int128 delta = __rdtsc() - clock->tsc;
		uint64_t ns;

		delta = clock->shift < 0 ? delta >> -clock->shift : delta << clock->shift;
		ns = clock->system_ns + (uint64_t)(delta * clock->mul >> 32);
		if (!(version & 1) && version == clock->version)
			return ns;
	}
}

static void page_agrees_with_the_host(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f);
	uint64_t end = clock_ns() + 30 * MS, last = 0;
	uint32_t first_version = shared->clock.version;

	assert_int_equal(first_version & 1, 0);
	while (clock_ns() < end) {
		uint64_t before = hc_clock_ns(f->vm, clock_ns()), read = guest_reads(&shared->clock);

		/* 2 us of error is 100 ppm of the 20 ms that the rate may be wrong for. */
		assert_true(read + 2000 >= before);
		assert_true(read <= hc_clock_ns(f->vm, clock_ns()) + 2000);
		assert_true(read >= last);
		last = read;
		hc_sync_shared(f->vcpu, false);
	}
	/* 1, 2, 4, 8, 16 ms: four updates, two steps of the version each. */
	assert_in_range(shared->clock.version - first_version, 2, 12);
	assert_in_range(shared->clock.wall_ns + guest_reads(&shared->clock), clock_wall_ns() - 50 * MS,
			clock_wall_ns() + 50 * MS);
}

static void clock_survives_a_new_page(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f), *other = gm_ptr(&f->vm->mem, FIX_DATA, 4096);
	uint64_t before = guest_reads(&shared->clock);

	/* A guest that ruins its page gets no other clock for it. */
	shared->clock.version = 77;
	shared->clock.system_ns = 0;
	assert_int_equal(HC(f, shared_info, FIX_DATA), 0);
	assert_true(guest_reads(&other->clock) >= before);
}

/* ----------------------------------------------------------------------------------------------------- the timer */

/* What the run loop does until the timer's event is pending. */
static void await_event(struct hc_fixture *f, struct r3_shared_info *shared)
{
	while (!shared->evtchn_pending) {
		uint64_t next = timers_next(&f->vm->timers);
		struct timespec until = {.tv_sec = (time_t)(next / CLOCK_NS_PER_SEC),
					 .tv_nsec = (long)(next % CLOCK_NS_PER_SEC)};

		assert_true(next != TIMER_NEVER);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		timers_run(&f->vm->timers, clock_ns());
	}
}

static void timer_fires_when_the_guest_says_so(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f);
	uint64_t deadline = guest_reads(&shared->clock) + 5 * MS;

	HC(f, evtchn_bind_virq, R3_VIRQ_TIMER);
	assert_int_equal(HC(f, set_timer, deadline), 0);
	assert_int_equal(shared->evtchn_pending, 0);
	await_event(f, shared);
	assert_true(guest_reads(&shared->clock) >= deadline);
	assert_true(timers_next(&f->vm->timers) == TIMER_NEVER);
}

static void past_deadlines_fire_at_once(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f);

	HC(f, evtchn_bind_virq, R3_VIRQ_TIMER);
	HC(f, set_timer, 1);
	assert_int_not_equal(shared->evtchn_pending, 0);
	assert_true(timers_next(&f->vm->timers) == TIMER_NEVER);
}

static void zero_disarms_and_the_far_future_never_comes(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared = hcf_share(f);

	HC(f, evtchn_bind_virq, R3_VIRQ_TIMER);
	HC(f, set_timer, guest_reads(&shared->clock) + 3600 * CLOCK_NS_PER_SEC);
	assert_true(timers_next(&f->vm->timers) != TIMER_NEVER);
	HC(f, set_timer, 0);
	assert_true(timers_next(&f->vm->timers) == TIMER_NEVER);
	HC(f, set_timer, UINT64_MAX);
	assert_true(timers_next(&f->vm->timers) == TIMER_NEVER);
	assert_int_equal(shared->evtchn_pending, 0);
}

/* A guest without a page still has its clock: ns since it started. */
static void timer_works_without_a_page(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;

	HC(f, evtchn_bind_virq, R3_VIRQ_TIMER);
	HC(f, set_timer, hc_clock_ns(f->vm, clock_ns()) + 100 * CLOCK_NS_PER_SEC);
	assert_true(timers_next(&f->vm->timers) > clock_ns() + 99 * CLOCK_NS_PER_SEC);
	HC(f, set_timer, 1);
	shared = hcf_share(f);
	assert_int_not_equal(shared->evtchn_pending, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, hcf_setup, hcf_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(late_clock_catches_up_at_once),
		cmocka_unit_test(early_clock_slows_down),
		cmocka_unit_test(clock_never_steps_back),
		cmocka_unit_test(counter_behind_the_line_reads_its_start),
		cmocka_unit_test(updates_become_seldom),
		T(page_agrees_with_the_host),
		T(clock_survives_a_new_page),
		T(timer_fires_when_the_guest_says_so),
		T(past_deadlines_fire_at_once),
		T(zero_disarms_and_the_far_future_never_comes),
		T(timer_works_without_a_page),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

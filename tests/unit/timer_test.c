/*
 * The list of deadlines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "monitor/host/timer.h"

struct probe {
	struct timer timer;
	unsigned fired;
	uint64_t rearm_after; /* 0: not */
};

static void expired(void *arg, uint64_t now)
{
	struct probe *probe = arg;

	assert_true(probe->timer.deadline == TIMER_NEVER);
	probe->fired++;
	if (probe->rearm_after)
		timer_arm(&probe->timer, now + probe->rearm_after);
}

static void empty_and_disarmed_never_fire(void **state)
{
	struct timers timers = {0};
	struct probe a = {0};

	assert_true(timers_next(&timers) == TIMER_NEVER);
	timers_run(&timers, UINT64_MAX);
	timer_add(&timers, &a.timer, expired, &a);
	assert_true(timers_next(&timers) == TIMER_NEVER);
	timers_run(&timers, UINT64_MAX);
	assert_int_equal(a.fired, 0);
}

static void earliest_is_next_whatever_the_order(void **state)
{
	struct timers timers = {0};
	struct probe p[3] = {0};

	for (int i = 0; i < 3; i++)
		timer_add(&timers, &p[i].timer, expired, &p[i]);
	for (int first = 0; first < 3; first++) {
		for (int i = 0; i < 3; i++)
			timer_arm(&p[i].timer, i == first ? 10 : 20 + (uint64_t)i);
		assert_int_equal(timers_next(&timers), 10);
	}
}

static void due_ones_fire_once(void **state)
{
	struct timers timers = {0};
	struct probe a = {0}, b = {0}, c = {0};

	timer_add(&timers, &a.timer, expired, &a);
	timer_add(&timers, &b.timer, expired, &b);
	timer_add(&timers, &c.timer, expired, &c);
	timer_arm(&a.timer, 0);
	timer_arm(&b.timer, 100);
	timer_arm(&c.timer, 101);
	timers_run(&timers, 100);
	timers_run(&timers, 100);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 1);
	assert_int_equal(c.fired, 0);
	assert_int_equal(timers_next(&timers), 101);
}

static void may_arm_itself_again(void **state)
{
	struct timers timers = {0};
	struct probe a = {.rearm_after = 10};

	timer_add(&timers, &a.timer, expired, &a);
	timer_arm(&a.timer, 5);
	timers_run(&timers, 7);
	assert_int_equal(a.fired, 1);
	assert_int_equal(timers_next(&timers), 17);
	timers_run(&timers, 16);
	assert_int_equal(a.fired, 1);
	timers_run(&timers, 17);
	assert_int_equal(a.fired, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_and_disarmed_never_fire),
		cmocka_unit_test(earliest_is_next_whatever_the_order),
		cmocka_unit_test(due_ones_fire_once),
		cmocka_unit_test(may_arm_itself_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

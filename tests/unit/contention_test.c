/*
 * Whether a CPU is contended, told of what a host says that is made up here: its clock, and how long each task ran and
 * waited (the clock and /proc/PID/task/TID/schedstat are the test's, by the linker's --wrap).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "monitor/engine/trap/contention.h"
#include "monitor/engine/trap/placement.h"
#include "monitor/host/clock.h"

#define MILLISECOND UINT64_C(1000000)
/* Longer than what is looked at in one piece, by far shorter than what is too long for it. */
#define WINDOW_MS 20

enum { MAPPER, NEAR, BESIDE, FAR, TASKS };

static struct {
	uint64_t now_ns, monitor_ns; /* the monitor's CPU time */
	struct {
		bool gone;
		uint64_t run_ns, delay_ns;
	} task[TASKS];
	char text[64]; /* of the file that was opened last */
	bool real;     /* files are those of the host's */
} host;

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
int __real_clock_gettime(clockid_t id, struct timespec *time);
int __wrap_clock_gettime(clockid_t id, struct timespec *time);
uint64_t __wrap_clock_ns(void);

FILE *__wrap_fopen(const char *path, const char *mode)
{
	int process, task;

	if (host.real || sscanf(path, "/proc/%d/task/%d/schedstat", &process, &task) != 2)
		return __real_fopen(path, mode);
	assert_in_range(task, 1, TASKS);
	if (host.task[task - 1].gone)
		return NULL;
	snprintf(host.text, sizeof(host.text), "%lu %lu 7\n", host.task[task - 1].run_ns, host.task[task - 1].delay_ns);
	return fmemopen(host.text, strlen(host.text), "r");
}

int __wrap_clock_gettime(clockid_t id, struct timespec *time)
{
	if (id != CLOCK_THREAD_CPUTIME_ID)
		return __real_clock_gettime(id, time);
	*time = (struct timespec){.tv_sec = (time_t)(host.monitor_ns / CLOCK_NS_PER_SEC),
				  .tv_nsec = (long)(host.monitor_ns % CLOCK_NS_PER_SEC)};
	return 0;
}

uint64_t __wrap_clock_ns(void)
{
	return host.now_ns;
}

static int begin(void **state)
{
	memset(&host, 0, sizeof(host));
	host.now_ns = CLOCK_NS_PER_SEC;
	return 0;
}

static const struct waiter nobody, near = {.process = NEAR + 1, .task = NEAR + 1},
				   far = {.process = FAR + 1, .task = FAR + 1},
				   beside = {.process = BESIDE + 1, .task = BESIDE + 1};

static void pass(unsigned ms)
{
	host.now_ns += ms * MILLISECOND;
}

/* Of the window a task ran and waited for so long. */
static void live(unsigned task, unsigned ran_ms, unsigned waited_ms)
{
	host.task[task].run_ns += ran_ms * MILLISECOND;
	host.task[task].delay_ns += waited_ms * MILLISECOND;
}

static void who_waits_is_found(void **state)
{
	struct contention contention = {0};

	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	live(NEAR, WINDOW_MS / 2, WINDOW_MS / 2);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NEAR);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	live(FAR, WINDOW_MS / 2, WINDOW_MS / 2);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_FAR);
}

/* What the two sides wait for each other, now and then, is no neighbour. */
static void who_seldom_waits_does_so_for_nobody(void **state)
{
	struct contention contention = {0};

	contention_look(&contention, near, nobody, far);
	live(NEAR, WINDOW_MS / 2, WINDOW_MS / 5);
	live(FAR, WINDOW_MS / 2, WINDOW_MS / 5);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
}

/* Too short, too long, or of other tasks: nothing is made of it. */
static void only_a_window_tells(void **state)
{
	struct contention contention = {0};

	contention_look(&contention, near, nobody, far);
	live(NEAR, 5, 5);
	pass(10);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, beside, nobody, far), CONTENDED_NOT);
	assert_int_equal(contention_look(&contention, near, beside, far), CONTENDED_NOT);
	assert_int_equal(contention_look(&contention, near, nobody, beside), CONTENDED_NOT);
	live(NEAR, 500, 500);
	pass(1000);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	live(NEAR, 10, 10);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NEAR);
}

/* The far side shares its CPU with mappers and the monitor, who run there for the guest. */
static void a_mapper_is_no_other_program(void **state)
{
	struct contention own = {0}, strangers = {0};
	struct waiter mapped = near;

	mapped.mapper = MAPPER + 1;
	contention_look(&own, mapped, nobody, far);
	contention_look(&strangers, near, nobody, far);
	live(MAPPER, WINDOW_MS / 2, 0);
	live(FAR, WINDOW_MS / 2, WINDOW_MS / 2);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&own, mapped, nobody, far), CONTENDED_NOT);
	assert_int_equal(contention_look(&strangers, near, nobody, far), CONTENDED_FAR);
}

static void the_monitor_is_no_other_program(void **state)
{
	struct contention contention = {0};

	contention_look(&contention, near, nobody, far);
	live(FAR, WINDOW_MS / 2, WINDOW_MS / 2);
	host.monitor_ns += WINDOW_MS / 2 * MILLISECOND;
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
}

/* One waits for the other, but nobody else has the CPU. */
static void programs_that_take_turns_are_no_others(void **state)
{
	struct contention own = {0}, strangers = {0};

	contention_look(&own, near, beside, far);
	contention_look(&strangers, near, nobody, far);
	live(NEAR, WINDOW_MS / 2, WINDOW_MS / 2);
	live(BESIDE, WINDOW_MS / 2, WINDOW_MS / 2);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&own, near, beside, far), CONTENDED_NOT);
	assert_int_equal(contention_look(&strangers, near, nobody, far), CONTENDED_NEAR);
}

/* Where tasks are placed anew, what they waited for before is no part of the next window. */
static void what_is_forgotten_begins_anew(void **state)
{
	struct contention contention = {0};

	contention_look(&contention, near, beside, far);
	live(NEAR, WINDOW_MS / 3, WINDOW_MS / 2);
	live(BESIDE, WINDOW_MS / 3, WINDOW_MS / 2);
	contention_forget(&contention);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, beside, far), CONTENDED_NOT);
	live(NEAR, WINDOW_MS / 3, WINDOW_MS / 2);
	live(BESIDE, WINDOW_MS / 3, WINDOW_MS / 2);
	pass(WINDOW_MS);
	assert_int_equal(contention_look(&contention, near, beside, far), CONTENDED_NEAR);
}

/* Of what the host does not tell, nothing is made. */
static void who_is_gone_waits_for_nobody(void **state)
{
	struct contention contention = {0};

	contention_look(&contention, near, nobody, far);
	live(NEAR, WINDOW_MS / 2, WINDOW_MS / 2);
	pass(WINDOW_MS);
	host.task[NEAR].gone = true;
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	assert_int_equal(contention_look(&contention, near, nobody, far), CONTENDED_NOT);
	assert_int_equal(contention.since_ns, 0);
}

static void the_hosts_words_are_read(void **state)
{
	const struct waiter self = {.process = getpid(), .task = getpid()};
	struct contention contention = {0};

	host.real = true;
	if (access("/proc/self/schedstat", R_OK))
		skip(); /* a host that does not tell */
	contention_look(&contention, self, nobody, self);
	assert_int_equal(contention.since_ns, host.now_ns);
}

static void it_lasts_longer_each_time(void **state)
{
	const unsigned lasts_ms[] = {250, 500, 1000, 2000, 2000};
	struct contention contention = {0};

	assert_false(contention_lasts(&contention));
	for (unsigned n = 0; n < sizeof(lasts_ms) / sizeof(lasts_ms[0]); n++) {
		contention_begin(&contention);
		pass(lasts_ms[n] - 1);
		assert_true(contention_lasts(&contention));
		pass(1);
		assert_false(contention_lasts(&contention));
		assert_int_equal(contention.begun, n + 1);
	}
	/* Long afterwards it is another neighbour. */
	pass(1500);
	contention_begin(&contention);
	pass(250);
	assert_false(contention_lasts(&contention));
}

#define MS (UINT64_C(1000000) * (1 << 20) / clock_tsc_to_ns(1 << 20))

/* Between yields that take long, others run: then nobody yields, for a while. */
static void crowds_are_slept_through(void **state)
{
	struct placement placement = {0};
	uint64_t tsc = clock_tsc();

	assert_int_equal(placement_init(&placement, 1), 0);
	unsigned runner = placement.runner[true].yields, monitor = placement.monitor[false].yields;
	assert_true(runner && monitor);
	/* A guest that computes for long now and then is no crowd. */
	for (unsigned n = 0; n < 100; n++)
		assert_false(placement_yielded(&placement, tsc, tsc + (n % 3 ? 30 * MS : MS / 100)));
	assert_int_equal(placement.runner[true].yields, runner);
	unsigned epoch = placement.epoch;
	for (unsigned n = 0; n < 3; n++)
		assert_int_equal(placement_yielded(&placement, tsc, tsc + 3 * MS), n == 2);
	assert_true(placement.epoch != epoch); /* cells are told */
	for (unsigned kernel = 0; kernel < 2; kernel++)
		assert_true(!placement.runner[kernel].yields && !placement.monitor[kernel].yields);
	assert_true(!placement.peer.yields && !placement.runner[true].spins);
	placement_note(&placement, NULL, tsc + 1000 * MS, tsc + 1000 * MS, 0);
	assert_true(placement.crowded);
	placement_note(&placement, NULL, tsc + 2100 * MS, tsc + 2100 * MS, 0);
	assert_true(!placement.crowded && placement.runner[true].yields == runner);
	assert_int_equal(placement.monitor[false].yields, monitor);
	placement_exit(&placement);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_waits_is_found, begin),
		cmocka_unit_test_setup(who_seldom_waits_does_so_for_nobody, begin),
		cmocka_unit_test_setup(only_a_window_tells, begin),
		cmocka_unit_test_setup(a_mapper_is_no_other_program, begin),
		cmocka_unit_test_setup(the_monitor_is_no_other_program, begin),
		cmocka_unit_test_setup(programs_that_take_turns_are_no_others, begin),
		cmocka_unit_test_setup(what_is_forgotten_begins_anew, begin),
		cmocka_unit_test_setup(who_is_gone_waits_for_nobody, begin),
		cmocka_unit_test_setup(the_hosts_words_are_read, begin),
		cmocka_unit_test_setup(it_lasts_longer_each_time, begin),
		cmocka_unit_test_setup(crowds_are_slept_through, begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

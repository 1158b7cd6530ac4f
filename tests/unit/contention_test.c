/*
 * Whether a CPU is contended, told of real tasks: of two that compute on one CPU, each waits for it half of the time;
 * one that sleeps waits for none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor/engine/trap/contention.h"
#include "monitor/engine/trap/placement.h"
#include "monitor/host/clock.h"

/* Nobody computes for longer, whatever becomes of the test. */
#define LIFE_S 20
/* A window, however long the host takes for it. */
#define LOOKS	   200
#define LOOK_NS	   5000000
#define PATIENT_NS 8000000000

static struct waiter child(bool computes)
{
	cpu_set_t first;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return (struct waiter){.process = pid, .task = pid};
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIFE_S);
	sched_getaffinity(0, sizeof(first), &first);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && CPU_COUNT(&first) > 1; cpu--)
		CPU_CLR(cpu, &first);
	sched_setaffinity(0, sizeof(first), &first);
	for (volatile unsigned turns = 0;; turns++)
		if (!computes)
			pause();
}

static void end(struct waiter waiter)
{
	kill(waiter.process, SIGKILL);
	assert_int_equal(waitpid(waiter.process, NULL, 0), waiter.process);
}

/* The first verdict but CONTENDED_NOT within some windows; else that. */
static enum contended look(struct waiter near, struct waiter far)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct contention contention = {0};
	enum contended contended = CONTENDED_NOT;

	for (unsigned looks = 0; looks < LOOKS && contended == CONTENDED_NOT; looks++) {
		contended = contention_look(&contention, near, far);
		nanosleep(&pause, NULL);
	}
	return contended;
}

static void who_waits_is_found(void **state)
{
	if (access("/proc/self/schedstat", R_OK))
		skip(); /* a host that does not tell */
	struct waiter one = child(true), other = child(true), sleeper = child(false);

	assert_int_equal(look(one, sleeper), CONTENDED_NEAR);
	assert_int_equal(look(sleeper, other), CONTENDED_FAR);
	end(one);
	end(other);
	end(sleeper);
}

static void who_sleeps_waits_for_nobody(void **state)
{
	struct waiter one = child(false), other = child(false);

	assert_int_equal(look(one, other), CONTENDED_NOT);
	end(one);
	end(other);
}

/* Of what the host does not tell, nothing is made. */
static void who_is_gone_waits_for_nobody(void **state)
{
	struct waiter one = child(true), other = child(true);

	end(one);
	end(other);
	assert_int_equal(look(one, other), CONTENDED_NOT);
}

static void it_lasts_longer_each_time(void **state)
{
	const struct timespec pause = {.tv_nsec = LOOK_NS};
	struct contention contention = {0};
	uint64_t start, before = 0;

	assert_false(contention_lasts(&contention));
	for (unsigned times = 1; times <= 3; times++) {
		start = clock_ns();
		contention_begin(&contention);
		assert_true(contention_lasts(&contention));
		while (contention_lasts(&contention))
			nanosleep(&pause, NULL);
		assert_true(clock_ns() - start >= contention.patience_ns);
		assert_true(contention.patience_ns > before && contention.patience_ns < PATIENT_NS);
		assert_int_equal(contention.begun, times);
		before = contention.patience_ns;
	}
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
		cmocka_unit_test(who_waits_is_found),		cmocka_unit_test(who_sleeps_waits_for_nobody),
		cmocka_unit_test(who_is_gone_waits_for_nobody), cmocka_unit_test(it_lasts_longer_each_time),
		cmocka_unit_test(crowds_are_slept_through),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

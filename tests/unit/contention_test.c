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
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "monitor/engine/trap/contention.h"
#include "monitor/engine/trap/placement.h"
#include "monitor/host/clock.h"

/* Nobody computes for longer, whatever becomes of the test. */
#define LIFE_S 20
/* A window, however long the host takes for it. */
#define LOOKS	    200
#define QUIET_LOOKS 50 /* for a window that nobody else runs in */
#define LOOK_NS	    5000000
#define PATIENT_NS  8000000000

static const struct waiter nobody;

static pid_t fork_to_first_cpu(void)
{
	cpu_set_t first;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(LIFE_S);
	sched_getaffinity(0, sizeof(first), &first);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && CPU_COUNT(&first) > 1; cpu--)
		CPU_CLR(cpu, &first);
	sched_setaffinity(0, sizeof(first), &first);
	return 0;
}

static _Noreturn void live(bool computes)
{
	for (volatile unsigned turns = 0;; turns++)
		if (!computes)
			pause();
}

static struct waiter child(bool computes)
{
	pid_t pid = fork_to_first_cpu();

	if (!pid)
		live(computes);
	return (struct waiter){.process = pid, .task = pid};
}

static void *sleep_as_runner(void *told)
{
	pid_t runner = gettid();

	if (write(*(int *)told, &runner, sizeof(runner)) == sizeof(runner))
		live(false);
	_exit(1);
}

/* Its runner sleeps, its mapper computes. */
static struct waiter cell(void)
{
	struct waiter cell = {0};
	pthread_t runner;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	cell.process = cell.mapper = fork_to_first_cpu();
	if (!cell.process) {
		pthread_create(&runner, NULL, sleep_as_runner, &ends[1]);
		live(true);
	}
	assert_int_equal(read(ends[0], &cell.task, sizeof(cell.task)), sizeof(cell.task));
	close(ends[0]);
	close(ends[1]);
	return cell;
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
		contended = contention_look(&contention, near, nobody, far);
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

/* What the host tells of a process' first task: how long it ran, and how long it could have. */
static void read_times(pid_t process, uint64_t *run_ns, uint64_t *delay_ns)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/schedstat", process);
	FILE *file = fopen(path, "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", run_ns, delay_ns), 2);
	fclose(file);
}

/*
 * Another program keeps the CPU busy, unless what does is the guest's own: then nobody is in the way. Windows in which
 * others run on that CPU as well say nothing.
 */
static void a_mapper_is_no_other_program(void **state)
{
	if (access("/proc/self/schedstat", R_OK))
		skip();
	/* Far longer than the ticks by which the host tells times. */
	const struct timespec pause = {.tv_nsec = 12 * LOOK_NS};
	struct waiter near = cell(), far = child(true), stranger = near;
	enum contended as_own = CONTENDED_NOT, as_stranger = CONTENDED_NOT;
	uint64_t ran[2], waited[2], unused;

	stranger.mapper = 0;
	setpriority(PRIO_PROCESS, (id_t)near.process, -15);
	setpriority(PRIO_PROCESS, (id_t)far.process, -15);
	for (unsigned looks = 0; looks < QUIET_LOOKS && as_stranger != CONTENDED_FAR; looks++) {
		struct contention own = {0}, strangers = {0};

		read_times(far.process, &unused, &waited[0]);
		contention_look(&own, near, nobody, far);
		contention_look(&strangers, stranger, nobody, far);
		read_times(near.process, &ran[0], &unused);
		nanosleep(&pause, NULL);
		read_times(near.process, &ran[1], &unused);
		as_own = contention_look(&own, near, nobody, far);
		as_stranger = contention_look(&strangers, stranger, nobody, far);
		read_times(far.process, &unused, &waited[1]);
		if (waited[1] - waited[0] > ran[1] - ran[0] + LOOK_NS)
			as_stranger = CONTENDED_NOT;
	}
	end(near);
	end(far);
	if (as_stranger != CONTENDED_FAR)
		skip(); /* others ran all the time */
	assert_int_equal(as_own, CONTENDED_NOT);
}

/* One waits for the other, but nobody else has the CPU. As above, of windows in which others have it nothing is made.
 */
static void programs_that_take_turns_are_no_others(void **state)
{
	if (access("/proc/self/schedstat", R_OK))
		skip();
	const struct timespec pause = {.tv_nsec = 12 * LOOK_NS};
	struct waiter near = child(true), beside = child(true), far = child(false);
	enum contended as_own = CONTENDED_NOT, as_stranger = CONTENDED_NOT;

	setpriority(PRIO_PROCESS, (id_t)near.process, -15);
	setpriority(PRIO_PROCESS, (id_t)beside.process, -15);
	for (unsigned looks = 0; looks < QUIET_LOOKS && as_stranger != CONTENDED_NEAR; looks++) {
		struct contention own = {0}, strangers = {0};
		uint64_t start = clock_ns(), ran[4], unused;

		contention_look(&own, near, beside, far);
		contention_look(&strangers, near, nobody, far);
		read_times(near.process, &ran[0], &unused);
		read_times(beside.process, &ran[1], &unused);
		nanosleep(&pause, NULL);
		read_times(near.process, &ran[2], &unused);
		read_times(beside.process, &ran[3], &unused);
		as_own = contention_look(&own, near, beside, far);
		as_stranger = contention_look(&strangers, near, nobody, far);
		if (ran[2] - ran[0] + ran[3] - ran[1] < (clock_ns() - start) / 8 * 7)
			as_stranger = CONTENDED_NOT;
	}
	end(near);
	end(beside);
	end(far);
	if (as_stranger != CONTENDED_NEAR)
		skip(); /* others ran all the time */
	assert_int_not_equal(as_own, CONTENDED_NEAR);
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
		cmocka_unit_test(who_waits_is_found),
		cmocka_unit_test(who_sleeps_waits_for_nobody),
		cmocka_unit_test(who_is_gone_waits_for_nobody),
		cmocka_unit_test(it_lasts_longer_each_time),
		cmocka_unit_test(crowds_are_slept_through),
		cmocka_unit_test(a_mapper_is_no_other_program),
		cmocka_unit_test(programs_that_take_turns_are_no_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

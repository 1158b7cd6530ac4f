/*
 * The hand-over that `ring3 bench` measures: what comes of it when somebody ends the other process.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/cli/bench/internal.h"

#define TRIPS_FOR_EVER UINT32_MAX / 2

/* The first child of the process that is not the caller; 0: none. */
static pid_t other_child(pid_t parent)
{
	char path[64];
	int child, found = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	FILE *children = fopen(path, "r");
	while (children && !found && fscanf(children, "%d", &child) == 1)
		found = child == getpid() ? 0 : child;
	if (children)
		fclose(children);
	return found;
}

/* A process that ends the next child of this one's. */
static pid_t start_killer(void)
{
	pid_t parent = getpid(), killer = fork(), victim;
	if (killer)
		return killer;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!(victim = other_child(parent)))
		sched_yield();
	_exit(kill(victim, SIGKILL));
}

static void test_other_is_ended(void **state)
{
	static const enum bench_native ways[] = {BENCH_NATIVE_YIELD, BENCH_NATIVE_LINE, BENCH_NATIVE_FUTEX};
	cpu_set_t all, one;
	sched_getaffinity(0, sizeof(all), &all);
	for (unsigned n = 0; n < sizeof(ways) / sizeof(ways[0]); n++) {
		if (ways[n] == BENCH_NATIVE_LINE && CPU_COUNT(&all) < 2)
			continue;
		pid_t killer = start_killer();
		CPU_ZERO(&one);
		CPU_SET(sched_getcpu(), &one);
		sched_setaffinity(0, sizeof(one), &one);
		assert_true(bench_peer_ns(ways[n], TRIPS_FOR_EVER, &all) < 0);
		sched_setaffinity(0, sizeof(all), &all);
		assert_int_equal(waitpid(killer, NULL, 0), killer);
	}
}

static void test_both_stay(void **state)
{
	cpu_set_t all;
	sched_getaffinity(0, sizeof(all), &all);
	assert_true(bench_peer_ns(BENCH_NATIVE_YIELD, 100, &all) > 0);
	assert_true(bench_peer_ns(BENCH_NATIVE_FUTEX, 100, &all) > 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_is_ended),
		cmocka_unit_test(test_both_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

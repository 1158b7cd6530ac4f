/*
 * What a program can measure of the system it runs on: the measures, and what they share.
 */
#ifndef TESTS_BENCH_BENCH_USER_H
#define TESTS_BENCH_BENCH_USER_H

#include <stdbool.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t now_ns(void);

/* Ends the program, naming what failed and errno. */
_Noreturn void fail(const char *what);

/* Where files in memory can be made, and the program's own file. */
extern const char *bench_dir, *bench_self;

/*
 * A measure. `run` does it `count` times and returns the nanoseconds that took, leaving out its own preparations;
 * count is a multiple of `step`, and at most `most` unless that is 0. bench_user.c chooses it.
 */
struct measure {
	const char *name;
	uint64_t (*run)(uint64_t count);
	unsigned step;
	uint64_t most;
};

extern const struct measure measures[];
extern const unsigned measure_count;

#endif

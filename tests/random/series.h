/*
 * Which sequences a program of random sequences is to run.
 */
#ifndef TESTS_RANDOM_SERIES_H
#define TESTS_RANDOM_SERIES_H

#include <stdbool.h>
#include <stdint.h>

struct series {
	uint64_t seed, count, first;
	bool show;
};

/* By the command line. False: it is wrong, and that has been told. */
bool series_parse(int argc, char **argv, const char *what, struct series *series);

#endif

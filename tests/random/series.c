/*
 * The options of programs of random sequences.
 */
#include "tests/random/series.h"

#include <argp.h>
#include <stdlib.h>

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct series *series = state->input;
	switch (key) {
	case 's':
		series->seed = strtoull(arg, NULL, 0);
		return 0;
	case 'n':
		series->count = strtoull(arg, NULL, 0);
		return 0;
	case 'f':
		series->first = strtoull(arg, NULL, 0);
		return 0;
	case 'v':
		series->show = true;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

bool series_parse(int argc, char **argv, const char *what, struct series *series)
{
	static const struct argp_option options[] = {{"seed", 's', "N", 0, "which series of sequences (1)", 0},
						     {"count", 'n', "N", 0, "how many (20000)", 0},
						     {"first", 'f', "N", 0, "which is the first (0)", 0},
						     {"show", 'v', NULL, 0, "disassemble each", 0},
						     {0}};
	const struct argp argp = {options, parse, NULL, what, NULL, NULL, NULL};
	*series = (struct series){.seed = 1, .count = 20000};
	return !argp_parse(&argp, argc, argv, 0, NULL, series);
}

/*
 * `ring3 compare`: one guest in every way there is, and what came of each.
 */
#ifndef MONITOR_CLI_COMPARE_H
#define MONITOR_CLI_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/vm/engine.h"
#include "monitor/vm/stats.h"
#include "monitor/vm/vm.h"

#define COMPARE_RUNS_MAX 24
/* Seconds for each run, if --timeout does not say. */
#define COMPARE_TIMEOUT 60

/* A way of running the guest, and what came of it. */
struct compare_run {
	const struct engine_ops *engine;
	const char *transport; /* NULL: the engine has no use for one */
	const char *pv;	       /* "on" or "off"; NULL: not the guest's to choose */
	char name[32];

	bool done;
	int status; /* as a shell has it: 128 and more, ended by a signal */
	bool timed_out;
	uint64_t wall_ns;
	char *output; /* the guest's console */
	size_t output_len;
	char *errors; /* what ring3 said on stderr */
	bool has_stats;
	uint64_t exits[STAT_COUNT], exits_total, interpreted;

	const struct compare_run *reference; /* what it must agree with: the first of the same pv; NULL for that one */
	bool agrees;			     /* with that one; a run that timed out agrees with none */
};

struct compare {
	const struct vm_config *config;
	struct compare_run run[COMPARE_RUNS_MAX];
	unsigned count;
};

/* Runs the guest as `ring3 run` in a process of its own. 0, or negative errno with a message printed. */
int compare_run_guest(const struct compare *compare, struct compare_run *run);
/* A signal that asked for the end, or 0. compare_signals_up has it reach the child as well. */
void compare_signals_up(void);
int compare_signal(void);

/* Where two outputs part: the line, counted from 1, and its text in both. False: they are the same. */
struct compare_line {
	size_t number;
	char text[2][100]; /* what is not printable ASCII as \xNN; empty at the end of the output */
};
bool compare_outputs(const char *a, size_t a_len, const char *b, size_t b_len, struct compare_line *at);

uint64_t compare_fastest_ns(const struct compare *compare);
void compare_print(const struct compare *compare, FILE *out);
/* The document, schema ring3-compare (docs/compare.md). 0 or negative errno with a message printed. */
int compare_write_json(const struct compare *compare, const char *path);
/* Whether gnuplot is there to draw; a message is printed if not. */
bool compare_can_plot(void);
int compare_write_svg(const struct compare *compare, const char *path);

#endif

/*
 * `ring3 bench`: what exits, hypercalls, faults and switches take on this host. Everything is gone through several
 * times, native and guest in turn, so that a disturbance of the host spoils a pass and not a row.
 */
#include "monitor/cli/bench/bench.h"
#include "monitor/cli/bench/internal.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/cli/common/own_guest.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

#define PASSES	      3
#define ROUNDS	      5
#define QUICK_DIVISOR 16

enum {
	OPT_ROWS = 'r',
	OPT_PASSES = 'p',
	OPT_JSON = 'j',
	OPT_QUICK = 'q',
	OPT_LIST = 'l',
	OPT_GUEST = 256,
	OPT_HELLO,
	OPT_WAYS
};

static const struct argp_option options[] = {
	{"rows", OPT_ROWS, "NAME,...", 0, "measure these rows only", 0},
	{"ways", OPT_WAYS, "WAY,...", 0, "of signal1, signal2, ptrace1: transport and host CPUs (default all)", 0},
	{"passes", OPT_PASSES, "N", 0, "go through everything N times (default 3)", 0},
	{"quick", OPT_QUICK, NULL, 0, "one pass of few operations: shows that it works, not how fast", 0},
	{"json", OPT_JSON, "FILE", 0, "write the results to FILE as JSON; with '-', to stdout instead of the table", 0},
	{"list", OPT_LIST, NULL, 0, "list the rows and end", 0},
	{"guest", OPT_GUEST, "FILE", 0, "the guest that measures (default: bench_guest.elf of this build)", 0},
	{"hello", OPT_HELLO, "FILE", 0, "the guest that is started and ended (default: hello.elf of this build)", 0},
	{0},
};

static const char doc[] = "Measures what exits, hypercalls, page faults and address-space switches take on this host, "
			  "next to what the host takes by itself.\vTimes are medians. Compare figures of one run only; "
			  "an otherwise idle host gives better ones.";

static int refuse(const char *what, const char *value, const char *remedy)
{
	fprintf(stderr, "ring3: bench: %s '%s': %s\n", what, value, remedy);
	return EINVAL;
}

static bool word_in(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len)
		if ((at == list || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
	return false;
}

static int choose_rows(struct bench *bench, const char *list)
{
	unsigned chosen = 0, asked = 1;

	for (const char *c = list; *c; c++)
		asked += *c == ',';
	for (unsigned i = 0; i < bench_row_count; i++)
		chosen += bench->row_wanted[i] = word_in(list, bench_rows[i].name);
	return chosen == asked ? 0 : refuse("--rows", list, "choose from those that 'ring3 bench --list' shows");
}

static int choose_ways(struct bench *bench, const char *list)
{
	static const char *const names[BENCH_WAYS] = {"signal1", "signal2", "ptrace1"};
	unsigned chosen = 0;

	for (unsigned i = 0; i < BENCH_WAYS; i++)
		chosen += bench->way_wanted[i] = word_in(list, names[i]);
	return chosen ? 0 : refuse("--ways", list, "choose from signal1, signal2, ptrace1");
}

static void list_rows(void)
{
	for (unsigned i = 0; i < bench_row_count; i++)
		printf("%-18s %s\n", bench_rows[i].name, bench_rows[i].title);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct bench *bench = state->input;

	switch (key) {
	case OPT_ROWS:
		return choose_rows(bench, arg);
	case OPT_WAYS:
		return choose_ways(bench, arg);
	case OPT_PASSES:
		bench->passes = (unsigned)strtoul(arg, NULL, 10);
		if (bench->passes < 1 || bench->passes * ROUNDS * 3 > BENCH_SAMPLES_MAX)
			return refuse("--passes", arg, "give a number from 1 to 17");
		return 0;
	case OPT_QUICK:
		bench->passes = 1;
		bench->rounds = 1;
		bench->divisor = QUICK_DIVISOR;
		return 0;
	case OPT_JSON:
		bench->json = arg;
		return 0;
	case OPT_GUEST:
		bench->guest = arg;
		return 0;
	case OPT_HELLO:
		bench->hello = arg;
		return 0;
	case OPT_LIST:
		list_rows();
		exit(0);
	case ARGP_KEY_ARG:
		return refuse("argument", arg, "it takes options only, see 'ring3 bench --help'");
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Ways that this host has no CPUs for are left out. */
static void limit_ways(struct bench *bench)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (CPU_COUNT(&cpus) >= 2 || !bench->way_wanted[BENCH_SIGNAL_2])
		return;
	bench->way_wanted[BENCH_SIGNAL_2] = false;
	fprintf(stderr, "ring3: bench: one CPU is allowed here: rows for two are left out; see taskset(1)\n");
}

/* A row that fails does not keep the others from being measured. Returns how many measurements failed. */
static unsigned measure_row(struct bench *bench, unsigned row)
{
	unsigned failed = 0;

	for (unsigned way = 0; way < BENCH_WAYS; way++) {
		if (!bench->way_wanted[way])
			continue;
		failed += bench_measure_native(bench, bench_native_of(row, way), &bench->paired[row][way]) < 0;
		failed += bench_measure_row(bench, row, way) < 0;
	}
	return failed;
}

static unsigned measure(struct bench *bench)
{
	unsigned failed = 0;

	for (unsigned pass = 0; pass < bench->passes; pass++) {
		for (unsigned native = 0; native < BENCH_NATIVES; native++)
			failed += bench_measure_native(bench, native, &bench->native[native]) < 0;
		for (unsigned row = 0; row < bench_row_count; row++)
			if (bench->row_wanted[row])
				failed += measure_row(bench, row);
	}
	return failed;
}

static const struct argp argp = {.options = options, .parser = parse, .doc = doc};

static int cli_bench(int argc, char **argv)
{
	static struct bench bench = {.passes = PASSES, .rounds = ROUNDS, .divisor = 1};
	unsigned failed;
	int status;

	memset(bench.row_wanted, true, sizeof(bench.row_wanted));
	memset(bench.way_wanted, true, sizeof(bench.way_wanted));
	status = verb_parse(&argp, argc, argv, &bench);
	if (status != VERB_GOES_ON)
		return status;
	clock_start();
	if (!bench.guest)
		bench.guest = own_guest("tests/bench/bench_guest.elf", "name it with --guest");
	if (!bench.hello)
		bench.hello = own_guest("examples/hello.elf", "name it with --hello");
	if (!bench.guest || !bench.hello)
		return VM_STATUS_HOST;
	limit_ways(&bench);
	getloadavg(&bench.load_before, 1);
	failed = measure(&bench);
	getloadavg(&bench.load_after, 1);
	if (!bench.json || strcmp(bench.json, "-"))
		bench_print(&bench);
	if (bench.json && bench_write_json(&bench))
		failed++;
	return failed ? VM_STATUS_HOST : 0;
}

const struct verb bench_verb = {"bench", cli_bench, "measure what exits, hypercalls, faults and switches take here",
				&argp};

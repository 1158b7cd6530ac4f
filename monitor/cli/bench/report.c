/*
 * The results of `ring3 bench`: as a table, and as a JSON document (docs/performance.md says what is in it).
 */
#include <errno.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "monitor/cli/bench/internal.h"

#define BENCH_SCHEMA  "ring3-bench"
#define BENCH_VERSION 1

void bench_add(struct bench_samples *samples, double ns)
{
	if (samples->count < BENCH_SAMPLES_MAX)
		samples->ns[samples->count++] = ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The sample that `part` of all lie below. */
static double quantile(const struct bench_samples *samples, double part)
{
	double sorted[BENCH_SAMPLES_MAX];

	if (!samples->count)
		return 0;
	memcpy(sorted, samples->ns, samples->count * sizeof(sorted[0]));
	qsort(sorted, samples->count, sizeof(sorted[0]), compare);
	return sorted[(unsigned)(part * (samples->count - 1) + 0.5)];
}

double bench_median(const struct bench_samples *samples)
{
	return quantile(samples, 0.5);
}

double bench_low(const struct bench_samples *samples)
{
	return quantile(samples, 0.1);
}

double bench_high(const struct bench_samples *samples)
{
	return quantile(samples, 0.9);
}

/* 0 if either is missing. */
static double ratio_of(const struct bench *bench, unsigned row, enum bench_way way)
{
	double native = bench_median(&bench->paired[row][way]);

	return native > 0 ? bench_median(&bench->row[row][way]) / native : 0;
}

enum verdict { NOT_ASKED, MET, MISSED };

static unsigned cpus_of(enum bench_way way)
{
	return (unsigned)(bench_ways[way].cpus[0] - '0');
}

/* Figures are asked of the default transport only. */
static enum verdict judge(const struct bench *bench, unsigned row, enum bench_way way)
{
	const struct bench_reach *reach = &bench_rows[row].reach;
	unsigned i = cpus_of(way) - 1;

	if (way == BENCH_PTRACE_1 || !bench->row[row][way].count)
		return NOT_ASKED;
	if (reach->ns[i] > 0)
		return bench_median(&bench->row[row][way]) <= reach->ns[i] ? MET : MISSED;
	if (reach->ratio[i] > 0)
		return ratio_of(bench, row, way) <= reach->ratio[i] ? MET : MISSED;
	return NOT_ASKED;
}

/* ---------------------------------------------------------------------------------------------------------- text */

static const char *time_text(double ns, char *text, size_t size)
{
	if (ns < 10000)
		snprintf(text, size, ns < 100 ? "%.2f ns" : "%.0f ns", ns);
	else if (ns < 1e6)
		snprintf(text, size, "%.2f us", ns / 1e3);
	else
		snprintf(text, size, "%.2f ms", ns / 1e6);
	return text;
}

static void print_cell(const struct bench *bench, unsigned row, enum bench_way way)
{
	static const char marks[] = {[NOT_ASKED] = ' ', [MET] = '+', [MISSED] = '-'};
	const struct bench_samples *samples = &bench->row[row][way];
	char text[32];

	if (!samples->count) {
		printf(" %20s", "");
		return;
	}
	printf(" %10s", time_text(bench_median(samples), text, sizeof(text)));
	if (ratio_of(bench, row, way) > 0)
		printf(" %7.2fx", ratio_of(bench, row, way));
	else
		printf(" %8s", "");
	putchar(marks[judge(bench, row, way)]);
}

static void print_natives(const struct bench *bench)
{
	char text[32];

	printf("native (medians):\n");
	for (unsigned i = 0; i < BENCH_NATIVES; i++)
		if (bench->native[i].count)
			printf("  %-54s %10s\n", bench_natives[i].title,
			       time_text(bench_median(&bench->native[i]), text, sizeof(text)));
}

void bench_print(const struct bench *bench)
{
	print_natives(bench);
	printf("\n%-52s", "guest (medians; ratio to the native counterpart)");
	for (unsigned way = 0; way < BENCH_WAYS; way++)
		if (bench->way_wanted[way])
			printf(" %20s", bench_ways[way].title);
	putchar('\n');
	for (unsigned row = 0; row < bench_row_count; row++) {
		if (!bench->row_wanted[row])
			continue;
		printf("%-52s", bench_rows[row].title);
		for (unsigned way = 0; way < BENCH_WAYS; way++)
			if (bench->way_wanted[way])
				print_cell(bench, row, way);
		putchar('\n');
	}
	printf("\n+ reaches the figure asked for, - misses it. Load of the host: %.2f before, %.2f after.\n",
	       bench->load_before, bench->load_after);
}

/* ---------------------------------------------------------------------------------------------------------- JSON */

static json_t *json_samples(const struct bench_samples *samples)
{
	return json_pack("{s:i, s:f, s:f, s:f}", "samples", (int)samples->count, "median_ns", bench_median(samples),
			 "p10_ns", bench_low(samples), "p90_ns", bench_high(samples));
}

static json_t *json_natives(const struct bench *bench)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < BENCH_NATIVES; i++) {
		json_t *entry = bench->native[i].count ? json_samples(&bench->native[i]) : NULL;

		if (!entry)
			continue;
		json_object_set_new(entry, "name", json_string(bench_natives[i].name));
		json_object_set_new(entry, "title", json_string(bench_natives[i].title));
		json_array_append_new(list, entry);
	}
	return list;
}

static json_t *json_reach(const struct bench_row *row, enum bench_way way)
{
	unsigned i = cpus_of(way) - 1;

	if (row->reach.ns[i] > 0)
		return json_pack("{s:f}", "ns", row->reach.ns[i]);
	return json_pack("{s:f}", "ratio", row->reach.ratio[i]);
}

static json_t *json_cell(const struct bench *bench, unsigned row, enum bench_way way)
{
	json_t *cell = json_samples(&bench->row[row][way]);
	enum verdict verdict = judge(bench, row, way);

	json_object_set_new(cell, "transport", json_string(bench_ways[way].transport));
	json_object_set_new(cell, "cpus", json_integer(cpus_of(way)));
	json_object_set_new(cell, "native", json_string(bench_natives[bench_native_of(row, way)].name));
	json_object_set_new(cell, "ratio", json_real(ratio_of(bench, row, way)));
	if (verdict != NOT_ASKED) {
		json_object_set_new(cell, "reach", json_reach(&bench_rows[row], way));
		json_object_set_new(cell, "reached", json_boolean(verdict == MET));
	}
	return cell;
}

static json_t *json_row(const struct bench *bench, unsigned row)
{
	json_t *cells = json_array();

	for (unsigned way = 0; way < BENCH_WAYS; way++)
		if (bench->row[row][way].count)
			json_array_append_new(cells, json_cell(bench, row, way));
	return json_pack("{s:s, s:s, s:o}", "name", bench_rows[row].name, "title", bench_rows[row].title, "results",
			 cells);
}

static json_t *json_host(const struct bench *bench)
{
	struct utsname name = {0};
	cpu_set_t cpus;

	uname(&name);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	return json_pack("{s:s, s:s, s:i, s:f, s:f}", "kernel", name.release, "machine", name.machine, "cpus",
			 CPU_COUNT(&cpus), "load_before", bench->load_before, "load_after", bench->load_after);
}

int bench_write_json(const struct bench *bench)
{
	json_t *rows = json_array(), *document;
	int err;

	for (unsigned row = 0; row < bench_row_count; row++)
		if (bench->row_wanted[row])
			json_array_append_new(rows, json_row(bench, row));
	document = json_pack("{s:s, s:i, s:o, s:o, s:o}", "schema", BENCH_SCHEMA, "version", BENCH_VERSION, "host",
			     json_host(bench), "native", json_natives(bench), "rows", rows);
	if (!strcmp(bench->json, "-"))
		err = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0 || puts("") < 0;
	else
		err = json_dump_file(document, bench->json, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0;
	json_decref(document);
	if (err)
		fprintf(stderr, "ring3: --json %s: cannot write: name a file that you may write to\n", bench->json);
	return err ? -EIO : 0;
}

/*
 * What `ring3 compare` found, as text and as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/cli/compare/internal.h"
#include "monitor/host/output_file.h"

#define COMPARE_SCHEMA	"ring3-compare"
#define COMPARE_VERSION 1

uint64_t compare_fastest_ns(const struct compare *compare)
{
	uint64_t fastest = UINT64_MAX;
	for (unsigned n = 0; n < compare->count; n++)
		if (compare->run[n].done && compare->run[n].wall_ns < fastest)
			fastest = compare->run[n].wall_ns;
	return fastest;
}

static double ratio(const struct compare *compare, const struct compare_run *run)
{
	return (double)run->wall_ns / (double)compare_fastest_ns(compare);
}

static bool same_output(const struct compare_run *a, const struct compare_run *b, struct compare_line *at)
{
	return !compare_outputs(a->output, a->output_len, b->output, b->output_len, at);
}

/* ---------------------------------------------------------------------------------------------------------- text */

static void print_runs(const struct compare *compare, FILE *out)
{
	fprintf(out, "%-24s %6s %-9s %10s %7s %12s %14s\n", "run", "status", "agrees", "wall ms", "ratio", "exits",
		"interpreted");
	for (unsigned n = 0; n < compare->count; n++) {
		const struct compare_run *run = &compare->run[n];
		if (!run->done)
			continue;
		fprintf(out, "%-24s %6d %-9s %10.2f %7.2f %12" PRIu64 " %14" PRIu64 "\n", run->name, run->status,
			run->timed_out	  ? "timed out"
			: !run->reference ? "-"
			: run->agrees	  ? "yes"
					  : "NO",
			(double)run->wall_ns / 1e6, ratio(compare, run), run->exits_total, run->interpreted);
	}
}

static bool occurs(const struct compare *compare, unsigned kind)
{
	for (unsigned n = 0; n < compare->count; n++)
		if (compare->run[n].exits[kind])
			return true;
	return false;
}

static void print_exits(const struct compare *compare, FILE *out)
{
	fprintf(out, "\n%-24s", "exits by reason");
	for (unsigned kind = 0; kind < STAT_COUNT; kind++)
		if (occurs(compare, kind))
			fprintf(out, " %11s", stats_exit_names[kind]);
	fputc('\n', out);
	for (unsigned n = 0; n < compare->count; n++) {
		if (!compare->run[n].done)
			continue;
		fprintf(out, "%-24s", compare->run[n].name);
		for (unsigned kind = 0; kind < STAT_COUNT; kind++)
			if (occurs(compare, kind))
				fprintf(out, " %11" PRIu64, compare->run[n].exits[kind]);
		fputc('\n', out);
	}
}

static void print_difference(const struct compare_run *run, const struct compare_run *reference, FILE *out)
{
	struct compare_line at;
	if (run->status != reference->status)
		fprintf(out, "  status %d in %s, %d in %s\n", reference->status, reference->name, run->status,
			run->name);
	if (!same_output(reference, run, &at))
		fprintf(out, "  output from line %zu on\n    %-22s |%s\n    %-22s |%s\n", at.number, reference->name,
			at.text[0], run->name, at.text[1]);
	if (run->status >= VM_STATUS_CRASH && run->errors[0])
		fprintf(out, "    %s said: %.*s\n", run->name, (int)strcspn(run->errors, "\n"), run->errors);
}

/* The first run of each pv, which the others are held against: if those part, it is told, and no more. */
static void print_between_pv(const struct compare *compare, FILE *out)
{
	const struct compare_run *first = &compare->run[0];
	for (unsigned n = 1; n < compare->count; n++) {
		const struct compare_run *run = &compare->run[n];
		struct compare_line at;
		if (!run->done || run->reference || run->timed_out || first->timed_out ||
		    (run->status == first->status && same_output(first, run, &at)))
			continue;
		fprintf(out,
			"\nThe guest itself does otherwise with pv=%s than with pv=%s (that is no difference of "
			"engines):\n",
			run->pv, first->pv);
		print_difference(run, first, out);
	}
}

void compare_print(const struct compare *compare, FILE *out)
{
	bool all = true;
	print_runs(compare, out);
	print_exits(compare, out);
	print_between_pv(compare, out);
	fputc('\n', out);
	for (unsigned n = 0; n < compare->count; n++) {
		const struct compare_run *run = &compare->run[n];
		if (!run->done || run->agrees)
			continue;
		all = false;
		if (run->timed_out) {
			fprintf(out, "%s was ended after %g s; --timeout=SECONDS gives it more\n", run->name,
				compare->config->timeout);
			continue;
		}
		fprintf(out, "%s differs from %s:\n", run->name, run->reference->name);
		print_difference(run, run->reference, out);
	}
	if (all)
		fprintf(out, "All engines and transports agree on output and status.\n");
}

/* ---------------------------------------------------------------------------------------------------------- JSON */

static json_t *json_run(const struct compare *compare, const struct compare_run *run)
{
	json_t *exits = json_object();
	for (unsigned kind = 0; kind < STAT_COUNT; kind++)
		json_object_set_new(exits, stats_exit_names[kind], json_integer((json_int_t)run->exits[kind]));
	return json_pack("{s:s, s:s?, s:s?, s:i, s:b, s:s?, s:I, s:f, s:I, s:o, s:I, s:I, s:b}", "engine",
			 run->engine->name, "transport", run->transport, "pv", run->pv, "status", run->status, "agrees",
			 run->agrees, "reference", run->reference ? run->reference->name : NULL, "wall_ns",
			 (json_int_t)run->wall_ns, "ratio", ratio(compare, run), "output_bytes",
			 (json_int_t)run->output_len, "exits", exits, "exits_total", (json_int_t)run->exits_total,
			 "interpreted", (json_int_t)run->interpreted, "timed_out", run->timed_out);
}

static json_t *json_document(const struct compare *compare)
{
	json_t *runs = json_array();
	bool agree = true;
	for (unsigned n = 0; n < compare->count; n++) {
		if (!compare->run[n].done)
			continue;
		agree = agree && compare->run[n].agrees;
		json_array_append_new(runs, json_run(compare, &compare->run[n]));
	}
	/* jansson takes UTF-8 alone, and a path may be anything. */
	json_t *image = json_string(compare->config->kernel);
	return json_pack("{s:s, s:i, s:o, s:b, s:o}", "schema", COMPARE_SCHEMA, "version", COMPARE_VERSION, "image",
			 image ? image : json_null(), "agree", agree, "runs", runs);
}

static int complain(const char *path, int error)
{
	fprintf(stderr, "ring3: --json %s: cannot write: %s: name a file in a directory that you may write to\n", path,
		strerror(-error));
	return error;
}

int compare_write_json(const struct compare *compare, const char *path)
{
	struct output_file file;
	json_t *document = json_document(compare);
	char *text = document ? json_dumps(document, JSON_INDENT(2)) : NULL;
	json_decref(document);
	int error = text ? output_open(&file, path) : -ENOMEM;
	if (!error) {
		error = output_write(&file, text, strlen(text));
		error = output_finish(&file, error ? error : output_write(&file, "\n", 1));
	}
	free(text);
	return error ? complain(path, error) : 0;
}

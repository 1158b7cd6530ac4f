/*
 * `ring3 classify`: every sensitive instruction, tried live in ring 3 of this host, and what that means for Popek and
 * Goldberg's condition: that each sensitive instruction traps.
 */
#include <argp.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli/classify.h"
#include "monitor/cli/cli.h"
#include "monitor/vm/vcpu.h"
#include "monitor/vm/vm.h"

#define CLASSIFY_SCHEMA	 "ring3-classify"
#define CLASSIFY_VERSION 1

static const char *const kind_names[] = {
	[CLASSIFY_CONTROL] = "control",
	[CLASSIFY_MODE] = "mode",
	[CLASSIFY_LOCATION] = "location",
	[CLASSIFY_WAY_IN] = "way-in",
};

/* What happened: "#GP(0x10)", "silent", "lost". */
static void outcome(const struct classify_result *result, char *text, size_t size)
{
	bool has_error = result->vector == X86_VEC_GP || result->vector == X86_VEC_PF || result->vector == X86_VEC_NP ||
			 result->vector == X86_VEC_SS;
	if (result->lost)
		snprintf(text, size, "lost");
	else if (!result->trapped)
		snprintf(text, size, "silent");
	else if (has_error)
		snprintf(text, size, "%s(%#x)", vcpu_vector_name(result->vector), result->error);
	else
		snprintf(text, size, "%s", vcpu_vector_name(result->vector));
}

/* What it gave away, if it passed. */
static void shown(const struct classify_insn *insn, const struct classify_result *result, char *text, size_t size)
{
	text[0] = '\0';
	if (result->trapped || result->lost)
		return;
	if (insn->shows == CLASSIFY_VALUE)
		snprintf(text, size, "%#" PRIx64, result->value);
	if (insn->shows != CLASSIFY_BYTES)
		return;
	uint16_t limit;
	uint64_t base;
	memcpy(&limit, result->bytes, sizeof(limit));
	memcpy(&base, result->bytes + sizeof(limit), sizeof(base));
	snprintf(text, size, "base %#" PRIx64 " limit %#x", base, limit);
}

/* ------------------------------------------------------------------------------------------------------- reports */

enum format { FORMAT_TEXT, FORMAT_JSON, FORMAT_CSV };

struct report {
	enum format format;
	json_t *rows;
	unsigned silent;
};

static void begin(struct report *report)
{
	if (report->format == FORMAT_TEXT)
		printf("%-13s %-8s %-10s %-5s %-36s %s\n", "instruction", "kind", "in ring 3", "traps", "shows",
		       "what it does");
	else if (report->format == FORMAT_CSV)
		printf("instruction,kind,outcome,traps,shows,what it does\n");
	else
		report->rows = json_array();
}

static void add_row(struct report *report, const struct classify_insn *insn, const struct classify_result *result)
{
	const char *kind = kind_names[insn->kind], *traps = result->trapped ? "yes" : "no";
	char what[32], value[64];
	outcome(result, what, sizeof(what));
	shown(insn, result, value, sizeof(value));
	report->silent += !result->trapped;
	if (report->format == FORMAT_TEXT)
		printf("%-13s %-8s %-10s %-5s %-36s %s\n", insn->name, kind, what, traps, value, insn->why);
	else if (report->format == FORMAT_CSV)
		printf("\"%s\",%s,%s,%s,\"%s\",\"%s\"\n", insn->name, kind, what, traps, value, insn->why);
	else
		json_array_append_new(report->rows,
				      json_pack("{s:s, s:s, s:s, s:s, s:b, s:s, s:s}", "name", insn->name, "code",
						insn->code, "kind", kind, "outcome", what, "traps", result->trapped,
						"shows", value, "does", insn->why));
}

static void finish(struct report *report)
{
	if (report->format == FORMAT_TEXT)
		printf("\n%u of %u sensitive instructions do not trap in ring 3 here: Popek and Goldberg's condition "
		       "%s.\n",
		       report->silent, classify_insn_count, report->silent ? "does not hold" : "holds");
	if (report->format != FORMAT_JSON)
		return;
	json_t *document =
		json_pack("{s:s, s:i, s:i, s:i, s:o}", "schema", CLASSIFY_SCHEMA, "version", CLASSIFY_VERSION,
			  "code_bits", 64, "silent", (int)report->silent, "instructions", report->rows);
	json_dumpf(document, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(document);
}

/* ------------------------------------------------------------------------------------------------------- the verb */

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "print a JSON document", 0},
	{"csv", 'c', NULL, 0, "print comma-separated values", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	enum format *format = state->input;
	switch (key) {
	case 'j':
		*format = FORMAT_JSON;
		return 0;
	case 'c':
		*format = FORMAT_CSV;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there is nothing to name: all instructions are tried");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cli_classify(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Tries every sensitive instruction of x86-64 in ring 3 of this host: which trap, and which pass "
		       "silently.\vdocs/classify.md explains the columns.",
	};
	struct report report = {.format = FORMAT_TEXT};
	argp_err_exit_status = VM_STATUS_HOST;
	if (argp_parse(&argp, argc, argv, 0, NULL, &report.format))
		return VM_STATUS_HOST;
	begin(&report);
	for (unsigned n = 0; n < classify_insn_count; n++) {
		struct classify_result result;
		int error = classify_try(&classify_insns[n], &result);
		if (error) {
			fprintf(stderr, "ring3: cannot fork a probe: %s; end other programs first\n", strerror(-error));
			json_decref(report.rows);
			return VM_STATUS_HOST;
		}
		add_row(&report, &classify_insns[n], &result);
	}
	finish(&report);
	return 0;
}

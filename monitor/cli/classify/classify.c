/*
 * `ring3 classify`: every sensitive instruction, tried live in ring 3 of this host and in ring 0 of a guest under every
 * engine, and what that means for Popek and Goldberg's condition: that each sensitive instruction traps.
 */
#include "monitor/cli/classify/classify.h"
#include "monitor/cli/classify/internal.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/vm/vm.h"

struct wanted {
	void (*print)(const struct classify_table *table);
	bool host_only;
};

enum { KEY_HOST_ONLY = 256 };

static const struct argp_option options[] = {
	{"json", 'j', NULL, 0, "print a JSON document", 0},
	{"csv", 'c', NULL, 0, "print comma-separated values", 0},
	{"html", 'w', NULL, 0, "print a page for a browser", 0},
	{"host-only", KEY_HOST_ONLY, NULL, 0, "do not ask the engines: tell of this host alone", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct wanted *wanted = state->input;
	switch (key) {
	case 'j':
		wanted->print = classify_print_json;
		return 0;
	case 'c':
		wanted->print = classify_print_csv;
		return 0;
	case 'w':
		wanted->print = classify_print_html;
		return 0;
	case KEY_HOST_ONLY:
		wanted->host_only = true;
		return 0;
	case ARGP_KEY_ARG:
		fprintf(stderr, "ring3: classify: '%s': all instructions are tried: name none\n", arg);
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int try_host(struct classify_table *table)
{
	static const unsigned bits[] = {64, 32};
	for (unsigned n = 0; n < classify_insn_count; n++) {
		struct classify_row *row = &table->row[n];
		row->insn = &classify_insns[n];
		for (unsigned b = 0; b < 2; b++) {
			int error = classify_try(row->insn, bits[b], &row->ring3[b]);
			if (error) {
				fprintf(stderr, "ring3: cannot fork a probe: %s; end other programs first\n",
					strerror(-error));
				return error;
			}
		}
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse,
	.doc = "Tries every sensitive instruction of x86-64 in ring 3 of this host, which trap and which pass "
	       "silently, and in a guest kernel under every engine.\vdocs/classify.md explains the columns.",
};

static int cli_classify(int argc, char **argv)
{
	struct wanted wanted = {.print = classify_print_text};
	struct classify_table table = {0};
	int error, status = verb_parse(&argp, argc, argv, &wanted);

	if (status != VERB_GOES_ON)
		return status;
	table.row = calloc(classify_insn_count, sizeof(*table.row));
	error = table.row ? try_host(&table) : -ENOMEM;
	if (!error && !wanted.host_only)
		error = classify_ask_engines(&table);
	if (!error) {
		classify_count(&table);
		wanted.print(&table);
	}
	free(table.row);
	return error || fflush(stdout) ? VM_STATUS_HOST : 0;
}

const struct verb classify_verb = {"classify", cli_classify,
				   "which sensitive instructions trap in ring 3 of this host, tried live", &argp};

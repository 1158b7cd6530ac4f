/*
 * Words of a verb: argp reads them, below a parser that knows --help and keeps argp's own words away.
 */
#include "monitor/cli/common/verb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/vm/vm.h"

#define KEY_HELP 'h'

struct words {
	const struct argp *argp;
	const char *name;
	void *input;
};

static const struct argp_option help_option[] = {{"help", KEY_HELP, NULL, 0, "print this and end", -1}, {0}};

static error_t parse_help(int key, char *arg, struct argp_state *state)
{
	const struct words *words = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->err_stream = NULL; /* getopt names what is wrong; argp has nothing to add */
		state->child_inputs[0] = words->input;
		return 0;
	case KEY_HELP:
		verb_help(words->argp, words->name, stdout);
		return ECANCELED;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

void verb_help(const struct argp *argp, const char *name, FILE *out)
{
	const struct argp_child children[] = {{argp, 0, NULL, 0}, {0}};
	const struct argp all = {.options = help_option, .parser = parse_help, .children = children};
	char *whole;

	if (asprintf(&whole, "ring3 %s", name) < 0)
		return;
	argp_help(&all, out, ARGP_HELP_SHORT_USAGE | ARGP_HELP_DOC | ARGP_HELP_LONG, whole);
	free(whole);
}

int verb_hint(const char *name)
{
	fprintf(stderr, "ring3: 'ring3 %s --help' lists the options\n", name);
	return VM_STATUS_HOST;
}

int verb_read(const struct argp *argp, int argc, char **argv, void *input)
{
	const struct argp_child children[] = {{argp, 0, NULL, 0}, {0}};
	const struct argp all = {.options = help_option, .parser = parse_help, .children = children};
	struct words words = {argp, argv[0], input};
	char **copy = calloc((size_t)argc + 1, sizeof(*copy)); /* which is permuted */
	char *begins;
	error_t error;

	/* What getopt's messages begin with. */
	if (!copy || asprintf(&begins, strcmp(argv[0], "run") ? "ring3: %s" : "ring3", argv[0]) < 0) {
		fputs("ring3: this host has no memory left: end other programs first\n", stderr);
		free(copy);
		return VM_STATUS_HOST;
	}
	memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	copy[0] = begins;
	error = argp_parse(&all, argc, copy, ARGP_NO_HELP | ARGP_NO_EXIT, NULL, &words);
	free(copy);
	free(begins);
	if (error == ECANCELED)
		return 0;
	return error ? VM_STATUS_HOST : VERB_GOES_ON;
}

int verb_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	int status = verb_read(argp, argc, argv, input);

	return status == VM_STATUS_HOST ? verb_hint(argv[0]) : status;
}

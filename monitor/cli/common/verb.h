/*
 * A verb of the command line: how its words are read, how wrong ones are answered, its help. The same for all.
 */
#ifndef MONITOR_CLI_VERB_H
#define MONITOR_CLI_VERB_H

#include <argp.h>
#include <stdio.h>

struct verb {
	const char *name;
	int (*run)(int argc, char **argv); /* the exit status; argv[0] is the verb */
	const char *summary;
	const struct argp *argp; /* its options; help, manual page and completions are made of them too */
};

#define VERB_GOES_ON (-1)

/*
 * Reads argv, whose first word is the verb. VERB_GOES_ON, or the exit status: --help was answered on stdout, or what is
 * wrong was told on stderr, in two lines. The parser says one of them when it returns EINVAL.
 */
int verb_parse(const struct argp *argp, int argc, char **argv, void *input);
/* The same, but of what is wrong one line is told: the caller adds the second, verb_hint, whatever was wrong. */
int verb_read(const struct argp *argp, int argc, char **argv, void *input);
/* The second of the two lines. Returns the exit status of wrong usage. */
int verb_hint(const char *name);
void verb_help(const struct argp *argp, const char *name, FILE *out);

#endif

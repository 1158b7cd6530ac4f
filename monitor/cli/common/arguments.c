/*
 * Taking options out of argv.
 */
#include "monitor/cli/common/arguments.h"

#include <stdio.h>
#include <string.h>

static void drop(int *argc, char **argv, int at, int count)
{
	*argc -= count;
	memmove(&argv[at], &argv[at + count], (size_t)(*argc - at + 1) * sizeof(argv[0]));
}

/* What follows "--NAME" in the word: "" or "=..."; NULL if it is another word. */
static char *match(char *word, const char *name)
{
	size_t len = strlen(name);
	if (strncmp(word, "--", 2) || strncmp(word + 2, name, len))
		return NULL;
	word += 2 + len;
	return *word == '\0' || *word == '=' ? word : NULL;
}

bool arguments_take(int *argc, char **argv, const char *name, const char **value)
{
	for (int n = 1; n < *argc;) {
		char *rest = match(argv[n], name);
		if (!rest) {
			n++;
		} else if (*rest) {
			*value = rest + 1;
			drop(argc, argv, n, 1);
		} else if (n + 1 == *argc) {
			fprintf(stderr, "ring3: --%s: a value is missing\n", name);
			return false;
		} else {
			*value = argv[n + 1];
			drop(argc, argv, n, 2);
		}
	}
	return true;
}

bool arguments_take_flag(int *argc, char **argv, const char *name)
{
	bool found = false;
	for (int n = 1; n < *argc;) {
		char *rest = match(argv[n], name);
		if (rest && !*rest) {
			drop(argc, argv, n, 1);
			found = true;
		} else {
			n++;
		}
	}
	return found;
}

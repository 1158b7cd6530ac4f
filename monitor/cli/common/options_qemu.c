/*
 * QEMU's spellings: long words with a single dash, which getopt would take for a bundle of letters.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "monitor/cli/common/options.h"
#include "monitor/cli/common/options_table.h"

static const struct spelling {
	const char *qemu;
	char ours[16];
} spellings[] = {
	{"-append", "--append"}, {"-initrd", "--module"},	{"-kernel", "--kernel"},
	{"-smp", "--smp"},	 {"-nographic", "--nographic"}, {"-gdb", "--gdb"},
};

static const char *ours_of(const char *word)
{
	for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++) {
		if (!strcmp(word, spellings[i].qemu))
			return spellings[i].ours;
	}
	return NULL;
}

/* The word is an option whose value is the next word. Long options may be abbreviated, as getopt allows. */
static bool value_follows(const char *word)
{
	bool is_long = !strncmp(word, "--", 2);

	for (const struct argp_option *option = options_table; option->name || option->key; option++) {
		if (!option->arg)
			continue;
		if (is_long && option->name && !strncmp(option->name, word + 2, strlen(word + 2)))
			return true;
		if (!is_long && word[1] == option->key && !word[2])
			return true;
	}
	return false;
}

/* A word of one dash that getopt may have: one letter, or -m with its size attached. */
static bool is_short(const char *word)
{
	return !word[2] || (word[1] == OPT_MEMORY && word[2] >= '0' && word[2] <= '9');
}

int options_rewrite(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *ours;

		if (!strcmp(argv[i], "--"))
			return 0;
		if (argv[i][0] != '-' || !argv[i][1])
			continue;
		ours = ours_of(argv[i]);
		if (ours)
			argv[i] = (char *)ours;
		else if (argv[i][1] != '-' && !is_short(argv[i])) {
			fprintf(stderr, "ring3: there is no option '%s'\n", argv[i]);
			return -EINVAL;
		}
		if (value_follows(argv[i]))
			i++;
	}
	return 0;
}

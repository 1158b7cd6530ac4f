/*
 * What the two files of r3_watch share: what is wanted of the command, and what it did.
 */
#ifndef TESTS_LIFECYCLE_WATCH_H
#define TESTS_LIFECYCLE_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <termios.h>

#define PATTERNS_MAX 8

struct stream {
	int fd; /* -1: ended */
	char *text;
	size_t len;
};

struct patterns {
	const char *text[PATTERNS_MAX];
	unsigned count;
};

extern struct watch_want {
	const char *status;
	struct patterns err, out, not_out;
	bool err_empty, out_empty, close_input, unprivileged, stats;
	int err_lines;
	const char *after, *typed, *input, *output, *neighbour;
	int signal;
	unsigned long growth; /* KiB */
	int64_t within;
	struct {
		int resource;
		rlim_t value;
	} limit[3];
	unsigned limits;
	char **command;
} want;

extern struct watch_run {
	pid_t pid;
	int pidfd, input, terminal, status;
	struct stream out, err;
	struct termios before;
	bool done, acted;
	int64_t acted_at;
	unsigned long memory, memory_most; /* KiB: when it was first looked at, and the most */
} run;

extern struct watch_neighbour {
	pid_t pid;
	int input;
	struct stream out;
} neighbour;

extern char stats_file[256];

/* Says why on stdout, with all output of the command, ends what was started, and exits with 1. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* watch_judge.c: returns if all is as wanted. */
void judge(void);
/* Notes how much memory the command has of its own; the ms after which to do so again. */
int64_t memory_look(void);

#endif

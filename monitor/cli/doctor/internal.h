/*
 * `ring3 doctor`: the checks, and what each comes to.
 */
#ifndef MONITOR_CLI_DOCTOR_H
#define MONITOR_CLI_DOCTOR_H

#include <stdbool.h>

enum doctor_status {
	DOCTOR_INFO,	/* worth knowing, nothing depends on it */
	DOCTOR_OK,	/* as it should be */
	DOCTOR_LIMITED, /* guests run, with a limit; remedy says how to lift it */
	DOCTOR_MISSING, /* guests cannot run for want of it; remedy says what to do */
};

struct doctor_result {
	enum doctor_status status;
	char found[256];
	const char *remedy; /* for LIMITED and MISSING, else NULL */
};

struct doctor_check {
	const char *name;
	const char *title;
	void (*run)(struct doctor_result *result);
};

/* start.c: starts of a guest; the first is the one that decides. */
extern const struct doctor_check doctor_starts[];
extern const unsigned doctor_starts_count;
/* Removes what they left. */
void doctor_starts_end(void);
/* live.c: what guest code needs to run, tried out in a child. */
extern const struct doctor_check doctor_live[];
extern const unsigned doctor_live_count;
/* walls.c: what a guest would meet that had taken over the monitor. */
extern const struct doctor_check doctor_walls[];
extern const unsigned doctor_walls_count;
/* host.c: limits and settings of the host. */
extern const struct doctor_check doctor_host[];
extern const unsigned doctor_host_count;

void doctor_found(struct doctor_result *result, enum doctor_status status, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Runs the function in a child. Returns what it returned (0 to 127: 0, or an errno), or the negative number of the
 * signal that it died of.
 */
int doctor_try(int (*function)(void));
/* True, with the result saying so: the last doctor_try since the last call came to nothing for want of a process. */
bool doctor_untried(struct doctor_result *result);

/* A number from a file of one word, `missing` if it cannot be read, UINT64_MAX's bits for "max" or "unlimited". */
unsigned long doctor_number(const char *path, unsigned long missing);
/* The first line of a file; "" if it cannot be read. */
void doctor_line(const char *path, char *line, unsigned size);

#endif

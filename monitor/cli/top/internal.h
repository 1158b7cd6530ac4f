/*
 * `ring3 top`: the guests that run, and what each did since it was last asked.
 */
#ifndef MONITOR_CLI_TOP_H
#define MONITOR_CLI_TOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "monitor/vm/stats.h"

#define TOP_GUESTS 64

struct top_guest {
	pid_t pid;
	bool answered; /* else it is stopped, by a debugger for instance: only what /proc says is known */
	char image[48], engine[16];
	uint64_t asked_ns; /* clock_ns() of the answer */
	uint64_t wall_ns, guest_ns, monitor_ns;
	uint64_t cpu_ns; /* of the monitor and its cells, in the host's ticks */
	uint64_t exits[STAT_COUNT], exits_total;
	uint64_t ram, touched, shadowed, kept; /* bytes */
};

struct top_view {
	struct top_guest guest[TOP_GUESTS];
	unsigned count;
};

/* top_guests.c: asks every guest of this user; removes what killed ones left. False with a message if there is no way.
 */
bool top_look(struct top_view *view);

/* hear.c: what each guest says within some time, by a connection for each. */
void top_hear(struct top_view *view, const int *fd);

/* top_table.c: prints the guests, and what they did since the view before; at most so many lines, of so many columns.
 */
void top_table(const struct top_view *now, const struct top_view *before, unsigned lines, unsigned columns, FILE *out);

#endif

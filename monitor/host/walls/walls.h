/*
 * The monitor's own walls. Once the guest is ready, the monitor gives up what it will not need: rights by exec, system
 * calls that are not in calls.def, names of files that were not kept (names.h), and, where the host has Landlock,
 * files, processes and ports of others. Its children inherit that. Should a guest ever take over the monitor, this is
 * what it has.
 */
#ifndef MONITOR_HOST_WALLS_WALLS_H
#define MONITOR_HOST_WALLS_WALLS_H

#include <stdbool.h>

/* Whose list of calls; see calls.def. */
enum walls_verb { WALLS_RUN, WALLS_DEBUG, WALLS_LOCKSTEP, WALLS_REPORT, WALLS_TOP };

/*
 * Puts the walls up around this thread, its children and threads to come: before those are made. At a call that the
 * filter forbids, last_words is called in the signal handler, the call is named on stderr, and the process aborts. 0,
 * also if they stand already, or negative errno with a message printed.
 */
int walls_up(enum walls_verb verb, void (*last_words)(void));

/* In a child with a filter of its own: what this one forbids fails with EPERM from here on, as there, and quietly. */
void walls_forgive(void);

/* For a child process: puts up the filter alone, to see whether this host has that. 0 or errno. */
int walls_try_filter(enum walls_verb verb);
/* The version of Landlock's interface, 0: none; and the first that keeps signals from strangers. */
#define WALLS_LANDLOCK_SIGNALS 6
int walls_landlock_version(void);

#endif

/*
 * Statistics of a running guest, for whoever may ask: a Unix socket of the user's own that answers each connection with
 * the JSON document of docs/stats.md as it stands, and hangs up. A connection comes as a signal, the run loop answers
 * between two exits: while nobody asks it costs nothing.
 */
#ifndef MONITOR_VM_STATS_SOCKET_H
#define MONITOR_VM_STATS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

struct vm;

/*
 * The directory of the sockets, each named after the process that answers: $XDG_RUNTIME_DIR/ring3, or /tmp/ring3-UID.
 * It is made if it is not there. False if it cannot be had for this user alone.
 */
bool stats_directory(char *path, size_t size);

/* Answers for this machine from now on. If the host refuses, the guest runs without. */
void stats_publish(struct vm *vm);
void stats_unpublish(void);

#endif

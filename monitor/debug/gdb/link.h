/*
 * The byte stream to the debugger. A thread waits for connections and bytes while the vCPU's own is in the guest; it
 * only wakes the monitor, all reading and writing is the vCPU thread's.
 */
#ifndef MONITOR_DEBUG_GDB_LINK_H
#define MONITOR_DEBUG_GDB_LINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "monitor/debug/gdb/peer.h"

struct gdb_link {
	int listen_fd;	     /* -1: stdio */
	int in_fd, out_fd;   /* of the present connection, equal for sockets; -1: none */
	int spare_fd;	     /* held for when no other is left; -1: none */
	int wake_fd;	     /* eventfd: the watcher is to look again, or to stop */
	atomic_int watched;  /* what the watcher waits for; -1: nothing */
	atomic_bool ready;   /* it is readable; the watcher rests until link_rearm */
	atomic_bool crowded; /* no descriptor was left for a connection: the watcher gives it a while */
	atomic_bool stop;
	bool running;
	bool told_refusal;
	pthread_t watcher;
	int tables[PEER_TABLES]; /* of TCP connections, by which peers are known */
	char path[108];		 /* of a unix socket that this process made, else empty */
};

/* Takes over what another opened, whose watcher is stopped. */
void link_adopt(struct gdb_link *link, const struct gdb_link *from);
/* Opens what the address names and says on stderr where. 0 or negative errno with a message printed. */
int link_open(struct gdb_link *link, const char *address);
/* Starts the watcher, and ends it: in between it may call events_wake. 0 or negative errno with a message printed. */
int link_start(struct gdb_link *link);
void link_stop(struct gdb_link *link);
void link_close(struct gdb_link *link);
bool link_address_valid(const char *address);

/* Something arrived since link_rearm: a connection, bytes, or the end. Never blocks. */
bool link_ready(const struct gdb_link *link);
bool link_connected(const struct gdb_link *link);
/* Takes a waiting connection, if it is one of this user's; true if there is one now that was not. */
bool link_accept(struct gdb_link *link);
/* Bytes read, 0 if none wait, negative if the connection is gone. */
ssize_t link_read(struct gdb_link *link, void *data, size_t len);
/* Hangs up on a peer that is gone, or does not read for seconds; at once if the monitor is to end. */
void link_write(struct gdb_link *link, const void *data, size_t len);
void link_hang_up(struct gdb_link *link);
/* Everything that waited was taken: have the watcher wait for more. */
void link_rearm(struct gdb_link *link);

#endif

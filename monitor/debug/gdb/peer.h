/*
 * Who connects: only processes of the monitor's own user may debug its guest.
 */
#ifndef MONITOR_DEBUG_GDB_PEER_H
#define MONITOR_DEBUG_GDB_PEER_H

#include <stdbool.h>

#define PEER_TABLES 2

/*
 * The host's tables of TCP connections, of both address families, in tables[]; -1: that one cannot be had. To be opened
 * before the monitor gives up opening files.
 */
void peer_open_tables(int tables[PEER_TABLES]);
void peer_close_tables(int tables[PEER_TABLES]);

/*
 * Whether the other end of a connected socket, unix or TCP, is a process of this user. A TCP peer on another machine,
 * in another network namespace or already gone is not known to be one.
 */
bool peer_is_ours(int fd, const int tables[PEER_TABLES]);

#endif

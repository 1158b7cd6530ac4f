/*
 * A short-lived process for work on what the guest brought along: unwind tables and debug information, read by large
 * libraries that were written for honest files. Limits of time and memory, a filter of system calls: whatever becomes
 * of it, the monitor goes on.
 */
#ifndef MONITOR_DEBUG_JAIL_H
#define MONITOR_DEBUG_JAIL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct guest_mem;

/*
 * Runs work(arg, out) in a copy of this process, where guest RAM can be read only, and copies what it prints to `to`:
 * printable characters and ends of lines, at most 256 KiB. False if it did not come to its end, for which it has
 * patience_ns, or until one more signal asks for the monitor's end; what it had printed is there all the same.
 */
bool jail_run(const struct guest_mem *mem, void (*work)(void *arg, FILE *out), void *arg, uint64_t patience_ns,
	      FILE *to);

#endif

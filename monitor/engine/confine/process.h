/*
 * Making and ending the processes that guest bytes run in. What such a child does between fork and the moment its own
 * code takes over must not use a lock: the parent's other threads are in whatever state they were in. Nor has it the
 * monitor's heap and variables; what it is told lies on the stack of who forks, or among constants.
 */
#ifndef MONITOR_ENGINE_CONFINE_PROCESS_H
#define MONITOR_ENGINE_CONFINE_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Forks, with no signal handler of the monitor's ever running in the child, which calls child(arg) and must not return
 * from there. The child dies with the calling thread, has a process group of its own, leaves no core, gains no
 * privileges, and holds none of the C library's areas that the kernel writes to. Its number, or a negative errno.
 */
pid_t confine_fork(void (*child)(const void *arg), const void *arg);

/* ------------------------------------------------------------------------------- in the child; a refusal ends it */

/* Maps shared pages of fd where they are to lie. */
void confine_map(uint64_t address, size_t size, int prot, int fd, off_t offset);
/* Calls the handler on the alternate stack, with the signals of `mask` (bit n - 1 for signal n) and `flags` added. */
void confine_handle(int signal, uint64_t handler, uint64_t flags, uint64_t mask);
/* Blocks exactly the signals of the mask. */
void confine_block(uint64_t mask);
/* Closes all descriptors but these, of which negative ones are none. */
void confine_close_all_but(const int *keep, unsigned count);
/* Registers are the monitor's still; guest code could read them. `size`: host_xsave_size(), asked before the fork. */
void confine_reset_fpu(uint32_t size);

/* --------------------------------------------------------------------------------------------------- in the monitor */

/* Waits for the end of a task that was killed. */
void confine_reap(pid_t task);
/*
 * Reaps a task if it is dead. A stop is left for whoever waits for it: taken here, it would never come again. *error is
 * then why: a task whose start the host refuses exits with that errno, so that it is negative; else -ECHILD.
 */
bool confine_is_dead(pid_t task, int *error);

#endif

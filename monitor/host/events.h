/*
 * What reaches the monitor from outside while it runs or waits: signals, deadlines, wake-ups of other threads. Handlers
 * only note what came, set the attention flag of each machine and kick it; the run loop acts.
 */
#ifndef MONITOR_HOST_EVENTS_H
#define MONITOR_HOST_EVENTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A process has one machine, or for `lockstep` two. */
#define EVENTS_MACHINES 2

/*
 * Has a machine told of events, from any thread and in signal handlers: *attention is set, and kick(arg) makes what
 * runs look at it. The first call also installs the handlers. 0 or negative errno with a message printed.
 */
int events_init(atomic_bool *attention, void (*kick)(void *arg), void *arg);
/* Forgets the machine that came last; with the first, restores the dispositions found. */
void events_exit(void);

/* The deadly signal that asks the monitor to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT), or 0. */
int events_quit_signal(void);
/* How many of them have come. */
unsigned events_quits(void);

/* How often a child has ended: who waits for none of them looks after his own when this has changed. */
unsigned events_children(void);

/* True if SIGUSR1, SIGUSR2, SIGWINCH or SIGIO came since the last call. */
bool events_take(int signal);

/*
 * Calls events_wake at clock_machine_ns() time `deadline`; TIMER_NEVER: not. One deadline at a time, the latest call
 * wins; repeating the present one is free. 0, or negative errno: the host has no timer.
 */
int events_arm(uint64_t deadline);

/* Sleeps until *attention is set or `deadline` passes. Returns at once if it is set already. */
void events_sleep(const atomic_bool *attention, uint64_t deadline);

/* Sets attention, kicks what runs and ends events_sleep. Async-signal-safe, any thread. */
void events_wake(void);

#endif

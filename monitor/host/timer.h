/*
 * Deadlines of devices and of the machine, kept in one small list; the run loop asks for the earliest, arms one host
 * timer for it (monitor/host/events.h), and runs what has expired. vCPU thread only.
 */
#ifndef MONITOR_HOST_TIMER_H
#define MONITOR_HOST_TIMER_H

#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

struct timer {
	uint64_t deadline; /* clock_machine_ns() time, TIMER_NEVER when disarmed */
	void (*expired)(void *arg, uint64_t now);
	void *arg;
	struct timer *next;
};

struct timers {
	struct timer *first; /* unordered: a machine has a handful */
};

/* Adds a disarmed timer; it stays on the list until the list is gone. */
void timer_add(struct timers *timers, struct timer *timer, void (*expired)(void *arg, uint64_t now), void *arg);
static inline void timer_arm(struct timer *timer, uint64_t deadline)
{
	timer->deadline = deadline;
}
/* The earliest deadline, or TIMER_NEVER. */
uint64_t timers_next(const struct timers *timers);
/* Calls `expired` once for each timer whose deadline is at or before now, disarmed first; it may arm itself again. */
void timers_run(struct timers *timers, uint64_t now);

#endif

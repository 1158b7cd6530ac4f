/*
 * The list of deadlines. A machine has a handful of timers, so the list is walked, not sorted.
 */
#include "monitor/host/timer.h"

#include <stddef.h>

void timer_add(struct timers *timers, struct timer *timer, void (*expired)(void *arg, uint64_t now), void *arg)
{
	*timer = (struct timer){.deadline = TIMER_NEVER, .expired = expired, .arg = arg, .next = timers->first};
	timers->first = timer;
}

uint64_t timers_next(const struct timers *timers)
{
	uint64_t next = TIMER_NEVER;

	for (const struct timer *timer = timers->first; timer; timer = timer->next)
		if (timer->deadline < next)
			next = timer->deadline;
	return next;
}

void timers_run(struct timers *timers, uint64_t now)
{
	for (struct timer *timer = timers->first; timer; timer = timer->next) {
		if (timer->deadline == TIMER_NEVER || timer->deadline > now)
			continue;
		timer->deadline = TIMER_NEVER;
		timer->expired(timer->arg, now);
	}
}

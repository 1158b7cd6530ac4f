/*
 * Whether another program keeps one of the two CPUs busy that a guest is spread over. Then each side spins for one that
 * does not run, and both are better off together on the other CPU. The host says how long a task that could have run
 * waited for its CPU (proc(5), /proc/PID/task/TID/schedstat); where it does not say so nothing is ever contended.
 */
#ifndef MONITOR_ENGINE_TRAP_CONTENTION_H
#define MONITOR_ENGINE_TRAP_CONTENTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct waiter {
	pid_t process, task;
	pid_t mapper; /* of the process: it runs on the far CPU for the guest, which is no contention; 0: none */
	uint64_t run_ns, delay_ns, mapper_ns;
};

struct contention {
	/* Who is looked at: the user side's runner, and another one that shares its CPU; whoever runs on the other side
	 */
	struct waiter near, beside, far;
	uint64_t since_ns;    /* for how long; 0: nobody is */
	uint64_t monitor_ns;  /* CPU time of the monitor then: the far side waits for it, too, if it is not it */
	uint64_t until_ns;    /* stay together until then; 0: there is no need */
	uint64_t patience_ns; /* for how long that was */
	uint64_t begun;	      /* how often it was so, for statistics */
};

enum contended { CONTENDED_NOT, CONTENDED_NEAR, CONTENDED_FAR };

/*
 * The tasks of the moment, with the guest on two CPUs; `beside` has none if nobody shares the near one's CPU, the far
 * one shares its CPU with the monitor, or is it.
 */
enum contended contention_look(struct contention *contention, struct waiter near, struct waiter beside,
			       struct waiter far);
/* Tasks are placed anew: what they waited before says nothing of now. */
void contention_forget(struct contention *contention);
/* One CPU is contended: when to try two again comes later each time. */
void contention_begin(struct contention *contention);
/* True as long as the guest should stay on one CPU. */
bool contention_lasts(const struct contention *contention);

#endif

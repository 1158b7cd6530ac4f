/*
 * Control passes between monitor and runner through one word in the exchange page: the side that gives up control
 * stores it, the other spins on it, yields, and at last sleeps on it as a futex. How long each lasts depends on whether
 * both have a CPU of their own (handover_policy).
 */
#ifndef MONITOR_ENGINE_TRAP_HANDOVER_H
#define MONITOR_ENGINE_TRAP_HANDOVER_H

#include <stdbool.h>

#include "monitor/engine/trap/cell.h"

/* Lets the runner go on. `place` is another cell's runner that waits on the same CPU and makes room, or NULL. */
void handover_resume(struct cell *cell, struct cell *place);

/* A guest that runs this long without an exit computes. */
#define HANDOVER_QUIET_NS 10000000

enum handover {
	HANDOVER_EXITED, /* the runner handed over, or forged it: the exchange page says how it wants to be understood
			  */
	HANDOVER_NUDGED, /* handover_nudge was called, or the cell died */
	HANDOVER_QUIET,	 /* nothing for HANDOVER_QUIET_NS; only if not `endless` */
};
/* Waits for the runner. spins: rounds of PAUSE before yielding; yields: rounds of sched_yield before sleeping. */
enum handover handover_wait(struct cell *cell, unsigned spins, unsigned yields, bool endless);
/* Makes handover_wait return. Async-signal-safe, any thread. Without effect once the runner has handed over. */
void handover_nudge(struct cell *cell);

/* Waits for a new cell's first exit; false if the process ended instead. */
bool handover_wait_boot(struct cell *cell);

#endif

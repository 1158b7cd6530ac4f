/*
 * Control passes between monitor and runner through one word in the exchange page: the side that gives up control
 * stores it, the other spins on it, yields, and at last sleeps on it as a futex. How long each lasts depends on whether
 * both have a CPU of their own (handover_policy).
 */
#ifndef MONITOR_ENGINE_TRAP_HANDOVER_H
#define MONITOR_ENGINE_TRAP_HANDOVER_H

#include <stdbool.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/placement.h"

/*
 * Lets the runner go on. `place` is another cell, whose runner may be waiting and makes room, or NULL; if it waits on
 * the same CPU it does the waking.
 */
void handover_resume(struct cell *cell, struct cell *place, bool same_cpu);

/* A guest that runs this long without an exit computes. */
#define HANDOVER_QUIET_NS 10000000
/* A runner that is to come out and has not after this is kicked again: after the first kick, and after later ones. */
#define HANDOVER_FIRST_NS 200000
#define HANDOVER_KICK_NS  2000000

/* A runner that waits spinning goes to sleep. */
void handover_rest(struct cell *cell);

enum handover {
	HANDOVER_EXITED, /* the runner handed over, or forged it: the exchange page says how it wants to be understood
			  */
	HANDOVER_NUDGED, /* handover_nudge was called, or the cell died */
	HANDOVER_QUIET,	 /* nothing for `quiet_ns` */

};
/* Waits for the runner; quiet_ns 0: for ever. */
enum handover handover_wait(struct cell *cell, struct patience patience, unsigned quiet_ns);
/* Makes handover_wait return. Async-signal-safe, any thread. Without effect once the runner has handed over. */
void handover_nudge(struct cell *cell);

/* Its runner has control, as it says. */
bool handover_runs(const struct cell *cell);

/* A user cell died while a kernel cell waits for it: has that wait end. */
void handover_give_up(struct cell *peer);

/* Waits for a new cell's first exit; false if the process ended instead. */
bool handover_wait_boot(struct cell *cell);

#endif

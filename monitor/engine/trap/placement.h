/*
 * Where monitor and runners run. Together on one CPU, hand-overs go by sched_yield and then sleep; apart on two, both
 * spin. A wake-up that crosses CPUs costs several times either, so the monitor never sleeps apart for long: it moves.
 */
#ifndef MONITOR_ENGINE_TRAP_PLACEMENT_H
#define MONITOR_ENGINE_TRAP_PLACEMENT_H

#include <stdbool.h>
#include <stdint.h>

struct cells;

struct placement {
	bool adaptive; /* may change between together and apart */
	bool apart;
	int near, far; /* host CPUs: the runners', and the one the monitor uses apart; far < 0: there is none */
	unsigned spins, yields; /* the monitor's, at present */
	unsigned sleeps, exits; /* in the present window */
	uint64_t window_tsc;	/* when the window began */
};

/* cpus: 1 together, 2 apart, 0 adaptive. 0 or -EINVAL with a message if two are asked for and one is there. */
int placement_init(struct placement *placement, struct cells *cells, unsigned cpus);
/* Notes one exit whose wait ended at tsc and took `waited` ticks; may move the monitor. */
void placement_note(struct placement *placement, struct cells *cells, uint64_t tsc, uint64_t waited);
/* Gives the monitor its own affinity back. */
void placement_exit(struct placement *placement);

#endif

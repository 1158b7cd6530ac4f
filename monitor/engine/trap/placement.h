/*
 * Where monitor and runners run, and how they wait for each other. Together on one CPU, hand-overs go by sched_yield
 * and then sleep; apart on two, both spin. A wake-up that crosses CPUs costs several times either, so the monitor does
 * not sleep apart for long. A guest that computes is left to the host's scheduler.
 */
#ifndef MONITOR_ENGINE_TRAP_PLACEMENT_H
#define MONITOR_ENGINE_TRAP_PLACEMENT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cells;

enum placement_mode { PLACEMENT_TOGETHER, PLACEMENT_APART, PLACEMENT_LOOSE };

struct placement {
	bool adaptive; /* the mode follows the rate of exits */
	enum placement_mode mode;
	cpu_set_t allowed;
	int near, far;			      /* host CPUs: the runners', and the monitor's when apart */
	unsigned spins, yields;		      /* the monitor's patience */
	unsigned runner_spins, runner_yields; /* the runners' */
	unsigned exits;			      /* in the present window */
	uint64_t window_tsc;		      /* when it began */
};

/* cpus: 1 together, 2 apart, 0 adaptive. 0 or -EINVAL with a message if two are asked for and one is there. */
int placement_init(struct placement *placement, struct cells *cells, unsigned cpus);
/* Notes an exit at tsc; may change the mode. */
void placement_note(struct placement *placement, struct cells *cells, uint64_t tsc);
/* Notes that no exit came for long; may change the mode. */
void placement_quiet(struct placement *placement, struct cells *cells);
/* Has a task run where the mode wants runners, or the monitor and its mappers. */
void placement_pin(const struct placement *placement, pid_t task, bool monitor_side);
/* Gives the monitor its own affinity back. */
void placement_exit(struct placement *placement);

#endif

/*
 * Where monitor and runners run, and how they wait for each other. On one CPU, hand-overs go by sched_yield and then
 * sleep; between two, both sides spin. A wake-up that crosses CPUs costs several times either, so nobody sleeps for
 * long with the other side on another CPU. A guest that computes is left to the host's scheduler. Where many programs
 * want the CPU each yield lets all of them run, and whoever sleeps instead runs as soon as he is woken.
 */
#ifndef MONITOR_ENGINE_TRAP_PLACEMENT_H
#define MONITOR_ENGINE_TRAP_PLACEMENT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor/engine/trap/contention.h"

struct cells;

enum placement_mode {
	PLACEMENT_TOGETHER, /* all on one CPU */
	PLACEMENT_APART,    /* runners on one, the monitor on the other */
	PLACEMENT_SPLIT,    /* user mode on one, kernel mode and the monitor on the other (see direct.h) */
	PLACEMENT_LOOSE,    /* anywhere */
};

/* How long one side spins, then yields, before it sleeps. */
struct patience {
	unsigned spins, yields;
};

struct placement {
	bool adaptive; /* the mode follows the rate of exits */
	bool two;      /* there are two CPUs to use, if no other program wants one of them */
	bool direct;   /* the guest can enter user mode directly, */
	bool passes;   /* and does so more often than the monitor is wanted: SPLIT, not APART */
	enum placement_mode mode;
	cpu_set_t allowed;
	int near, far; /* host CPUs: user mode's, and the monitor's if it has one of its own */
	/* Indexed by whether the cell is a kernel cell. */
	struct patience runner[2];  /* runner waiting for whoever resumes it */
	struct patience monitor[2]; /* monitor waiting for such a runner */
	struct patience peer;	    /* kernel cell waiting for a user cell */
	unsigned epoch;		    /* of the mode: cells placed in an earlier one are placed anew when they run */
	uint64_t since_tsc;	    /* when the mode began */
	unsigned exits, passages;   /* in the present window: in all, and direct entries among them */
	uint64_t window_tsc;	    /* when it began */
	struct contention contention;
	bool computes;	      /* the guest's last run was long: so will be the next, and who waits for it sleeps */
	unsigned long_yields; /* in a row */
	bool crowded;	      /* other programs run between a yield and its end: nobody yields */
	uint64_t crowded_tsc; /* since when */
};

/* cpus: 1 together, 2 apart, 0 adaptive. 0 or -EINVAL with a message if two are asked for and one is there. */
int placement_init(struct placement *placement, unsigned cpus);
/* The guest enters user mode directly from now on. */
void placement_direct(struct placement *placement);
/* Notes an exit at tsc, of a run since `entry` with so many direct entries; may change the mode. */
void placement_note(struct placement *placement, struct cells *cells, uint64_t entry, uint64_t tsc, unsigned direct);
/* How long the monitor is to wait awake for a runner, and a kernel cell for its user cell. */
struct patience placement_monitor(const struct placement *placement, bool kernel);
struct patience placement_peer(const struct placement *placement);
/* A yield took from one reading of the counter to the other. True: none is worth while now. */
bool placement_yielded(struct placement *placement, uint64_t from, uint64_t to);
/* Whether placement_quiet has to be called. */
bool placement_watches(const struct placement *placement);
/* Notes that no exit came for HANDOVER_QUIET_NS, but so many direct entries; may change the mode. */
void placement_quiet(struct placement *placement, struct cells *cells, unsigned direct);
/* Has a task run where the mode wants it. */
void placement_pin(const struct placement *placement, pid_t task, bool monitor_side);
/* Gives the monitor its own affinity back. */
void placement_exit(struct placement *placement);

#endif

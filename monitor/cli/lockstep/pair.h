/*
 * Two machines in lockstep: the same guest in two engines, compared point by point. Popek and Goldberg call it
 * equivalence, and prove it by a homomorphism between the states of the real and of the virtual machine; here the
 * square is drawn for each step in turn, and checked.
 *
 *	state of A ----- step -----> state of A		Both start from the same state. Time stands still but between
 *	    =		  =		 =		steps, so events come at the same points. After each step
 *	state of B ----- step -----> state of B		registers are compared, and memory.
 */
#ifndef MONITOR_DEBUG_LOCKSTEP_H
#define MONITOR_DEBUG_LOCKSTEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/cli/lockstep/state_diff.h"
#include "monitor/emulate/emulate.h"
#include "monitor/vm/vm.h"

#define LOCKSTEP_DIFFERENCES 32
#define LOCKSTEP_PAGES	     64
#define LOCKSTEP_CLOSE	     32
#define LOCKSTEP_SPINS	     32

enum lockstep_end {
	LOCKSTEP_ENDED,	    /* both guests ended, alike */
	LOCKSTEP_IDLE,	    /* both wait for an interrupt that nothing will raise */
	LOCKSTEP_LIMIT,	    /* as many points as were asked for */
	LOCKSTEP_DIFFERS,   /* what differs stands in the struct */
	LOCKSTEP_TIMEOUT,   /* vm_config.timeout */
	LOCKSTEP_SIGNAL,    /* events_quit_signal() */
	LOCKSTEP_HOST,	    /* the host refused; a message was printed */
	LOCKSTEP_NO_REPEAT, /* a difference did not come again when the guest was run again to find its origin */
};

/*
 * A synchronisation point: all instructions up to there were executed by both. Between two of them lies one
 * instruction, or all up to and with the next one that makes an exit the guest can tell.
 */
enum lockstep_grain { LOCKSTEP_INSTRUCTION, LOCKSTEP_EXIT };

/* The same in every run, however closely it looks. */
struct lockstep_place {
	uint64_t point;
	uint64_t step; /* since it came to that point */
};

/* Where a run that comes after another looks more closely. */
struct lockstep_plan {
	struct lockstep_place check; /* here all of memory is compared */
	uint64_t watch_from;	     /* from this point on, these pages are compared each time */
	uint64_t pages[LOCKSTEP_PAGES];
	unsigned page_count;
	uint64_t close[LOCKSTEP_CLOSE]; /* from these points to the next, instruction by instruction */
	unsigned close_count;
	uint64_t spins[LOCKSTEP_SPINS]; /* so too where RIP is one of these, and time passes with each: loops that wait
					 */
	unsigned spin_count;
	bool doubt; /* a difference was seen */
};

struct lockstep {
	const struct engine_ops *engines[2];
	struct vm_config config[2];
	enum lockstep_grain grain;
	uint64_t limit;	   /* points; 0: none */
	uint64_t patience; /* ns of guest code without an exit before it is looked at closely; 0: a default */
	uint64_t deadline; /* clock_ns(), of all runs together; 0: none */

	struct vm vm[2];
	size_t parts[2]; /* of parts_up */
	struct lockstep_plan plan;
	unsigned runs;		/* of the guest, this one included */
	uint64_t points;	/* compared so far, in this run */
	uint64_t stretch_rip;	/* where the guest stood at the latest */
	bool at_point;		/* the latest step came to it */
	uint64_t steps;		/* how far: each comparison counts, those between points too */
	uint64_t step;		/* of these, since the latest point */
	uint64_t memory_step;	/* the last at which all of memory was the same, and all else */
	uint64_t memory_point;	/* and the point it belongs to */
	uint64_t levelled;	/* flags that the manual leaves open differed so often, and were made the same */
	uint64_t memory_checks; /* how often all of it was compared */

	/* The latest step: from one state, the same for both, to the present ones. */
	struct vcpu before;
	struct lockstep_place from;
	bool close;	  /* it was a single instruction */
	bool visible;	  /* it made an exit that the guest can tell */
	bool stuck;	  /* in vain: the guest runs on and on without one */
	bool apart;	  /* in vain: the next exits are not the same */
	uint64_t stop[2]; /* where each came to, then */
	struct emu_insn insn;
	bool decoded;	/* insn is valid */
	bool interrupt; /* an interrupt was taken since */
	uint8_t vector; /* which */

	struct state_difference difference[LOCKSTEP_DIFFERENCES];
	unsigned differences;
	const char *fpu; /* the component that differs; NULL: none, or not looked at */
	uint64_t page[LOCKSTEP_PAGES];
	unsigned pages;
	bool ends_differ; /* one guest ended, or they ended in different ways */
};

/*
 * Runs from the guest's first instruction until something ends it; *ls has the first five members set, all else zero.
 * A difference found by coarse means is looked for again, in another run, until the very instruction is known. The
 * machines stay up for a report: lockstep_down in any case.
 */
enum lockstep_end lockstep_run(struct lockstep *ls);
void lockstep_down(struct lockstep *ls);

/* ------------------------------------------------------------------------------ lockstep_step.c: moving the machines
 */

/* One instruction of both. False: a signal asks for the end. */
bool lockstep_step(struct lockstep *ls);
/* To the next exit of both that the guest can tell, and through it. False: a signal asks for the end. */
bool lockstep_leap(struct lockstep *ls);

#endif

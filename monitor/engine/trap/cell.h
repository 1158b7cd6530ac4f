/*
 * A cell: a host process that holds one shadow address space and the gate, nothing else. It has two tasks in one thread
 * group, so that one kill ends both: the runner executes guest code, the mapper changes mappings on the monitor's
 * order.
 *
 * Cells are pooled: one whose space is dropped is emptied and used again.
 */
#ifndef MONITOR_ENGINE_TRAP_CELL_H
#define MONITOR_ENGINE_TRAP_CELL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include <ucontext.h>

#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/nursery.h"
#include "monitor/engine/trap/sites.h"
#include "shadowpt/shadowpt.h"

struct cells;
struct placement;

/* The kernel's struct rt_sigframe (arch/x86/include/asm/sigframe.h) as far as the monitor reads and writes it. */
struct cell_frame {
	uint64_t return_address;
	struct {
		uint64_t flags;
		uint64_t link;
		stack_t altstack;
		uint64_t gregs[23]; /* indexed by REG_* */
		uint64_t fpstate;   /* gate address of the XSAVE image */
		uint64_t reserved[8];
		uint64_t sigmask;
	} uc;
	siginfo_t info;
};

/* Spaces that a cell shows beside its first. */
#define CELL_TWINS 64

struct cell {
	struct cells *owner;
	struct cell *next;	 /* list of all cells */
	struct spt_space *space; /* NULL: in the pool */
	/* Others that live here: of 32-bit code the same root in the other mode; of a kernel of the upper half what it
	 * has of user mode's memory, root by root. */
	struct spt_space *twin[CELL_TWINS];
	uint64_t used;	/* when entered last, in entries of the engine: for eviction */
	unsigned slot;	/* of the arena */
	unsigned epoch; /* of the placement that its tasks follow */

	bool kernel;	/* sees all cells through GATE_PEERS; such a cell never runs the code of user mode itself */
	unsigned armed; /* GATE_ARMED_*: may enter `peer` directly, see direct.h; 0: it may not */
	struct cell *peer;
	uint32_t known;	     /* peers that it may change to by itself, one bit each of cells.recent */
	uint32_t current;    /* xchg->current as it was written, or read last */
	uint32_t cycles;     /* of xchg->cycles, when looked at last */
	uint64_t shared_gpa; /* what GATE_SHARED shows; 0: nothing yet */

	pid_t pid, runner;
	int error; /* if it is dead: why, see confine_is_dead */
	bool dead;

	/* The gate's pages as the monitor sees them. */
	struct gate_order *order;
	struct gate_xchg *xchg;
	_Atomic uint32_t *turn, *answer;
	void *fpu;
	uint8_t *stack;

	/* Where the kernel puts the signal frame, learnt from the first one, before any guest code ran. */
	uint64_t frame_gate; /* gate address */
	struct cell_frame *frame;
	uint8_t *fpstate;	   /* NULL if it lies elsewhere than expected */
	uint64_t csgsfs, uc_flags; /* as the kernel made them: for 64-bit code */
	void *boot_frame;	   /* the whole stack from `frame` on, as the kernel made it; user cells */

	/* Transport ptrace: registers of the last stop, and the signal that made it. */
	struct user_regs_struct regs;
	int stop;
	/* What its FPU holds, sanitized: true as long as the runner stays where it is stopped. */
	void *fpu_held;
	bool fpu_held_known;

	/* In the monitor's own memory, since the guest can overwrite the state word. */
	_Atomic bool nudged; /* the monitor is to look up from its wait */
	bool resisted;	     /* it was ended because no kick brought it out */
	bool kicked;	     /* a frame of the gate's own code may lie below `frame` */
	bool wake_left;	     /* the runner slept, and another one, which may be lying, was told to wake it */

	bool in_signal;	    /* the runner waits in the handler, not in the hypercall path */
	bool fresh;	    /* frame's mask is still the boot one */
	bool empty;	    /* no guest page is mapped */
	unsigned queued;    /* operations in order, not yet carried out */
	bool owes;	    /* one of them takes something away that the guest's kernel may count upon */
	struct cell *owing; /* another one that does */

	struct cell_sites sites;
};

/* A user cell that ran of late, and for which root of user mode's. */
struct cell_recent {
	struct cell *cell;
	uint64_t root;
	uint64_t looked_at; /* spt_agreements when `agrees` was found */
	bool agrees;
	/* What direct.names said of the root, when direct.named was this. */
	uint64_t named_at;
	bool all_named;
	struct gate_name name[GATE_NAMES];
};

struct cells {
	struct cell *all;
	struct cell *owing;  /* of user mode: who stopped there may only have said so */
	struct cell *holder; /* the cell whose runner holds the vCPU's FPU state; NULL: none */
	struct cell *last;   /* the cell entered last */
	struct cell *before; /* the last one before it that is another */
	/* The user cell that ran last, as far as the monitor knows, and another one before it. */
	struct cell *user, *user_before;
	struct cell_recent recent[GATE_PEERS_KNOWN];
	unsigned recent_next; /* the one to be replaced */
	int arena_fd, ram_fd, answers_fd;
	bool ending;		     /* the arena goes as a whole */
	int cache_fd;		     /* what kernel cells show at GATE_CACHE; -1: nothing */
	uint8_t *shared;	     /* the arena's shared part */
	_Atomic uint32_t *turns;     /* GATE_TURN, writable */
	_Atomic uint32_t *answers;   /* GATE_ANSWERS, likewise */
	bool used[GATE_CELLS_MAX];   /* slots of the arena */
	unsigned made, count, limit; /* cells ever made, alive, allowed */
	uint64_t refused_ns;	     /* clock_ns() when the host last refused a process; 0: never */
	uint64_t xcr0;
	uint32_t bases;		     /* GATE_BASES_* */
	struct placement *placement; /* how to place cells, and how to wait for them */
	bool traced;
	bool dispatched; /* user dispatch is turned on in runners */
	struct nursery nursery;
	struct sites sites;
};

/* Prepares the arena and filters; cells->sites is prepared. 0 or negative errno with a message printed. */
int cells_init(struct cells *cells, struct placement *placement, int ram_fd, bool traced);
/* Kills and reaps every cell. Valid after a failed or no init, if *cells was zeroed. */
void cells_exit(struct cells *cells);

/*
 * An empty cell for the space: pooled, new, or taken from the space used longest ago (which is discarded). NULL if the
 * host refused, with a message printed.
 */
struct cell *cell_take(struct cells *cells, struct spt_space *space);
/* The cell holds no space any more; those that it had are discarded. What it maps is the caller's to unmap. */
void cell_release(struct cell *cell);
/* One more space, with nothing in it, lives in the cell; false: there is no room. It does no longer. */
bool cell_adopt(struct cell *cell, struct spt_space *space);
void cell_disown(struct cell *cell, struct spt_space *space);
/* Ends the process of a cell that went bad and forgets it. The space is the caller's to discard. */
void cell_destroy(struct cell *cell);
/* True once the process is gone (reaps it). */
bool cell_is_dead(struct cell *cell);
/* Ends the process; cell_is_dead says when it is gone. */
void cell_kill(const struct cell *cell);
/* Ends the process and waits for that: the cell is dead on return. */
void cell_end(struct cell *cell);

/* Queues a system call for the mapper; carries out what is queued first if the order page is full. */
int cell_queue(struct cell *cell, const struct gate_op *op);
/* What the cell shows is not to be there any more: once it is queued, cells->owing has the cell until it is done. */
void cell_owe(struct cell *cell);
void cell_owes_nothing(struct cell *cell);
/* Has the mapper carry out what is queued. 0, or the first error as a negative errno; -ESRCH if the cell died. */
int cell_flush(struct cell *cell);
/* Unmaps all guest pages. As cell_flush. */
int cell_empty(struct cell *cell);
/*
 * Makes a used cell as good as new for another address space: nothing of the old one's code or registers goes on in it.
 * Negative errno: it cannot be trusted, or died; it must be destroyed.
 */
int cell_renew(struct cell *cell);
/* The exchange page as at birth, whatever a program wrote there, but for the words of the hand-over itself. */
void cell_init_exchange(struct cell *cell);
/* Has the runner wait as the placement says, whatever stands in its memory. */
void cell_set_patience(struct cell *cell);
/* The vCPU goes there: cells->last. */
void cell_note_entry(struct cell *cell);
/* A user cell has run: cells->user. */
void cell_note_user(struct cell *cell);
/* Has the tasks run where, and wait how, the placement says now. Cheap if they do already. */
void cell_place(struct cell *cell);

#endif

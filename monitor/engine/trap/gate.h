/*
 * The gate: all that a cell contains besides guest pages. It lies at the bottom of PML4 slot 127, at the same address
 * in every cell:
 *
 *   GATE_TEXT   rx  code (gate.S), one copy for all cells
 *   GATE_ANSWERS r  one word a cell, what its mapper answers; one copy, which nobody's mapping can write
 *   GATE_TURN   r   one word a cell, on which its runner sleeps; one copy; kernel cells can write it
 *   GATE_DATA   r   constant data for boot: the filters' programs, one copy for all cells
 *   GATE_ORDER  r   orders for the mapper; only the monitor can write it
 *   GATE_XCHG   rw  struct gate_xchg: how runner and monitor hand over to each other
 *   GATE_FPU    rw  XSAVE area of the hypercall path
 *   GATE_STACK  rw  alternate signal stack; the kernel's signal frame on it is the trap frame
 *   GATE_SHARED rw  kernel cells: the guest's shared-info page, once user mode is entered directly
 *   GATE_PEERS  rw  kernel cells: XCHG, FPU and STACK of all cells, by slot, to enter user mode directly
 *   GATE_CACHE      kernel cells of an engine that executes translated code instead of the guest's: its code cache
 *
 * What is rw here the guest can write as well: the monitor reads each field once and believes nothing that could hurt
 * anyone but this guest. Offsets for gate.S are generated from these structures (gate_offsets.c).
 */
#ifndef MONITOR_ENGINE_TRAP_GATE_H
#define MONITOR_ENGINE_TRAP_GATE_H

#include "monitor/vm/layout.h"

#define GATE_PAGE      0x1000
#define GATE_TEXT      GATE_HOLE_START
#define GATE_TEXT_SIZE (2 * GATE_PAGE)
/* Aligned to their size, so that the filters can compare addresses under a mask. */
#define GATE_ANSWERS	  (GATE_TEXT + GATE_TEXT_SIZE)
#define GATE_ANSWERS_SIZE (2 * GATE_PAGE)
#define GATE_TURN	  (GATE_ANSWERS + GATE_ANSWERS_SIZE)
#define GATE_TURN_SIZE	  (4 * GATE_PAGE)
#define GATE_DATA	  (GATE_TURN + GATE_TURN_SIZE)
#define GATE_DATA_SIZE	  (1 * GATE_PAGE)
#define GATE_ORDER	  (GATE_DATA + GATE_DATA_SIZE)
#define GATE_ORDER_SIZE	  (2 * GATE_PAGE)
#define GATE_XCHG	  (GATE_ORDER + GATE_ORDER_SIZE)
#define GATE_XCHG_SIZE	  (1 * GATE_PAGE)
#define GATE_FPU	  (GATE_XCHG + GATE_XCHG_SIZE)
#define GATE_FPU_SIZE	  (4 * GATE_PAGE)
#define GATE_STACK	  (GATE_FPU + GATE_FPU_SIZE)
#define GATE_STACK_SIZE	  (8 * GATE_PAGE)
#define GATE_END	  (GATE_STACK + GATE_STACK_SIZE)

/* What a cell has of its own besides orders. */
#define GATE_OWN_SIZE (GATE_END - GATE_XCHG)

#define GATE_SHARED (GATE_END + GATE_PAGE)

/* A cell costs two tasks, one descriptor and one address space; beyond this the one used longest ago is reused. */
#define GATE_CELLS_MAX 2048
/* Aligned to its size, as GATE_TURN. */
#define GATE_PEERS_SIZE 0x8000000
#define GATE_PEERS	(GATE_TEXT + GATE_PEERS_SIZE)
#define GATE_PEERS_END	(GATE_PEERS + GATE_PEERS_SIZE)

/* The code cache: state that translated code shares with the monitor, where it has user memory, tables for its indirect
 * jumps, and the code. */
#define GATE_CACHE	  GATE_PEERS_END
#define GATE_CACHE_STATE  GATE_CACHE
#define GATE_CACHE_SLOTS  (GATE_CACHE + 0x80000)
#define GATE_CACHE_TABLES (GATE_CACHE + 0x100000)
#define GATE_CACHE_CODE	  (GATE_CACHE + 0x800000)
#define GATE_CACHE_END	  (GATE_CACHE + 0x4000000)
#define GATE_CACHE_SIZE	  (GATE_CACHE_END - GATE_CACHE)

/* gate_xchg.state; odd: the runner waits */
#define GATE_RUN    0 /* guest code runs, or is about to */
#define GATE_EXITED 1 /* the runner has handed over and waits */
#define GATE_NUDGE  2 /* as RUN, but the monitor shall look up from its wait */
#define GATE_PARK   3 /* as EXITED, but stop spinning: wake what `wake` says, and sleep */

/* gate_xchg.wake */
#define GATE_WAKE_NONE 0xffffffff

/*
 * A turn or a state is one sleeper's, but hostile code may sleep on any turn: to wake one would be to wake that one.
 * All look again what is theirs.
 */
#define GATE_WAKE_ALL 0x7fffffff

/* gate_xchg.armed */
#define GATE_ARMED_PARAVIRT 1
#define GATE_ARMED_BARE	    2 /* a translated kernel that returns by IRETQ or SYSRET and has SYSCALL enter at LSTAR */

/* Peers that a kernel's cell knows of. No root that is listed has this. */
#define GATE_PEERS_KNOWN 32
#define GATE_PEER_NONE	 1
/* Places of GATE_CACHE_SLOTS that a root has; most programs have memory in two. */
#define GATE_NAMES 3
/* Bytes of the jump by which MOV CR3 comes to the gate. */
#define GATE_ROOT_JUMP 5

/* gate_xchg.kind */
#define GATE_KIND_SIGNAL    1 /* state is in the signal frame */
#define GATE_KIND_HYPERCALL 2 /* state is in gate_xchg.gpr */
#define GATE_KIND_PEER                                                                                                 \
	4 /* kernel cell: the user cell that it entered directly has exited otherwise than by SYSCALL                  \
	   */
#define GATE_KIND_CALLOUT 5 /* translated code asks for the monitor: state is in gate_xchg.gpr, rflags and callout */
#define GATE_KIND_REEXIT  3 /* a kick met the gate while it loaded gate_xchg.gpr: the state is what it was loading */

/*
 * Passed in the sixth argument of the calls a runner may make, so that the filter tells the gate's calls from a guest
 * program's SYSCALL of the same number. No secret: those calls are harmless whoever makes them. Beside zeros
 * it reads as an address of the gate's, never as one of the monitor's.
 */
#define GATE_COOKIE 0x3f80c0de

/*
 * How the bases of FS and GS are loaded and read. By instructions, on a host that lets programs have them (HWCAP2);
 * else by arch_prctl, since what WRFSBASE wrote is lost at the host's next task switch: then RDFSBASE tells what the
 * guest wrote last, if the processor executes it at all.
 */
#define GATE_BASES_INSNS	  0
#define GATE_BASES_CALLS_AND_READ 1
#define GATE_BASES_CALLS	  2
#define GATE_BASE_UNKNOWN	  (-1) /* no base: not canonical with any other bit */

/* Of user cells: no access by any key but the first. What Linux gives to each task and each signal handler. */
#define GATE_PKRU 0x55555554

/* Makes a running cell come out. Ignored by default, so never deadly. */
#define GATE_KICK_SIGNAL SIGURG

#ifndef __ASSEMBLER__

#include <linux/filter.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* What to store where in GATE_CACHE_SLOTS, so that the kernel sees the user memory of a root; at 0: nothing. */
struct gate_name {
	uint64_t at, value;
};

/* A user cell that its kernel's goes on with by itself (user_switch, MOV CR3): where its pages are in GATE_PEERS, and
 * its turn. */
struct gate_peer {
	uint64_t root; /* of user mode; GATE_PEER_NONE: none */
	uint64_t page, gregs, frame, turn, fpu;
	uint64_t number; /* of this entry */
	struct gate_name name[GATE_NAMES];
};

/* MOV CR3 in translated code: the register as it is, what is to be loaded, and the low half of where the jump to the
 * gate begins, behind which it goes on then. */
struct gate_root {
	uint64_t now, wanted, from;
};

/*
 * By lines of the cache, since each that one side writes and the other reads crosses between their CPUs at every exit:
 * what they wait on, with what hardly changes; what an exit says besides its registers; these.
 */
#define GATE_LINE 64

struct gate_xchg {
	_Atomic uint32_t state;		/* both; the monitor sleeps on it */
	_Atomic uint32_t monitor_waits; /* monitor writes: it sleeps on state, wake it */
	_Atomic uint32_t runner_waits;	/* runner writes: it sleeps on its turn */
	uint32_t spins;			/* monitor writes: how long the runner spins, then yields, before it sleeps */
	uint32_t yields;
	uint32_t runner_tid;   /* the kernel writes at boot */
	uint32_t turn;	       /* monitor writes before boot: offset of this cell's word in GATE_TURN */
	_Atomic uint32_t wake; /* monitor writes before PARK: likewise for the cell to wake, GATE_WAKE_NONE for none */
	uint32_t dispatch;     /* monitor writes before boot: turn on syscall user dispatch */
	uint32_t bases;	       /* monitor writes before boot: GATE_BASES_* */
	uint64_t xcr0;	       /* monitor writes: components for XSAVE and XRSTOR */
	/* GATE_BASES_CALLS*: what the host loads, GATE_BASE_UNKNOWN if that must be told again; both write. */
	uint64_t host_fs_base, host_gs_base;

	_Alignas(GATE_LINE) uint32_t kind; /* runner writes at exit: GATE_KIND_* */
	uint32_t stepped;		   /* runner writes: a hypercall came with TF set; monitor clears */
	uint32_t callout; /* translated code writes: low half of the address of the stub that led to the gate */
	uint32_t armed;	  /* monitor writes before resume: user mode may be entered directly, see trap/direct.h */
	uint32_t xsave;	  /* monitor writes: XSAVE on a hypercall */
	uint32_t xrstor;  /* monitor writes: XRSTOR when resuming on the hypercall path */
	uint64_t frame;	  /* runner writes at exit: RSP in the handler */
	uint64_t fs_base; /* runner writes at exit, monitor before resume */
	uint64_t gs_base;
	uint64_t rip, rflags; /* hypercall path: runner writes at exit, monitor before resume */

	_Alignas(GATE_LINE) uint64_t gpr[16]; /* likewise */
	/*
	 * Entering user mode directly: monitor writes before resume, see trap/direct.h. `cycles` the runner counts.
	 */
	uint32_t cycles;
	uint32_t fpu_size; /* of an XSAVE image, 0 if the gate shall not do fpu_switch */
	uint32_t peer_spins, peer_yields;
	uint64_t peer;	     /* the user cell's struct gate_xchg in GATE_PEERS */
	uint64_t peer_gregs; /* its frame's registers there */
	uint64_t peer_frame; /* what its `frame` must say */
	uint64_t peer_turn;  /* its word in GATE_TURN */
	uint64_t peer_fpu;   /* the FPU state in its frame */
	uint64_t
		previous; /* another user cell's page there, whose runner may wait awake; 0: none. The gate clears it */

	/* Peers to change to, and which it is; `next` and what follows the gate keeps while it changes. */
	struct gate_peer peers[GATE_PEERS_KNOWN];
	uint64_t peers_end[1];
	uint32_t current;
	/* GATE_ARMED_BARE: the FPU's state lies in GATE_FPU, since the program that it lay with is not the peer any
	 * more; the gate sets it, and gives it to the peer that is entered. */
	uint32_t held;
	uint64_t next, next_fs_base, next_gs_base, next_rsp0, store;

	uint64_t vif;	      /* address of the virtual interrupt flag in GATE_SHARED */
	uint64_t entry, rsp0; /* of the kernel's SYSCALL handler */
	/* The runner writes: where user mode goes on after its last SYSCALL, and which it was. */
	uint64_t site_rip;
	uint32_t site_nr;
	/* User cells; monitor writes before boot: where PKRU lies in an XSAVE image, 0 if there is none. */
	uint32_t pkru;
	uint64_t site_frame; /* likewise: where the signal frame lies */
	/*
	 * GATE_ARMED_BARE: struct gate_root; where translated code looks for the FPU's state, 0: nowhere; which places
	 * of GATE_CACHE_SLOTS have the root in force, and what they have without it.
	 */
	uint64_t root_at, fpu_at;
	uint64_t named[GATE_NAMES], unnamed;
	/*
	 * GATE_ARMED_BARE: so much higher the kernel's cell has addresses, RSP and GS; not 0: FS is not the guest's
	 * there, which lies at this address; nor is GS, unless gs_at is 0.
	 */
	uint64_t fold, fs_at, gs_at;
	uint64_t user_cs, user_ss;
	/* GATE_ARMED_BARE: the descriptors that user_cs and user_ss were loaded from, and where; what SYSCALL does to
	 * RFLAGS. `unreadable` the runner sets when it met memory that the cell does not show. */
	uint64_t user_cs_at, user_cs_is, user_ss_at, user_ss_is;
	uint32_t sysret;       /* SYSRET loads the same segments */
	uint32_t syscall_kept; /* bits that the kernel begins with as user mode had them */
	uint32_t syscall_odd;  /* with one of these it begins as no cell can */
	uint32_t unreadable;
	stack_t altstack;    /* monitor writes before boot */
	uint64_t scratch[8]; /* stack of the few instructions that load RFLAGS */
	uint64_t scratch_top[1];
};

/* One system call for the mapper. */
struct gate_op {
	uint64_t nr;
	uint64_t args[6];
};

#define GATE_ORDER_OPS 120

/* A word of GATE_ANSWERS while the order has not been carried out. */
#define GATE_ANSWER_NONE 0xff

struct gate_order {
	_Atomic uint32_t sequence; /* changes when an order is complete; the mapper waits on it */
	uint32_t count;
	uint32_t answers_fd;	 /* where the mapper writes one byte per order, 0 or an errno; GATE_ANSWERS shows it */
	uint32_t answer;	 /* at this offset */
	_Atomic uint32_t waited; /* the monitor sleeps on the answer: wake it */
	uint32_t reserved;
	uint8_t errnos[256]; /* errnos[i] == i: what the mapper writes must lie where the guest cannot write */
	struct gate_op ops[GATE_ORDER_OPS];
};

struct gate_data {
	struct sock_fprog runner, mapper; /* pointers are gate addresses */
	struct sock_filter code[400];
};

_Static_assert(GATE_CELLS_MAX * sizeof(uint32_t) <= GATE_TURN_SIZE, "each cell has a turn");
_Static_assert(GATE_CELLS_MAX * sizeof(uint32_t) <= GATE_ANSWERS_SIZE, "and an answer");
_Static_assert(GATE_ANSWERS % GATE_ANSWERS_SIZE == 0 && GATE_TURN % GATE_TURN_SIZE == 0, "aligned");
_Static_assert(GATE_CELLS_MAX *GATE_OWN_SIZE <= GATE_PEERS_SIZE, "the window shows every cell");
_Static_assert(GATE_CACHE_END == LAYOUT_GATE_END, "what the monitor keeps free is what the gate takes");
_Static_assert(GATE_SHARED + GATE_PAGE <= GATE_PEERS, "gate and window do not meet");
_Static_assert(sizeof(struct gate_xchg) <= GATE_XCHG_SIZE, "exchange fits its page");
_Static_assert(sizeof(struct gate_order) <= GATE_ORDER_SIZE, "orders fit their pages");
_Static_assert(sizeof(struct gate_data) <= GATE_DATA_SIZE, "filters fit their page");

/* gate.S; copied into the arena, never run in the monitor. Offsets from gate_text are offsets from GATE_TEXT. */
extern const char gate_text[], gate_text_end[], gate_hypercall[], gate_callout[], gate_iret[], gate_sysret[],
	gate_root[], gate_handler[], gate_handler_asleep[], gate_boot[], gate_site[];
/* What the monitor copies into the guest's hypercall page. */
extern const char gate_hypercall_stub[], gate_hypercall_stub_end[];
extern const char gate_ptrace_stub[], gate_ptrace_stub_end[];

static inline uint64_t gate_address(const char *symbol)
{
	return GATE_TEXT + (uint64_t)(symbol - gate_text);
}

#endif
#endif

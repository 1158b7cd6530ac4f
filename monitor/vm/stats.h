/*
 * Counters of one machine: exits by reason, time in guest and in monitor, boot marks, and the ring of the last exits
 * for the crash report. Written by the vCPU thread; read when it is stopped.
 */
#ifndef MONITOR_VM_STATS_H
#define MONITOR_VM_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "hypercalls/abi.h"

/* Exits as people count them: finer than enum exit_reason. STAT(name) makes STAT_name and the string "name". */
#define STATS_EXITS(X)                                                                                                 \
	X(hypercall)                                                                                                   \
	X(privileged)  /* a sensitive instruction trapped and was emulated */                                          \
	X(clustered)   /* emulated on after the first, without a trap of its own */                                    \
	X(shadow_fill) /* page fault answered by the monitor */                                                        \
	X(page_fault)  /* page fault given to the guest */                                                             \
	X(unmappable)  /* an access to what the host cannot map: its instruction was interpreted */                    \
	X(exception)   /* other exception given to the guest */                                                        \
	X(direct)      /* SYSCALL and return that passed without the monitor */                                        \
	X(syscall)                                                                                                     \
	X(soft_int)                                                                                                    \
	X(kick)                                                                                                        \
	X(halt)

enum stats_exit {
#define X(name) STAT_##name,
	STATS_EXITS(X)
#undef X
		STAT_COUNT
};

/* How a sensitive instruction was dealt with. */
#define STATS_WAYS(X)                                                                                                  \
	X(trapped)     /* the processor refused it, the monitor did it */                                              \
	X(clustered)   /* done by the monitor right after another, without a trap of its own */                        \
	X(interpreted) /* met by an interpreter */                                                                     \
	X(translated)  /* a place in the kernel's code whose translation does it, however often, without an exit */    \
	X(raised)      /* one of the above, and it came to an exception for the guest */

enum stats_way {
#define X(name) STAT_WAY_##name,
	STATS_WAYS(X)
#undef X
		STAT_WAY_COUNT
};

/* Above all numbers of emu_id, and of hypercalls. */
#define STATS_SENSITIVE	 2048
#define STATS_HYPERCALLS 64

#define STATS_RING  16
#define STATS_MARKS 32
/* Codes of port 0x80 that are kept. */
#define STATS_POST_CODES 64

struct stats_ring_entry {
	uint64_t rip, detail; /* detail: hypercall number, faulting gva, vector or ZydisMnemonic */
	uint64_t tsc;	      /* clock_tsc() when it was noted */
	uint8_t kind;	      /* enum stats_exit */
	uint8_t cpl;
};

struct stats_vcpu {
	uint64_t exits[STAT_COUNT];
	uint64_t guest_tsc, monitor_tsc; /* time stamp counter ticks */
	uint64_t exit_tsc;		 /* when guest code stopped last, in whichever way it ran; 0: never */
	uint64_t injected;		 /* events delivered */
	uint64_t interpreted;		 /* instructions executed in software, by an engine that interprets */
	struct stats_ring_entry ring[STATS_RING];
	uint64_t ring_next; /* total recorded; slot is modulo STATS_RING */
};

/* Guest code ran from `entry` to `out`, time stamps; what lies between stays was the monitor's. */
static inline void stats_stay(struct stats_vcpu *stats, uint64_t entry, uint64_t out)
{
	stats->guest_tsc += out - entry;
	if (stats->exit_tsc)
		stats->monitor_tsc += entry - stats->exit_tsc;
	stats->exit_tsc = out;
}

/* Code as an interpreter keeps it. */
struct stats_code {
	uint64_t bytes, bytes_max; /* now, and the most it may be */
	uint64_t evictions;	   /* pages of code forgotten because it was too much */
};

/* Code as a translator keeps it. */
struct stats_cache {
	uint64_t bytes, bytes_max; /* now, and the most it may be */
	uint64_t blocks;	   /* compiled since the start, those forgotten included */
	uint64_t flushes;	   /* times that all was forgotten */
	uint64_t adapted;	   /* places that are translated otherwise since they kept faulting */
};

struct stats_mark {
	const char *name;
	uint64_t ns; /* since struct stats.start_ns */
};

struct stats {
	uint64_t start_ns, start_tsc; /* both clocks when the verb began, right after main was entered */
	struct stats_vcpu vcpu[R3_MAX_VCPUS];
	struct stats_mark marks[STATS_MARKS];
	unsigned mark_count;
	uint8_t post_codes[STATS_POST_CODES]; /* the last codes written to port 0x80; slot is count modulo the size */
	unsigned post_count;		      /* total written */
	uint32_t sensitive[STATS_SENSITIVE][STAT_WAY_COUNT]; /* by emu_id */
	uint64_t hypercalls[STATS_HYPERCALLS];		     /* by number, those in multicalls included */
	uint64_t contended; /* times that the guest went to one CPU because another program wanted the other */
	uint64_t sites, sites_undone; /* places of SYSCALL made cheap, pages of such given back */
	struct stats_code code;
	struct stats_cache cache;
};

extern const char *const stats_exit_names[STAT_COUNT];

struct vm;

/* Takes both clocks as the zero of all times; everything else must be zero already. */
void stats_start(struct stats *stats);
/* Notes that a named point of start-up or shutdown was reached; name is a literal. */
void stats_mark(struct stats *stats, const char *name);
/* Counts an exit of the vCPU and remembers it in the ring. */
void stats_exit_note(struct stats *stats, unsigned vcpu, enum stats_exit kind, uint64_t rip, unsigned cpl,
		     uint64_t detail);
/* Counts a sensitive instruction; raised: it ended in an exception for the guest. */
static inline void stats_sensitive(struct stats *stats, unsigned id, enum stats_way way, bool raised)
{
	stats->sensitive[id % STATS_SENSITIVE][way]++;
	stats->sensitive[id % STATS_SENSITIVE][STAT_WAY_raised] += raised;
}

static inline void stats_hypercall(struct stats *stats, uint64_t nr)
{
	if (nr < STATS_HYPERCALLS)
		stats->hypercalls[nr]++;
}

/* Proves that stats_write could replace path, and leaves no trace. 0 or negative errno, with a message printed. */
int stats_check_path(const char *path);
/* Parts of that document, for others that write JSON; new references. */
struct json_t;
/* A string that may hold anything: what is not ASCII becomes '?', none and "" null. */
struct json_t *stats_json_text(const char *text);
struct json_t *stats_json_sensitive(const struct stats *stats);
struct json_t *stats_json_hypercalls(const struct stats *stats);
/* All of it, as it stands; NULL when memory is out. */
struct json_t *stats_json(const struct vm *vm);
/* Writes the JSON document (schema in docs/stats.md) to path. 0 or negative errno, with a message printed. */
int stats_write(struct vm *vm, const char *path);

#endif

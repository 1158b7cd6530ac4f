/*
 * The rings that events are recorded in, for who tells them.
 */
#ifndef MONITOR_TRACE_RING_H
#define MONITOR_TRACE_RING_H

#include "monitor/host/timer.h"
#include "monitor/trace/trace.h"

/* Events that a vCPU keeps; told when half of them are new. */
#define TRACE_RING 512
/* What is gathered does not wait longer than this to be told. */
#define TRACE_LINGER_NS 100000000

struct trace_ring {
	struct trace_event event[TRACE_RING];
	uint64_t next, drained;	  /* totals; slots are modulo TRACE_RING */
	struct trace_event *open; /* the exit that is being handled, if exits are wanted */
	uint64_t entered_tsc;	  /* when guest code last went on */
	uint64_t waits_since;	  /* an interrupt waits since; 0: none */
	uint64_t pages_mapped;	  /* of spt_stats when guest code last stopped */
	uint64_t direct;	  /* stats.exits[STAT_direct] as last seen */
	struct trace_place left;  /* where guest code last stopped */
};

/* Owned by who tells the events; vm->recorder points to it. All on the vCPU's thread. */
struct trace_recorder {
	struct observer observer; /* of the run loop, while anything is recorded */
	struct trace_ring *ring[R3_MAX_VCPUS];
	struct timer timer; /* the owner's: armed while there is something to tell */
	/* Tells what is new in the ring, up to an event that is still open. */
	void (*drain)(struct trace_recorder *recorder, struct trace_ring *ring);
};

/* One for each vCPU, those that are there already stay. False: memory is out. */
bool trace_rings_make(struct trace_recorder *recorder, unsigned vcpus);
void trace_rings_free(struct trace_recorder *recorder);
/* What vm->recorder records from now on: bits by enum trace_kind. */
void trace_record_kinds(struct vm *vm, uint32_t kinds);

/* The ring of the vCPU; somebody wants a trace. */
static inline struct trace_ring *trace_ring_of(const struct vcpu *vcpu)
{
	return vcpu->vm->recorder->ring[vcpu->id];
}

/* A slot of the vCPU's ring with what every event has. */
struct trace_event *trace_record(struct vcpu *vcpu, enum trace_kind kind, unsigned reason);
/* The event began then, and took until now. */
void trace_record_cost(struct trace_event *event, uint64_t since_tsc);

/* shadow.c: that the shadow tables have mapped since the guest began. */
uint64_t trace_pages_mapped(const struct vm *vm);

/* hooks.c: what the recorder takes from the run loop. */
extern const struct observer_ops trace_recorder_ops;

#endif

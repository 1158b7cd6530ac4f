/*
 * The rings: room for them, and a slot for an event.
 */
#include "monitor/trace/ring.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/host/clock.h"

bool trace_rings_make(struct trace_recorder *recorder, unsigned vcpus)
{
	for (unsigned i = 0; i < R3_MAX_VCPUS && i < vcpus; i++) {
		if (!recorder->ring[i])
			recorder->ring[i] = calloc(1, sizeof(*recorder->ring[i]));
		if (!recorder->ring[i])
			return false;
	}
	return true;
}

void trace_rings_free(struct trace_recorder *recorder)
{
	for (unsigned i = 0; i < R3_MAX_VCPUS; i++) {
		free(recorder->ring[i]);
		recorder->ring[i] = NULL;
	}
}

/* Nobody listened for a while. */
static void forget(struct vm *vm)
{
	for (unsigned i = 0; i < vm->vcpu_count; i++) {
		struct trace_ring *t = vm->recorder->ring[i];
		t->entered_tsc = t->waits_since = 0;
		t->direct = vm->stats.vcpu[i].exits[STAT_direct];
	}
}

void trace_record_kinds(struct vm *vm, uint32_t kinds)
{
	struct trace_recorder *recorder = vm->recorder;

	if (kinds && !vm->trace_kinds) {
		forget(vm);
		recorder->observer.ops = &trace_recorder_ops;
		observer_add(vm, &recorder->observer);
	} else if (!kinds && vm->trace_kinds) {
		observer_remove(vm, &recorder->observer);
	}
	vm->trace_kinds = kinds;
}

struct trace_event *trace_record(struct vcpu *vcpu, enum trace_kind kind, unsigned reason)
{
	struct trace_recorder *recorder = vcpu->vm->recorder;
	struct trace_ring *t = trace_ring_of(vcpu);
	struct trace_event *event;

	/* An exit that makes more events than fit: what is open comes to an end, for once without its cost. */
	if (t->next - t->drained >= TRACE_RING / 2) {
		if (t->open && t->next - t->drained == TRACE_RING) {
			t->open->flags &= (uint8_t)~TRACE_OPEN;
			t->open = NULL;
		}
		recorder->drain(recorder, t);
	}
	if (recorder->timer.deadline == TIMER_NEVER)
		timer_arm(&recorder->timer, clock_machine_ns() + TRACE_LINGER_NS);
	event = &t->event[t->next++ % TRACE_RING];
	event->tsc = clock_tsc();
	event->cost = 0;
	event->rip = vcpu->rip;
	event->root = vcpu_root(vcpu) & X86_PTE_ADDR;
	memset(event->arg, 0, sizeof(event->arg));
	event->result = 0;
	event->kind = (uint8_t)kind;
	event->vcpu = (uint8_t)vcpu->id;
	event->cpl = (uint8_t)vcpu->cpl;
	event->flags = 0;
	event->reason = (uint16_t)reason;
	event->length = 0;
	return event;
}

void trace_record_cost(struct trace_event *event, uint64_t since_tsc)
{
	event->cost = event->tsc - since_tsc;
	event->tsc = since_tsc;
	event->flags |= TRACE_HAS_COST;
}

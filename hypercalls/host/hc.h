/*
 * The monitor's end of the hypercalls: dispatch from calls.def, and the state behind them (event channels, clock).
 * Handlers get a private copy of their arguments; all memory the arguments point to is read once, through guest_mem.h.
 */
#ifndef HYPERCALLS_HOST_HC_H
#define HYPERCALLS_HOST_HC_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;
struct state_list;

/* State of one machine's paravirtual side. */
struct hc;
extern const struct state_list hc_state; /* monitor/vm/state.h */
struct hc *hc_create(struct vm *vm);	 /* NULL when memory is out */
void hc_destroy(struct hc *hc);

/*
 * Performs hypercall RAX of the stopped vCPU with its arguments, result to RAX, except calls that load a whole context
 * (iret). From user mode (CPL 3): #GP(0), as for a privileged instruction. One that takes long gives way to
 * vm->attention: vcpu->call.unfinished is set then, and this is to be called again before the vCPU goes on.
 */
void hc_dispatch(struct vcpu *vcpu);

/* Name of a call for traces and reports, NULL if there is none of that number. */
const char *hc_name(uint64_t nr);
/* What it does, as docs/abi.md has it: a phrase after "the call". */
const char *hc_doc(uint64_t nr);
/* How many arguments it takes, and what they are called. */
unsigned hc_argument_count(uint64_t nr);
const char *hc_argument(uint64_t nr, unsigned index);

/* A virtual interrupt line of the paravirtual machine fires (R3_VIRQ_*). vCPU stopped. */
void hc_raise_virq(struct vm *vm, unsigned virq);
/* An unmasked event is pending for the vCPU and a vector is registered: the run loop delivers vcpu->pv.event_vector. */
bool hc_event_pending(struct vcpu *vcpu);
/*
 * Takes the event: the vector. Precondition: hc_event_pending. The ports pending now make no further event until the
 * guest has cleared them and they become pending anew.
 */
uint8_t hc_event_ack(struct vcpu *vcpu);
/*
 * Brings the shared page up to date before guest code runs: `pending` says whether an interrupt waits for vif. Cheap
 * when nothing changed.
 */
void hc_sync_shared(struct vcpu *vcpu, bool interrupt_waits);
/* The paravirtual clock's ns since the guest started, at host time now. */
uint64_t hc_clock_ns(struct vm *vm, uint64_t now);
/* The machine's time stood still (clock_hold) since the counter was at `since`: the guest's clock goes on from there.
 */
void hc_time_held(struct vm *vm, uint64_t since);

#endif

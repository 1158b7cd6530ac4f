/*
 * Entry into a handler, mode by mode; private to run/. Each is one attempt: false with *fault set is what it ran into,
 * and nothing has changed but bytes below the new stack.
 */
#ifndef MONITOR_RUN_INTERNAL_H
#define MONITOR_RUN_INTERNAL_H

#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

bool deliver_long(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault);
/* Protected and virtual 8086 mode, task gates included. */
bool deliver_protected(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault);
bool deliver_real(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault);

/* ------------------------------------------------------------------------------------- what they have in common */

static inline bool deliver_is_soft(const struct vcpu_event *event)
{
	return event->kind == EVENT_SOFT || event->kind == EVENT_PRIVILEGED_SOFT;
}

/* The EXT bit of error codes: the fault came while delivering what the program did not ask for. */
static inline uint32_t deliver_ext(const struct vcpu_event *event)
{
	return event->kind == EVENT_SOFT ? 0 : X86_SELERR_EXT;
}

/* The fault is the gate's: its number in the error code. */
bool deliver_gate_fail(const struct vcpu_event *event, struct gm_fault *fault, uint8_t vector);
/* RFLAGS as the frame shows them. */
uint64_t deliver_rflags(struct vcpu *vcpu, const struct vcpu_event *event);
/* And as the handler finds them. */
void deliver_flags(struct vcpu *vcpu, const struct vcpu_event *event, bool masks);

#endif

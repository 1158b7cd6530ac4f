/*
 * Delivery of exceptions and interrupts as the processor does it (SDM 3A chapter 6, SDM 2A INT n): what follows on
 * what. How each mode enters a handler is in deliver_long.c and deliver_legacy.c.
 */
#include "monitor/run/inject.h"

#include <stdio.h>
#include <string.h>

#include "monitor/run/internal.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/vm.h"

bool deliver_gate_fail(const struct vcpu_event *event, struct gm_fault *fault, uint8_t vector)
{
	uint32_t error = event->vector * X86_DESC_SIZE + X86_SELERR_IDT + deliver_ext(event);
	*fault = (struct gm_fault){.vector = vector, .error = error};
	return false;
}

/* Faults resume with RF set, so that a breakpoint does not hit twice; its own handler sets it (SDM 3B 17.3.1.1). */
uint64_t deliver_rflags(struct vcpu *vcpu, const struct vcpu_event *event)
{
	return vcpu_rflags(vcpu) | (event->kind == EVENT_FAULT && !event->breakpoint ? X86_RFLAGS_RF : 0);
}

void deliver_flags(struct vcpu *vcpu, const struct vcpu_event *event, bool masks)
{
	vcpu->rflags &= ~(X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_VM);
	if (masks)
		vcpu_set_if(vcpu, false);
	if (event->vector == X86_VEC_DB)
		vcpu->dr[7] &= ~X86_DR7_GD;
}

static void set_cr2(struct vcpu *vcpu, uint64_t gva)
{
	struct r3_vcpu_info *shared = vcpu_shared(vcpu);
	vcpu->cr2 = gva;
	if (shared)
		__atomic_store_n(&shared->cr2, gva, __ATOMIC_RELAXED);
}

/* One attempt. False: *fault is what it ran into, and nothing has changed but CR2 and bytes below the new stack. */
static bool deliver(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault)
{
	if (event->vector == X86_VEC_PF && event->kind == EVENT_FAULT)
		set_cr2(vcpu, event->cr2);
	if (vcpu_is_long(vcpu))
		return deliver_long(vcpu, event, fault);
	return vcpu_is_protected(vcpu) ? deliver_protected(vcpu, event, fault) : deliver_real(vcpu, event, fault);
}

/* SDM 3A table 6-4. What software or a device asked for is benign whatever its vector. */
enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum fault_class classify(const struct vcpu_event *event)
{
	if (event->kind != EVENT_FAULT)
		return BENIGN;
	switch (event->vector) {
	case X86_VEC_DE:
	case X86_VEC_TS:
	case X86_VEC_NP:
	case X86_VEC_SS:
	case X86_VEC_GP:
	case X86_VEC_CP:
		return CONTRIBUTORY;
	case X86_VEC_PF:
		return PAGE_FAULT;
	default:
		return BENIGN;
	}
}

/* SDM 3A table 6-5 */
static bool is_double(const struct vcpu_event *first, const struct vcpu_event *second)
{
	enum fault_class a = classify(first), b = classify(second);
	return (a == CONTRIBUTORY && b == CONTRIBUTORY) || (a == PAGE_FAULT && b != BENIGN);
}

static void chain_add(struct vcpu *vcpu, const struct vcpu_event *event)
{
	if (vcpu->chain_len < VCPU_CHAIN_MAX)
		vcpu->chain[vcpu->chain_len++] = *event;
}

static void triple_fault(struct vcpu *vcpu)
{
	char text[160] = "";
	for (unsigned i = 0, used = 0; i < vcpu->chain_len && used < sizeof(text); i++) {
		const struct vcpu_event *e = &vcpu->chain[i];
		const char *arrow = i ? " -> " : "";
		if (classify(e) == PAGE_FAULT)
			used += (unsigned)snprintf(text + used, sizeof(text) - used, "%s#PF(%#x at %#lx)", arrow,
						   e->error, e->cr2);
		else if (e->has_error)
			used += (unsigned)snprintf(text + used, sizeof(text) - used, "%s%s(%#x)", arrow,
						   vcpu_vector_name(e->vector), e->error);
		else
			used += (unsigned)snprintf(text + used, sizeof(text) - used, "%s%s %u", arrow,
						   e->kind == EVENT_SOFT ? "INT" : vcpu_vector_name(e->vector),
						   e->vector);
	}
	vm_shutdown(vcpu->vm, "triple fault: %s", text);
}

/* The event that follows when delivery of *event ran into *fault; false after a double fault. */
static bool escalate(struct vcpu *vcpu, struct vcpu_event *event, const struct gm_fault *fault)
{
	struct vcpu_event next = {.vector = fault->vector,
				  .kind = EVENT_FAULT,
				  .has_error = true,
				  .error = fault->error,
				  .cr2 = fault->gva};
	/* INT n is then as if not yet executed. */
	if (deliver_is_soft(event))
		vcpu->rip -= event->length;
	bool was_double = event->vector == X86_VEC_DF && event->kind == EVENT_FAULT;
	chain_add(vcpu, &next);
	if (was_double)
		return false;
	if (is_double(event, &next)) {
		next = (struct vcpu_event){.vector = X86_VEC_DF, .kind = EVENT_FAULT, .has_error = true};
		chain_add(vcpu, &next);
	}
	*event = next;
	return true;
}

void inject_event(struct vcpu *vcpu)
{
	struct vcpu_event event = vcpu->event;
	struct gm_fault fault;
	struct trace_place from = trace_place_of(vcpu);

	vcpu->event_pending = false;
	vcpu->halted = false;
	vcpu->interrupt_shadow = false;
	vcpu->chain_len = 0;
	chain_add(vcpu, &event);
	while (!deliver(vcpu, &event, &fault)) {
		if (!escalate(vcpu, &event, &fault)) {
			triple_fault(vcpu);
			if (vcpu->vm->trace_kinds)
				trace_inject(vcpu, &from);
			return;
		}
	}
	memcpy(vcpu->last_chain, vcpu->chain, sizeof(vcpu->chain));
	vcpu->last_chain_len = vcpu->chain_len;
	vcpu->chain_len = 0;
	if (vcpu->vm->trace_kinds)
		trace_inject(vcpu, &from);
}

bool inject_window_open(struct vcpu *vcpu)
{
	return !vcpu->event_pending && !vcpu->interrupt_shadow && vcpu_if(vcpu);
}

/*
 * Delivery of exceptions and interrupts as the processor does it in 64-bit mode (SDM 3A chapter 6, SDM 2A INT n).
 */
#include "monitor/run/inject.h"

#include <stdio.h>
#include <string.h>

#include "monitor/trace/trace.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* What the event is delivered through: a gate of the IDT, or an entry of the paravirtual trap table. */
struct gate {
	uint64_t address;
	uint16_t selector;
	unsigned ist;	/* of the TSS; 0: none */
	uint64_t stack; /* the trap table's; 0: none */
	bool masks;	/* clears the interrupt flag */
};

/* Where the handler runs, all checked, nothing of it in force yet. */
struct entry {
	struct vcpu_segment cs;
	unsigned cpl;
	uint64_t rsp; /* aligned, before the first push */
};

static bool is_soft(const struct vcpu_event *event)
{
	return event->kind == EVENT_SOFT || event->kind == EVENT_PRIVILEGED_SOFT;
}

/* The EXT bit of error codes: the fault came while delivering what the program did not ask for. */
static uint32_t ext_of(const struct vcpu_event *event)
{
	return event->kind == EVENT_SOFT ? 0 : X86_SELERR_EXT;
}

static bool gate_fail(const struct vcpu_event *event, struct gm_fault *fault, uint8_t vector)
{
	return seg_fail(fault, vector, event->vector * X86_DESC_SIZE + X86_SELERR_IDT + ext_of(event));
}

static bool gate_from_traps(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate,
			    struct gm_fault *fault)
{
	const struct r3_trap_entry *trap = &vcpu->pv.traps[event->vector];
	if (event->kind == EVENT_SOFT && (trap->flags & R3_TRAP_DPL) < vcpu->cpl)
		return gate_fail(event, fault, X86_VEC_GP);
	if (!trap->address)
		return gate_fail(event, fault, X86_VEC_NP);
	*gate = (struct gate){
		.address = trap->address,
		.selector = trap->selector,
		.stack = event->vector == X86_VEC_DF ? vcpu->pv.double_fault_stack : 0,
		.masks = trap->flags & R3_TRAP_MASK,
	};
	return true;
}

static bool gate_from_idt(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, struct gm_fault *fault)
{
	uint64_t raw[2];
	uint32_t offset = event->vector * X86_GATE_SIZE;
	if (offset + X86_GATE_SIZE - 1 > vcpu->idtr.limit)
		return gate_fail(event, fault, X86_VEC_GP);
	if (!gm_read_gva(vcpu, vcpu->idtr.base + offset, raw, sizeof(raw), GM_SYSTEM, fault))
		return false;
	unsigned type = seg_type(raw[0]);
	if (type != X86_GATE_INTERRUPT && type != X86_GATE_TRAP)
		return gate_fail(event, fault, X86_VEC_GP);
	if (event->kind == EVENT_SOFT && seg_dpl(raw[0]) < vcpu->cpl)
		return gate_fail(event, fault, X86_VEC_GP);
	if (!(raw[0] & X86_DESC_P))
		return gate_fail(event, fault, X86_VEC_NP);
	*gate = (struct gate){
		.address = (raw[0] & 0xffff) | (raw[0] >> 48) << 16 | raw[1] << 32,
		.selector = raw[0] >> 16 & 0xffff,
		.ist = raw[0] >> 32 & 7,
		.masks = type == X86_GATE_INTERRUPT,
	};
	return true;
}

static bool find_code(struct vcpu *vcpu, const struct gate *gate, uint32_t ext, struct entry *entry,
		      struct gm_fault *fault)
{
	uint64_t d;
	if (seg_is_null(gate->selector))
		return seg_fail(fault, X86_VEC_GP, ext);
	if (!seg_read(vcpu, gate->selector, &d, fault)) {
		if (fault->vector != X86_VEC_PF)
			fault->error |= ext;
		return false;
	}
	uint32_t error = seg_error(gate->selector) | ext;
	if (!seg_is_code(d) || seg_dpl(d) > vcpu->cpl)
		return seg_fail(fault, X86_VEC_GP, error);
	if (!(d & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, error);
	if (!(d & X86_DESC_L) || (d & X86_DESC_DB))
		return seg_fail(fault, X86_VEC_GP, error);
	if (!vcpu_canonical(gate->address))
		return seg_fail(fault, X86_VEC_GP, ext);
	entry->cpl = d & X86_DESC_CONFORMING ? vcpu->cpl : seg_dpl(d);
	entry->cs = seg_make(seg_error(gate->selector) | entry->cpl, d);
	return true;
}

/* Reads a stack pointer at `offset` of the TSS. */
static bool tss_stack(struct vcpu *vcpu, unsigned offset, uint32_t ext, uint64_t *rsp, struct gm_fault *fault)
{
	if (!vcpu->tr.present || offset + sizeof(*rsp) - 1 > vcpu->tr.limit)
		return seg_fail(fault, X86_VEC_TS, seg_error(vcpu->tr.selector) | ext);
	return gm_read_gva(vcpu, vcpu->tr.base + offset, rsp, sizeof(*rsp), GM_SYSTEM, fault);
}

static bool find_stack(struct vcpu *vcpu, const struct gate *gate, uint32_t ext, struct entry *entry,
		       struct gm_fault *fault)
{
	uint64_t rsp = vcpu->gpr[RSP];
	if (gate->stack) {
		rsp = gate->stack;
	} else if (gate->ist) {
		if (!tss_stack(vcpu, X86_TSS_IST1 + (gate->ist - 1) * sizeof(rsp), ext, &rsp, fault))
			return false;
	} else if (entry->cpl < vcpu->cpl) {
		if (entry->cpl == 0 && vcpu->pv.rsp0)
			rsp = vcpu->pv.rsp0;
		else if (!tss_stack(vcpu, X86_TSS_RSP0 + entry->cpl * sizeof(rsp), ext, &rsp, fault))
			return false;
	}
	if (!vcpu_canonical(rsp))
		return seg_fail(fault, X86_VEC_SS, ext);
	entry->rsp = rsp & ~R3_U64(15);
	return true;
}

/* Faults resume with RF set, so that a breakpoint does not hit twice; its own handler sets it (SDM 3B 17.3.1.1). */
static uint64_t saved_rflags(struct vcpu *vcpu, const struct vcpu_event *event)
{
	return vcpu_rflags(vcpu) | (event->kind == EVENT_FAULT && !event->breakpoint ? X86_RFLAGS_RF : 0);
}

static bool push_frame(struct vcpu *vcpu, const struct vcpu_event *event, struct entry *entry, struct gm_fault *fault)
{
	uint64_t frame[] = {event->error,
			    vcpu->rip,
			    vcpu->sreg[SREG_CS].selector,
			    saved_rflags(vcpu, event),
			    vcpu->gpr[RSP],
			    vcpu->sreg[SREG_SS].selector};
	unsigned skip = event->has_error ? 0 : 1;
	uint64_t size = sizeof(frame) - skip * sizeof(frame[0]);
	/* A handler at CPL 3 implies that the vCPU is there already. */
	enum gm_privilege who = entry->cpl == 3 ? GM_CPL : GM_SYSTEM;
	if (!gm_write_gva(vcpu, entry->rsp - size, frame + skip, size, who, fault)) {
		if (fault->vector != X86_VEC_PF)
			return seg_fail(fault, X86_VEC_SS, ext_of(event));
		return false;
	}
	entry->rsp -= size;
	return true;
}

static void remember_frame(struct vcpu *vcpu, const struct vcpu_event *event, const struct entry *entry)
{
	vcpu->frames[vcpu->frame_next++ % VCPU_FRAMES] = (struct vcpu_frame){
		.gva = entry->rsp + (event->has_error ? sizeof(uint64_t) : 0),
		.rip = vcpu->rip,
		.cs = vcpu->sreg[SREG_CS].selector,
		.vector = event->vector,
	};
}

static void enter(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, const struct entry *entry)
{
	if (entry->cpl != vcpu->cpl)
		vcpu->sreg[SREG_SS] = (struct vcpu_segment){.selector = entry->cpl};
	vcpu->sreg[SREG_CS] = entry->cs;
	vcpu->cpl = entry->cpl;
	vcpu->gpr[RSP] = entry->rsp;
	vcpu->rip = gate->address;
	vcpu->rflags &= ~(X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_VM);
	if (gate->masks)
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
	struct gate gate = {0};
	struct entry entry = {0};
	uint32_t ext = ext_of(event);

	if (event->vector == X86_VEC_PF && event->kind == EVENT_FAULT)
		set_cr2(vcpu, event->cr2);
	bool found = vcpu->pv.has_traps ? gate_from_traps(vcpu, event, &gate, fault)
					: gate_from_idt(vcpu, event, &gate, fault);
	if (!found || !find_code(vcpu, &gate, ext, &entry, fault) || !find_stack(vcpu, &gate, ext, &entry, fault) ||
	    !push_frame(vcpu, event, &entry, fault))
		return false;
	remember_frame(vcpu, event, &entry);
	enter(vcpu, event, &gate, &entry);
	return true;
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
	if (is_soft(event))
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

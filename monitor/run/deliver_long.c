/*
 * Entry into a handler in long mode (SDM 3A 6.14), through the IDT or the paravirtual trap table.
 */
#include "monitor/run/internal.h"

#include "monitor/vm/segment.h"
#include "monitor/vm/task.h"

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

static bool gate_from_traps(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate,
			    struct gm_fault *fault)
{
	const struct r3_trap_entry *trap = &vcpu->pv.traps[event->vector];
	if (event->kind == EVENT_SOFT && (trap->flags & R3_TRAP_DPL) < vcpu->cpl)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!trap->address)
		return deliver_gate_fail(event, fault, X86_VEC_NP);
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
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!gm_read_gva(vcpu, vcpu->idtr.base + offset, raw, sizeof(raw), GM_SYSTEM, fault))
		return false;
	unsigned type = seg_type(raw[0]);
	if (type != X86_GATE_INTERRUPT && type != X86_GATE_TRAP)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (event->kind == EVENT_SOFT && seg_dpl(raw[0]) < vcpu->cpl)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!(raw[0] & X86_DESC_P))
		return deliver_gate_fail(event, fault, X86_VEC_NP);
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
	if (!seg_check_gate_target(vcpu, gate->selector, true, ext, &entry->cs, fault) ||
	    !seg_check_offset(vcpu, &entry->cs, gate->address, ext, fault))
		return false;
	entry->cpl = entry->cs.selector & X86_SEL_RPL;
	return true;
}

static bool find_stack(struct vcpu *vcpu, const struct gate *gate, uint32_t ext, struct entry *entry,
		       struct gm_fault *fault)
{
	uint64_t rsp = vcpu->gpr[RSP];
	if (gate->stack) {
		rsp = gate->stack;
	} else if (gate->ist) {
		if (!task_stack_64(vcpu, X86_TSS_IST1 + (gate->ist - 1) * sizeof(rsp), ext, &rsp, fault))
			return false;
	} else if (entry->cpl < vcpu->cpl) {
		if (entry->cpl == 0 && vcpu->pv.rsp0)
			rsp = vcpu->pv.rsp0;
		else if (!task_stack_64(vcpu, X86_TSS_RSP0 + entry->cpl * sizeof(rsp), ext, &rsp, fault))
			return false;
	}
	if (!vcpu_canonical(rsp))
		return seg_fail(fault, X86_VEC_SS, ext);
	entry->rsp = rsp & ~R3_U64(15);
	return true;
}

static bool push_frame(struct vcpu *vcpu, const struct vcpu_event *event, struct entry *entry, struct gm_fault *fault)
{
	uint64_t frame[] = {event->error,
			    vcpu->rip,
			    vcpu->sreg[SREG_CS].selector,
			    deliver_rflags(vcpu, event),
			    vcpu->gpr[RSP],
			    vcpu->sreg[SREG_SS].selector};
	unsigned skip = event->has_error ? 0 : 1;
	uint64_t size = sizeof(frame) - skip * sizeof(frame[0]);
	/* A handler at CPL 3 implies that the vCPU is there already. */
	enum gm_privilege who = entry->cpl == 3 ? GM_CPL : GM_SYSTEM;
	if (!gm_write_gva(vcpu, entry->rsp - size, frame + skip, size, who, fault)) {
		if (fault->vector != X86_VEC_PF)
			return seg_fail(fault, X86_VEC_SS, deliver_ext(event));
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
	deliver_flags(vcpu, event, gate->masks);
}

bool deliver_long(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault)
{
	struct gate gate = {0};
	struct entry entry = {0};
	uint32_t ext = deliver_ext(event);
	bool found = vcpu->pv.has_traps ? gate_from_traps(vcpu, event, &gate, fault)
					: gate_from_idt(vcpu, event, &gate, fault);
	if (!found || !find_code(vcpu, &gate, ext, &entry, fault) || !find_stack(vcpu, &gate, ext, &entry, fault) ||
	    !push_frame(vcpu, event, &entry, fault))
		return false;
	remember_frame(vcpu, event, &entry);
	enter(vcpu, event, &gate, &entry);
	return true;
}

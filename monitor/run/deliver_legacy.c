/*
 * Entry into a handler outside long mode: through the IDT of protected mode, with gates of 32 and 16 bits and task
 * gates (SDM 3A 6.11, 6.12), from virtual 8086 mode too (SDM 3B 20.3); and through the interrupt table of real mode
 * (20.1.4).
 */
#include "monitor/run/internal.h"

#include <string.h>

#include "monitor/vm/segment.h"
#include "monitor/vm/stack.h"
#include "monitor/vm/task.h"

#define REAL_VECTOR_SIZE 4

struct gate {
	uint16_t selector;
	uint32_t offset;
	bool task, wide, masks; /* a task gate; of 32 bits; clears the interrupt flag */
};

static bool read_gate(struct vcpu *vcpu, const struct vcpu_event *event, struct gate *gate, struct gm_fault *fault)
{
	uint32_t at = event->vector * X86_DESC_SIZE;
	uint64_t raw;
	if (at + X86_DESC_SIZE - 1 > vcpu->idtr.limit)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!gm_read_gva(vcpu, (uint32_t)(vcpu->idtr.base + at), &raw, sizeof(raw), GM_SYSTEM, fault))
		return false;
	unsigned type = seg_type(raw), kind = type | X86_SYSTYPE_32;
	*gate = (struct gate){
		.selector = (uint16_t)(raw >> 16),
		.task = type == X86_GATE_TASK,
		.wide = type & X86_SYSTYPE_32,
		.masks = kind == X86_GATE_INTERRUPT,
	};
	gate->offset = (uint32_t)((raw & 0xffff) | (gate->wide ? raw >> 48 << 16 : 0));
	if (!gate->task && kind != X86_GATE_INTERRUPT && kind != X86_GATE_TRAP)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (event->kind == EVENT_SOFT && seg_dpl(raw) < vcpu->cpl)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!(raw & X86_DESC_P))
		return deliver_gate_fail(event, fault, X86_VEC_NP);
	return true;
}

/* What the new task cannot be loaded with is its own fault, and follows. */
static bool enter_task(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate,
		       struct gm_fault *fault)
{
	const struct task_switch to = {
		.selector = gate->selector,
		.cause = TASK_EVENT,
		.rip = vcpu->rip,
		.has_error = event->has_error,
		.error = event->error,
		.ext = deliver_ext(event),
	};
	bool switched;
	if (task_switch(vcpu, &to, &switched, fault))
		return true;
	if (switched)
		vcpu_raise_fault(vcpu, fault);
	return switched;
}

/* The handler's stack, before the first push. */
static bool find_stack(struct vcpu *vcpu, unsigned cpl, uint32_t ext, struct stack *stack, struct gm_fault *fault)
{
	const struct seg_stack_use use = {.cpl = cpl, .bits = 32, .vector = X86_VEC_TS, .ext = ext};
	uint16_t selector;
	*stack = stack_of(vcpu);
	stack->error = ext;
	stack->who = cpl == 3 ? GM_CPL : GM_SYSTEM;
	if (cpl == vcpu->cpl)
		return true;
	if (!task_stack(vcpu, cpl, ext, &selector, &stack->sp, fault) ||
	    !seg_check_stack(vcpu, selector, &use, &stack->ss, fault))
		return false;
	stack->bits = stack->ss.descriptor & X86_DESC_DB ? 32 : 16;
	stack->error = seg_error(selector) | ext;
	return true;
}

static bool push_frame(struct vcpu *vcpu, const struct vcpu_event *event, const struct gate *gate, unsigned cpl,
		       struct stack *stack, struct gm_fault *fault)
{
	const struct vcpu_segment *s = vcpu->sreg;
	uint64_t frame[] = {s[SREG_GS].selector, s[SREG_FS].selector, s[SREG_DS].selector,	   s[SREG_ES].selector,
			    s[SREG_SS].selector, vcpu->gpr[RSP],      deliver_rflags(vcpu, event), s[SREG_CS].selector,
			    vcpu->rip,		 event->error};
	enum { FROM_V86 = 0, FROM_OUTER = 4, FROM_SAME = 6, ALL = 10 };
	unsigned first = vcpu_is_v86(vcpu) ? FROM_V86 : cpl != vcpu->cpl ? FROM_OUTER : FROM_SAME;
	unsigned count = ALL - first - !event->has_error;
	return stack_push(vcpu, stack, gate->wide ? 4 : 2, frame + first, count, fault);
}

static void drop_8086_segments(struct vcpu *vcpu)
{
	static const enum vcpu_sreg data[] = {SREG_ES, SREG_DS, SREG_FS, SREG_GS};
	for (unsigned i = 0; i < sizeof(data) / sizeof(data[0]); i++)
		vcpu->sreg[data[i]] = (struct vcpu_segment){0};
}

bool deliver_protected(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault)
{
	uint32_t ext = deliver_ext(event);
	struct vcpu_segment cs;
	struct stack stack;
	struct gate gate = {0};

	if (!read_gate(vcpu, event, &gate, fault))
		return false;
	if (gate.task)
		return enter_task(vcpu, event, &gate, fault);
	if (!seg_check_gate_target(vcpu, gate.selector, true, ext, &cs, fault))
		return false;
	unsigned cpl = cs.selector & X86_SEL_RPL;
	if (vcpu_is_v86(vcpu) && cpl != 0)
		return seg_fail(fault, X86_VEC_GP, seg_error(gate.selector) | ext);
	if (!find_stack(vcpu, cpl, ext, &stack, fault) || !seg_check_offset(vcpu, &cs, gate.offset, ext, fault) ||
	    !push_frame(vcpu, event, &gate, cpl, &stack, fault))
		return false;
	if (vcpu_is_v86(vcpu))
		drop_8086_segments(vcpu);
	vcpu->sreg[SREG_CS] = cs;
	vcpu->sreg[SREG_SS] = stack.ss;
	vcpu->cpl = cpl;
	vcpu->gpr[RSP] = stack.sp;
	vcpu->rip = gate.offset;
	deliver_flags(vcpu, event, gate.masks);
	return true;
}

/* No error code, and no fault but of limits. */
bool deliver_real(struct vcpu *vcpu, const struct vcpu_event *event, struct gm_fault *fault)
{
	uint64_t frame[] = {vcpu_rflags(vcpu), vcpu->sreg[SREG_CS].selector, vcpu->rip};
	uint32_t at = event->vector * REAL_VECTOR_SIZE;
	struct stack stack = stack_of(vcpu);
	uint16_t target[2]; /* offset, selector */

	if (at + REAL_VECTOR_SIZE - 1 > vcpu->idtr.limit)
		return deliver_gate_fail(event, fault, X86_VEC_GP);
	if (!gm_read_gva(vcpu, (uint32_t)(vcpu->idtr.base + at), target, sizeof(target), GM_SYSTEM, fault) ||
	    !stack_push(vcpu, &stack, sizeof(uint16_t), frame, sizeof(frame) / sizeof(frame[0]), fault))
		return false;
	vcpu->gpr[RSP] = stack.sp;
	seg_load_8086(vcpu, SREG_CS, target[1]);
	vcpu->rip = target[0];
	deliver_flags(vcpu, event, true);
	vcpu->rflags &= ~X86_RFLAGS_AC;
	return true;
}

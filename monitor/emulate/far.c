/*
 * Far transfers: JMP, CALL, RET (SDM 2A, 2B; 3A 5.8), to code segments, through call gates, and to other tasks.
 */
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/stack.h"
#include "monitor/vm/task.h"
#include "monitor/vm/vm.h"

#define GATE_PARAMETERS 31u

struct far {
	uint64_t offset;
	uint16_t selector;
	unsigned width; /* bytes of the operand size */
};

/* The pointer, in the instruction or in memory: offset of the operand size, then the selector. */
static bool read_pointer(struct vcpu *vcpu, const struct emu_insn *insn, struct far *far)
{
	const ZydisDecodedOperand *op = &insn->operands[0];
	uint8_t raw[8 + 2];
	far->width = insn->info.operand_width / 8;
	far->offset = 0;
	if (op->type == ZYDIS_OPERAND_TYPE_POINTER) {
		far->offset = op->ptr.offset;
		far->selector = op->ptr.segment;
		return true;
	}
	if (!emu_load(vcpu, insn, 0, raw, far->width + sizeof(far->selector)))
		return false;
	memcpy(&far->offset, raw, far->width);
	memcpy(&far->selector, raw + far->width, sizeof(far->selector));
	return true;
}

static enum emu_step go(struct vcpu *vcpu, const struct vcpu_segment *cs, uint64_t rip)
{
	vcpu->sreg[SREG_CS] = *cs;
	vcpu->rip = rip;
	return STEP_STAYS;
}

/* ------------------------------------------------------------------------------------------------- 8086 segments */

static enum emu_step go_8086(struct vcpu *vcpu, const struct far *far, const struct stack *stack)
{
	struct gm_fault fault;
	if (!seg_check_offset(vcpu, &vcpu->sreg[SREG_CS], far->offset, 0, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (stack)
		vcpu->gpr[RSP] = stack->sp;
	seg_load_8086(vcpu, SREG_CS, far->selector);
	vcpu->rip = far->offset;
	return STEP_STAYS;
}

/* ------------------------------------------------------------------------------------------------------ call gates */

struct call_gate {
	uint16_t selector;
	uint64_t offset;
	unsigned width, parameters; /* bytes of what is pushed; words to be copied to a new stack */
};

static bool read_call_gate(const struct vcpu *vcpu, const uint64_t raw[2], uint16_t selector, struct call_gate *gate,
			   struct gm_fault *fault)
{
	bool wide = seg_type(raw[0]) & X86_SYSTYPE_32;
	*gate = (struct call_gate){
		.selector = (uint16_t)(raw[0] >> 16),
		.offset = (raw[0] & 0xffff) | (wide ? raw[0] >> 48 << 16 : 0) | raw[1] << 32,
		.width = vcpu_is_long(vcpu) ? 8
			 : wide		    ? 4
					    : 2,
		.parameters = vcpu_is_long(vcpu) ? 0 : raw[0] >> 32 & GATE_PARAMETERS,
	};
	if (vcpu_is_long(vcpu) && (!wide || (raw[1] & X86_DESC_UPPER_TYPE)))
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	return true;
}

/* The stack of a greater privilege: in long mode out of the TSS with a null SS, else both out of it. */
static bool inner_stack(struct vcpu *vcpu, unsigned cpl, struct stack *stack, struct gm_fault *fault)
{
	const struct seg_stack_use use = {.cpl = cpl, .bits = 32, .vector = X86_VEC_TS};
	uint16_t selector;
	*stack = (struct stack){.ss = {.selector = (uint16_t)cpl}, .bits = 64, .who = GM_SYSTEM};
	if (vcpu_is_long(vcpu))
		return task_stack_64(vcpu, X86_TSS_RSP0 + cpl * sizeof(stack->sp), 0, &stack->sp, fault);
	if (!task_stack(vcpu, cpl, 0, &selector, &stack->sp, fault) ||
	    !seg_check_stack(vcpu, selector, &use, &stack->ss, fault))
		return false;
	stack->bits = stack->ss.descriptor & X86_DESC_DB ? 32 : 16;
	stack->error = seg_error(selector);
	return true;
}

/* Old SS and SP, then the parameters as they lie on the old stack. */
static bool push_outer(struct vcpu *vcpu, const struct call_gate *gate, struct stack *stack, struct gm_fault *fault)
{
	struct stack old = stack_of(vcpu);
	uint64_t words[2] = {old.ss.selector, old.sp}, parameter[GATE_PARAMETERS], reversed[GATE_PARAMETERS];
	if (!stack_pop(vcpu, &old, gate->width, parameter, gate->parameters, fault))
		return false;
	for (unsigned n = 0; n < gate->parameters; n++)
		reversed[n] = parameter[gate->parameters - 1 - n];
	return stack_push(vcpu, stack, gate->width, words, 2, fault) &&
	       stack_push(vcpu, stack, gate->width, reversed, gate->parameters, fault);
}

static enum emu_step through_gate(struct vcpu *vcpu, const struct call_gate *gate, bool call, uint64_t next)
{
	uint64_t words[2] = {vcpu->sreg[SREG_CS].selector, next};
	struct stack stack = stack_of(vcpu);
	struct vcpu_segment cs;
	struct gm_fault fault;
	if (!seg_check_gate_target(vcpu, gate->selector, call, 0, &cs, &fault))
		return emu_raise_fault(vcpu, &fault);
	unsigned cpl = cs.selector & X86_SEL_RPL;
	bool inner = cpl < vcpu->cpl;
	if (inner && !inner_stack(vcpu, cpl, &stack, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (vcpu_is_long(vcpu))
		stack.bits = 64;
	if (!seg_check_offset(vcpu, &cs, gate->offset, 0, &fault) ||
	    (inner && !push_outer(vcpu, gate, &stack, &fault)) ||
	    (call && !stack_push(vcpu, &stack, gate->width, words, 2, &fault)))
		return emu_raise_fault(vcpu, &fault);
	if (inner)
		vcpu->sreg[SREG_SS] = stack.ss;
	vcpu->gpr[RSP] = stack.sp;
	vcpu->cpl = cpl;
	return go(vcpu, &cs, gate->offset);
}

/* ----------------------------------------------------------------------------------------------------- other tasks */

static enum emu_step to_task(struct vcpu *vcpu, uint16_t selector, bool call, uint64_t next)
{
	const struct task_switch to = {.selector = selector, .cause = call ? TASK_CALL : TASK_JUMP, .rip = next};
	struct gm_fault fault;
	bool switched;
	if (task_switch(vcpu, &to, &switched, &fault))
		return vcpu->event_pending ? STEP_TRAPPED : STEP_STAYS;
	vcpu_raise_fault(vcpu, &fault);
	return switched ? STEP_TRAPPED : STEP_FAULT;
}

/* What is no code segment: a gate or a task. */
static enum emu_step to_system(struct vcpu *vcpu, uint16_t selector, bool call, uint64_t next)
{
	unsigned rpl = selector & X86_SEL_RPL;
	struct call_gate gate;
	struct gm_fault fault;
	uint64_t d[2];
	if (!seg_read_gate(vcpu, selector, d, &fault))
		return emu_raise_fault(vcpu, &fault);
	unsigned type = seg_type(d[0]);
	bool is_call = type == X86_GATE_CALL || type == (X86_GATE_CALL & ~X86_SYSTYPE_32),
	     is_task = !vcpu_is_long(vcpu) && type == X86_GATE_TASK,
	     is_tss = !vcpu_is_long(vcpu) && (type | X86_SYSTYPE_32) == X86_SYSTYPE_TSS_AVAIL;
	if ((!is_call && !is_task && !is_tss) || seg_dpl(d[0]) < vcpu->cpl || seg_dpl(d[0]) < rpl)
		return emu_raise_gp(vcpu, seg_error(selector));
	if (is_call && !read_call_gate(vcpu, d, selector, &gate, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (!(d[0] & X86_DESC_P)) {
		vcpu_raise_error(vcpu, X86_VEC_NP, seg_error(selector));
		return STEP_FAULT;
	}
	if (is_call)
		return through_gate(vcpu, &gate, call, next);
	return to_task(vcpu, is_task ? (uint16_t)(d[0] >> 16) : selector, call, next);
}

/* ------------------------------------------------------------------------------------------------- JMP, CALL, RET */

static enum emu_step transfer(struct vcpu *vcpu, const struct emu_insn *insn, bool call)
{
	uint64_t next = vcpu->rip + insn->info.length, words[2] = {vcpu->sreg[SREG_CS].selector, next}, d;
	struct stack stack = stack_of(vcpu);
	struct vcpu_segment cs;
	struct gm_fault fault;
	struct far far;
	if (!read_pointer(vcpu, insn, &far))
		return STEP_FAULT;
	if (vcpu_is_8086(vcpu)) {
		if (call && !stack_push(vcpu, &stack, far.width, words, 2, &fault))
			return emu_raise_fault(vcpu, &fault);
		return go_8086(vcpu, &far, call ? &stack : NULL);
	}
	if (seg_is_null(far.selector))
		return emu_raise_gp(vcpu, 0);
	if (!seg_read(vcpu, far.selector, &d, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (!(d & X86_DESC_S))
		return to_system(vcpu, far.selector, call, next);
	if (!seg_check_jump(vcpu, far.selector, d, &cs, &fault) ||
	    (call && !stack_push(vcpu, &stack, far.width, words, 2, &fault)) ||
	    !seg_check_offset(vcpu, &cs, far.offset, 0, &fault))
		return emu_raise_fault(vcpu, &fault);
	vcpu->gpr[RSP] = stack.sp;
	return go(vcpu, &cs, far.offset);
}

enum emu_step emu_far_jump(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return transfer(vcpu, insn, false);
}

enum emu_step emu_far_call(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return transfer(vcpu, insn, true);
}

enum emu_step emu_far_return(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned width = insn->info.operand_width / 8;
	uint64_t parameters =
		insn->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? insn->operands[0].imm.value.u : 0;
	struct stack stack = stack_of(vcpu);
	uint64_t words[2];
	struct vcpu_segment cs;
	struct gm_fault fault;
	if (!stack_pop(vcpu, &stack, width, words, 2, &fault))
		return emu_raise_fault(vcpu, &fault);
	stack_skip(&stack, parameters);
	if (vcpu_is_8086(vcpu))
		return go_8086(vcpu, &(struct far){.offset = words[0], .selector = (uint16_t)words[1]}, &stack);
	if (!seg_check_return(vcpu, (uint16_t)words[1], &cs, &fault) ||
	    !seg_check_offset(vcpu, &cs, words[0], 0, &fault))
		return emu_raise_fault(vcpu, &fault);
	unsigned cpl = cs.selector & X86_SEL_RPL;
	if (cpl == vcpu->cpl) {
		vcpu->gpr[RSP] = stack.sp;
		return go(vcpu, &cs, words[0]);
	}
	if (!emu_outer_stack(vcpu, width, &cs, &stack, &fault))
		return emu_raise_fault(vcpu, &fault);
	stack_skip(&stack, parameters);
	go(vcpu, &cs, words[0]);
	emu_to_outer(vcpu, cpl, &stack);
	return STEP_STAYS;
}

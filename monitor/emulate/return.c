/*
 * IRET in its operand sizes, in every mode (SDM 2A IRET); hypercalls return through the same checks.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/stack.h"
#include "monitor/vm/task.h"

#define LOWER_FLAGS R3_U64(0xffff)

/* The RFLAGS bits that IRET loads at the present CPL and IOPL. */
static uint64_t iret_flags(const struct vcpu *vcpu)
{
	uint64_t loads = X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_TF |
			 X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_NT | X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_ID;
	if (vcpu->cpl <= vcpu_iopl(vcpu))
		loads |= X86_RFLAGS_IF;
	if (vcpu->cpl == 0)
		loads |= X86_RFLAGS_IOPL;
	return loads;
}

static void load_flags(struct vcpu *vcpu, uint64_t rflags, uint64_t loads)
{
	vcpu_set_rflags(vcpu, (vcpu_rflags(vcpu) & ~loads) | (rflags & loads));
}

/* ----------------------------------------------------------------------------------------------- to another stack */

bool emu_outer_stack(struct vcpu *vcpu, unsigned width, const struct vcpu_segment *cs, struct stack *stack,
		     struct gm_fault *fault)
{
	const struct seg_stack_use use = {
		.cpl = cs->selector & X86_SEL_RPL, .bits = seg_code_bits(vcpu, cs), .vector = X86_VEC_GP};
	uint64_t words[2], inner = vcpu->gpr[RSP];
	if (!stack_pop(vcpu, stack, width, words, 2, fault) ||
	    !seg_check_stack(vcpu, (uint16_t)words[1], &use, &stack->ss, fault))
		return false;
	stack->bits = use.bits == 64 ? 64 : stack->ss.descriptor & X86_DESC_DB ? 32 : 16;
	stack->sp = stack->bits == 16 ? (inner & ~R3_U64(0xffff)) | (uint16_t)words[0] : words[0];
	return true;
}

void emu_to_outer(struct vcpu *vcpu, unsigned cpl, const struct stack *stack)
{
	vcpu->sreg[SREG_SS] = stack->ss;
	vcpu->gpr[RSP] = stack->sp;
	vcpu->cpl = cpl;
	seg_drop_privileged(vcpu, cpl);
}

/* ------------------------------------------------------------------------------------------------- 64-bit code */

void emu_return(struct vcpu *vcpu, const uint64_t frame[5])
{
	uint64_t rip = frame[0], rflags = frame[2], rsp = frame[3];
	struct seg_stack_use use = {.vector = X86_VEC_GP};
	struct vcpu_segment cs, ss;
	struct gm_fault fault;

	/* NT asks for a return to another task, which long mode does not have. */
	if (vcpu->rflags & X86_RFLAGS_NT) {
		vcpu_raise_error(vcpu, X86_VEC_GP, 0);
		return;
	}
	bool code = seg_check_return(vcpu, (uint16_t)frame[1], &cs, &fault);
	if (code) {
		use.cpl = cs.selector & X86_SEL_RPL;
		use.bits = seg_code_bits(vcpu, &cs);
	}
	if (!code || !seg_check_stack(vcpu, (uint16_t)frame[4], &use, &ss, &fault) ||
	    !seg_check_offset(vcpu, &cs, rip, 0, &fault)) {
		vcpu_raise_fault(vcpu, &fault);
		return;
	}
	load_flags(vcpu, rflags, iret_flags(vcpu));
	vcpu->sreg[SREG_CS] = cs;
	vcpu->sreg[SREG_SS] = ss;
	vcpu->gpr[RSP] = rsp;
	vcpu->rip = rip;
	if (use.cpl > vcpu->cpl) {
		vcpu->cpl = use.cpl;
		seg_drop_privileged(vcpu, vcpu->cpl);
	}
}

static enum emu_step return_64(struct vcpu *vcpu, unsigned width)
{
	struct stack stack = stack_of(vcpu);
	struct gm_fault fault;
	uint64_t frame[5];
	if (!stack_pop(vcpu, &stack, width, frame, 5, &fault))
		return emu_raise_fault(vcpu, &fault);
	/* 16 bits hold no more than the lower half of EFLAGS. */
	if (width == 2)
		frame[2] |= vcpu_rflags(vcpu) & ~LOWER_FLAGS;
	emu_return(vcpu, frame);
	return vcpu->event_pending ? STEP_FAULT : STEP_STAYS;
}

/* --------------------------------------------------------------------------------------------- 16- and 32-bit code */

static enum emu_step return_8086(struct vcpu *vcpu, unsigned width)
{
	uint64_t frame[3], loads = iret_flags(vcpu);
	struct stack stack = stack_of(vcpu);
	struct gm_fault fault;
	if (vcpu_is_v86(vcpu) && vcpu_iopl(vcpu) < 3)
		return emu_raise_gp(vcpu, 0);
	if (!stack_pop(vcpu, &stack, width, frame, 3, &fault) ||
	    !seg_check_offset(vcpu, &vcpu->sreg[SREG_CS], frame[0], 0, &fault))
		return emu_raise_fault(vcpu, &fault);
	load_flags(vcpu, frame[2], width == 2 ? loads & LOWER_FLAGS : loads);
	vcpu->gpr[RSP] = stack.sp;
	vcpu->rip = frame[0];
	seg_load_8086(vcpu, SREG_CS, (uint16_t)frame[1]);
	return STEP_STAYS;
}

static enum emu_step return_to_task(struct vcpu *vcpu, uint64_t next)
{
	struct task_switch to = {.cause = TASK_RETURN, .rip = next};
	struct gm_fault fault;
	bool switched = false;
	if (vcpu_is_long(vcpu))
		return emu_raise_gp(vcpu, 0);
	if (gm_read_gva(vcpu, vcpu->tr.base, &to.selector, sizeof(to.selector), GM_SYSTEM, &fault) &&
	    task_switch(vcpu, &to, &switched, &fault))
		return vcpu->event_pending ? STEP_TRAPPED : STEP_STAYS;
	vcpu_raise_fault(vcpu, &fault);
	return switched ? STEP_TRAPPED : STEP_FAULT;
}

/* The rest of the frame: ESP, SS, ES, DS, FS, GS. */
static enum emu_step return_to_v86(struct vcpu *vcpu, const uint64_t frame[3], struct stack *stack)
{
	static const enum vcpu_sreg order[] = {SREG_SS, SREG_ES, SREG_DS, SREG_FS, SREG_GS};
	struct gm_fault fault;
	uint64_t words[6];
	if (!stack_pop(vcpu, stack, 4, words, 6, &fault))
		return emu_raise_fault(vcpu, &fault);
	load_flags(vcpu, frame[2], iret_flags(vcpu));
	vcpu->rflags |= X86_RFLAGS_VM;
	vcpu->cpl = 3;
	vcpu->rip = (uint16_t)frame[0];
	vcpu->gpr[RSP] = words[0];
	seg_load_8086(vcpu, SREG_CS, (uint16_t)frame[1]);
	for (unsigned n = 0; n < sizeof(order) / sizeof(order[0]); n++)
		seg_load_8086(vcpu, order[n], (uint16_t)words[1 + n]);
	return STEP_STAYS;
}

static enum emu_step return_protected(struct vcpu *vcpu, unsigned width)
{
	uint64_t frame[3], loads = iret_flags(vcpu);
	struct stack stack = stack_of(vcpu);
	struct vcpu_segment cs;
	struct gm_fault fault;
	if (!stack_pop(vcpu, &stack, width, frame, 3, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (width == 2)
		loads &= LOWER_FLAGS;
	if (width == 4 && (frame[2] & X86_RFLAGS_VM) && vcpu->cpl == 0 && !vcpu_is_long(vcpu))
		return return_to_v86(vcpu, frame, &stack);
	if (!seg_check_return(vcpu, (uint16_t)frame[1], &cs, &fault) ||
	    !seg_check_offset(vcpu, &cs, frame[0], 0, &fault))
		return emu_raise_fault(vcpu, &fault);
	unsigned cpl = cs.selector & X86_SEL_RPL;
	if (cpl > vcpu->cpl && !emu_outer_stack(vcpu, width, &cs, &stack, &fault))
		return emu_raise_fault(vcpu, &fault);
	load_flags(vcpu, frame[2], loads);
	vcpu->sreg[SREG_CS] = cs;
	vcpu->rip = frame[0];
	if (cpl > vcpu->cpl)
		emu_to_outer(vcpu, cpl, &stack);
	else
		vcpu->gpr[RSP] = stack.sp;
	return STEP_STAYS;
}

enum emu_step emu_iret(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned width = insn->info.operand_width / 8;
	if (vcpu->nmi == NMI_BLOCKED) /* whatever comes of it: SDM 3A 6.7.1 */
		vcpu->nmi = NMI_RELEASED;
	if (vcpu_code_bits(vcpu) == 64)
		return return_64(vcpu, width);
	if (vcpu_is_8086(vcpu))
		return return_8086(vcpu, width);
	if (vcpu->rflags & X86_RFLAGS_NT)
		return return_to_task(vcpu, vcpu->rip + insn->info.length);
	return return_protected(vcpu, width);
}

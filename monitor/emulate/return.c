/*
 * IRET in its three operand sizes; hypercalls return through the same checks.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"

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

void emu_return(struct vcpu *vcpu, const uint64_t frame[5])
{
	uint64_t rip = frame[0], rflags = frame[2], rsp = frame[3];
	struct vcpu_segment cs, ss;
	struct gm_fault fault;

	/* NT asks for a return to another task, which long mode does not have. */
	if (vcpu->rflags & X86_RFLAGS_NT) {
		vcpu_raise_error(vcpu, X86_VEC_GP, 0);
		return;
	}
	if (!seg_check_return(vcpu, (uint16_t)frame[1], &cs, &fault) ||
	    !seg_check_stack(vcpu, (uint16_t)frame[4], cs.selector & X86_SEL_RPL, &ss, &fault)) {
		vcpu_raise_fault(vcpu, &fault);
		return;
	}
	if (!vcpu_canonical(rip)) {
		vcpu_raise_error(vcpu, X86_VEC_GP, 0);
		return;
	}
	uint64_t loads = iret_flags(vcpu);
	vcpu_set_rflags(vcpu, (vcpu_rflags(vcpu) & ~loads) | (rflags & loads));
	vcpu->sreg[SREG_CS] = cs;
	vcpu->sreg[SREG_SS] = ss;
	vcpu->gpr[RSP] = rsp;
	vcpu->rip = rip;
	if ((cs.selector & X86_SEL_RPL) > vcpu->cpl) {
		vcpu->cpl = cs.selector & X86_SEL_RPL;
		seg_drop_privileged(vcpu, vcpu->cpl);
	}
}

enum emu_step emu_iret(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t frame[5];
	if (!emu_peek_stack(vcpu, insn->info.operand_width / 8, 5, frame))
		return STEP_FAULT;
	/* 16 bits hold no more than the lower half of EFLAGS. */
	if (insn->info.operand_width == 16)
		frame[2] |= vcpu_rflags(vcpu) & ~R3_U64(0xffff);
	emu_return(vcpu, frame);
	return vcpu->event_pending ? STEP_FAULT : STEP_STAYS;
}

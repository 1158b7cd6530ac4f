/*
 * IRET in its three operand sizes; the checks are in inject.c.
 */
#include "monitor/emulate/group.h"
#include "monitor/run/inject.h"

enum emu_step emu_iret(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t frame[5];
	if (!emu_peek_stack(vcpu, insn->info.operand_width / 8, 5, frame))
		return STEP_FAULT;
	/* 16 bits hold no more than the lower half of EFLAGS. */
	if (insn->info.operand_width == 16)
		frame[2] |= vcpu_rflags(vcpu) & ~R3_U64(0xffff);
	inject_iret(vcpu, frame);
	return vcpu->event_pending ? STEP_FAULT : STEP_STAYS;
}

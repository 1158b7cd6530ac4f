/*
 * The interrupt flag and the halt: CLI, STI, HLT (SDM 2A).
 */
#include "monitor/emulate/group.h"

enum emu_step emu_cli(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl > vcpu_iopl(vcpu))
		return emu_raise_gp(vcpu, 0);
	vcpu_set_if(vcpu, false);
	return STEP_NEXT;
}

enum emu_step emu_sti(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl > vcpu_iopl(vcpu))
		return emu_raise_gp(vcpu, 0);
	/* So that STI; HLT and STI; RET lose no interrupt in between. */
	vcpu->interrupt_shadow = !vcpu_if(vcpu);
	vcpu->debug_shadow = false;
	vcpu_set_if(vcpu, true);
	return STEP_NEXT;
}

enum emu_step emu_hlt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	vcpu->halted = true;
	vcpu->wakes = false;
	return STEP_NEXT;
}

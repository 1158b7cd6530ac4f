/*
 * Software interrupts: INT n, INT3, INTO, ICEBP (SDM 2A INT n). The gate's DPL is looked at on delivery.
 */
#include "monitor/emulate/group.h"

enum emu_step emu_int(struct vcpu *vcpu, const struct emu_insn *insn)
{
	/* INT3 and INTO go through all the same (SDM 3B 20.3). */
	if (vcpu_is_v86(vcpu) && vcpu_iopl(vcpu) < 3)
		return emu_raise_gp(vcpu, 0);
	vcpu->rip += insn->info.length;
	vcpu_raise_soft(vcpu, (uint8_t)insn->operands[0].imm.value.u, insn->info.length);
	return STEP_TRAPPED;
}

enum emu_step emu_int3(struct vcpu *vcpu, const struct emu_insn *insn)
{
	vcpu->rip += insn->info.length;
	vcpu_raise_soft(vcpu, X86_VEC_BP, insn->info.length);
	return STEP_TRAPPED;
}

enum emu_step emu_into(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (!(vcpu->rflags & X86_RFLAGS_OF))
		return STEP_NEXT;
	vcpu->rip += insn->info.length;
	vcpu_raise_soft(vcpu, X86_VEC_OF, insn->info.length);
	return STEP_TRAPPED;
}

enum emu_step emu_icebp(struct vcpu *vcpu, const struct emu_insn *insn)
{
	vcpu->rip += insn->info.length;
	vcpu_raise_icebp(vcpu, insn->info.length);
	return STEP_TRAPPED;
}

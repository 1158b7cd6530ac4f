/*
 * Software interrupts: INT n, INT3, ICEBP (SDM 2A INT n). The gate's DPL is looked at on delivery.
 */
#include "monitor/emulate/group.h"

enum emu_step emu_int(struct vcpu *vcpu, const struct emu_insn *insn)
{
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

enum emu_step emu_icebp(struct vcpu *vcpu, const struct emu_insn *insn)
{
	vcpu->rip += insn->info.length;
	vcpu_raise_icebp(vcpu, insn->info.length);
	return STEP_TRAPPED;
}

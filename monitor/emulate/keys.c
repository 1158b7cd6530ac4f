/*
 * RDPKRU, WRPKRU: what protection keys let programs and kernel do with user pages (SDM 2B).
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/vm.h"

enum emu_step emu_rdpkru(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (!(vcpu->cr4 & X86_CR4_PKE))
		return emu_raise(vcpu, X86_VEC_UD);
	if ((uint32_t)vcpu->gpr[RCX])
		return emu_raise_gp(vcpu, 0);
	vcpu->gpr[RAX] = vcpu->pkru;
	vcpu->gpr[RDX] = 0;
	return STEP_NEXT;
}

enum emu_step emu_wrpkru(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (!(vcpu->cr4 & X86_CR4_PKE))
		return emu_raise(vcpu, X86_VEC_UD);
	if ((uint32_t)vcpu->gpr[RCX] || (uint32_t)vcpu->gpr[RDX])
		return emu_raise_gp(vcpu, 0);
	vcpu->pkru = (uint32_t)vcpu->gpr[RAX];
	return STEP_NEXT;
}

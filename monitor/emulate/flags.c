/*
 * The interrupt flag, the halt, and the flag that lets a kernel at user pages: CLI, STI, HLT, CLAC, STAC (SDM 2A, 2B).
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/vm.h"

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

static enum emu_step set_ac(struct vcpu *vcpu, uint64_t flag)
{
	if (!vcpu->vm->cpu.has[CPU_smap] || vcpu->cpl != 0)
		return emu_raise(vcpu, X86_VEC_UD);
	vcpu->rflags = (vcpu->rflags & ~X86_RFLAGS_AC) | flag;
	return STEP_NEXT;
}

enum emu_step emu_clac(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return set_ac(vcpu, 0);
}

enum emu_step emu_stac(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return set_ac(vcpu, X86_RFLAGS_AC);
}

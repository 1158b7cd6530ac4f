/*
 * Debug registers: MOV to and from DR0-7 (SDM 2B MOV-Debug Registers, SDM 3B 17.2). They keep what the guest writes;
 * whoever interprets the guest's code looks at them, code that runs directly does not see them.
 */
#include "monitor/emulate/group.h"

static enum emu_step write_dr(struct vcpu *vcpu, unsigned n, uint64_t value)
{
	if (n >= 6 && value >> 32)
		return emu_raise_gp(vcpu, 0);
	if (n == 6)
		value = (value & X86_DR6_WRITABLE) | X86_DR6_FIXED;
	else if (n == 7)
		value = (value & X86_DR7_WRITABLE) | X86_DR7_FIXED;
	vcpu->dr[n] = value;
	return STEP_NEXT;
}

enum emu_step emu_mov_dr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	ZydisRegister to = insn->operands[0].reg.value, from = insn->operands[1].reg.value;
	bool writes = ZydisRegisterGetClass(to) == ZYDIS_REGCLASS_DEBUG;
	unsigned n = (unsigned)ZydisRegisterGetId(writes ? to : from);

	if (n > 7 || ((n == 4 || n == 5) && (vcpu->cr4 & X86_CR4_DE)))
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (vcpu->dr[7] & X86_DR7_GD) {
		/* Raised before the access: a fault, unlike the trap of a single step. */
		vcpu_raise_error(vcpu, X86_VEC_DB, 0);
		vcpu->dr[6] |= X86_DR6_BD;
		return STEP_FAULT;
	}
	if (n == 4 || n == 5)
		n += 2;
	if (writes)
		return write_dr(vcpu, n, emu_gpr(vcpu, from));
	emu_set_gpr(vcpu, to, vcpu->dr[n]);
	return STEP_NEXT;
}

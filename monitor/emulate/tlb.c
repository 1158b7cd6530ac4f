/*
 * Translations and caches: INVLPG, INVD, WBINVD (SDM 2A, 2B). Caches are the host's business and stay coherent.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/vm.h"

enum emu_step emu_invlpg(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	uint64_t gva = emu_address(vcpu, insn, 0);
	if (!vcpu_canonical(gva))
		return STEP_NEXT;
	struct spt_cpu paging = vcpu_paging(vcpu);
	return emu_shadow(vcpu, spt_invlpg(vcpu->vm->spt, &paging, gva));
}

enum emu_step emu_invd(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	return STEP_NEXT;
}

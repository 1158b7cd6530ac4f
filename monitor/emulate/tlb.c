/*
 * Translations and caches: INVLPG, INVPCID, INVD, WBINVD (SDM 2A, 2B). Caches are the host's business and stay
 * coherent.
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

/* SDM 2A INVPCID, of a machine without PCIDs. */
enum invpcid { INVPCID_ADDRESS, INVPCID_CONTEXT, INVPCID_ALL_GLOBAL, INVPCID_ALL, INVPCID_COUNT };

enum emu_step emu_invpcid(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t type = emu_gpr(vcpu, insn->operands[0].reg.value), descriptor[2];
	if (!vcpu->vm->cpu.has[CPU_invpcid])
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (!emu_load(vcpu, insn, 1, descriptor, sizeof(descriptor)))
		return STEP_FAULT;
	bool names_pcid = type == INVPCID_ADDRESS || type == INVPCID_CONTEXT;
	if (type >= INVPCID_COUNT || (names_pcid && descriptor[0]) ||
	    (type == INVPCID_ADDRESS && !vcpu_canonical(descriptor[1])))
		return emu_raise_gp(vcpu, 0);
	struct spt_cpu paging = vcpu_paging(vcpu);
	return emu_shadow(vcpu, type == INVPCID_ADDRESS ? spt_invlpg(vcpu->vm->spt, &paging, descriptor[1])
							: spt_flush_all(vcpu->vm->spt));
}

enum emu_step emu_invd(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	return STEP_NEXT;
}

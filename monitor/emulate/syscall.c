/*
 * The fast way in and out: SYSCALL, SYSRET, SWAPGS (SDM 2B).
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

#define SYSCALL_BYTES 2

/* What the paravirtual entry clears: as if the guest's SFMASK named these. */
#define PV_SYSCALL_MASK (X86_RFLAGS_IF | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_NT | X86_RFLAGS_AC)

enum emu_step emu_undefined(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return emu_raise(vcpu, X86_VEC_UD);
}

enum emu_step emu_swapgs(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	uint64_t gs = vcpu->sreg[SREG_GS].base;
	vcpu->sreg[SREG_GS].base = vcpu->kernel_gs_base;
	vcpu->kernel_gs_base = gs;
	return STEP_NEXT;
}

/* Both load fixed, flat segments whatever the descriptor tables hold. */
static void load_flat(struct vcpu *vcpu, uint16_t cs, uint16_t ss, unsigned cpl)
{
	vcpu->sreg[SREG_CS] = seg_make(cs, SEG_FLAT_CODE(cpl));
	vcpu->sreg[SREG_SS] = seg_make(ss, SEG_FLAT_DATA(cpl));
	vcpu->cpl = cpl;
}

/*
 * Intel's processors refuse an address that is not canonical while they still are in ring 0; AMD's go, and the fetch
 * there faults. AMD's leave SS the RPL that STAR has (APM 3 SYSRET), Intel's make it 3.
 */
enum emu_step emu_sysret(struct vcpu *vcpu, const struct emu_insn *insn)
{
	const bool amd = vcpu->vm->cpu.amd, canonical = vcpu_canonical(vcpu->gpr[RCX]);
	if (!(vcpu->efer & X86_EFER_SCE))
		return emu_raise(vcpu, X86_VEC_UD);
	/* The 32-bit form returns to compatibility mode, which this machine lacks. */
	if (vcpu->cpl != 0 || insn->info.operand_width != 64 || (!amd && !canonical))
		return emu_raise_gp(vcpu, 0);
	uint16_t base = (uint16_t)(vcpu->star >> X86_STAR_SYSRET_SHIFT);
	load_flat(vcpu, (base + 16) | X86_SEL_RPL, (base + 8) | (amd ? 0 : X86_SEL_RPL), 3);
	vcpu_set_rflags(vcpu, vcpu->gpr[R11] & X86_SYSRET_RFLAGS);
	vcpu->rip = vcpu->gpr[RCX];
	if (canonical)
		return STEP_STAYS;
	vcpu_raise_error(vcpu, X86_VEC_GP, 0);
	return STEP_TRAPPED;
}

/*
 * The paravirtual entry arrives on the kernel's stack with the frame that IRETQ takes, so that no register needs saving
 * before there is a stack: what SYSCALL lacks. engine/trap/gate.S does the same without the monitor.
 */
static void pv_syscall(struct vcpu *vcpu, uint64_t rflags)
{
	uint64_t frame[5] = {vcpu->rip, vcpu->sreg[SREG_CS].selector, rflags, vcpu->gpr[RSP],
			     vcpu->sreg[SREG_SS].selector};
	struct gm_fault fault;
	if (!gm_write_gva(vcpu, vcpu->pv.rsp0 - sizeof(frame), frame, sizeof(frame), GM_SYSTEM, &fault)) {
		vcpu_raise_error(vcpu, X86_VEC_DF, 0);
		return;
	}
	vcpu->gpr[RCX] = vcpu->rip;
	vcpu->gpr[R11] = rflags;
	vcpu->gpr[RSP] = vcpu->pv.rsp0 - sizeof(frame);
	vcpu->rip = vcpu->pv.syscall_entry;
	vcpu_set_rflags(vcpu, rflags & ~PV_SYSCALL_MASK);
	/* A guest that never wrote STAR has the selectors it was entered with. */
	uint16_t cs = seg_error((uint16_t)(vcpu->star >> X86_STAR_SYSCALL_SHIFT));
	if (cs)
		load_flat(vcpu, cs, cs + 8, 0);
	else
		load_flat(vcpu, BOOT_CS, BOOT_DS, 0);
}

void emu_load_syscall_segments(struct vcpu *vcpu)
{
	uint16_t cs = seg_error((uint16_t)(vcpu->star >> X86_STAR_SYSCALL_SHIFT));
	load_flat(vcpu, cs, cs + 8, 0);
}

void emu_syscall(struct vcpu *vcpu)
{
	/* RF is cleared before the flags are saved. */
	uint64_t rflags = vcpu_rflags(vcpu) & ~X86_RFLAGS_RF;
	if (vcpu->cpl == 3 && vcpu->pv.syscall_entry && vcpu->pv.rsp0) {
		pv_syscall(vcpu, rflags);
		return;
	}
	if (!(vcpu->efer & X86_EFER_SCE)) {
		vcpu->rip -= SYSCALL_BYTES;
		vcpu_raise(vcpu, X86_VEC_UD);
		return;
	}
	vcpu->gpr[RCX] = vcpu->rip;
	vcpu->gpr[R11] = rflags;
	vcpu->rip = vcpu->lstar;
	vcpu_set_rflags(vcpu, rflags & ~vcpu->sfmask);
	emu_load_syscall_segments(vcpu);
	/* Left set, it traps before the first instruction of the kernel's. */
	if (vcpu->rflags & X86_RFLAGS_TF)
		vcpu_raise(vcpu, X86_VEC_DB);
}

/*
 * The fast ways in and out: SYSCALL, SYSRET, SWAPGS, SYSENTER, SYSEXIT (SDM 2B, APM 3).
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

/* The four that load segments have these, flat ones, whatever the descriptor tables hold. */
static void load_code(struct vcpu *vcpu, uint16_t cs, uint64_t code, uint16_t ss, unsigned cpl)
{
	vcpu->sreg[SREG_CS] = seg_make(cs, code);
	vcpu->sreg[SREG_SS] = seg_make(ss, SEG_FLAT_DATA(cpl));
	vcpu->cpl = cpl;
}

static void load_flat(struct vcpu *vcpu, uint16_t cs, uint16_t ss, unsigned cpl)
{
	load_code(vcpu, cs, SEG_FLAT_CODE(cpl), ss, cpl);
}

static void load_flat_32(struct vcpu *vcpu, uint16_t cs, uint16_t ss, unsigned cpl)
{
	load_code(vcpu, cs, SEG_FLAT_CODE_32(cpl), ss, cpl);
}

/* ------------------------------------------------------------------------------------------- SYSENTER and SYSEXIT */

/* In long mode AMD's processors have neither, and others do not say that they have them. */
static bool has_sysenter(const struct vcpu *vcpu)
{
	return vcpu->vm->cpu.has[CPU_sep] && !vcpu_is_long(vcpu);
}

enum emu_step emu_sysenter(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint16_t cs = seg_error((uint16_t)vcpu->sysenter_cs);
	if (!has_sysenter(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (!vcpu_is_protected(vcpu) || !cs)
		return emu_raise_gp(vcpu, 0);
	vcpu->rflags &= ~(X86_RFLAGS_VM | X86_RFLAGS_RF);
	vcpu_set_if(vcpu, false);
	load_flat_32(vcpu, cs, cs + 8, 0);
	vcpu->gpr[RSP] = (uint32_t)vcpu->sysenter_esp;
	vcpu->rip = (uint32_t)vcpu->sysenter_eip;
	return STEP_STAYS;
}

enum emu_step emu_sysexit(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint16_t cs = seg_error((uint16_t)vcpu->sysenter_cs);
	if (!has_sysenter(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (!vcpu_is_protected(vcpu) || vcpu->cpl != 0 || !cs)
		return emu_raise_gp(vcpu, 0);
	load_flat_32(vcpu, (cs + 16) | X86_SEL_RPL, (cs + 24) | X86_SEL_RPL, 3);
	vcpu->gpr[RSP] = (uint32_t)vcpu->gpr[RCX];
	vcpu->rip = (uint32_t)vcpu->gpr[RDX];
	return STEP_STAYS;
}

/* --------------------------------------------------------------------------------------------- SYSCALL and SYSRET */

enum emu_step emu_swapgs(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	uint64_t gs = vcpu->sreg[SREG_GS].base;
	vcpu->sreg[SREG_GS].base = vcpu->kernel_gs_base;
	vcpu->kernel_gs_base = gs;
	return STEP_NEXT;
}

/* Outside long mode, AMD's: to 32-bit code, the flags but IF unchanged. */
static enum emu_step sysret_legacy(struct vcpu *vcpu)
{
	uint16_t base = (uint16_t)(vcpu->star >> X86_STAR_SYSRET_SHIFT);
	load_flat_32(vcpu, base | X86_SEL_RPL, base + 8, 3);
	vcpu_set_if(vcpu, true);
	vcpu->rip = (uint32_t)vcpu->gpr[RCX];
	return STEP_STAYS;
}

/* To compatibility mode: the form of 64-bit code without REX.W, and that of compatibility mode on AMD's. */
static enum emu_step sysret_compatible(struct vcpu *vcpu)
{
	uint16_t base = (uint16_t)(vcpu->star >> X86_STAR_SYSRET_SHIFT);
	if (!vcpu->vm->cpu.legacy_modes)
		return emu_raise_gp(vcpu, 0);
	load_flat_32(vcpu, base | X86_SEL_RPL, (base + 8) | (vcpu->vm->cpu.amd ? 0 : X86_SEL_RPL), 3);
	vcpu_set_rflags(vcpu, vcpu->gpr[R11] & X86_SYSRET_RFLAGS);
	vcpu->rip = (uint32_t)vcpu->gpr[RCX];
	return STEP_STAYS;
}

/*
 * Intel's processors refuse an address that is not canonical while they still are in ring 0; AMD's go, and the fetch
 * there faults. AMD's leave SS the RPL that STAR has (APM 3 SYSRET), Intel's make it 3.
 */
enum emu_step emu_sysret(struct vcpu *vcpu, const struct emu_insn *insn)
{
	const bool amd = vcpu->vm->cpu.amd, canonical = vcpu_canonical(vcpu->gpr[RCX]);
	if (!(vcpu->efer & X86_EFER_SCE) || (!amd && vcpu_code_bits(vcpu) != 64))
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0 || !vcpu_is_protected(vcpu))
		return emu_raise_gp(vcpu, 0);
	if (!vcpu_is_long(vcpu))
		return sysret_legacy(vcpu);
	if (insn->info.operand_width != 64)
		return sysret_compatible(vcpu);
	if (!amd && !canonical)
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
 * before there is a stack: what SYSCALL lacks. engine/trap/gate_direct.S does the same without the monitor.
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

/* From 16- or 32-bit code, which AMD's processors alone permit: in long mode through CSTAR, else to 32-bit code. */
static void syscall_narrow(struct vcpu *vcpu, uint64_t rflags)
{
	uint16_t cs = seg_error((uint16_t)(vcpu->star >> X86_STAR_SYSCALL_SHIFT));
	vcpu->gpr[RCX] = (uint32_t)vcpu->rip;
	if (vcpu_is_long(vcpu)) {
		vcpu->gpr[R11] = rflags;
		vcpu->rip = vcpu->cstar;
		vcpu_set_rflags(vcpu, rflags & ~vcpu->sfmask);
		load_flat(vcpu, cs, cs + 8, 0);
		return;
	}
	vcpu->rip = (uint32_t)vcpu->star;
	vcpu->rflags &= ~(X86_RFLAGS_VM | X86_RFLAGS_RF);
	vcpu_set_if(vcpu, false);
	load_flat_32(vcpu, cs, cs + 8, 0);
}

void emu_syscall(struct vcpu *vcpu)
{
	bool narrow = vcpu_code_bits(vcpu) != 64;
	/* RF is cleared before the flags are saved. */
	uint64_t rflags = vcpu_rflags(vcpu) & ~X86_RFLAGS_RF;
	if (vcpu->cpl == 3 && vcpu->pv.syscall_entry && vcpu->pv.rsp0) {
		pv_syscall(vcpu, rflags);
		return;
	}
	if (!(vcpu->efer & X86_EFER_SCE) || (narrow && (!vcpu->vm->cpu.amd || !vcpu_is_protected(vcpu)))) {
		vcpu->rip -= SYSCALL_BYTES;
		vcpu_raise(vcpu, X86_VEC_UD);
		return;
	}
	if (narrow) {
		syscall_narrow(vcpu, rflags);
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

/*
 * Model-specific registers: RDMSR, WRMSR, and RDTSC (SDM 2B; SDM 4 chapter 2). One that this machine lacks is #GP(0).
 */
#include "monitor/emulate/group.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

#define EFER_WRITABLE (X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE)

/* Registers that are plain storage of a canonical address; NULL for others. */
static uint64_t *address_msr(struct vcpu *vcpu, uint32_t msr)
{
	switch (msr) {
	case X86_MSR_LSTAR:
		return &vcpu->lstar;
	case X86_MSR_CSTAR:
		return &vcpu->cstar;
	case X86_MSR_FS_BASE:
		return &vcpu->sreg[SREG_FS].base;
	case X86_MSR_GS_BASE:
		return &vcpu->sreg[SREG_GS].base;
	case X86_MSR_KERNEL_GS_BASE:
		return &vcpu->kernel_gs_base;
	default:
		return NULL;
	}
}

static bool read_msr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	const uint64_t *address = address_msr(vcpu, msr);
	if (address) {
		*value = *address;
		return true;
	}
	switch (msr) {
	case X86_MSR_TSC:
		*value = clock_guest_tsc() + vcpu->tsc_offset;
		return true;
	case X86_MSR_APIC_BASE:
		*value = vcpu->apic_base;
		return true;
	case X86_MSR_PAT:
		*value = vcpu->pat;
		return true;
	case X86_MSR_EFER:
		*value = vcpu->efer;
		return true;
	case X86_MSR_STAR:
		*value = vcpu->star;
		return true;
	case X86_MSR_SFMASK:
		*value = vcpu->sfmask;
		return true;
	default:
		return false;
	}
}

/* LMA is read-only and ignored; LME cannot change while paging is on, which it always is here. */
static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
	uint64_t kept = vcpu->efer & X86_EFER_LMA;
	if ((value & ~(EFER_WRITABLE | X86_EFER_LMA)) || !(value & X86_EFER_LME))
		return false;
	uint64_t old = vcpu->efer;
	vcpu->efer = (value & EFER_WRITABLE) | kept;
	if ((old ^ value) & X86_EFER_NXE)
		emu_shadow(vcpu, spt_flush_all(vcpu->vm->spt));
	return true;
}

/* Eight memory types of a byte each: UC WC WT WP WB UC- are 0 1 4 5 6 7 (SDM 3A table 11-10). */
static bool write_pat(struct vcpu *vcpu, uint64_t value)
{
	for (unsigned i = 0; i < 64; i += 8) {
		uint8_t type = (uint8_t)(value >> i);
		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	vcpu->pat = value;
	return true;
}

static bool write_apic_base(struct vcpu *vcpu, uint64_t value)
{
	uint64_t address = (R3_BIT(VCPU_PHYSICAL_BITS) - 1) & ~X86_PAGE_MASK;
	if (value & ~(address | X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE))
		return false;
	vcpu->apic_base = value;
	return true;
}

static bool write_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	uint64_t *address = address_msr(vcpu, msr);
	if (address) {
		if (!vcpu_canonical(value))
			return false;
		*address = value;
		return true;
	}
	switch (msr) {
	case X86_MSR_TSC:
		vcpu->tsc_offset = value - clock_guest_tsc();
		return true;
	case X86_MSR_APIC_BASE:
		return write_apic_base(vcpu, value);
	case X86_MSR_PAT:
		return write_pat(vcpu, value);
	case X86_MSR_EFER:
		return write_efer(vcpu, value);
	case X86_MSR_STAR:
		vcpu->star = value;
		return true;
	case X86_MSR_SFMASK:
		if (value >> 32)
			return false;
		vcpu->sfmask = value;
		return true;
	default:
		return false;
	}
}

enum emu_step emu_rdmsr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value;
	if (vcpu->cpl != 0 || !read_msr(vcpu, (uint32_t)vcpu->gpr[RCX], &value))
		return emu_raise_gp(vcpu, 0);
	vcpu->gpr[RAX] = (uint32_t)value;
	vcpu->gpr[RDX] = value >> 32;
	return STEP_NEXT;
}

/* RDTSC and RDTSCP; TSC_AUX is not among this machine's registers, the processor's number stands for it. */
enum emu_step emu_rdtsc(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value = clock_guest_tsc() + vcpu->tsc_offset;
	if (vcpu->cpl == 3 && (vcpu->cr4 & X86_CR4_TSD))
		return emu_raise_gp(vcpu, 0);
	vcpu->gpr[RAX] = (uint32_t)value;
	vcpu->gpr[RDX] = value >> 32;
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
		vcpu->gpr[RCX] = vcpu->id;
	return STEP_NEXT;
}

enum emu_step emu_wrmsr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value = (uint64_t)(uint32_t)vcpu->gpr[RDX] << 32 | (uint32_t)vcpu->gpr[RAX];
	if (vcpu->cpl != 0 || !write_msr(vcpu, (uint32_t)vcpu->gpr[RCX], value))
		return emu_raise_gp(vcpu, 0);
	return STEP_NEXT;
}

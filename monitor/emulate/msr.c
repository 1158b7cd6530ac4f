/*
 * Model-specific registers: RDMSR, WRMSR, and RDTSC (SDM 2B; SDM 4 chapter 2; APM 2 appendix A). One table says which
 * there are; one that the machine lacks is #GP(0).
 */
#include <stddef.h>

#include "monitor/device/lapic.h"
#include "monitor/device/machine.h"
#include "monitor/emulate/group.h"
#include "monitor/host/clock.h"
#include "monitor/vm/vm.h"

/* What a write does with the value; all but CHECKED ones need no function. */
enum msr_kind {
	MSR_CANONICAL, /* an address: #GP if it is not canonical */
	MSR_MASKED,    /* #GP for bits outside `bits` */
	MSR_TRUNCATED, /* bits outside `bits` are dropped */
	MSR_CONSTANT,  /* reads as `bits`; writes are #GP */
	MSR_IGNORANT,  /* reads as `bits`; writes are lost */
	MSR_CHECKED,   /* `write` says */
	MSR_X2APIC,    /* the local APIC says */
	MSR_MTRR,      /* mtrr.c says */
};

/* Whose processors have it, or have it so, where no bit of CPUID tells. */
enum msr_maker { ANYBODYS, AMDS, INTELS };

struct msr {
	uint32_t first, last; /* a run of registers that are alike */
	enum cpu_feature feature;
	enum msr_maker maker;
	enum msr_kind kind;
	uint64_t bits;
	uint16_t offset; /* in struct vcpu; 0: none */
	bool (*write)(struct vcpu *vcpu, uint64_t value);
};

static bool write_tsc(struct vcpu *vcpu, uint64_t value)
{
	struct lapic *apic = machine_lapic(vcpu->vm);
	vcpu->tsc_offset = value - clock_guest_tsc();
	if (apic)
		lapic_timer_arm(apic);
	return true;
}

/* LMA is read-only and ignored; LME cannot change while paging is on. */
static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
	uint64_t kept = vcpu->efer & X86_EFER_LMA;
	bool paging = vcpu->cr0 & X86_CR0_PG, changes_mode = (value ^ vcpu->efer) & X86_EFER_LME;
	bool no_nx = (value & ~vcpu->efer & X86_EFER_NXE) && (vcpu->misc_enable & X86_MISC_NO_NX);
	if ((value & ~(vcpu->vm->cpu.efer | X86_EFER_LMA)) || (paging && changes_mode) || no_nx)
		return false;
	uint64_t old = vcpu->efer;
	vcpu->efer = (value & ~X86_EFER_LMA) | kept;
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
	/* The bit of the mode is reserved where CPUID has none. */
	if ((value & X86_APIC_BASE_X2APIC) && !vcpu->vm->cpu.has[CPU_x2apic])
		return false;
	return lapic_write_base(machine_lapic(vcpu->vm), value);
}

static bool write_tsc_deadline(struct vcpu *vcpu, uint64_t value)
{
	lapic_write_deadline(machine_lapic(vcpu->vm), value);
	return true;
}

static bool write_misc_enable(struct vcpu *vcpu, uint64_t value)
{
	if (value & ~(X86_MISC_WRITABLE | X86_MISC_CONSTANT))
		return false;
	vcpu->misc_enable = (value & X86_MISC_WRITABLE) | (vcpu->misc_enable & X86_MISC_CONSTANT);
	return true;
}

#define AT(member)   .offset = offsetof(struct vcpu, member)
#define ONE(number)  .first = (number), .last = (number)
#define LOW_HALF     R3_U64(0xffffffff)
#define MCG_NO_BANKS 0
#define NO_MICROCODE 0
/*
 * A guest's programs and its kernel are processes of the host's, or the interpreter's words: neither has the other's
 * memory in its address space, and between two processes the host does what its processor needs.
 */
#define KEPT_APART                                                                                                     \
	(X86_CAPABILITIES_RDCL_NO | X86_CAPABILITIES_L1TF_NO | X86_CAPABILITIES_MDS_NO | X86_CAPABILITIES_TAA_NO |     \
	 X86_CAPABILITIES_STALE_DATA_NO)
#define NOT_COUNTING  0
#define ALL_AS_BEFORE 0

static const struct msr msrs[] = {
	{ONE(X86_MSR_TSC), CPU_tsc, .kind = MSR_CHECKED, .write = write_tsc},
	{ONE(X86_MSR_APIC_BASE), CPU_apic, .kind = MSR_CHECKED, AT(apic_base), .write = write_apic_base},
	{ONE(X86_MSR_PATCH_LEVEL), CPU_msr, .kind = MSR_IGNORANT, .bits = NO_MICROCODE},
	{ONE(X86_MSR_CAPABILITIES), CPU_arch_capabilities, .kind = MSR_CONSTANT, .bits = KEPT_APART},
	/* There in long mode too, whose instructions for them are not everywhere. */
	{ONE(X86_MSR_SYSENTER_CS), CPU_sep, .kind = MSR_TRUNCATED, .bits = LOW_HALF, AT(sysenter_cs)},
	{ONE(X86_MSR_SYSENTER_ESP), CPU_sep, AMDS, MSR_TRUNCATED, .bits = LOW_HALF, AT(sysenter_esp)},
	{ONE(X86_MSR_SYSENTER_EIP), CPU_sep, AMDS, MSR_TRUNCATED, .bits = LOW_HALF, AT(sysenter_eip)},
	{ONE(X86_MSR_SYSENTER_ESP), CPU_sep, INTELS, MSR_CANONICAL, AT(sysenter_esp)},
	{ONE(X86_MSR_SYSENTER_EIP), CPU_sep, INTELS, MSR_CANONICAL, AT(sysenter_eip)},
	{ONE(X86_MSR_MISC_ENABLE), CPU_msr, INTELS, MSR_CHECKED, AT(misc_enable), .write = write_misc_enable},
	{ONE(X86_MSR_MCG_CAP), CPU_mca, .kind = MSR_CONSTANT, .bits = MCG_NO_BANKS},
	{ONE(X86_MSR_MCG_STATUS), CPU_mca, .kind = MSR_MASKED, .bits = X86_MCG_STATUS, AT(mcg_status)},
	{ONE(X86_MSR_PAT), CPU_pat, .kind = MSR_CHECKED, AT(pat), .write = write_pat},
	{ONE(X86_MSR_TSC_DEADLINE), CPU_tsc_deadline, .kind = MSR_CHECKED, .write = write_tsc_deadline},
	{ONE(X86_MSR_MTRR_CAP), CPU_mtrr, .kind = MSR_MTRR},
	{X86_MSR_MTRR_FIRST, X86_MSR_PAT - 1, CPU_mtrr, .kind = MSR_MTRR},
	{ONE(X86_MSR_MTRR_DEFAULT), CPU_mtrr, .kind = MSR_MTRR},
	{ONE(X86_MSR_PKRS), CPU_pks, .kind = MSR_MASKED, .bits = LOW_HALF, AT(pkrs)},
	{X86_MSR_X2APIC_FIRST, X86_MSR_X2APIC_LAST, CPU_x2apic, .kind = MSR_X2APIC},
	{ONE(X86_MSR_EFER), CPU_lm, .kind = MSR_CHECKED, AT(efer), .write = write_efer},
	{ONE(X86_MSR_STAR), CPU_syscall, .kind = MSR_MASKED, .bits = ~R3_U64(0), AT(star)},
	{ONE(X86_MSR_LSTAR), CPU_syscall, .kind = MSR_CANONICAL, AT(lstar)},
	{ONE(X86_MSR_CSTAR), CPU_syscall, .kind = MSR_CANONICAL, AT(cstar)},
	{ONE(X86_MSR_SFMASK), CPU_syscall, .kind = MSR_MASKED, .bits = LOW_HALF, AT(sfmask)},
	{ONE(X86_MSR_FS_BASE), CPU_lm, .kind = MSR_CANONICAL, AT(sreg[SREG_FS].base)},
	{ONE(X86_MSR_GS_BASE), CPU_lm, .kind = MSR_CANONICAL, AT(sreg[SREG_GS].base)},
	{ONE(X86_MSR_KERNEL_GS_BASE), CPU_lm, .kind = MSR_CANONICAL, AT(kernel_gs_base)},
	{ONE(X86_MSR_TSC_AUX), CPU_rdtscp, .kind = MSR_TRUNCATED, .bits = LOW_HALF, AT(tsc_aux)},

	{X86_MSR_K7_EVNTSEL0, X86_MSR_K7_PERFCTR3, CPU_msr, AMDS, MSR_IGNORANT, .bits = NOT_COUNTING},
	{ONE(X86_MSR_SYSCFG), CPU_msr, AMDS, MSR_IGNORANT, .bits = ALL_AS_BEFORE},
	{ONE(X86_MSR_HWCR), CPU_msr, AMDS, MSR_MASKED, .bits = X86_HWCR, AT(hwcr)},
	{ONE(X86_MSR_NB_CFG), CPU_msr, AMDS, MSR_IGNORANT, .bits = ALL_AS_BEFORE},
	{ONE(X86_MSR_INT_PENDING), CPU_msr, AMDS, MSR_IGNORANT, .bits = ALL_AS_BEFORE},
	{ONE(X86_MSR_DE_CFG), CPU_msr, AMDS, MSR_MASKED, .bits = X86_DE_CFG_LFENCE, AT(de_cfg)},
};

static bool made(const struct cpu *cpu, enum msr_maker maker)
{
	return maker == ANYBODYS || cpu->amd == (maker == AMDS);
}

static const struct msr *find(const struct vcpu *vcpu, uint32_t number)
{
	const struct cpu *cpu = &vcpu->vm->cpu;
	for (unsigned n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++)
		if (number >= msrs[n].first && number <= msrs[n].last && made(cpu, msrs[n].maker))
			return cpu->has[msrs[n].feature] ? &msrs[n] : NULL;
	return NULL;
}

static uint64_t *field(struct vcpu *vcpu, const struct msr *msr)
{
	return (uint64_t *)((uint8_t *)vcpu + msr->offset);
}

static bool read_msr(struct vcpu *vcpu, uint32_t number, uint64_t *value)
{
	const struct msr *msr = find(vcpu, number);
	if (!msr)
		return false;
	if (msr->offset)
		*value = *field(vcpu, msr);
	else if (number == X86_MSR_TSC)
		*value = clock_guest_tsc() + vcpu->tsc_offset;
	else if (number == X86_MSR_TSC_DEADLINE)
		*value = machine_lapic(vcpu->vm)->deadline;
	else if (msr->kind == MSR_MTRR)
		return emu_read_mtrr(vcpu, number, value);
	else if (msr->kind == MSR_X2APIC)
		return lapic_read_msr(machine_lapic(vcpu->vm), number - X86_MSR_X2APIC_FIRST, value);
	else
		*value = msr->bits;
	return true;
}

static bool write_msr(struct vcpu *vcpu, uint32_t number, uint64_t value)
{
	const struct msr *msr = find(vcpu, number);
	if (!msr)
		return false;
	switch (msr->kind) {
	case MSR_CANONICAL:
		if (!vcpu_canonical(value))
			return false;
		*field(vcpu, msr) = value;
		return true;
	case MSR_MASKED:
		if (value & ~msr->bits)
			return false;
		*field(vcpu, msr) = value;
		return true;
	case MSR_TRUNCATED:
		*field(vcpu, msr) = value & msr->bits;
		return true;
	case MSR_IGNORANT:
		return true;
	case MSR_CHECKED:
		return msr->write(vcpu, value);
	case MSR_MTRR:
		return emu_write_mtrr(vcpu, number, value);
	case MSR_X2APIC:
		return lapic_write_msr(machine_lapic(vcpu->vm), number - X86_MSR_X2APIC_FIRST, value);
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

enum emu_step emu_rdtsc(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value = clock_guest_tsc() + vcpu->tsc_offset;
	if (vcpu->cpl == 3 && (vcpu->cr4 & X86_CR4_TSD))
		return emu_raise_gp(vcpu, 0);
	vcpu->gpr[RAX] = (uint32_t)value;
	vcpu->gpr[RDX] = value >> 32;
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_RDTSCP)
		vcpu->gpr[RCX] = vcpu->tsc_aux;
	return STEP_NEXT;
}

enum emu_step emu_wrmsr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value = (uint64_t)(uint32_t)vcpu->gpr[RDX] << 32 | (uint32_t)vcpu->gpr[RAX];
	if (vcpu->cpl != 0 || !write_msr(vcpu, (uint32_t)vcpu->gpr[RCX], value))
		return emu_raise_gp(vcpu, 0);
	return STEP_NEXT;
}

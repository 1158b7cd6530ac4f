/*
 * The model of the machine's processor, made from features.def and the host's.
 */
#include "monitor/vm/cpu.h"

#include <cpuid.h>

#include "hypercalls/x86.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/cpu_model.h"

/* No bit of CPUID stands for it, and RDPMC is refused whatever it says. */
#define CR4_WITHOUT_FEATURE X86_CR4_PCE
#define XCR0_ANY_HOST	    (X86_XCR0_X87 | X86_XCR0_SSE)

static const struct {
	char name[20]; /* no pointer, which each start would have to relocate */
	uint32_t leaf, subleaf;
	enum cpuid_register reg;
	unsigned bit;
	enum cpu_giver giver;
	uint64_t cr4, efer, xcr0;
} features[] = {
#define CPU_FEATURE(name, leaf, subleaf, reg, bit, giver, cr4, efer, xcr0)                                             \
	{#name, leaf, subleaf, CPUID_##reg, bit, CPU_BY_##giver, cr4, efer, xcr0},
#include "monitor/vm/features.def"
#undef CPU_FEATURE
};

void cpu_follow(struct cpu *cpu, enum cpu_software software)
{
	cpu->host_users = software != CPU_ALL_CODE;
	cpu->host_kernel = software == CPU_DIRECT;
}

const char *cpu_feature_name(enum cpu_feature feature)
{
	return features[feature].name;
}

bool cpu_feature_is_hosts(enum cpu_feature feature)
{
	return features[feature].giver == CPU_BY_HOST;
}

bool cpu_feature_is_given(enum cpu_feature feature)
{
	return features[feature].giver != CPU_BY_NOBODY;
}

static bool host_has(enum cpu_feature n)
{
	const struct host_leaf leaf = host_cpuid(features[n].leaf, features[n].subleaf);
	const uint32_t r[CPUID_REGISTERS] = {
		[CPUID_EAX] = leaf.eax, [CPUID_EBX] = leaf.ebx, [CPUID_ECX] = leaf.ecx, [CPUID_EDX] = leaf.edx};
	return r[features[n].reg] >> features[n].bit & 1;
}

static bool given(const struct cpu *cpu, enum cpu_feature n, enum cpu_software software, bool pc)
{
	switch (features[n].giver) {
	case CPU_BY_MACHINE:
		return true;
	case CPU_BY_AMD:
		return cpu->amd;
	case CPU_BY_INTEL:
		return !cpu->amd;
	case CPU_BY_PC:
		return pc;
	case CPU_BY_SOFTWARE:
		return software >= CPU_SOME || host_has(n);
	case CPU_BY_KERNEL:
		return software >= CPU_ALL_KERNELS;
	case CPU_BY_ALL:
		return software >= CPU_ALL_CODE;
	case CPU_BY_DIRECT:
		return software == CPU_DIRECT && host_has(n);
	case CPU_BY_HOST:
		return host_has(n) && !(features[n].xcr0 & ~XCR0_ANY_HOST & ~host_state_components());
	default:
		return false;
	}
}

/* 1: AMD, -1: another, 0: the host's. Each decoding asks. */
static int decodes_as;

bool cpu_decodes_as_amd(void)
{
	return decodes_as ? decodes_as > 0 : cpu_host_is_amd();
}

bool cpu_host_is_amd(void)
{
	static int known; /* 1: it is, -1: it is not; each decoding asks */
	if (!known)
		known = host_cpuid(0, 0).ebx == signature_AMD_ebx ? 1 : -1;
	return known > 0;
}

void cpu_describe(struct cpu *cpu, const struct cpu_model *model, enum cpu_software software, bool pc)
{
	*cpu = (struct cpu){.cr4 = CR4_WITHOUT_FEATURE, .chosen = model && model->chosen};
	cpu->amd = cpu_host_is_amd();
	if (model && model->vendor != CPU_VENDOR_HOST && cpu->amd != (model->vendor == CPU_VENDOR_AMD)) {
		cpu->amd = !cpu->amd;
		cpu->spoofs = true;
	}
	decodes_as = cpu->amd ? 1 : -1;
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++) {
		enum cpu_wish wish = model ? model->wish[n] : CPU_ANY;
		cpu->has[n] = wish != CPU_WITHOUT && given(cpu, n, software, pc);
		if (cpu->has[n]) {
			cpu->cr4 |= features[n].cr4;
			cpu->efer |= features[n].efer;
			cpu->xcr0 |= features[n].xcr0;
		}
	}
	cpu->xcr0 &= host_state_components() | (cpu->has[CPU_xsave] ? X86_XCR0_PKRU : 0);
}

void cpu_share(struct cpu_model *model, enum cpu_software software)
{
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++)
		if ((features[n].giver == CPU_BY_KERNEL && software < CPU_ALL_KERNELS) ||
		    (features[n].giver == CPU_BY_ALL && software < CPU_ALL_CODE))
			model->wish[n] = CPU_WITHOUT;
}

enum cpu_feature cpu_wanting(const struct cpu *cpu, const struct cpu_model *model)
{
	unsigned n = 0;
	while (n < CPU_FEATURE_COUNT && (cpu->has[n] || model->wish[n] != CPU_WANTED))
		n++;
	return n;
}

enum cpu_feature cpu_leak(const struct cpu *cpu, unsigned n)
{
	unsigned i = 0;
	while (i < CPU_FEATURE_COUNT && (cpu->has[i] || !host_has(i) || n--))
		i++;
	return i;
}

uint32_t cpu_feature_bits(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, enum cpuid_register reg)
{
	uint32_t bits = 0;
	for (unsigned n = 0; n < CPU_FEATURE_COUNT; n++)
		if (cpu->has[n] && features[n].leaf == leaf && features[n].subleaf == subleaf && features[n].reg == reg)
			bits |= 1u << features[n].bit;
	return bits;
}

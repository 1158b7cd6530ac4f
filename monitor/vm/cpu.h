/*
 * The model of the machine's processor: what it has, and so what CPUID says and what control registers and MSRs take.
 * features.def is the list. Made once, when the machine's engine is known, and constant from then on.
 *
 * Code that runs directly asks the host's CPUID, which cannot be kept from it; cpu_leak tells the difference.
 */
#ifndef MONITOR_VM_CPU_H
#define MONITOR_VM_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* MAXPHYADDR and the width of linear addresses (CPUID 80000008h): physical bits above are reserved in CR3 and in
 * page-table entries. */
#define CPU_PHYSICAL_BITS 46
#define CPU_LINEAR_BITS	  48

enum cpu_feature {
#define CPU_FEATURE(name, ...) CPU_##name,
#include "monitor/vm/features.def"
#undef CPU_FEATURE
	CPU_FEATURE_COUNT,
};

enum cpu_giver {
	CPU_BY_MACHINE,
	CPU_BY_HOST,
	CPU_BY_SOFTWARE,
	CPU_BY_KERNEL,
	CPU_BY_ALL,
	CPU_BY_DIRECT,
	CPU_BY_AMD,
	CPU_BY_INTEL,
	CPU_BY_PC,
	CPU_BY_NOBODY
};

/* How much of a guest's code an engine runs in software: each more than those before. */
enum cpu_software {
	CPU_DIRECT,	 /* nothing */
	CPU_SOME,	 /* whatever only software can run */
	CPU_ALL_KERNELS, /* all of the kernel's */
	CPU_ALL_CODE,
};

enum cpuid_register { CPUID_EAX, CPUID_EBX, CPUID_ECX, CPUID_EDX, CPUID_REGISTERS };

struct cpu {
	bool amd;    /* the vendor is AMD: rules that differ are AMD's then */
	bool spoofs; /* and not the host's */
	bool has[CPU_FEATURE_COUNT];
	uint64_t cr4, efer, xcr0;     /* the bits that may be set; xcr0 is 0 without XSAVE */
	bool legacy_modes;	      /* it can leave 64-bit mode: a PC's */
	bool host_users, host_kernel; /* CPUID there answers as the host's: another engine has it so, see cpu_follow */
	bool chosen;		      /* it lacks what the host's processor executes: interpreted code is checked */
};

/* The vendor of the host's processor, by whose rules what runs directly behaves. */
bool cpu_host_is_amd(void);
/* The vendor that instructions are decoded by: the one of the guest's processor, of which a program has one kind. */
bool cpu_decodes_as_amd(void);

struct cpu_model;

/* `model` NULL: as host and engine give it; `pc`: the machine has a PC's devices. */
void cpu_describe(struct cpu *cpu, const struct cpu_model *model, enum cpu_software software, bool pc);
/* Takes from the model what an engine with no more software than that has not. */
void cpu_share(struct cpu_model *model, enum cpu_software software);
/* The first feature that the model wants and that is not there; CPU_FEATURE_COUNT: none. */
enum cpu_feature cpu_wanting(const struct cpu *cpu, const struct cpu_model *model);

/* The machine's CPUID is to answer wherever code of an engine with `software` runs directly as it does there. */
void cpu_follow(struct cpu *cpu, enum cpu_software software);

const char *cpu_feature_name(enum cpu_feature feature);
/* Whether the host's processor decides; whether there can be a machine that has it. */
bool cpu_feature_is_hosts(enum cpu_feature feature);
bool cpu_feature_is_given(enum cpu_feature feature);

/* The n-th feature that the host's CPUID shows and the machine lacks; CPU_FEATURE_COUNT: no more. */
enum cpu_feature cpu_leak(const struct cpu *cpu, unsigned n);

/* The bits of the machine's features in one register of a CPUID leaf. */
uint32_t cpu_feature_bits(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, enum cpuid_register reg);

/* CPUID as the guest's processor answers it with these values of CR4 and XCR0 and this number. */
struct cpuid_query {
	uint32_t leaf, subleaf;
	uint64_t cr4, xcr0;
	unsigned id, count; /* of this processor, and how many there are */
	bool apic_off;	    /* IA32_APIC_BASE says so: the feature is not shown then */
	uint64_t misc_enable;
	bool long_mode; /* where SYSENTER is not: Intel's CPUID does not show it then, as no processor of theirs lacks
			   it */
};
void cpu_cpuid(const struct cpu *cpu, const struct cpuid_query *query, uint32_t answer[CPUID_REGISTERS]);

/* Where state component n >= 2 lies in an XSAVE image in standard form; size 0: nobody has it. */
struct cpu_component {
	uint32_t offset, size;
	bool aligned; /* to 64 bytes in the compacted form */
};
struct cpu_component cpu_component(unsigned n);

#endif

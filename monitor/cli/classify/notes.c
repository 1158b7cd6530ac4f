/*
 * What is particular to this host: features of the processor and of Linux that change the picture, each told only if it
 * is seen to be at work.
 */
#include <asm/prctl.h>
#include <cpuid.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/cli/classify/internal.h"

#define NOTES_MAX 8

static uint32_t leaf_ecx(unsigned leaf)
{
	uint32_t a, b, c = 0, d;
	__get_cpuid_count(leaf, 0, &a, &b, &c, &d);
	return c;
}

static const struct classify_result *of(const struct classify_table *table, const char *name)
{
	for (unsigned n = 0; n < classify_insn_count; n++)
		if (!strcmp(classify_insns[n].name, name))
			return table->row[n].ring3;
	return NULL;
}

static bool passes(const struct classify_table *table, const char *name)
{
	const struct classify_result *result = of(table, name);
	return result && !result->trapped && !result->lost;
}

const char *classify_note(const struct classify_table *table, unsigned n)
{
	const char *notes[NOTES_MAX] = {0};
	unsigned count = 0;
	bool umip = leaf_ecx(7) & X86_CPUID_7_C_UMIP;
	if (umip && passes(table, "SGDT"))
		notes[count++] = "SGDT, SIDT, SLDT, SMSW and STR trap (UMIP), but Linux answers for the processor with "
				 "constants: "
				 "no signal, so no monitor sees it.";
	if (umip && !passes(table, "SGDT"))
		notes[count++] = "SGDT, SIDT, SLDT, SMSW and STR trap (UMIP), and the signal arrives.";
	if (!umip)
		notes[count++] = "This processor has no UMIP: SGDT and its kin show the host kernel's own tables.";
	notes[count++] =
		syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0) >= 0 && !syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1)
			? "CPUID can be made to fault here (ARCH_SET_CPUID), and is by run --cpu MODEL; without that a "
			  "guest kernel that runs directly sees the host's."
			: "CPUID cannot be made to fault here: a guest kernel that runs directly sees the host's.";
	notes[count++] = leaf_ecx(7) & X86_CPUID_7_C_OSPKE
				 ? "Protection keys are on: RDPKRU and WRPKRU pass in ring 3, so keys guard nothing "
				   "from guest code."
				 : "Protection keys are off: RDPKRU and WRPKRU are unknown to the processor.";
	if (leaf_ecx(1) & X86_CPUID_1_C_HYPERVISOR)
		notes[count++] = "This host is itself a guest: what passes to the hypervisor below (CPUID, VMCALL or "
				 "VMMCALL) is "
				 "answered by that.";
	if (of(table, "SYSENTER") && of(table, "SYSENTER")->vector == X86_VEC_UD)
		notes[count++] =
			"SYSENTER is #UD in long mode, as on AMD's processors; Intel's enter the host's kernel.";
	return n < count ? notes[n] : NULL;
}

/*
 * CPUID, leaf by leaf: features and sizes as the machine's model has them, caches and names as the host has them, and
 * nothing of what lies below the host (SDM 2A CPUID, APM 3 appendix E).
 */
#include <cpuid.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/cpu.h"

/* The highest leaves that have a meaning here; what the host lacks of them is not shown either. */
#define MAX_BASIC    0x16u
#define BASE_OWN     0x40000000u /* what hypervisors say of themselves */
#define BASE_EXTEND  0x80000000u
#define MAX_EXTENDED 0x80000021u

#define LEAF_CACHES	       2
#define LEAF_CACHE	       4
#define LEAF_EXTENSIONS	       7
#define LEAF_STATE	       0xd
#define LEAF_TSC_RATE	       0x15
#define LEAF_RATES	       0x16
#define LEAF_EXTENDED_FEATURES 0x80000001u
#define LEAF_NAME_FIRST	       0x80000002u
#define LEAF_CACHES_LAST       0x80000006u
#define LEAF_ADDRESSES	       0x80000008u
#define LEAF_TLB_HUGE	       0x80000019u
#define LEAF_WIDTHS	       0x8000001au

#define SIGNATURE_OWN	  "ring3 ring3 " /* in EBX, ECX, EDX */
#define FEATURES_CLFLUSH  0xff00u	 /* leaf 1, EBX: size of a cache line */
#define FEATURES_COUNT_AT 16		 /* ... how many processors */
#define FEATURES_APIC	  0x200u	 /* leaf 1, EDX, and AMD's leaf that repeats it */
#define FEATURES_ID_AT	  24		 /* ... and which this is */
#define FEATURES_SEP	  0x800u	 /* leaf 1, EDX */
#define CACHE_SHARERS	  0xffffc000u	 /* leaf 4, EAX: threads of a cache, cores of a package, both less 1 */
#define EXTENSIONS_MAX	  1u		 /* the last subleaf of leaf 7 */
#define FEATURES_NX	  0x100000u	 /* extended leaf 1, EDX */
#define MAX_LIMITED	  2u		 /* the highest leaf of who asked for few: SDM 4 table 2-2 */

/* What EDX of the extended features repeats from leaf 1 on AMD's processors: APM 3 E.4.2 */
#define AMD_REPEATED 0x0183f3ffu

/* Leaf 0Dh: SDM 1 13.2, 13.4 */
#define STATE_LEGACY  576u /* bytes of x87, SSE and the header */
#define STATE_FIRST   2u   /* component with a subleaf of its own */
#define STATE_COUNT   63u
#define STATE_ALIGNED R3_BIT(1)
#define STATE_ALIGN   64u
#define STATE_PKRU    8u

static uint32_t smaller(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void host(uint32_t leaf, uint32_t subleaf, uint32_t r[CPUID_REGISTERS])
{
	const struct host_leaf l = host_cpuid(leaf, subleaf);
	r[CPUID_EAX] = l.eax;
	r[CPUID_EBX] = l.ebx;
	r[CPUID_ECX] = l.ecx;
	r[CPUID_EDX] = l.edx;
}

static void add_features(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t r[CPUID_REGISTERS])
{
	for (unsigned n = 0; n < CPUID_REGISTERS; n++)
		r[n] |= cpu_feature_bits(cpu, leaf, subleaf, n);
}

/* As the host has it; protection keys are the machine's own, and lie behind all others where the host has none. */
struct cpu_component cpu_component(unsigned n)
{
	uint32_t r[CPUID_REGISTERS];

	host(LEAF_STATE, n, r);
	if (R3_BIT(n) == X86_XCR0_PKRU && !r[CPUID_EAX])
		return (struct cpu_component){.offset = host_state_size(), .size = STATE_PKRU};
	return (struct cpu_component){r[CPUID_EBX], r[CPUID_EAX], r[CPUID_ECX] & STATE_ALIGNED};
}

/* Bytes of an XSAVE image of these components. */
static uint32_t state_size(uint64_t xcr0, bool compact)
{
	uint32_t end = STATE_LEGACY;
	for (unsigned n = STATE_FIRST; n < STATE_COUNT; n++) {
		if (!(xcr0 >> n & 1))
			continue;
		const struct cpu_component at = cpu_component(n);
		if (compact && at.aligned)
			end = (end + STATE_ALIGN - 1) & ~(STATE_ALIGN - 1);
		if (compact)
			end += at.size;
		else if (at.offset + at.size > end)
			end = at.offset + at.size;
	}
	return end;
}

static void state_leaf(const struct cpu *cpu, const struct cpuid_query *q, uint32_t r[CPUID_REGISTERS])
{
	if (!cpu->has[CPU_xsave])
		return;
	if (q->subleaf == 0) {
		r[CPUID_EAX] = (uint32_t)cpu->xcr0;
		r[CPUID_EBX] = state_size(q->xcr0, false);
		r[CPUID_ECX] = state_size(cpu->xcr0, false);
		r[CPUID_EDX] = cpu->xcr0 >> 32;
	} else if (q->subleaf == 1) {
		add_features(cpu, LEAF_STATE, 1, r);
		if (cpu->has[CPU_xsavec])
			r[CPUID_EBX] = state_size(q->xcr0, true);
	} else if (q->subleaf < STATE_COUNT && (cpu->xcr0 >> q->subleaf & 1)) {
		const struct cpu_component at = cpu_component(q->subleaf);
		r[CPUID_EAX] = at.size;
		r[CPUID_EBX] = at.offset;
		r[CPUID_ECX] = at.aligned ? STATE_ALIGNED : 0;
	}
}

/* Family, model, stepping; size of a cache line, how many processors, and which this is. */
static void features_leaf(const struct cpu *cpu, const struct cpuid_query *q, uint32_t r[CPUID_REGISTERS])
{
	host(q->leaf, 0, r);
	r[CPUID_EBX] &= FEATURES_CLFLUSH;
	r[CPUID_EBX] |= (q->count & 0xff) << FEATURES_COUNT_AT | q->id << FEATURES_ID_AT;
	r[CPUID_ECX] = r[CPUID_EDX] = 0;
	add_features(cpu, q->leaf, 0, r);
	if (q->cr4 & X86_CR4_OSXSAVE)
		r[CPUID_ECX] |= bit_OSXSAVE;
	if (q->apic_off)
		r[CPUID_EDX] &= ~FEATURES_APIC;
	if (q->long_mode && !cpu->amd)
		r[CPUID_EDX] &= ~FEATURES_SEP;
}

static void extended_features_leaf(const struct cpu *cpu, const struct cpuid_query *q, uint32_t r[CPUID_REGISTERS])
{
	host(q->leaf, 0, r);
	r[CPUID_ECX] = r[CPUID_EDX] = 0;
	add_features(cpu, q->leaf, 0, r);
	if (cpu->amd)
		r[CPUID_EDX] |= cpu_feature_bits(cpu, 1, 0, CPUID_EDX) & AMD_REPEATED;
	if (q->misc_enable & X86_MISC_NO_NX)
		r[CPUID_EDX] &= ~FEATURES_NX;
	if (q->apic_off)
		r[CPUID_EDX] &= ~FEATURES_APIC;
}

static void own_leaf(uint32_t leaf, uint32_t r[CPUID_REGISTERS])
{
	if (leaf != BASE_OWN)
		return;
	r[CPUID_EAX] = BASE_OWN;
	memcpy(&r[CPUID_EBX], SIGNATURE_OWN, 3 * sizeof(*r));
}

/* AMD's processors have their name in both leaves that begin a range. */
static void other_vendor(const struct cpu *cpu, bool extended, uint32_t r[CPUID_REGISTERS])
{
	bool named = cpu->amd || !extended;
	r[CPUID_EBX] = !named ? 0 : cpu->amd ? signature_AMD_ebx : signature_INTEL_ebx;
	r[CPUID_ECX] = !named ? 0 : cpu->amd ? signature_AMD_ecx : signature_INTEL_ecx;
	r[CPUID_EDX] = !named ? 0 : cpu->amd ? signature_AMD_edx : signature_INTEL_edx;
}

static void fill(const struct cpu *cpu, const struct cpuid_query *q, uint32_t r[CPUID_REGISTERS])
{
	switch (q->leaf) {
	case 0:
	case BASE_EXTEND:
		host(q->leaf, 0, r);
		r[CPUID_EAX] = smaller(r[CPUID_EAX], q->leaf ? MAX_EXTENDED : MAX_BASIC);
		if (!q->leaf && (q->misc_enable & X86_MISC_LIMIT_CPUID))
			r[CPUID_EAX] = MAX_LIMITED;
		if (cpu->spoofs)
			other_vendor(cpu, q->leaf, r);
		break;
	case 1:
		features_leaf(cpu, q, r);
		break;
	case LEAF_CACHES:
	case LEAF_TSC_RATE:
	case LEAF_RATES:
	case LEAF_NAME_FIRST ... LEAF_CACHES_LAST:
	case LEAF_TLB_HUGE:
	case LEAF_WIDTHS:
		host(q->leaf, q->subleaf, r);
		break;
	case LEAF_CACHE:
		host(q->leaf, q->subleaf, r);
		r[CPUID_EAX] &= ~CACHE_SHARERS;
		break;
	case LEAF_EXTENSIONS:
		if (q->subleaf == 0)
			host(q->leaf, 0, r);
		r[CPUID_EAX] = smaller(r[CPUID_EAX], EXTENSIONS_MAX);
		r[CPUID_EBX] = r[CPUID_ECX] = r[CPUID_EDX] = 0;
		add_features(cpu, q->leaf, q->subleaf, r);
		if (q->subleaf == 0 && (q->cr4 & X86_CR4_PKE))
			r[CPUID_ECX] |= bit_OSPKE;
		break;
	case LEAF_STATE:
		state_leaf(cpu, q, r);
		break;
	case LEAF_EXTENDED_FEATURES:
		extended_features_leaf(cpu, q, r);
		break;
	case LEAF_ADDRESSES:
		r[CPUID_EAX] = CPU_LINEAR_BITS << 8 | CPU_PHYSICAL_BITS;
		add_features(cpu, q->leaf, 0, r);
		break;
	default:
		add_features(cpu, q->leaf, q->subleaf, r);
		break;
	}
}

void cpu_cpuid(const struct cpu *cpu, const struct cpuid_query *query, uint32_t answer[CPUID_REGISTERS])
{
	struct cpuid_query q = *query;
	bool extended = q.leaf & BASE_EXTEND;
	uint32_t basic[CPUID_REGISTERS], top[CPUID_REGISTERS];
	memset(answer, 0, CPUID_REGISTERS * sizeof(*answer));
	if (q.leaf >= BASE_OWN && !extended) {
		own_leaf(q.leaf, answer);
		return;
	}
	host(0, 0, basic);
	host(extended ? BASE_EXTEND : 0, 0, top);
	if (q.leaf > smaller(top[CPUID_EAX], extended ? MAX_EXTENDED : MAX_BASIC)) {
		/* A leaf that is not there: AMD's processors answer 0, Intel's as to the highest basic one. */
		if (cpu->amd)
			return;
		q.leaf = smaller(basic[CPUID_EAX], MAX_BASIC);
	}
	fill(cpu, &q, answer);
}

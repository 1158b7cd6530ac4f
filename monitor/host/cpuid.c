#include "monitor/host/cpuid.h"

#include <asm/prctl.h>
#include <cpuid.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hypercalls/x86.h"

#define LEAF_STATE     0xd
#define PKRU_COMPONENT 9
#define NOT_ASKED      UINT32_MAX

/* The C library's number of a leaf. */
static uint32_t index_of(uint32_t leaf, uint32_t subleaf)
{
	static const struct {
		uint32_t leaf, subleaf;
		uint32_t index;
	} asked[] = {
		{1, 0, CPUID_INDEX_1},
		{7, 0, CPUID_INDEX_7},
		{7, 1, CPUID_INDEX_7_ECX_1},
		{LEAF_STATE, 1, CPUID_INDEX_D_ECX_1},
		{0x80000001, 0, CPUID_INDEX_80000001},
		{0x80000007, 0, CPUID_INDEX_80000007},
		{0x80000008, 0, CPUID_INDEX_80000008},
	};

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		if (asked[i].leaf == leaf && asked[i].subleaf == subleaf)
			return asked[i].index;
	return NOT_ASKED;
}

static struct host_leaf ask(uint32_t leaf, uint32_t subleaf)
{
	struct host_leaf r;

	__cpuid_count(leaf, subleaf, r.eax, r.ebx, r.ecx, r.edx);
	return r;
}

void host_cpuid_raw(uint32_t leaf, uint32_t subleaf, uint32_t answer[4])
{
	__cpuid_count(leaf, subleaf, answer[0], answer[1], answer[2], answer[3]);
}

/* Leaf 0: the highest one that there is, and the vendor's name. */
static struct host_leaf first(void)
{
	static struct host_leaf r;

	if (!r.eax)
		r = ask(0, 0);
	return r;
}

/* The same of the extended leaves. */
static struct host_leaf first_extended(void)
{
	static struct host_leaf r;

	if (!r.eax)
		r = ask(HOST_CPUID_EXTENDED, 0);
	return r;
}

/* Leaves that were asked for before CPUID was kept: all that machines tell of. */
#define KEPT_MAX 96
static struct {
	uint32_t leaf, subleaf;
	struct host_leaf is;
} kept[KEPT_MAX];
static unsigned kept_count;
static bool keeps;

static const struct {
	uint32_t leaf, subleaves;
} told[] = {{2, 1},	     {4, 8},	      {LEAF_STATE, 20}, {0x15, 1},	 {0x16, 1},	  {0x80000001, 1},
	    {0x80000002, 1}, {0x80000003, 1}, {0x80000004, 1},	{0x80000005, 1}, {0x80000006, 1}, {0x80000007, 1},
	    {0x80000008, 1}, {0x80000019, 1}, {0x8000001a, 1},	{0x80000021, 1}};

static struct host_leaf find_kept(uint32_t leaf, uint32_t subleaf)
{
	for (unsigned n = 0; n < kept_count; n++)
		if (kept[n].leaf == leaf && kept[n].subleaf == subleaf)
			return kept[n].is;
	return (struct host_leaf){0};
}

static int set_cpuid(unsigned long on)
{
	return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, on);
}

bool host_cpuid_can_keep(void)
{
	return !set_cpuid(0) && !set_cpuid(1);
}

int host_cpuid_keep(void)
{
	first();
	first_extended();
	host_state_size();
	kept_count = 0;
	for (size_t n = 0; n < sizeof(told) / sizeof(told[0]); n++) {
		for (uint32_t sub = 0; sub < told[n].subleaves; sub++) {
			kept[kept_count].leaf = told[n].leaf;
			kept[kept_count].subleaf = sub;
			kept[kept_count++].is = host_cpuid(told[n].leaf, sub);
		}
	}
	if (set_cpuid(0))
		return -1;
	keeps = true;
	return 0;
}

bool host_cpuid_is_kept(void)
{
	return keeps;
}

void host_cpuid_give(void)
{
	if (keeps)
		set_cpuid(1);
	keeps = false;
}

struct host_leaf host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	uint32_t index = index_of(leaf, subleaf);

	if (index != NOT_ASKED) {
		const unsigned *r = __x86_get_cpuid_feature_leaf(index)->cpuid_array;

		return (struct host_leaf){r[0], r[1], r[2], r[3]};
	}
	if (leaf > (leaf & HOST_CPUID_EXTENDED ? first_extended().eax : first().eax))
		return (struct host_leaf){0};
	if (!leaf || leaf == HOST_CPUID_EXTENDED)
		return leaf ? first_extended() : first();
	return keeps ? find_kept(leaf, subleaf) : ask(leaf, subleaf);
}

uint32_t host_xsave_size(void)
{
	static uint32_t size;

	if (!size)
		size = host_cpuid(LEAF_STATE, 0).ebx;
	return size;
}

uint64_t host_xcr0(void)
{
	uint32_t low, high;

	if (!(host_cpuid(1, 0).ecx & bit_OSXSAVE))
		return 0;
	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

uint64_t host_state_components(void)
{
	return host_xcr0() & R3_GUEST_XCR0;
}

uint32_t host_state_size(void)
{
	static uint32_t size;
	uint64_t extended = host_state_components() & ~(X86_XCR0_X87 | X86_XCR0_SSE);

	if (size || !host_xsave_size())
		return size;
	/* Of all that is turned on the leaf tells the size; where the host is a guest each further one is an exit. */
	if (host_xcr0() == host_state_components())
		return size = host_xsave_size();
	size = X86_FPU_EXTENDED;
	for (uint32_t n = 0; extended >> n; n++) {
		const struct host_leaf place = extended >> n & 1 ? host_cpuid(LEAF_STATE, n) : (struct host_leaf){0};
		if (place.ebx + place.eax > size)
			size = place.ebx + place.eax;
	}
	return size;
}

uint32_t host_pkru_place(void)
{
	static uint32_t place;
	static bool asked;

	if (!asked && host_xcr0() & X86_XCR0_PKRU)
		place = host_cpuid(LEAF_STATE, PKRU_COMPONENT).ebx;
	asked = true;
	return place;
}

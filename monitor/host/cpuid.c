#include "monitor/host/cpuid.h"

#include <cpuid.h>
#include <stddef.h>

#define LEAF_STATE 0xd
#define NOT_ASKED  UINT32_MAX

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

/* Leaf 0: the highest one that there is, and the vendor's name. */
static struct host_leaf first(void)
{
	static struct host_leaf r;

	if (!r.eax)
		r = ask(0, 0);
	return r;
}

static uint32_t last_extended(void)
{
	static uint32_t last;

	if (!last)
		last = ask(HOST_CPUID_EXTENDED, 0).eax;
	return last;
}

struct host_leaf host_cpuid(uint32_t leaf, uint32_t subleaf)
{
	uint32_t index = index_of(leaf, subleaf);

	if (index != NOT_ASKED) {
		const unsigned *r = __x86_get_cpuid_feature_leaf(index)->cpuid_array;

		return (struct host_leaf){r[0], r[1], r[2], r[3]};
	}
	if (leaf > (leaf & HOST_CPUID_EXTENDED ? last_extended() : first().eax))
		return (struct host_leaf){0};
	return leaf ? ask(leaf, subleaf) : first();
}

uint32_t host_xsave_size(void)
{
	static uint32_t size;

	if (!size)
		size = host_cpuid(LEAF_STATE, 0).ebx;
	return size;
}

/*
 * Memory type range registers (SDM 3A 11.11): kept and checked, and of no effect, as all memory is the host's.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/cpu.h"

#define CAPABILITIES	    (VCPU_MTRR_RANGES | CAP_FIXED | CAP_WRITE_COMBINING)
#define CAP_FIXED	    0x100u
#define CAP_WRITE_COMBINING 0x400u
#define TYPE		    0xffu
#define DEFAULT_BITS	    (TYPE | X86_MTRR_ENABLE | X86_MTRR_ENABLE_FIXED)
#define ADDRESS		    (R3_BIT(CPU_PHYSICAL_BITS) - X86_PAGE_SIZE)

/* UC WC WT WP WB */
static bool is_type(uint64_t value)
{
	return (value & TYPE) <= 6 && (value & TYPE) != 2 && (value & TYPE) != 3;
}

/* The fixed register that the number names, or NULL. */
static uint64_t *fixed(struct vcpu *vcpu, uint32_t number)
{
	if (number == X86_MSR_MTRR_64K)
		return &vcpu->mtrr.fixed[VCPU_MTRR_64K];
	if (number >= X86_MSR_MTRR_16K && number < X86_MSR_MTRR_16K + 2)
		return &vcpu->mtrr.fixed[VCPU_MTRR_16K + number - X86_MSR_MTRR_16K];
	if (number >= X86_MSR_MTRR_4K && number < X86_MSR_MTRR_4K + 8)
		return &vcpu->mtrr.fixed[VCPU_MTRR_4K + number - X86_MSR_MTRR_4K];
	return NULL;
}

/* The register of a range: even numbers are bases, odd ones masks. */
static uint64_t *range(struct vcpu *vcpu, uint32_t number)
{
	uint32_t index = number - X86_MSR_MTRR_FIRST;

	return number >= X86_MSR_MTRR_FIRST && index < 2 * VCPU_MTRR_RANGES ? &vcpu->mtrr.range[index] : NULL;
}

bool emu_read_mtrr(struct vcpu *vcpu, uint32_t number, uint64_t *value)
{
	const uint64_t *at = number == X86_MSR_MTRR_DEFAULT ? &vcpu->mtrr.all_else : fixed(vcpu, number);

	if (number == X86_MSR_MTRR_CAP) {
		*value = CAPABILITIES;
		return true;
	}
	if (!at)
		at = range(vcpu, number);
	if (at)
		*value = *at;
	return at;
}

static bool write_range(uint64_t *at, uint32_t number, uint64_t value)
{
	bool base = !(number & 1);

	if (value & ~(ADDRESS | (base ? TYPE : X86_MTRR_VALID)) || (base && !is_type(value)))
		return false;
	*at = value;
	return true;
}

bool emu_write_mtrr(struct vcpu *vcpu, uint32_t number, uint64_t value)
{
	uint64_t *at = fixed(vcpu, number);

	if (number == X86_MSR_MTRR_DEFAULT) {
		if (value & ~(uint64_t)DEFAULT_BITS || !is_type(value))
			return false;
		vcpu->mtrr.all_else = value;
		return true;
	}
	if (!at) {
		at = range(vcpu, number);
		return at && write_range(at, number, value);
	}
	for (unsigned i = 0; i < 64; i += 8)
		if (!is_type(value >> i))
			return false;
	*at = value;
	return true;
}

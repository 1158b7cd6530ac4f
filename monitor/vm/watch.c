/*
 * Data breakpoints: which registers see an access.
 */
#include "monitor/vm/watch.h"

#include "monitor/vm/engine.h"

/* SDM 3B 17.2.4: the length field of DR7. */
static unsigned length_of(unsigned field)
{
	static const uint8_t lengths[] = {1, 2, 8, 4};
	return lengths[field & 3];
}

unsigned watch_matches(const uint64_t *address, uint64_t control, unsigned enabled, uint64_t gva, uint64_t len,
		       bool write)
{
	unsigned hits = 0;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		unsigned field = (unsigned)(control >> X86_DR7_FIELD_SHIFT(i)), kind = field & 3;
		uint64_t size = length_of(field >> 2), at = address[i] & ~(size - 1);
		bool wanted = (control >> 2 * i & enabled) && kind != X86_DR7_RW_EXECUTE &&
			      (write || kind == X86_DR7_RW_ACCESS);
		if (wanted && gva < at + size && at < gva + len)
			hits |= 1u << i;
	}
	return hits;
}

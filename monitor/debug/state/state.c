/*
 * What all of it is written with: symbols, and flags by name.
 */
#include "monitor/debug/state/state.h"

#include <inttypes.h>

#include "monitor/boot/image.h"

void report_symbol(struct vm *vm, uint64_t addr, FILE *out)
{
	uint64_t offset;
	const char *name = image_symbol(vm, addr, &offset);

	if (name)
		fprintf(out, " <%s+0x%" PRIx64 ">", name, offset);
}

void report_flags(uint64_t value, const struct report_flag *flags, unsigned count, FILE *out)
{
	for (unsigned i = 0; i < count; i++) {
		if (value & flags[i].bit)
			fprintf(out, " %s", flags[i].name);
	}
}

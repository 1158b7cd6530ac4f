/*
 * A ROM: what is written to it changes nothing.
 */
#include "monitor/device/rom.h"

#include <string.h>

static void access_rom(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	const struct rom *rom = device;

	if (write)
		return;
	*value = 0;
	memcpy(value, rom->data + offset, size);
}

void rom_init(struct rom *rom, struct bus *bus, uint64_t end, const uint8_t *data, size_t size)
{
	*rom = (struct rom){.data = data, .size = (uint32_t)size};
	bus_map(bus, end - size, rom->size, 8, access_rom, rom, "rom")->code = true;
}

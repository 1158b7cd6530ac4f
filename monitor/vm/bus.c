/*
 * The bus: finds the device behind a port or an address, and splits accesses that are wider than what answers there.
 */
#include "monitor/vm/bus.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 0x10000u

static struct bus_range *find(struct bus *bus, uint32_t port)
{
	for (unsigned i = 0; i < bus->count; i++)
		if (port >= bus->range[i].base && port - bus->range[i].base < bus->range[i].length)
			return &bus->range[i];
	return NULL;
}

void bus_register(struct bus *bus, uint16_t base, uint16_t length, unsigned width, bus_access access, void *device,
		  const char *name)
{
	if (bus->count == BUS_RANGES_MAX || length == 0 || base + (uint32_t)length > PORTS)
		abort();
	for (uint32_t port = base; port < base + (uint32_t)length; port++)
		if (find(bus, port))
			abort();
	bus->range[bus->count++] = (struct bus_range){base, length, width, access, device, name};
}

static void io_bytes(struct bus *bus, uint16_t port, unsigned size, bool write, uint32_t *value)
{
	uint32_t result = 0;

	for (unsigned i = 0; i < size; i++) {
		uint32_t byte = *value >> (8 * i) & 0xff;

		bus_io(bus, (uint16_t)(port + i), 1, write, &byte);
		result |= (byte & 0xff) << (8 * i);
	}
	if (!write)
		*value = result;
}

void bus_io(struct bus *bus, uint16_t port, unsigned size, bool write, uint32_t *value)
{
	struct bus_range *range = find(bus, port);
	unsigned offset = range ? port - range->base : 0;

	if (range && size <= range->width && offset + size <= range->length)
		range->access(range->device, (uint16_t)offset, size, write, value);
	else if (size > 1)
		io_bytes(bus, port, size, write, value);
	else if (!write)
		*value = 0xff;
}

struct bus_region *bus_map(struct bus *bus, uint64_t base, uint32_t length, unsigned width, bus_memory_access access,
			   void *device, const char *name)
{
	if (bus->regions == BUS_REGIONS_MAX || length == 0)
		abort();
	struct bus_region *region = &bus->region[bus->regions++];
	*region = (struct bus_region){
		.base = base, .length = length, .width = width, .access = access, .device = device, .name = name};
	return region;
}

static const struct bus_region *region_of(const struct bus *bus, uint64_t gpa)
{
	for (unsigned i = 0; i < bus->regions; i++)
		if (gpa >= bus->region[i].base && gpa - bus->region[i].base < bus->region[i].length)
			return &bus->region[i];
	return NULL;
}

/* The largest access that may come next. */
static unsigned piece(const struct bus_region *region, uint64_t gpa, uint64_t len)
{
	unsigned size = region ? region->width : 1;

	while (size > len || (gpa & (size - 1)))
		size /= 2;
	return size;
}

void bus_read(struct bus *bus, uint64_t gpa, void *to, uint64_t len)
{
	uint8_t *at = to;

	for (unsigned size; len; len -= size, gpa += size, at += size) {
		const struct bus_region *region = region_of(bus, gpa);
		uint64_t value = UINT64_MAX;

		size = piece(region, gpa, len);
		if (region)
			region->access(region->device, (uint32_t)(gpa - region->base), size, false, &value);
		memcpy(at, &value, size);
	}
}

bool bus_has_code(const struct bus *bus, uint64_t gpa)
{
	const struct bus_region *region = region_of(bus, gpa);

	return region && region->code;
}

void bus_fetch(struct bus *bus, uint64_t gpa, void *to, uint64_t len)
{
	for (uint8_t *at = to; len; at++, gpa++, len--) {
		if (bus_has_code(bus, gpa))
			bus_read(bus, gpa, at, 1);
		else
			*at = UINT8_MAX;
	}
}

void bus_write(struct bus *bus, uint64_t gpa, const void *from, uint64_t len)
{
	const uint8_t *at = from;

	for (unsigned size; len; len -= size, gpa += size, at += size) {
		const struct bus_region *region = region_of(bus, gpa);
		uint64_t value = 0;

		size = piece(region, gpa, len);
		memcpy(&value, at, size);
		if (region)
			region->access(region->device, (uint32_t)(gpa - region->base), size, true, &value);
	}
}

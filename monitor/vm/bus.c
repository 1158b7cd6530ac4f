/*
 * The port I/O bus: finds the device behind a port and splits accesses that are wider than what answers there.
 */
#include "monitor/vm/bus.h"

#include <stddef.h>
#include <stdlib.h>

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

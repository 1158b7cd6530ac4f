/*
 * pc-testdev (QEMU, hw/misc/pc-testdev.c). The flush port, which there has the host forget a page's mapping, has
 * nothing to do here. The exit port's other convention is exit_port.c's.
 */
#include "monitor/device/testdev.h"

#include <string.h>

static void access_port(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct testdev *dev = device;
	uint32_t shift = 8 * offset, mask = (uint32_t)((1ull << 8 * size) - 1) << shift;

	if (write)
		dev->port = (dev->port & ~mask) | (*value << shift & mask);
	else
		*value = (dev->port & mask) >> shift;
}

static void access_flush(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (!write)
		*value = 0;
}

static void access_lines(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct testdev *dev = device;

	if (write)
		dev->irq.set(dev->irq.controller, dev->irq.line + offset, *value);
	else
		*value = 0;
}

static void access_memory(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	struct testdev *dev = device;

	if (write)
		memcpy(dev->bytes + offset, value, size);
	else
		memcpy(value, dev->bytes + offset, size);
}

void testdev_init(struct testdev *dev, struct bus *bus, struct irq_line irq)
{
	*dev = (struct testdev){.irq = irq};
	bus_register(bus, TESTDEV_PORT, 4, 4, access_port, dev, "testdev");
	bus_register(bus, TESTDEV_FLUSH, 4, 4, access_flush, dev, "testdev-flush");
	bus_register(bus, TESTDEV_LINES, TESTDEV_LINE_COUNT, 1, access_lines, dev, "testdev-lines");
	bus_map(bus, TESTDEV_MEMORY, TESTDEV_BYTES, 8, access_memory, dev, "testdev-memory");
}

/*
 * The port I/O bus, and the contract of a device: one file each, registered on the bus, told what it needs and no more.
 */
#ifndef MONITOR_DEVICE_BUS_H
#define MONITOR_DEVICE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES_MAX 64

/*
 * One access of 1, 2 or 4 bytes at offset from the range's base. Write: *value holds the datum, upper bits zero. Read:
 * the callback sets *value. Repeated I/O comes as repeated calls at the same offset.
 */
typedef void (*bus_access)(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value);

struct bus_range {
	uint16_t base, length;
	unsigned width; /* largest access the device takes, in bytes */
	bus_access access;
	void *device;
	const char *name;
};

struct bus {
	struct bus_range range[BUS_RANGES_MAX];
	unsigned count;
};

/*
 * Claims ports [base, base+length) for a device that takes accesses of up to `width` bytes (1, 2 or 4); wider ones
 * reach it byte by byte, lowest port first, as on the ISA bus. Overlap or a full table is a broken invariant: aborts.
 */
void bus_register(struct bus *bus, uint16_t base, uint16_t length, unsigned width, bus_access access, void *device,
		  const char *name);
/* Performs one access of 1, 2 or 4 bytes. Ports nobody claimed read as all ones and swallow writes. */
void bus_io(struct bus *bus, uint16_t port, unsigned size, bool write, uint32_t *value);

/* A line into the interrupt controller: level is kept by the controller. */
struct irq_line {
	void (*set)(void *controller, unsigned line, bool level);
	void *controller;
	unsigned line;
};
static inline void irq_set(const struct irq_line *irq, bool level)
{
	irq->set(irq->controller, irq->line, level);
}

#endif

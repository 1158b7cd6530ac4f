/*
 * The bus: I/O ports, and the registers that devices have among the addresses of memory. And the contract of a device:
 * one file each, registered on the bus, told what it needs and no more.
 */
#ifndef MONITOR_DEVICE_BUS_H
#define MONITOR_DEVICE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES_MAX	64
#define BUS_REGIONS_MAX 8

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

/*
 * One access of 1, 2, 4 or 8 bytes, naturally aligned, at offset from the region's base. Write: *value holds the datum,
 * upper bits zero. Read: the callback sets *value; a read changes nothing that the run loop would have to see to.
 */
typedef void (*bus_memory_access)(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value);

#define BUS_NOWHERE UINT64_MAX

struct bus_region {
	uint64_t base; /* gpa, multiple of 8; BUS_NOWHERE: it does not answer */
	uint32_t length;
	unsigned width; /* largest access the device takes, in bytes */
	bus_memory_access access;
	void *device;
	const char *name;
	bool code; /* instructions are fetched from it; from elsewhere come all ones */
};

struct bus {
	struct bus_range range[BUS_RANGES_MAX];
	unsigned count;
	struct bus_region region[BUS_REGIONS_MAX];
	unsigned regions;
};

/*
 * Claims ports [base, base+length) for a device that takes accesses of up to `width` bytes (1, 2 or 4); wider ones
 * reach it byte by byte, lowest port first, as on the ISA bus. Overlap or a full table is a broken invariant: aborts.
 */
void bus_register(struct bus *bus, uint16_t base, uint16_t length, unsigned width, bus_access access, void *device,
		  const char *name);
/* Performs one access of 1, 2 or 4 bytes. Ports nobody claimed read as all ones and swallow writes. */
void bus_io(struct bus *bus, uint16_t port, unsigned size, bool write, uint32_t *value);

/* Claims memory, where there is no RAM: RAM goes before it. Returns the region. A full table aborts. */
struct bus_region *bus_map(struct bus *bus, uint64_t base, uint32_t length, unsigned width, bus_memory_access access,
			   void *device, const char *name);
/*
 * An access of any length to what is no RAM, in naturally aligned pieces as large as the device takes, lowest address
 * first. What nobody claimed reads as all ones and swallows writes.
 */
void bus_read(struct bus *bus, uint64_t gpa, void *to, uint64_t len);
void bus_write(struct bus *bus, uint64_t gpa, const void *from, uint64_t len);
/* As bus_read, for instructions. Whether there are any at gpa. */
bool bus_has_code(const struct bus *bus, uint64_t gpa);
void bus_fetch(struct bus *bus, uint64_t gpa, void *to, uint64_t len);

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

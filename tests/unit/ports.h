/*
 * Ports as a driver meets them.
 */
#ifndef TESTS_UNIT_PORTS_H
#define TESTS_UNIT_PORTS_H

#include "monitor/vm/bus.h"

static inline void port_out(struct bus *bus, uint16_t port, uint8_t byte)
{
	uint32_t value = byte;

	bus_io(bus, port, 1, true, &value);
}

static inline uint8_t port_in(struct bus *bus, uint16_t port)
{
	uint32_t value = 0;

	bus_io(bus, port, 1, false, &value);
	return (uint8_t)value;
}

/* What bytes above the size asked for hold means nothing. */
static inline uint32_t port_in_sized(struct bus *bus, uint16_t port, unsigned size)
{
	uint32_t value = 0;

	bus_io(bus, port, size, false, &value);
	return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

#endif

/*
 * A ROM among the addresses of memory: read and executed, never written.
 */
#ifndef MONITOR_DEVICE_ROM_H
#define MONITOR_DEVICE_ROM_H

#include <stddef.h>
#include <stdint.h>

#include "monitor/vm/bus.h"

struct rom {
	const uint8_t *data;
	uint32_t size;
};

/* Its last byte is the last one below `end`. data is the caller's, size at most 4 GiB less one. */
void rom_init(struct rom *rom, struct bus *bus, uint64_t end, const uint8_t *data, size_t size);

#endif

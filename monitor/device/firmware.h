/*
 * What tables that firmware leaves in RAM have in common; for the files that write them.
 */
#ifndef MONITOR_DEVICE_FIRMWARE_H
#define MONITOR_DEVICE_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "monitor/vm/vm.h"

/* The byte that makes the sum of all 0, with 0 in its place now. */
static inline uint8_t firmware_checksum(const void *data, size_t length)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)data)[i]);
	return (uint8_t)-sum;
}

/* Precondition: it is RAM there. */
static inline void firmware_put(struct vm *vm, uint64_t gpa, const void *data, size_t length)
{
	if (!gm_write(&vm->mem, gpa, data, length))
		abort();
}

#endif

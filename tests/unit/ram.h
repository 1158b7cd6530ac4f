/*
 * The door to guest memory for tests of one device, whose program this file makes it: RAM of the test's own.
 */
#ifndef TESTS_UNIT_RAM_H
#define TESTS_UNIT_RAM_H

#include <string.h>

#include "monitor/vm/guest_mem.h"

#define RAM_SIZE 0x178000u /* its end is none of 64 KiB */

static uint8_t ram[RAM_SIZE];

static bool within_ram(uint64_t gpa, uint64_t len)
{
	return gpa <= RAM_SIZE && len <= RAM_SIZE - gpa;
}

bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len)
{
	if (!within_ram(gpa, len))
		return false;
	memcpy(to, ram + gpa, len);
	return true;
}

bool gm_write(const struct guest_mem *gm, uint64_t gpa, const void *from, uint64_t len)
{
	if (!within_ram(gpa, len))
		return false;
	memcpy(ram + gpa, from, len);
	return true;
}

#endif

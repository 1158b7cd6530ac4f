/*
 * ACPI's definition block: the power-off state, the PCI root bridge with what it decodes and how interrupts of its
 * slots are wired, and the devices of the board that have no other way to be found.
 */
#ifndef MONITOR_DEVICE_DSDT_H
#define MONITOR_DEVICE_DSDT_H

#include <stddef.h>
#include <stdint.h>

#define DSDT_CODE_MAX 1024

/* Writes its byte code (ACPI 6.4 chapter 20); PCI has the memory from `memory` up. Returns how many bytes. */
size_t dsdt_write(uint8_t code[DSDT_CODE_MAX], uint32_t memory);

#endif

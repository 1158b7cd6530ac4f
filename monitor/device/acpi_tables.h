/*
 * What a PC's firmware leaves in memory for its operating system: ACPI tables, in the last 128 KiB below 1 MiB, where
 * the root pointer (PC_RSDP) is searched for, or elsewhere with a copy of the pointer there.
 */
#ifndef MONITOR_DEVICE_ACPI_TABLES_H
#define MONITOR_DEVICE_ACPI_TABLES_H

#include <stdint.h>

struct vm;

/* The 8254's line is at another pin of the I/O APIC than its number says, as on nearly every PC. */
#define ACPI_IRQ_PIT 0
#define ACPI_PIN_PIT 2

#define ACPI_RSDP_BYTES	  36
#define ACPI_TABLES_BYTES 0x1000

/* Writes the tables of vm's devices to RAM, the root pointer first. MACHINE_PC only. */
void acpi_put_tables(struct vm *vm, uint32_t root);

#endif

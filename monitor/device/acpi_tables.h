/*
 * What a PC's firmware leaves in memory for its operating system: ACPI tables in the last 128 KiB below 1 MiB, where
 * the root pointer (PC_RSDP) is searched for.
 */
#ifndef MONITOR_DEVICE_ACPI_TABLES_H
#define MONITOR_DEVICE_ACPI_TABLES_H

struct vm;

/* The 8254's line is at another pin of the I/O APIC than its number says, as on nearly every PC. */
#define ACPI_IRQ_PIT 0
#define ACPI_PIN_PIT 2

/* Writes the tables of vm's devices to RAM. MACHINE_PC only. */
void acpi_put_tables(struct vm *vm);

#endif

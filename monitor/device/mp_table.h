/*
 * What operating systems look for that do not know ACPI: the MultiProcessor table, and the BIOS's data area.
 */
#ifndef MONITOR_DEVICE_MP_TABLE_H
#define MONITOR_DEVICE_MP_TABLE_H

struct vm;

/* Writes both to RAM. MACHINE_PC only. */
void mp_put_table(struct vm *vm);

#endif

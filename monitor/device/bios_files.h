/*
 * What PC firmware finds in fw_cfg, as QEMU gives it (QEMU, docs/specs; SeaBIOS, docs/Runtime_config): the memory map,
 * the way to the ACPI tables, the display's BIOS, or else a serial line in its place.
 */
#ifndef MONITOR_DEVICE_BIOS_FILES_H
#define MONITOR_DEVICE_BIOS_FILES_H

#include <stdint.h>

#include "monitor/device/acpi_tables.h"

struct vm;
struct fw_cfg;

#define BIOS_RANGES_MAX 4

struct bios_range {
	uint64_t start, bytes;
	uint32_t type;
} __attribute__((packed));

struct bios_loader_entry {
	uint32_t command;
	char file[56];
	uint32_t align;
	uint8_t zone, reserved[63];
} __attribute__((packed));

struct bios_files {
	struct bios_range range[BIOS_RANGES_MAX];
	struct bios_loader_entry loader;
	uint8_t rsdp[ACPI_RSDP_BYTES];
	uint64_t serial;
};

/* Puts the ACPI tables at the end of the RAM below 4 GiB, and adds the files, which are in `files`, to fw. */
void bios_files_add(struct bios_files *files, struct vm *vm, struct fw_cfg *fw);

#endif

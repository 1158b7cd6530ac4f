/*
 * The tables lie in RAM before the firmware runs, with all addresses in them: it has but the root pointer to copy to
 * where operating systems search for it.
 */
#include "monitor/device/bios_files.h"

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/boot/bios.h"
#include "monitor/device/fw_cfg.h"
#include "monitor/vm/vm.h"

/* Of what the memory map says is reserved for the tables: more than they take, so that RAM ends on a round number. */
#define TABLES_ROOM 0x10000u
_Static_assert(ACPI_TABLES_BYTES <= TABLES_ROOM, "the tables fit");

enum { E820_RAM = 1, E820_RESERVED = 2 };

/* Of etc/table-loader. */
#define LOADER_ALLOCATE 1
#define ZONE_FSEG	2 /* below 1 MiB */
#define RSDP_ALIGN	16
#define RSDP_NAME	"etc/acpi/rsdp"

_Static_assert(sizeof(struct bios_range) == 20, "etc/e820");
_Static_assert(sizeof(struct bios_loader_entry) == 128, "etc/table-loader");

static unsigned memory_map(struct bios_range range[BIOS_RANGES_MAX], const struct guest_mem *mem, uint64_t tables)
{
	unsigned count = 0;

	range[count++] = (struct bios_range){0, tables, E820_RAM};
	range[count++] = (struct bios_range){tables, TABLES_ROOM, E820_RESERVED};
	if (mem->video)
		range[count++] = (struct bios_range){gm_high_end(mem), mem->video, E820_RESERVED};
	if (gm_high_end(mem) > mem->hole_end)
		range[count++] = (struct bios_range){mem->hole_end, gm_high_end(mem) - mem->hole_end, E820_RAM};
	return count;
}

void bios_files_add(struct bios_files *files, struct vm *vm, struct fw_cfg *fw)
{
	const struct guest_mem *mem = &vm->mem;
	uint64_t tables = gm_low_end(mem) - TABLES_ROOM;
	struct bios_file vga = bios_vga_rom(vm);
	unsigned ranges = memory_map(files->range, mem, tables);

	acpi_put_tables(vm, (uint32_t)tables);
	if (!gm_read(mem, tables, files->rsdp, sizeof(files->rsdp)))
		abort();
	files->loader = (struct bios_loader_entry){
		.command = LOADER_ALLOCATE, .file = RSDP_NAME, .align = RSDP_ALIGN, .zone = ZONE_FSEG};
	fw_cfg_add(fw, "etc/e820", files->range, ranges * sizeof(files->range[0]));
	fw_cfg_add(fw, RSDP_NAME, files->rsdp, sizeof(files->rsdp));
	fw_cfg_add(fw, "etc/table-loader", &files->loader, sizeof(files->loader));
	if (vga.data)
		fw_cfg_add(fw, "vgaroms/vgabios.bin", vga.data, vga.size);
	if (vm->config->screen)
		return;
	files->serial = X86_PORT_COM1;
	fw_cfg_add(fw, "etc/sercon-port", &files->serial, sizeof(files->serial));
}

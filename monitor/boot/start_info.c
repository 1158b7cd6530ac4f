/*
 * PVH's start information, which kernels of two protocols get: memory map, modules and command line.
 */
#include <string.h>

#include "hypercalls/start_info.h"
#include "monitor/boot/boot.h"
#include "monitor/vm/layout.h"

static uint64_t put_memory_map(struct boot *boot, const struct vm *vm, uint32_t *entries)
{
	struct hvm_memmap_entry map[BOOT_RANGES_MAX] = {0};
	struct boot_range range[BOOT_RANGES_MAX];

	*entries = boot_memory_map(vm, range);
	for (unsigned i = 0; i < *entries; i++)
		map[i] = (struct hvm_memmap_entry){.addr = range[i].start,
						   .size = range[i].end - range[i].start,
						   .type = range[i].ram ? HVM_MEMMAP_RAM : HVM_MEMMAP_RESERVED};
	return boot_put(boot, map, *entries * sizeof(map[0]), sizeof(uint64_t));
}

/* The list of modules, each with its file name for a command line. */
static uint64_t put_modules(struct boot *boot, const struct image *image)
{
	struct hvm_modlist_entry list[VM_MODULES_MAX] = {0};

	for (unsigned i = 0; i < image->module_count; i++) {
		const struct image_module *module = &image->module[i];
		uint64_t name = boot_put(boot, module->string, strlen(module->string) + 1, 1);

		if (!name)
			return 0;
		list[i] = (struct hvm_modlist_entry){.paddr = module->gpa, .size = module->size, .cmdline_paddr = name};
	}
	return boot_put(boot, list, image->module_count * sizeof(list[0]), sizeof(uint64_t));
}

uint64_t boot_start_info(struct boot *boot, const struct vm *vm)
{
	struct hvm_start_info info = {.magic = HVM_START_MAGIC, .version = HVM_START_VERSION};

	if (vm->kind == MACHINE_PC)
		info.rsdp_paddr = PC_RSDP;
	info.memmap_paddr = put_memory_map(boot, vm, &info.memmap_entries);
	info.nr_modules = vm->image->module_count;
	if (info.nr_modules) {
		info.modlist_paddr = put_modules(boot, vm->image);
		if (!info.modlist_paddr)
			return 0;
	}
	info.cmdline_paddr = boot_put(boot, vm->config->cmdline, strlen(vm->config->cmdline) + 1, 1);
	if (!info.memmap_paddr || !info.cmdline_paddr)
		return 0;
	return boot_put(boot, &info, sizeof(info), sizeof(uint64_t));
}

/*
 * The protocol of guests written for ring3, and of other ELF64 kernels that start in 64-bit mode: identity-mapping page
 * tables, a flat GDT, the PVH start information with memory map, modules and command line, all in [BOOT_START,
 * BOOT_END), and the registers of vCPU 0. docs/boot.md is the guest's view of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hypercalls/start_info.h"
#include "monitor/boot/boot.h"
#include "monitor/boot/image.h"
#include "monitor/vm/segment.h"

/* In the order that SYSCALL and SYSRET count from STAR. */
static const uint64_t boot_gdt[] = {
	0,
	[BOOT_CS / 8] = SEG_FLAT_CODE(0),
	[BOOT_DS / 8] = SEG_FLAT_DATA(0),
	[BOOT_USER_DS / 8] = SEG_FLAT_DATA(3),
	[BOOT_USER_CS / 8] = SEG_FLAT_CODE(3),
};

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
		uint64_t name = boot_put(boot, module->name, strlen(module->name) + 1, 1);

		if (!name)
			return 0;
		list[i] = (struct hvm_modlist_entry){.paddr = module->gpa, .size = module->size, .cmdline_paddr = name};
	}
	return boot_put(boot, list, image->module_count * sizeof(list[0]), sizeof(uint64_t));
}

/* The start information; its gpa, or 0 if the boot area is too small for it. */
static uint64_t put_start_info(struct boot *boot, const struct vm *vm)
{
	struct hvm_start_info info = {.magic = HVM_START_MAGIC, .version = HVM_START_VERSION};

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

/* All else is as vcpu_create left it: the descriptors above are those that its segment registers hold. */
static void set_registers(struct vcpu *vcpu, uint64_t entry, uint64_t root, uint64_t gdt, uint64_t info)
{
	vcpu->rip = entry;
	vcpu->gpr[RDI] = info;
	vcpu->cr3 = root;
	vcpu->gdtr = (struct vcpu_table){.base = gdt, .limit = sizeof(boot_gdt) - 1};
}

static int ring3_boot(struct vm *vm)
{
	struct boot boot;
	uint64_t root, gdt, info;

	boot_begin(&boot, vm);
	root = boot_page_tables(&boot, vm->mem.size);
	gdt = boot_put(&boot, boot_gdt, sizeof(boot_gdt), sizeof(uint64_t));
	info = put_start_info(&boot, vm);
	if (!info) {
		fprintf(stderr,
			"ring3: command line and module names do not fit the %u KiB of boot information: shorten "
			"--append\n",
			(BOOT_END - BOOT_START) / 1024);
		return -E2BIG;
	}
	set_registers(vm->vcpu[0], vm->image->entry, root, gdt, info);
	return 0;
}

static int ring3_read(struct vm *vm)
{
	int err = image_read_elf(vm->image, vm);

	if (!err)
		err = image_check_entry(vm->image);
	return err ? err : image_read_notes(vm->image, vm->mem.size);
}

const struct boot_protocol boot_ring3 = {
	.name = "ring3",
	.machine = MACHINE_PLAIN,
	.memory = MEMORY_PLAIN,
	.read = ring3_read,
	.boot = ring3_boot,
};

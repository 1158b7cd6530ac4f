/*
 * The protocol of guests written for ring3, and of other ELF64 kernels that start in 64-bit mode: identity-mapping page
 * tables, a flat GDT, the PVH start information with memory map, modules and command line, all in [BOOT_START,
 * BOOT_END), and the registers of vCPU 0. docs/boot.md is the guest's view of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	info = boot_start_info(&boot, vm);
	if (!info)
		return boot_too_long();
	set_registers(vm->vcpu[0], vm->image->entry, root, gdt, info);
	return 0;
}

static int ring3_read(struct vm *vm)
{
	int err = image_read_elf(vm->image, vm, ELF_OWN);

	if (!err)
		err = image_check_entry(vm->image);
	return err ? err : image_read_notes(vm->image, vm->mem.size);
}

const struct boot_protocol boot_ring3 = {
	.name = "ring3",
	.machine = MACHINE_PLAIN,
	.memory = MEMORY_PLAIN,
	.bits = 64,
	.read = ring3_read,
	.boot = ring3_boot,
};

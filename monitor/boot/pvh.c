/*
 * PVH (docs/misc/pvh.pandoc of Xen): an ELF file whose note names a 32-bit entry, EBX at the start information.
 */
#include "monitor/boot/boot.h"

static bool is_pvh(const struct image *image)
{
	return image->notes.pvh && !image->notes.ring3;
}

static int read_kernel(struct vm *vm)
{
	int err = image_read_elf(vm->image, vm, ELF_FOREIGN);

	return err ? err : image_set_physical_entry(vm->image, vm->image->notes.pvh_entry);
}

static int pvh_boot(struct vm *vm)
{
	return boot_flat(vm, 0, boot_start_info);
}

const struct boot_protocol boot_pvh = {
	.name = "a PVH kernel",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 32,
	.recognises = is_pvh,
	.read = read_kernel,
	.load_modules = image_load_ascending,
	.boot = pvh_boot,
};

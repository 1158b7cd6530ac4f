/*
 * A boot sector: 512 bytes that end in 55 aa, as firmware would read them from the first disk. There is no firmware
 * behind them: what they ask of it with INT goes through whatever they put into the vector table themselves.
 */
#include "monitor/boot/boot.h"
#include "monitor/vm/segment.h"

#define SECTOR_SIZE	 512
#define SECTOR_SIGNATURE 510
#define SECTOR_ADDRESS	 0x7c00
#define SECTOR_DRIVE	 0x80 /* the first disk, as the BIOS numbers them */

static bool is_sector(const struct image *image)
{
	return image->file_size == SECTOR_SIZE && image->head[SECTOR_SIGNATURE] == 0x55 &&
	       image->head[SECTOR_SIGNATURE + 1] == 0xaa;
}

static int read_sector(struct vm *vm)
{
	struct image *image = vm->image;

	image->segment[image->segment_count++] = (struct image_segment){
		.vaddr = SECTOR_ADDRESS, .paddr = SECTOR_ADDRESS, .memsz = SECTOR_SIZE, .filesz = SECTOR_SIZE};
	image->entry = SECTOR_ADDRESS;
	image->end = IMAGE_START;
	return gm_is_ram(&vm->mem, 0, IMAGE_START) ? 0 : image_refuse(image->path, "wants 1 MiB of RAM: give it more");
}

/* As after reset, but for CS and what the BIOS leaves: SDM 3A table 9-1. */
static int sector_boot(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];

	vcpu->rip = SECTOR_ADDRESS;
	vcpu->gpr[RSP] = SECTOR_ADDRESS;
	vcpu->gpr[RDX] = SECTOR_DRIVE;
	vcpu->cr0 = X86_CR0_ET;
	vcpu->cr3 = vcpu->cr4 = vcpu->efer = 0;
	if (vm->cpu.xcr0)
		vcpu->xcr0 = X86_XCR0_X87;
	vcpu->idtr = (struct vcpu_table){.base = 0, .limit = 0x3ff};
	vcpu->gdtr = (struct vcpu_table){.base = 0, .limit = UINT16_MAX};
	for (unsigned i = 0; i < SREG_COUNT; i++)
		vcpu->sreg[i] = seg_make_8086(0, false);
	return 0;
}

const struct boot_protocol boot_sector = {
	.name = "a boot sector",
	.machine = MACHINE_PC,
	.memory = MEMORY_PC,
	.engine = ENGINE_PC,
	.bits = 16,
	.recognises = is_sector,
	.read = read_sector,
	.boot = sector_boot,
};

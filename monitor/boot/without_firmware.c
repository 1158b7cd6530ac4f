/*
 * What a PC's firmware leaves to kernels, where there is none: the BIOS data area, and memory type ranges.
 */
#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/boot/boot.h"
#include "monitor/vm/layout.h"

/* What kernels read of the BIOS data area without asking the BIOS: IBM PC/AT Technical Reference, section 5. */
static const struct {
	uint16_t gpa, value;
} bios_data[] = {
	{0x400, X86_PORT_COM1},
	{0x40e, PC_LOW_END >> 4}, /* segment of the extended BIOS data area */
	{0x413, PC_LOW_END >> 10},
	{0x449, 3}, /* video mode, and its width, page size and CRTC port */
	{0x44a, 80},
	{0x44c, 0x1000},
	{0x463, 0x3d4},
};

#define EQUIPMENT	 0x410
#define EQUIPMENT_BASE	 0x0226 /* FPU, mouse, 80 by 25 in colour, one serial port */
#define EQUIPMENT_FLOPPY 0x01
#define EQUIPMENT_DRIVES 6 /* shift of their number, less 1 */

static void put_bios_data(const struct vm *vm)
{
	unsigned drives = vm->config->floppy_count;
	uint16_t equipment = EQUIPMENT_BASE;

	for (unsigned i = 0; i < sizeof(bios_data) / sizeof(bios_data[0]); i++)
		if (!gm_write(&vm->mem, bios_data[i].gpa, &bios_data[i].value, sizeof(bios_data[i].value)))
			abort();
	if (drives)
		equipment |= (uint16_t)(EQUIPMENT_FLOPPY | (drives - 1) << EQUIPMENT_DRIVES);
	if (!gm_write(&vm->mem, EQUIPMENT, &equipment, sizeof(equipment)))
		abort();
}

/* As a PC's firmware sets them up (SDM 3A 11.11): RAM is cached, adapters' memory and the devices' hole are not, and
 * what was copied from ROM is write-protected. */
#define BYTES(type) ((type)*UINT64_C(0x0101010101010101))
#define HOLE_MASK   ((R3_BIT(CPU_PHYSICAL_BITS) - 1) & ~(uint64_t)(PC_HOLE_END - PC_HOLE_START - 1))

static void set_memory_types(struct vcpu *vcpu)
{
	struct vcpu_mtrr *mtrr = &vcpu->mtrr;

	mtrr->fixed[VCPU_MTRR_64K] = mtrr->fixed[VCPU_MTRR_16K] = BYTES(X86_MEMORY_WB);
	mtrr->fixed[VCPU_MTRR_16K + 1] = BYTES(X86_MEMORY_UC);
	for (unsigned i = VCPU_MTRR_4K; i < VCPU_MTRR_FIXED; i++)
		mtrr->fixed[i] = BYTES(X86_MEMORY_WP);
	mtrr->range[0] = PC_HOLE_START | X86_MEMORY_UC;
	mtrr->range[1] = HOLE_MASK | X86_MTRR_VALID;
	mtrr->all_else = X86_MTRR_ENABLE | X86_MTRR_ENABLE_FIXED | X86_MEMORY_WB;
}

void boot_without_firmware(const struct vm *vm)
{
	put_bios_data(vm);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		set_memory_types(vm->vcpu[i]);
}

/*
 * Bytes of the NVRAM: IBM PC/AT Technical Reference, and what came after (Ralf Brown's Interrupt List, CMOS.LST); from
 * 0x34 on as Bochs, QEMU and their BIOSes have them.
 */
#include "monitor/device/nvram.h"

#include "hypercalls/x86.h"
#include "monitor/device/floppy.h"
#include "monitor/device/rtc.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

enum {
	FLOPPIES = 0x10, /* types of the drives, the first one's in the high bits */
	EQUIPMENT = 0x14,
	BASE_MEMORY = 0x15,	/* KiB */
	EXTENDED_MEMORY = 0x17, /* KiB from 1 MiB up; the same at 0x30, as the BIOS found it */
	CHECKSUM = 0x2e,	/* of 0x10 to 0x2d, high byte first */
	EXTENDED_FOUND = 0x30,
	HIGH_MEMORY = 0x34,	/* 64 KiB from 16 MiB up */
	BOOT_THIRD = 0x38,	/* in its high bits: which is tried last */
	TRANSLATION = 0x39,	/* of disks: two bits each */
	BOOT_ORDER = 0x3d,	/* four bits each, the first in the low ones */
	MEMORY_ABOVE_4G = 0x5b, /* 64 KiB, three bytes */
	PROCESSORS = 0x5f,	/* less 1 */
};

#define EQUIPMENT_FLOPPY 0x01
#define EQUIPMENT_FPU	 0x02
#define EQUIPMENT_DRIVES 6 /* shift of their number, less 1 */
#define BOOT_FLOPPY	 1
#define BOOT_DISK	 2
#define BOOT_CD		 3
#define BOOT_BITS	 4
#define TRANSLATE_LBA	 1
#define CHS_SECTORS	 (1024u * 16 * 63) /* that the BIOS addresses by what a drive says of itself */
#define KIB_BELOW	 (UINT64_C(16) << 20)
#define CHECKSUM_FIRST	 0x10
#define BASE_KIB	 640
#define EXTENDED_KIB_MAX 0xfc00u
#define MIB_SHIFT	 20
#define CHUNK_SHIFT	 16

static void put(struct rtc *rtc, unsigned index, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		rtc->bytes[index + i] = (uint8_t)(value >> 8 * i);
}

static void put_memory(struct rtc *rtc, const struct guest_mem *mem)
{
	uint64_t end = gm_low_end(mem);
	uint64_t extended = end > (1u << MIB_SHIFT) ? (end - (1u << MIB_SHIFT)) >> 10 : 0;

	if (extended > EXTENDED_KIB_MAX)
		extended = EXTENDED_KIB_MAX;
	put(rtc, BASE_MEMORY, BASE_KIB, 2);
	put(rtc, EXTENDED_MEMORY, extended, 2);
	put(rtc, EXTENDED_FOUND, extended, 2);
	put(rtc, HIGH_MEMORY, end > KIB_BELOW ? (end - KIB_BELOW) >> CHUNK_SHIFT : 0, 2);
	put(rtc, MEMORY_ABOVE_4G, (gm_high_end(mem) - mem->hole_end) >> CHUNK_SHIFT, 3);
}

static uint8_t translations(const struct vm_config *config)
{
	uint8_t all = 0;

	for (unsigned i = 0; i < VM_DISKS_MAX; i++)
		if (config->disk_files[i] && disk_sectors(config->disk_files[i]) > CHS_SECTORS)
			all |= (uint8_t)(TRANSLATE_LBA << 2 * i);
	return all;
}

static void put_equipment(struct rtc *rtc, const struct vm_config *config)
{
	unsigned types = 0, drives = 0;

	for (; drives < VM_FLOPPIES_MAX && config->floppy_files[drives]; drives++)
		types |= (unsigned)floppy_format_of(disk_sectors(config->floppy_files[drives]))->nvram
			 << (drives ? 0 : 4);
	put(rtc, FLOPPIES, types, 1);
	put(rtc, EQUIPMENT, EQUIPMENT_FPU | (drives ? EQUIPMENT_FLOPPY | (drives - 1) << EQUIPMENT_DRIVES : 0), 1);
}

/* The disk, then floppy and CD, unless another order is asked for: but what is not there is not tried. */
static unsigned boot_order(const struct vm_config *config)
{
	bool floppy = config->floppy_files[0], cd = config->cdrom_file, disk = config->disk_files[0] || !(floppy || cd);
	unsigned order = 0, shift = 0;

	for (const char *drive = config->boot_order ? config->boot_order : "cad"; *drive; drive++) {
		if (!(*drive == 'a' ? floppy : *drive == 'c' ? disk : cd))
			continue;
		order |= (*drive == 'a' ? BOOT_FLOPPY : *drive == 'c' ? BOOT_DISK : BOOT_CD) << shift;
		shift += BOOT_BITS;
	}
	return order;
}

void nvram_fill(struct rtc *rtc, const struct vm *vm)
{
	unsigned sum = 0, order = boot_order(vm->config);

	put_memory(rtc, &vm->mem);
	put_equipment(rtc, vm->config);
	put(rtc, TRANSLATION, translations(vm->config), 1);
	put(rtc, BOOT_ORDER, order & 0xff, 1);
	put(rtc, BOOT_THIRD, order >> 2 * BOOT_BITS << BOOT_BITS, 1);
	put(rtc, PROCESSORS, vm->vcpu_count - 1, 1);
	for (unsigned i = CHECKSUM_FIRST; i < CHECKSUM; i++)
		sum += rtc->bytes[i];
	put(rtc, CHECKSUM, sum >> 8 | (sum & 0xff) << 8, 2);
}

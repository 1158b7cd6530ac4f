/*
 * Boot protocols: how a kernel's file is read and in what state its kernel is entered. One file each; boot.c has the
 * table, from which the first that recognises the file is taken. Shared by those files and image.c; everybody else
 * uses image.h.
 */
#ifndef MONITOR_BOOT_BOOT_H
#define MONITOR_BOOT_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/boot/image.h"
#include "monitor/boot/internal.h"

#define MEMORY_PLAIN (UINT64_C(64) << 20)
#define MEMORY_PC    (UINT64_C(256) << 20)
/* The fastest of those that run whatever a PC's processor does. */
#define ENGINE_PC "translate"

struct boot_protocol {
	const char *name;     /* for people */
	enum vm_kind machine; /* what its kernels take for granted */
	uint64_t memory;      /* bytes of RAM, if the user names none */
	const char *engine;   /* if the user names none; NULL: the default of all */
	unsigned bits;	      /* of the code at its entry: 16, 32 or 64 */

	/* From the first bytes of the file alone: image->head. */
	bool (*recognises)(const struct image *image);
	/*
	 * RAM exists. Reads and checks headers, sets entry, segments and end. 0, or negative errno with one line
	 * printed that names the fault and the remedy.
	 */
	int (*read)(struct vm *vm);
	/* Reads the modules to RAM, above image->end. NULL: each page-aligned, from the top of RAM down. */
	int (*load_modules)(struct vm *vm);
	/* Image and modules are in RAM: writes what the kernel finds there, sets vCPU 0 to its entry. As `read`. */
	int (*boot)(struct vm *vm);
	/* Frees what `read` has made beside. NULL: nothing. */
	void (*free)(struct image *image);
};

extern const struct boot_protocol boot_linux, boot_linux_32, boot_linux_elf, boot_linux_elf_32, boot_multiboot,
	boot_multiboot2, boot_pvh, boot_sector, boot_disk, boot_solo5, boot_bios, boot_ring3;

/* The protocol of the file whose head has been read; never NULL: the last one takes, and refuses, all others. */
const struct boot_protocol *boot_protocol_of(const struct image *image);

/* ------------------------------------------------------------------------------------------------- the boot area */

/* [BOOT_START, BOOT_END), handed out from the bottom. */
struct boot {
	struct guest_mem *mem;
	uint64_t next; /* gpa */
};

void boot_begin(struct boot *boot, struct vm *vm);
/* Room for len bytes, zero since RAM is fresh: its gpa, or 0 when the area is full. */
uint64_t boot_alloc(struct boot *boot, uint64_t len, uint64_t align);
/* The same with a copy of data. */
uint64_t boot_put(struct boot *boot, const void *data, uint64_t len, uint64_t align);
/* Tables that map [0, end) at its own address, preset as walked and written; the root. Called first: they fit. */
uint64_t boot_page_tables(struct boot *boot, uint64_t end);

/* The guest's memory as a memory map lists it, ascending. */
struct boot_range {
	uint64_t start, end;
	bool ram; /* else reserved: neither RAM nor free for devices */
};
#define BOOT_RANGES_MAX 8
unsigned boot_memory_map(const struct vm *vm, struct boot_range range[BOOT_RANGES_MAX]);

/* The picture that the display starts with; width 0: it shows text. */
#define BOOT_VIDEO_BITS	 32
#define BOOT_VIDEO_RED	 16 /* the lowest bits of components, which have 8 each */
#define BOOT_VIDEO_GREEN 8
#define BOOT_VIDEO_BLUE	 0
struct boot_video {
	uint64_t gpa;
	uint32_t width, height, pitch;
};
struct boot_video boot_video(const struct vm *vm);

/* What boot loaders tell of the command line besides the words the user gave. */
#define BOOT_LOADER_NAME "ring3"

/* The start information of PVH: its gpa, 0 if it does not fit. */
uint64_t boot_start_info(struct boot *boot, const struct vm *vm);
/* Memory and registers of a PC as its firmware leaves them, where there is none. */
void boot_without_firmware(const struct vm *vm);
/* Says that the boot information does not fit its area: -E2BIG. */
int boot_too_long(void);

/* KiB of RAM from 1 MiB to the first hole. */
uint32_t boot_upper_memory(const struct vm *vm);
/* The command line behind the kernel's name, as boot loaders have it: its gpa, 0 if it does not fit. */
uint64_t boot_put_cmdline(struct boot *boot, const struct vm *vm);

/*
 * Addresses in a Multiboot header: its own, and those of what is loaded, which may begin behind the header, as GRUB has
 * it. load_end 0: all of the file. bss_end 0: no more than is loaded. As image_read_elf, for a header at `offset` in
 * the file.
 */
struct boot_addresses {
	uint32_t header, load, load_end, bss_end;
};
int boot_read_addresses(struct vm *vm, uint64_t offset, const struct boot_addresses *addresses);

/*
 * Sets vCPU 0 to flat 32-bit protected mode at the image's entry, as Multiboot, PVH and Linux's 32-bit entry want it:
 * paging and interrupts off, CS and the data segments with base 0 and all 4 GiB. Their table in the boot area has `cs`,
 * 8 or 16, and the data behind it. False if the area is full.
 *
 * Kernels are not to rely on selectors, and do: they keep those of the loader that they are tried with when they load
 * their own table, which agrees with QEMU's. Nor on a stack, and there are kernels that push before they have one: the
 * boot area begins with one, so that what grows past it meets memory that nothing else is in.
 */
#define BOOT_FLAT_CS 0x08
bool boot_enter_flat(struct boot *boot, struct vm *vm, uint16_t cs);

/* The same, with `eax` in EAX and in EBX the gpa of what put_info put, who returns 0 if it does not fit. Outcomes as
 * `boot`'s. */
int boot_flat(struct vm *vm, uint32_t eax, uint64_t (*put_info)(struct boot *boot, const struct vm *vm));

/* The zero page of Linux's 64-bit boot protocol, for kernels in ELF that want one too: its gpa, 0 if it does not fit.
 */
uint64_t boot_zero_page(struct boot *boot, const struct vm *vm);

#endif

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

struct boot_protocol {
	const char *name;     /* for people */
	enum vm_kind machine; /* what its kernels take for granted */
	uint64_t memory;      /* bytes of RAM, if the user names none */
	const char *engine;   /* if the user names none; NULL: the default of all */

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
};

extern const struct boot_protocol boot_linux, boot_linux_elf, boot_ring3;

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

/* The zero page of Linux's 64-bit boot protocol, for kernels in ELF that want one too: its gpa, 0 if it does not fit.
 */
uint64_t boot_zero_page(struct boot *boot, const struct vm *vm);

#endif

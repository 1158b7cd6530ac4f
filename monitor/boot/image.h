/*
 * The guest's image: a kernel's file loaded into RAM, and the state that its boot protocol (boot.h) wants it entered
 * in.
 */
#ifndef MONITOR_VM_IMAGE_H
#define MONITOR_VM_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "monitor/vm/vm.h"

/*
 * Low memory as the monitor leaves it: boot tables and boot information lie in [BOOT_START, BOOT_END), reported as
 * reserved; images load at or above IMAGE_START.
 */
#define BOOT_START  0x10000u
#define BOOT_END    0xa0000u
#define IMAGE_START 0x100000u

/* End of a PC's interrupt vectors and BIOS data. */
#define BIOS_DATA_END 0x500u

struct image; /* opaque: path, protocol, entry, segments, symbols */

/*
 * Opens vm->config->kernel, sets vm->image and recognises how it wants to be started. 0, or negative errno with one
 * line printed that names the file, the fault and the remedy.
 */
int image_open(struct vm *vm);
/* Loads it and the modules into vm->mem; opens it first if that was not done. As image_open. */
int image_load(struct vm *vm);
void image_free(struct vm *vm);
/* The file is the image of a disk or CD that firmware boots, and no kernel. Prints nothing. */
struct image_drive {
	uint64_t bytes;
	bool is_cd;
};
bool image_is_drive(const char *path, struct image_drive *drive);

/* What the image's boot protocol wants: its machine, RAM in bytes and engine (NULL: any) where the user names none. */
enum vm_kind image_machine(const struct vm *vm);
uint64_t image_memory(const struct vm *vm);
const char *image_engine(const struct vm *vm);

/*
 * Builds page tables (RAM identity-mapped, accessed and dirty preset), GDT and boot information; sets vCPU 0, fresh
 * from vcpu_create, to the entry. 0, or negative errno with a message printed.
 */
int image_boot(struct vm *vm);

/* Writes the hypercall page if the image named one. `code` is position-independent. */
void image_fill_hypercall_page(struct vm *vm, const void *code, size_t len);

/*
 * The symbol that covers addr: name and offset, or NULL. Loaded on first use: start-up does not pay for it.
 */
const char *image_symbol(struct vm *vm, uint64_t addr, uint64_t *offset);
/* The source line of the code at addr, as the image's debug information has it. Only within jail_run. */
bool image_line(struct vm *vm, uint64_t addr, const char **file, int *line);
/* Where in guest-physical memory the image put what it has at gva; false if it has nothing there. */
bool image_gpa(const struct vm *vm, uint64_t gva, uint64_t *gpa);
/* gpa of the hypercall page, 0 if the image named none. */
uint64_t image_hypercall_page(const struct vm *vm);
const char *image_path(const struct vm *vm);
uint64_t image_entry(const struct vm *vm);
/* Of the code in it, as the class of its ELF file says: 32 or 64; 0: it is none. */
unsigned image_bits(const struct vm *vm);
/* Of the mode that its kernel starts in: 16, 32 or 64. */
unsigned image_entry_bits(const struct vm *vm);

/* Address in guest memory of .eh_frame_hdr and its size, for unwinding; false if the image has none. */
bool image_eh_frame_hdr(const struct vm *vm, uint64_t *gva, uint64_t *size);

#endif

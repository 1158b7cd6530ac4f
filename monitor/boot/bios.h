/*
 * Firmware: a ROM instead of a kernel, where the processor starts after reset.
 */
#ifndef MONITOR_BOOT_BIOS_H
#define MONITOR_BOOT_BIOS_H

#include <stddef.h>
#include <stdint.h>

struct vm;
struct image;

/* A file as it was read, owned by the image. */
struct bios_file {
	const uint8_t *data; /* NULL: there is none */
	size_t size;
};

/* The ROM that ends at 4 GiB; none: the machine starts with a kernel. */
struct bios_file bios_rom(const struct vm *vm);
/* The display's BIOS. */
struct bios_file bios_vga_rom(const struct vm *vm);

#endif

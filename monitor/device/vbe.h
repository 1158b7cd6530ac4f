/*
 * The registers by which Bochs and QEMU have a VGA show more than a VGA can ("VBE dispi"): a picture in memory of its
 * own, at PC_VIDEO, which is guest RAM, so that a kernel draws without an exit. Firmware's VBE is made of them. The
 * window of 64 KiB at VGA_MEMORY, which a register moves over that memory, is left out.
 */
#ifndef MONITOR_DEVICE_VBE_H
#define MONITOR_DEVICE_VBE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/vm/bus.h"
#include "monitor/vm/guest_mem.h"

#define VBE_REGISTERS	10
#define VBE_WIDTH_MAX	2560
#define VBE_HEIGHT_MAX	1600
#define VBE_WIDTH_STEP	8
#define VBE_BITS	32 /* a pixel, as kernels without firmware get it: blue in the lowest byte, green, red */
#define VBE_PIXEL_BYTES (VBE_BITS / 8)

struct vbe {
	struct guest_mem *mem;
	uint16_t index, value[VBE_REGISTERS];
};

/* A picture in memory. */
struct vbe_picture {
	unsigned width, height, bits; /* 8, 15, 16, 24 or 32 */
	uint32_t pitch;		      /* bytes from line to line */
	uint64_t gpa;		      /* it all lies in the display's memory */
};

/* For mem->video bytes of memory, the last of RAM. */
void vbe_init(struct vbe *vbe, struct bus *bus, struct guest_mem *mem);
/* Shows a picture of 32 bits a pixel, as a guest would have it do. */
void vbe_show(struct vbe *vbe, unsigned width, unsigned height);
/* False: the VGA shows what it has itself. */
bool vbe_look(const struct vbe *vbe, struct vbe_picture *picture);
unsigned vbe_colours(const struct vbe_picture *picture);

#endif

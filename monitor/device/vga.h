/*
 * A VGA. Its memory is guest RAM from VGA_MEMORY to VGA_TEXT and beyond, so that a kernel writes to it without an exit:
 * one plane, byte by byte, which is what text modes and mode 13h have; planes and write modes of the others are left
 * out. Here are its registers, and a look at what they show.
 */
#ifndef MONITOR_DEVICE_VGA_H
#define MONITOR_DEVICE_VGA_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "monitor/vm/bus.h"
#include "monitor/vm/guest_mem.h"

#define VGA_MEMORY	0xa0000u
#define VGA_TEXT	0xb8000u
#define VGA_MONO	0xb0000u /* text, if the card is set to a monochrome one's addresses */
#define VGA_COLUMNS_MAX 132
#define VGA_LINES_MAX	60
#define VGA_DAC		768

struct vga {
	uint8_t crtc_index, crtc[32];
	uint8_t attribute_index, attribute[32];
	bool attribute_is_data; /* the next write to the attribute port is a datum */
	uint8_t sequencer_index, sequencer[8];
	uint8_t graphics_index, graphics[16];
	uint8_t misc, feature, enable;
	uint8_t dac_mask;
	bool dac_reading;	      /* the last index was one to read at */
	uint16_t dac_write, dac_read; /* the next component */
	uint8_t dac[VGA_DAC];	      /* colours of three components */
	uint8_t retraces;	      /* reads of the status register, whose retrace bits come and go */
};

/* What the screen shows: characters in the low bytes, attributes in the high ones. A private copy. */
struct vga_picture {
	unsigned columns, lines;
	bool blinks;			/* bit 7 of an attribute: else it is the background's brightness */
	int cursor_line, cursor_column; /* -1: it is off or out of sight */
	uint16_t cell[VGA_LINES_MAX][VGA_COLUMNS_MAX];
};

struct vga_graphics {
	unsigned width, height, colours;
};

void vga_init(struct vga *vga, struct bus *bus);
/* False, and no cells: it shows graphics. */
bool vga_look(const struct vga *vga, const struct guest_mem *mem, struct vga_picture *picture);
/* False: it shows text. */
bool vga_look_graphics(const struct vga *vga, struct vga_graphics *graphics);
/* Prints the screen as text, trailing blanks left out, of graphics what they are. False if nothing is on it. */
bool vga_print(const struct vga *vga, const struct guest_mem *mem, FILE *out);

#endif

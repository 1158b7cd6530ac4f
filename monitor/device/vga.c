/*
 * The registers of a VGA (IBM VGA technical reference; FreeVGA's description is to be had).
 */
#include "monitor/device/vga.h"

#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/cp437.h"

/* Offsets from X86_PORT_VGA, 0x3c0. */
enum {
	ATTRIBUTE = 0,
	ATTRIBUTE_READ = 1,
	MISC_WRITE = 2,
	SEQUENCER_INDEX = 4,
	SEQUENCER = 5,
	DAC_READ_INDEX = 7,
	DAC_WRITE_INDEX = 8,
	DAC = 9,
	MISC_READ = 12,
	GRAPHICS_INDEX = 14,
	GRAPHICS = 15,
	CRTC_INDEX = 20,
	CRTC = 21,
	STATUS = 26,
	PORTS = 32,
};

enum {
	CRTC_COLUMNS = 0x01, /* less 1 */
	CRTC_OVERFLOW = 0x07,
	CRTC_HEIGHT = 0x09, /* of a character in lines, less 1 */
	CRTC_CURSOR_START = 0x0a,
	CRTC_START_HIGH = 0x0c, /* the first cell shown */
	CRTC_START_LOW = 0x0d,
	CRTC_CURSOR_HIGH = 0x0e,
	CRTC_CURSOR_LOW = 0x0f,
	CRTC_RETRACE_END = 0x11,
	CRTC_DISPLAY_END = 0x12,
	CRTC_OFFSET = 0x13,
	ATTRIBUTE_MODE = 0x10,
	GRAPHICS_MISC = 0x06,
};

#define MISC_COLOUR	 0x67 /* colour, RAM on, 28 MHz: as the BIOS leaves mode 3 */
#define CURSOR_OFF	 0x20
#define CRTC_LOCK	 0x80 /* of the registers up to CRTC_OVERFLOW, but for one bit */
#define OVERFLOW_FREE	 0x10
#define MODE_BLINKS	 0x08
#define MISC_GRAPHICS	 0x01
#define RETRACE_DISPLAY	 0x01
#define RETRACE_VERTICAL 0x08
#define TEXT_CELLS	 0x4000u /* that fit the 32 KiB of text memory */

static uint32_t read_register(struct vga *vga, uint16_t offset)
{
	unsigned next;

	switch (offset) {
	case ATTRIBUTE:
		return vga->attribute_index;
	case ATTRIBUTE_READ:
		return vga->attribute[vga->attribute_index % sizeof(vga->attribute)];
	case SEQUENCER_INDEX:
		return vga->sequencer_index;
	case SEQUENCER:
		return vga->sequencer[vga->sequencer_index % sizeof(vga->sequencer)];
	case DAC:
		next = vga->dac_read;
		vga->dac_read = (uint16_t)((next + 1) % VGA_DAC);
		return vga->dac[next];
	case MISC_READ:
		return vga->misc;
	case GRAPHICS_INDEX:
		return vga->graphics_index;
	case GRAPHICS:
		return vga->graphics[vga->graphics_index % sizeof(vga->graphics)];
	case CRTC_INDEX:
		return vga->crtc_index;
	case CRTC:
		return vga->crtc[vga->crtc_index % sizeof(vga->crtc)];
	case STATUS: /* also has the next write to the attribute port be an index */
		vga->attribute_is_data = false;
		return vga->retraces++ & 1 ? RETRACE_DISPLAY | RETRACE_VERTICAL : 0;
	default:
		return 0;
	}
}

static void write_attribute(struct vga *vga, uint8_t value)
{
	if (vga->attribute_is_data)
		vga->attribute[vga->attribute_index % sizeof(vga->attribute)] = value;
	else
		vga->attribute_index = value;
	vga->attribute_is_data = !vga->attribute_is_data;
}

static void write_crtc(struct vga *vga, unsigned index, uint8_t value)
{
	bool locked = vga->crtc[CRTC_RETRACE_END] & CRTC_LOCK;

	if (locked && index == CRTC_OVERFLOW)
		vga->crtc[index] = (uint8_t)((vga->crtc[index] & ~OVERFLOW_FREE) | (value & OVERFLOW_FREE));
	else if (!locked || index > CRTC_OVERFLOW)
		vga->crtc[index] = value;
}

static void write_register(struct vga *vga, uint16_t offset, uint8_t value)
{
	unsigned next;

	switch (offset) {
	case ATTRIBUTE:
		write_attribute(vga, value);
		return;
	case MISC_WRITE:
		vga->misc = value;
		return;
	case SEQUENCER_INDEX:
		vga->sequencer_index = value;
		return;
	case SEQUENCER:
		vga->sequencer[vga->sequencer_index % sizeof(vga->sequencer)] = value;
		return;
	case DAC_READ_INDEX:
		vga->dac_read = (uint16_t)(value * 3);
		return;
	case DAC_WRITE_INDEX:
		vga->dac_write = (uint16_t)(value * 3);
		return;
	case DAC:
		next = vga->dac_write;
		vga->dac_write = (uint16_t)((next + 1) % VGA_DAC);
		vga->dac[next] = value;
		return;
	case GRAPHICS_INDEX:
		vga->graphics_index = value;
		return;
	case GRAPHICS:
		vga->graphics[vga->graphics_index % sizeof(vga->graphics)] = value;
		return;
	case CRTC_INDEX:
		vga->crtc_index = value;
		return;
	case CRTC:
		write_crtc(vga, vga->crtc_index % sizeof(vga->crtc), value);
		return;
	default:
		return;
	}
}

static void access_vga(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	if (write)
		write_register(device, offset, (uint8_t)*value);
	else
		*value = read_register(device, offset);
}

/* -------------------------------------------------------------------------------------------------- what it shows */

static unsigned at_most(unsigned value, unsigned limit)
{
	return value < limit ? value : limit;
}

static unsigned pair(const struct vga *vga, unsigned high, unsigned low)
{
	return (unsigned)vga->crtc[high] << 8 | vga->crtc[low];
}

/* Lines of the display, of which so many make one line of text. */
static unsigned scan_lines(const struct vga *vga)
{
	unsigned overflow = vga->crtc[CRTC_OVERFLOW];

	return (vga->crtc[CRTC_DISPLAY_END] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1;
}

/* The cells from one line's start to the next one's. */
static unsigned pitch(const struct vga *vga)
{
	return 2u * vga->crtc[CRTC_OFFSET];
}

static void find_cursor(const struct vga *vga, unsigned start, struct vga_picture *picture)
{
	unsigned at = pair(vga, CRTC_CURSOR_HIGH, CRTC_CURSOR_LOW), line, column;

	picture->cursor_line = picture->cursor_column = -1;
	if (vga->crtc[CRTC_CURSOR_START] & CURSOR_OFF || at < start || !pitch(vga))
		return;
	line = (at - start) / pitch(vga);
	column = (at - start) % pitch(vga);
	if (line >= picture->lines || column >= picture->columns)
		return;
	picture->cursor_line = (int)line;
	picture->cursor_column = (int)column;
}

bool vga_look(const struct vga *vga, const struct guest_mem *mem, struct vga_picture *picture)
{
	unsigned start = pair(vga, CRTC_START_HIGH, CRTC_START_LOW);

	memset(picture, 0, sizeof(*picture));
	picture->cursor_line = picture->cursor_column = -1;
	if (vga->graphics[GRAPHICS_MISC] & MISC_GRAPHICS)
		return false;
	picture->columns = at_most(vga->crtc[CRTC_COLUMNS] + 1u, VGA_COLUMNS_MAX);
	picture->lines = at_most(scan_lines(vga) / ((vga->crtc[CRTC_HEIGHT] & 0x1fu) + 1), VGA_LINES_MAX);
	picture->blinks = vga->attribute[ATTRIBUTE_MODE] & MODE_BLINKS;
	find_cursor(vga, start, picture);
	for (unsigned line = 0; line < picture->lines; line++)
		for (unsigned column = 0; column < picture->columns; column++) {
			unsigned cell = (start + line * pitch(vga) + column) % TEXT_CELLS;

			gm_read(mem, VGA_TEXT + 2 * cell, &picture->cell[line][column], sizeof(uint16_t));
		}
	return true;
}

/* Columns up to the last that is not blank. */
static unsigned length_of(const struct vga_picture *picture, unsigned line)
{
	unsigned length = picture->columns;

	while (length) {
		uint8_t character = (uint8_t)picture->cell[line][length - 1];

		if (character && character != ' ' && character != 0xff)
			break;
		length--;
	}
	return length;
}

bool vga_print(const struct vga *vga, const struct guest_mem *mem, FILE *out)
{
	struct vga_picture picture;
	unsigned empty = 0;
	bool any = false;

	vga_look(vga, mem, &picture);
	for (unsigned line = 0; line < picture.lines; line++) {
		unsigned length = length_of(&picture, line);

		if (!length) {
			empty++;
			continue;
		}
		for (; any && empty; empty--)
			fputc('\n', out);
		empty = 0;
		any = true;
		fputs("  |", out);
		for (unsigned column = 0; column < length; column++) {
			char text[CP437_UTF8_MAX];

			cp437_to_utf8((uint8_t)picture.cell[line][column], text);
			fputs(text, out);
		}
		fputc('\n', out);
	}
	return any;
}

/* As the BIOS leaves mode 3, 80 by 25 characters of 16 lines; without its cursor. */
static const uint8_t mode_3[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, CURSOR_OFF | 0x0d,
				 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96,
				 0xb9, 0xa3, 0xff};

void vga_init(struct vga *vga, struct bus *bus)
{
	*vga = (struct vga){.misc = MISC_COLOUR};
	memcpy(vga->crtc, mode_3, sizeof(mode_3));
	vga->attribute[ATTRIBUTE_MODE] = MODE_BLINKS;
	bus_register(bus, X86_PORT_VGA, PORTS, 1, access_vga, vga, "vga");
}

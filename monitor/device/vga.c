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
	MISC_WRITE = 2, /* read: input status 0 */
	ENABLE = 3,
	SEQUENCER_INDEX = 4,
	SEQUENCER = 5,
	DAC_MASK = 6,
	DAC_READ_INDEX = 7, /* read: which way the DAC goes */
	DAC_WRITE_INDEX = 8,
	DAC = 9,
	FEATURE_READ = 10,
	MISC_READ = 12,
	GRAPHICS_INDEX = 14,
	GRAPHICS = 15,
	CRTC_INDEX = 20,
	CRTC = 21,
	STATUS = 26, /* written: feature control */
	PORTS = 32,
};
/* A monochrome adapter has the last of these elsewhere. */
#define COLOUR_PORTS 16
#define PORT_MONO    0x3b0

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
	GRAPHICS_MODE = 0x05,
	GRAPHICS_MISC = 0x06,
};

/* The bits that registers have. */
static const uint8_t sequencer_bits[8] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e};
static const uint8_t graphics_bits[16] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff};
static const uint8_t attribute_bits[32] = {0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0x3f,
					   0x3f, 0x3f, 0x3f, 0x3f, 0x3f, 0xef, 0xff, 0x3f, 0x0f, 0x0f};
#define CRTC_INDEX_BITS	     0x1f
#define ATTRIBUTE_INDEX_BITS 0x3f
#define ATTRIBUTE_INDEX_ON   0x20 /* the screen has the palette, and it cannot be written */
#define PALETTE		     16
#define DAC_BITS	     0x3f
#define DAC_READS	     0x03
#define STATUS_0_SENSE	     0x10 /* a colour monitor is there */

#define MISC_COLOUR	 0x67 /* colour, RAM on, 28 MHz: as the BIOS leaves mode 3 */
#define CURSOR_OFF	 0x20
#define CRTC_LOCK	 0x80 /* of the registers up to CRTC_OVERFLOW, but for one bit */
#define OVERFLOW_FREE	 0x10
#define MODE_BLINKS	 0x08
#define MISC_IO_COLOUR	 0x01
#define MISC_GRAPHICS	 0x01
#define MISC_MEMORY(m)	 ((m) >> 2 & 3)
#define MEMORY_MONO	 2
#define MODE_256	 0x40
#define MODE_CGA	 0x20 /* two bits a pixel */
#define HEIGHT_DOUBLED	 0x80
#define RETRACE_DISPLAY	 0x01
#define RETRACE_VERTICAL 0x08
#define TEXT_CELLS	 0x4000u /* that fit the 32 KiB of text memory */

static uint32_t read_register(struct vga *vga, uint16_t offset)
{
	unsigned next;

	switch (offset) {
	case ATTRIBUTE:
		return vga->attribute_index;
	case MISC_WRITE:
		return STATUS_0_SENSE;
	case ENABLE:
		return vga->enable;
	case DAC_MASK:
		return vga->dac_mask;
	case DAC_READ_INDEX:
		return vga->dac_reading ? DAC_READS : 0;
	case DAC_WRITE_INDEX:
		return vga->dac_write / 3u;
	case FEATURE_READ:
		return vga->feature;
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
	unsigned index = vga->attribute_index % sizeof(vga->attribute);

	if (!vga->attribute_is_data)
		vga->attribute_index = value & ATTRIBUTE_INDEX_BITS;
	else if (index >= PALETTE || !(vga->attribute_index & ATTRIBUTE_INDEX_ON))
		vga->attribute[index] = value & attribute_bits[index];
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
	case ENABLE:
		vga->enable = value & 1;
		return;
	case STATUS:
		vga->feature = value;
		return;
	case DAC_MASK:
		vga->dac_mask = value;
		return;
	case SEQUENCER_INDEX:
		vga->sequencer_index = value % sizeof(vga->sequencer);
		return;
	case SEQUENCER:
		vga->sequencer[vga->sequencer_index] = value & sequencer_bits[vga->sequencer_index];
		return;
	case DAC_READ_INDEX:
		vga->dac_read = (uint16_t)(value * 3);
		vga->dac_reading = true;
		return;
	case DAC_WRITE_INDEX:
		vga->dac_write = (uint16_t)(value * 3);
		vga->dac_reading = false;
		return;
	case DAC:
		next = vga->dac_write;
		vga->dac_write = (uint16_t)((next + 1) % VGA_DAC);
		vga->dac[next] = value & DAC_BITS;
		return;
	case GRAPHICS_INDEX:
		vga->graphics_index = value % sizeof(vga->graphics);
		return;
	case GRAPHICS:
		vga->graphics[vga->graphics_index] = value & graphics_bits[vga->graphics_index];
		return;
	case CRTC_INDEX:
		vga->crtc_index = value & CRTC_INDEX_BITS;
		return;
	case CRTC:
		write_crtc(vga, vga->crtc_index % sizeof(vga->crtc), value);
		return;
	default:
		return;
	}
}

/* The CRTC and the status are at one of two places, as the miscellaneous register says; at the other is nothing. */
static void access_at(struct vga *vga, bool colour, uint16_t offset, bool write, uint32_t *value)
{
	bool moves = offset >= COLOUR_PORTS, is_colour = vga->misc & MISC_IO_COLOUR;

	if (write && (!moves || colour == is_colour))
		write_register(vga, offset, (uint8_t)*value);
	else if (!write)
		*value = !moves || colour == is_colour ? read_register(vga, offset) : 0xff;
}

static void access_vga(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_at(device, true, offset, write, value);
}

static void access_mono_crtc(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_at(device, false, CRTC_INDEX + offset, write, value);
}

static void access_mono_status(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	access_at(device, false, STATUS, write, value);
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
	uint64_t memory = MISC_MEMORY(vga->graphics[GRAPHICS_MISC]) == MEMORY_MONO ? VGA_MONO : VGA_TEXT;

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

			gm_read(mem, memory + 2 * cell, &picture->cell[line][column], sizeof(uint16_t));
		}
	return true;
}

bool vga_look_graphics(const struct vga *vga, struct vga_graphics *graphics)
{
	unsigned mode = vga->graphics[GRAPHICS_MODE], height = vga->crtc[CRTC_HEIGHT];

	if (!(vga->graphics[GRAPHICS_MISC] & MISC_GRAPHICS))
		return false;
	graphics->colours = mode & MODE_256 ? 256 : mode & MODE_CGA ? 4 : 16;
	/* Eight dots a character of its clock; each pixel of 256 colours takes two. */
	graphics->width = (vga->crtc[CRTC_COLUMNS] + 1u) * (mode & MODE_256 ? 4 : 8);
	graphics->height = scan_lines(vga) / ((height & 0x1f) + 1) / (height & HEIGHT_DOUBLED ? 2 : 1);
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
	struct vga_graphics graphics;
	unsigned empty = 0;
	bool any = false;

	if (vga_look_graphics(vga, &graphics)) {
		fprintf(out, "  (graphics, %u by %u in %u colours, memory at 0x%x)\n", graphics.width, graphics.height,
			graphics.colours, VGA_MEMORY);
		return true;
	}
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
static const uint8_t mode_3_crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, CURSOR_OFF | 0x0d,
				      0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e, 0x8f, 0x28, 0x1f, 0x96,
				      0xb9, 0xa3, 0xff};
static const uint8_t mode_3_sequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
static const uint8_t mode_3_graphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x0f, 0xff};
static const uint8_t mode_3_attribute[] = {0x00,
					   0x01,
					   0x02,
					   0x03,
					   0x04,
					   0x05,
					   0x14,
					   0x07,
					   0x38,
					   0x39,
					   0x3a,
					   0x3b,
					   0x3c,
					   0x3d,
					   0x3e,
					   0x3f,
					   0x04 | MODE_BLINKS,
					   0x00,
					   0x0f,
					   0x08};

/* The first 64 colours are an EGA's: two bits for each component, the weaker ones of them in bits 3 to 5. */
static void mode_3_colours(uint8_t dac[VGA_DAC])
{
	for (unsigned colour = 0; colour < 64; colour++)
		for (unsigned component = 0; component < 3; component++)
			dac[3 * colour + component] = (uint8_t)((colour >> (2 - component) & 1 ? 0x2a : 0) +
								(colour >> (5 - component) & 1 ? 0x15 : 0));
}

void vga_init(struct vga *vga, struct bus *bus)
{
	*vga = (struct vga){.misc = MISC_COLOUR, .enable = 1, .dac_mask = 0xff, .attribute_index = ATTRIBUTE_INDEX_ON};
	memcpy(vga->crtc, mode_3_crtc, sizeof(mode_3_crtc));
	memcpy(vga->sequencer, mode_3_sequencer, sizeof(mode_3_sequencer));
	memcpy(vga->graphics, mode_3_graphics, sizeof(mode_3_graphics));
	memcpy(vga->attribute, mode_3_attribute, sizeof(mode_3_attribute));
	mode_3_colours(vga->dac);
	bus_register(bus, X86_PORT_VGA, PORTS, 1, access_vga, vga, "vga");
	bus_register(bus, PORT_MONO + CRTC_INDEX - COLOUR_PORTS, 2, 1, access_mono_crtc, vga, "vga-mono");
	bus_register(bus, PORT_MONO + STATUS - COLOUR_PORTS, 1, 1, access_mono_status, vga, "vga-mono");
}

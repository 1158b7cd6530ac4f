/*
 * The registers of a VGA (IBM VGA technical reference; FreeVGA's description is to be had).
 */
#include "monitor/device/vga.h"

#include "hypercalls/x86.h"

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

enum { CRTC_CURSOR_START = 10, CRTC_START_HIGH = 12, CRTC_START_LOW = 13, CRTC_CURSOR_HIGH = 14, CRTC_CURSOR_LOW = 15 };

#define MISC_COLOUR	 0x67 /* colour, RAM on, 28 MHz: as the BIOS leaves mode 3 */
#define CURSOR_OFF	 0x20
#define RETRACE_DISPLAY	 0x01
#define RETRACE_VERTICAL 0x08
#define CELLS		 (VGA_COLUMNS * VGA_LINES)
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
		vga->crtc[vga->crtc_index % sizeof(vga->crtc)] = value;
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

/* The first cell shown. */
static unsigned start_cell(const struct vga *vga)
{
	return (vga->crtc[CRTC_START_HIGH] << 8u | vga->crtc[CRTC_START_LOW]) % TEXT_CELLS;
}

int vga_cursor(const struct vga *vga)
{
	unsigned at = vga->crtc[CRTC_CURSOR_HIGH] << 8u | vga->crtc[CRTC_CURSOR_LOW];
	unsigned start = start_cell(vga);

	return vga->crtc[CRTC_CURSOR_START] & CURSOR_OFF || at < start || at - start >= CELLS ? -1 : (int)(at - start);
}

bool vga_print(const struct vga *vga, const struct guest_mem *mem, FILE *out)
{
	unsigned start = start_cell(vga), empty = 0;
	bool any = false;

	for (unsigned line = 0; line < VGA_LINES; line++) {
		char text[VGA_COLUMNS + 1];
		unsigned length = 0;

		for (unsigned column = 0; column < VGA_COLUMNS; column++) {
			unsigned cell = (start + line * VGA_COLUMNS + column) % TEXT_CELLS;
			uint8_t character = 0;

			gm_read(mem, VGA_TEXT + 2 * cell, &character, 1);
			text[column] = character >= ' ' && character < 0x7f ? (char)character : character ? '.' : ' ';
			if (text[column] != ' ')
				length = column + 1;
		}
		if (!length) {
			empty++;
			continue;
		}
		for (; any && empty; empty--)
			fputc('\n', out);
		empty = 0;
		any = true;
		fprintf(out, "  |%.*s\n", (int)length, text);
	}
	return any;
}

void vga_init(struct vga *vga, struct bus *bus)
{
	*vga = (struct vga){.misc = MISC_COLOUR};
	vga->crtc[CRTC_CURSOR_START] = CURSOR_OFF;
	bus_register(bus, X86_PORT_VGA, PORTS, 1, access_vga, vga, "vga");
}

/*
 * VBE dispi, version b0c5 (QEMU's docs/specs/standard-vga, Bochs's vbe.h). What a guest writes is cut to what there is
 * when a mode is switched on, or while one is.
 */
#include "monitor/device/vbe.h"

#include <stdlib.h>

/* Two bytes each, one further on: the index, the datum, and that again for who has no ports at odd addresses. */
#define PORT  0x1ce
#define PORTS 4

enum {
	ID,
	WIDTH,
	HEIGHT,
	BITS,
	ENABLE,
	BANK,
	VIRTUAL_WIDTH,
	VIRTUAL_HEIGHT,
	X_OFFSET,
	Y_OFFSET,
	MEMORY, /* read alone: in 64 KiB */
};
_Static_assert(Y_OFFSET + 1 == VBE_REGISTERS, "all that are written");

#define ID_FIRST 0xb0c0
#define ID_LAST	 0xb0c5

#define ENABLE_ON   0x01
#define ENABLE_CAPS 0x02 /* sizes read as the largest there are */
#define ENABLE_KEEP 0x80 /* what is in memory */
#define ENABLE_BITS 0xe3

#define CHUNK 0x10000u

static unsigned bytes_of(unsigned bits)
{
	return (bits + 7) / 8;
}

static bool is_depth(unsigned bits)
{
	return bits == 8 || bits == 15 || bits == 16 || bits == 24 || bits == 32;
}

static uint16_t at_most(unsigned value, unsigned most)
{
	return (uint16_t)(value < most ? value : most);
}

/* Sizes that there are, all in memory. */
static void fit(struct vbe *vbe)
{
	uint16_t *value = vbe->value;
	unsigned pixels, lines;

	if (!is_depth(value[BITS]))
		value[BITS] = 8;
	pixels = (unsigned)(vbe->mem->video / bytes_of(value[BITS]));
	value[WIDTH] = at_most(value[WIDTH] & ~(VBE_WIDTH_STEP - 1u), VBE_WIDTH_MAX);
	if (!value[WIDTH])
		value[WIDTH] = VBE_WIDTH_STEP;
	value[VIRTUAL_WIDTH] &= (uint16_t) ~(VBE_WIDTH_STEP - 1u);
	if (value[VIRTUAL_WIDTH] < value[WIDTH])
		value[VIRTUAL_WIDTH] = value[WIDTH];
	lines = pixels / value[VIRTUAL_WIDTH];
	value[HEIGHT] = at_most(at_most(value[HEIGHT], VBE_HEIGHT_MAX), lines);
	if (!value[HEIGHT])
		value[HEIGHT] = 1;
	value[VIRTUAL_HEIGHT] = at_most(lines, UINT16_MAX);
	value[X_OFFSET] = at_most(value[X_OFFSET], value[VIRTUAL_WIDTH] - value[WIDTH]);
	value[Y_OFFSET] = at_most(value[Y_OFFSET], lines - value[HEIGHT]);
}

static void clear(struct guest_mem *mem)
{
	static const uint8_t zeroes[CHUNK];

	for (uint64_t at = mem->size - mem->video; at < mem->size; at += sizeof(zeroes))
		gm_write(mem, at, zeroes, sizeof(zeroes));
}

static void enable(struct vbe *vbe, uint16_t wanted)
{
	bool was_on = vbe->value[ENABLE] & ENABLE_ON;

	vbe->value[ENABLE] = wanted & ENABLE_BITS;
	vbe->value[BANK] = 0;
	if (!(wanted & ENABLE_ON) || was_on)
		return;
	vbe->value[VIRTUAL_WIDTH] = vbe->value[WIDTH];
	vbe->value[X_OFFSET] = vbe->value[Y_OFFSET] = 0;
	fit(vbe);
	if (!(wanted & ENABLE_KEEP))
		clear(vbe->mem);
}

static void write_register(struct vbe *vbe, uint16_t value)
{
	switch (vbe->index) {
	case ID:
		if (value >= ID_FIRST && value <= ID_LAST)
			vbe->value[ID] = value;
		return;
	case ENABLE:
		enable(vbe, value);
		return;
	case WIDTH:
	case HEIGHT:
	case BITS:
	case BANK:
	case VIRTUAL_WIDTH:
	case X_OFFSET:
	case Y_OFFSET:
		vbe->value[vbe->index] = value;
		if (vbe->value[ENABLE] & ENABLE_ON)
			fit(vbe);
		return;
	default:
		return;
	}
}

static uint16_t read_register(const struct vbe *vbe)
{
	bool caps = vbe->value[ENABLE] & ENABLE_CAPS;

	switch (vbe->index) {
	case WIDTH:
		return caps ? VBE_WIDTH_MAX : vbe->value[WIDTH];
	case HEIGHT:
		return caps ? VBE_HEIGHT_MAX : vbe->value[HEIGHT];
	case BITS:
		return caps ? VBE_BITS : vbe->value[BITS];
	case MEMORY:
		return (uint16_t)(vbe->mem->video / CHUNK);
	default:
		return vbe->index < VBE_REGISTERS ? vbe->value[vbe->index] : 0;
	}
}

/* Registers are whole: neither port has halves. */
static void access_vbe(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct vbe *vbe = device;

	if (size != sizeof(uint16_t))
		*value = write ? *value : UINT8_MAX;
	else if (!write)
		*value = offset ? read_register(vbe) : vbe->index;
	else if (offset)
		write_register(vbe, (uint16_t)*value);
	else
		vbe->index = (uint16_t)*value;
}

void vbe_show(struct vbe *vbe, unsigned width, unsigned height)
{
	vbe->value[WIDTH] = (uint16_t)width;
	vbe->value[HEIGHT] = (uint16_t)height;
	vbe->value[BITS] = VBE_BITS;
	enable(vbe, ENABLE_ON | ENABLE_KEEP);
}

bool vbe_look(const struct vbe *vbe, struct vbe_picture *picture)
{
	const uint16_t *value = vbe->value;
	unsigned bytes = bytes_of(value[BITS]);

	if (!(value[ENABLE] & ENABLE_ON))
		return false;
	*picture = (struct vbe_picture){.width = value[WIDTH],
					.height = value[HEIGHT],
					.bits = value[BITS],
					.pitch = value[VIRTUAL_WIDTH] * bytes};
	picture->gpa =
		vbe->mem->size - vbe->mem->video + (uint64_t)value[Y_OFFSET] * picture->pitch + value[X_OFFSET] * bytes;
	return true;
}

unsigned vbe_colours(const struct vbe_picture *picture)
{
	return 1u << (picture->bits < 24 ? picture->bits : 24);
}

void vbe_init(struct vbe *vbe, struct bus *bus, struct guest_mem *mem)
{
	if (!mem->video || mem->video % CHUNK)
		abort();
	*vbe = (struct vbe){.mem = mem, .value[ID] = ID_LAST};
	bus_register(bus, PORT, PORTS, 2, access_vbe, vbe, "vbe");
}

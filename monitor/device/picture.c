/*
 * Pixels of all depths as red, green and blue.
 */
#include "monitor/device/picture.h"

#define LINE_BYTES (VBE_WIDTH_MAX * VBE_PIXEL_BYTES)

/* A component of so many bits, from bit `at` on, made 8 of. */
static uint8_t component(uint32_t pixel, unsigned at, unsigned bits)
{
	uint32_t value = pixel >> at & ((1u << bits) - 1);

	return (uint8_t)(value << (8 - bits) | value >> (2 * bits - 8));
}

static void convert(const struct vga *vga, unsigned bits, uint32_t pixel, uint8_t rgb[3])
{
	unsigned green = bits == 15 ? 5 : 6;

	switch (bits) {
	case 8:
		for (unsigned i = 0; i < 3; i++)
			rgb[i] = component(vga->dac[3 * (pixel & vga->dac_mask) + i], 0, 6);
		return;
	case 15:
	case 16:
		rgb[0] = component(pixel, 5 + green, 5);
		rgb[1] = component(pixel, 5, green);
		rgb[2] = component(pixel, 0, 5);
		return;
	default:
		for (unsigned i = 0; i < 3; i++)
			rgb[i] = component(pixel, 16 - 8 * i, 8);
	}
}

/* Mode 13h, whose pixels lie one behind the other. */
static bool look_13h(const struct vga *vga, struct vbe_picture *picture)
{
	struct vga_graphics graphics;

	if (!vga_look_graphics(vga, &graphics) || graphics.colours != 256)
		return false;
	*picture = (struct vbe_picture){.width = graphics.width,
					.height = graphics.height,
					.bits = 8,
					.pitch = graphics.width,
					.gpa = VGA_MEMORY};
	return graphics.width && graphics.width <= LINE_BYTES &&
	       graphics.height <= (VGA_MONO - VGA_MEMORY) / graphics.width;
}

bool picture_write(const struct vga *vga, const struct vbe *vbe, const struct guest_mem *mem, FILE *out)
{
	static uint8_t line[LINE_BYTES];
	struct vbe_picture picture;
	unsigned bytes;

	if (!vbe_look(vbe, &picture) && !look_13h(vga, &picture))
		return false;
	bytes = (picture.bits + 7) / 8;
	fprintf(out, "P6\n%u %u\n255\n", picture.width, picture.height);
	for (unsigned y = 0; y < picture.height; y++) {
		gm_read(mem, picture.gpa + (uint64_t)y * picture.pitch, line, (uint64_t)picture.width * bytes);
		for (unsigned x = 0; x < picture.width; x++) {
			uint32_t pixel = 0;
			uint8_t rgb[3];

			for (unsigned i = 0; i < bytes; i++)
				pixel |= (uint32_t)line[x * bytes + i] << 8 * i;
			convert(vga, picture.bits, pixel, rgb);
			fwrite(rgb, sizeof(rgb), 1, out);
		}
	}
	return true;
}

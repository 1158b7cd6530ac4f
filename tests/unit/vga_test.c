/*
 * The VGA's registers, and what they show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/cp437.h"
#include "monitor/device/vga.h"
#include "tests/unit/ports.h"

static struct bus bus;
static struct vga vga;
static struct vga_picture picture;
static uint8_t ram[0xc0000];

/* The door to guest memory, for this test's RAM. */
bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len)
{
	if (gpa + len > sizeof(ram))
		return false;
	memcpy(to, ram + gpa, len);
	return true;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	memset(ram, 0, sizeof(ram));
	vga_init(&vga, &bus);
	return 0;
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	bus_io(&bus, port, size, true, &value);
}

static uint32_t in(uint16_t port, unsigned size)
{
	return port_in_sized(&bus, port, size);
}

static void crtc(uint8_t index, uint8_t value)
{
	out(0x3d4, 1, index);
	out(0x3d5, 1, value);
}

static void print_at(unsigned cell, const char *text)
{
	for (; *text; text++, cell++) {
		ram[VGA_TEXT + 2 * cell] = (uint8_t)*text;
		ram[VGA_TEXT + 2 * cell + 1] = 7;
	}
}

static void shows(const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	bool any = vga_print(&vga, NULL, stream);

	fclose(stream);
	assert_string_equal(text, expected);
	assert_int_equal(any, *expected != 0);
	free(text);
}

static void test_screen(void **state)
{
	shows("");
	print_at(0, "first");
	print_at(80 * 2 + 3, "third\x01\xc9\xff ");
	shows("  |first\n\n  |   third\u263a\u2554\n");
	/* Scrolled by a line, as drivers do it. */
	crtc(12, 0);
	crtc(13, 80);
	shows("  |   third\u263a\u2554\n");
	print_at(80 * 25 + 79, "!");
	crtc(12, 0xff);
	crtc(13, 0xff);
	assert_true(vga_look(&vga, NULL, &picture));
}

static void cursor_is(int line, int column)
{
	vga_look(&vga, NULL, &picture);
	assert_int_equal(picture.cursor_line, line);
	assert_int_equal(picture.cursor_column, column);
}

static void test_cursor(void **state)
{
	cursor_is(-1, -1);
	crtc(10, 14);
	crtc(14, 1);
	crtc(15, 4);
	cursor_is(3, 20);
	crtc(13, 80);
	cursor_is(2, 20);
	crtc(14, 0xff);
	cursor_is(-1, -1);
	out(0x3d4, 2, 0x3c0a); /* index and datum in one */
	assert_int_equal(in(0x3d5, 1), 0x3c);
}

/* 80 by 50, as 8 lines a character make it, and 40 by 25; graphics are no text. */
static void test_modes(void **state)
{
	assert_true(vga_look(&vga, NULL, &picture));
	assert_int_equal(picture.columns, 80);
	assert_int_equal(picture.lines, 25);
	assert_true(picture.blinks);
	crtc(9, 0x47);
	vga_look(&vga, NULL, &picture);
	assert_int_equal(picture.lines, 50);
	crtc(1, 39); /* locked */
	vga_look(&vga, NULL, &picture);
	assert_int_equal(picture.columns, 80);
	crtc(0x11, 0x0e);
	crtc(1, 39);
	crtc(0x13, 20);
	print_at(40, "second");
	vga_look(&vga, NULL, &picture);
	assert_int_equal(picture.columns, 40);
	assert_int_equal(picture.cell[1][0], 0x700 | 's');
	out(0x3ce, 2, 0x0506);
	assert_false(vga_look(&vga, NULL, &picture));
	assert_int_equal(picture.lines, 0);
}

static void test_lock(void **state)
{
	crtc(7, 0xff);
	assert_int_equal(in(0x3d5, 1), 0x1f);
	crtc(7, 0x00);
	assert_int_equal(in(0x3d5, 1), 0x0f);
	crtc(0x11, 0);
	crtc(7, 0xff);
	assert_int_equal(in(0x3d5, 1), 0xff);
}

static void test_attribute(void **state)
{
	in(0x3da, 1);
	out(0x3c0, 1, 0x10);
	out(0x3c0, 1, 0x04);
	in(0x3da, 1);
	out(0x3c0, 1, 0x10);
	assert_int_equal(in(0x3c1, 1), 0x04);
	assert_int_not_equal(in(0x3da, 1) & 8, in(0x3da, 1) & 8);
	vga_look(&vga, NULL, &picture);
	assert_false(picture.blinks);
}

/* What the data sheet has of a register comes back, and no more. */
static void test_read_back(void **state)
{
	static const uint8_t sequencer[] = {0x03, 0x3d, 0x0f, 0x3f, 0x0e, 0x00},
			     graphics[] = {0x0f, 0x0f, 0x0f, 0x1f, 0x03, 0x7b, 0x0f, 0x0f, 0xff, 0x00};

	for (uint8_t i = 0; i < sizeof(sequencer); i++) {
		out(0x3c4, 2, 0xff00u | i);
		assert_int_equal(in(0x3c4, 2), sequencer[i] << 8 | i);
	}
	for (uint8_t i = 0; i < sizeof(graphics); i++) {
		out(0x3ce, 2, 0xff00u | i);
		assert_int_equal(in(0x3ce, 2), graphics[i] << 8 | i);
	}
	out(0x3c4, 1, 0xfa); /* indexes have as many bits as they need */
	assert_int_equal(in(0x3c4, 1), 0x02);
	out(0x3d4, 1, 0xea);
	assert_int_equal(in(0x3d4, 1), 0x0a);
	out(0x3c2, 1, 0xe3);
	assert_int_equal(in(0x3cc, 1), 0xe3);
	assert_int_equal(in(0x3c2, 1) & 0x10, 0x10);
	out(0x3da, 1, 0x02);
	assert_int_equal(in(0x3ca, 1), 0x02);
	assert_int_equal(in(0x3c3, 1), 1);
}

/* The palette is the screen's as long as bit 5 of the index is set. */
static void test_palette(void **state)
{
	in(0x3da, 1);
	assert_int_equal(in(0x3c0, 1), 0x20);
	out(0x3c0, 1, 0x26);
	assert_int_equal(in(0x3c1, 1), 0x14); /* brown */
	out(0x3c0, 1, 0x3f);
	assert_int_equal(in(0x3c1, 1), 0x14);
	out(0x3c0, 1, 0x06);
	out(0x3c0, 1, 0xff);
	assert_int_equal(in(0x3c1, 1), 0x3f);
	out(0x3c0, 1, 0x34);
	out(0x3c0, 1, 0xff);
	assert_int_equal(in(0x3c1, 1), 0x0f);
}

static void colour_is(unsigned red, unsigned green, unsigned blue)
{
	assert_int_equal(in(0x3c9, 1), red);
	assert_int_equal(in(0x3c9, 1), green);
	assert_int_equal(in(0x3c9, 1), blue);
}

static void test_dac(void **state)
{
	assert_int_equal(in(0x3c6, 1), 0xff);
	out(0x3c6, 1, 0x0f);
	assert_int_equal(in(0x3c6, 1), 0x0f);
	/* As the BIOS leaves them: the colours that text has by way of the palette. */
	out(0x3c7, 1, 0x14);
	assert_int_equal(in(0x3c7, 1), 3);
	colour_is(0x2a, 0x15, 0x00);
	out(0x3c7, 1, 0x3f);
	colour_is(0x3f, 0x3f, 0x3f);
	colour_is(0, 0, 0);
	out(0x3c8, 1, 0xfe);
	assert_int_equal(in(0x3c7, 1), 0);
	for (unsigned n = 1; n <= 9; n++)
		out(0x3c9, 1, 0xc0 | n);
	assert_int_equal(in(0x3c8, 1), 1); /* it has gone round */
	out(0x3c7, 1, 0xfe);
	colour_is(1, 2, 3);
	colour_is(4, 5, 6);
	colour_is(7, 8, 9);
	/* An index in the middle of a colour begins with its first component. */
	out(0x3c8, 1, 5);
	out(0x3c9, 1, 1);
	out(0x3c8, 1, 5);
	out(0x3c9, 1, 2);
	out(0x3c7, 1, 5);
	assert_int_equal(in(0x3c9, 1), 2);
}

/* A card set to a monochrome one's addresses answers there and nowhere else. */
static void test_mono(void **state)
{
	assert_int_equal(in(0x3b4, 1), 0xff);
	assert_int_equal(in(0x3ba, 1), 0xff);
	out(0x3c2, 1, 0x66);
	assert_int_equal(in(0x3d4, 1), 0xff);
	assert_int_equal(in(0x3da, 1), 0xff);
	out(0x3b4, 2, 0x120f);
	assert_int_equal(in(0x3b5, 1), 0x12);
	assert_int_not_equal(in(0x3ba, 1) & 8, in(0x3ba, 1) & 8);
	out(0x3ce, 2, 0x0a06);
	ram[VGA_MONO] = 'm';
	shows("  |m\n");
}

/* Modes 13h and 12h, as their registers say. */
static void test_graphics(void **state)
{
	struct vga_graphics graphics;

	assert_false(vga_look_graphics(&vga, &graphics));
	crtc(0x09, 0x41);
	out(0x3ce, 2, 0x4005);
	out(0x3ce, 2, 0x0506);
	assert_true(vga_look_graphics(&vga, &graphics));
	assert_int_equal(graphics.width, 320);
	assert_int_equal(graphics.height, 200);
	assert_int_equal(graphics.colours, 256);
	shows("  (graphics, 320 by 200 in 256 colours, memory at 0xa0000)\n");
	crtc(0x11, 0);
	crtc(0x07, 0x3e);
	crtc(0x09, 0x40);
	crtc(0x12, 0xdf);
	out(0x3ce, 2, 0x0005);
	assert_true(vga_look_graphics(&vga, &graphics));
	assert_int_equal(graphics.width, 640);
	assert_int_equal(graphics.height, 480);
	assert_int_equal(graphics.colours, 16);
}

static void test_every_register(void **state)
{
	for (uint16_t port = 0x3c0; port < 0x3e0; port++) {
		for (unsigned value = 0; value < 1024; value++) {
			out(port, 1, value & 0xff);
			in(port, 1);
			out(port, 2, value * 0x101);
			in(port, 4);
		}
		out(0x3c2, 1, 0x67);
		vga_look(&vga, NULL, &picture);
	}
	for (unsigned index = 0; index < 32; index++)
		for (unsigned value = 0; value < 256; value++) {
			out(0x3ce, 2, 6); /* text */
			crtc(0x11, 0);
			crtc((uint8_t)index, (uint8_t)value);
			assert_true(vga_look(&vga, NULL, &picture));
			assert_true(picture.lines <= VGA_LINES_MAX && picture.columns <= VGA_COLUMNS_MAX);
		}
}

/* Every byte is one character that moves a terminal's cursor by one, and nothing else. */
static void test_characters(void **state)
{
	char text[CP437_UTF8_MAX];

	for (unsigned c = 0; c < 256; c++) {
		cp437_to_utf8((uint8_t)c, text);
		if (strlen(text) == 1)
			assert_true(text[0] >= ' ' && text[0] < 0x7f);
		else
			assert_true((uint8_t)text[0] >= 0xc2 && (uint8_t)text[0] < 0xf0);
		/* Not C1's control characters either. */
		assert_false((uint8_t)text[0] == 0xc2 && (uint8_t)text[1] < 0xa0);
	}
	cp437_to_utf8(0x80, text);
	assert_string_equal(text, "\u00c7");
	cp437_to_utf8(0xdb, text);
	assert_string_equal(text, "\u2588");
	cp437_to_utf8(0x1b, text);
	assert_string_equal(text, "\u2190");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(screen),     T(cursor),    T(modes),	 T(lock), T(attribute), T(every_register),
		T(characters), T(read_back), T(palette), T(dac),  T(mono),	T(graphics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

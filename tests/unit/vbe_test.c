/*
 * The display's registers for graphics, and images of what they show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "monitor/device/picture.h"
#include "tests/unit/ports.h"

#define INDEX 0x1ce
#define DATA  0x1cf
#define VIDEO 0x40000u
#define SIZE  0x100000u

enum { ID, WIDTH, HEIGHT, BITS, ENABLE, BANK, VIRTUAL_WIDTH, VIRTUAL_HEIGHT, X_OFFSET, Y_OFFSET, MEMORY };

static struct bus bus;
static struct vga vga;
static struct vbe vbe;
static struct vbe_picture picture;
static uint8_t ram[SIZE];
static struct guest_mem mem;

/* The door to guest memory, for this test's RAM. */
bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len)
{
	if (len > SIZE || gpa > SIZE - len)
		return false;
	memcpy(to, ram + gpa, len);
	return true;
}

bool gm_write(const struct guest_mem *gm, uint64_t gpa, const void *from, uint64_t len)
{
	if (len > SIZE || gpa > SIZE - len)
		return false;
	memcpy(ram + gpa, from, len);
	return true;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	mem = (struct guest_mem){.size = SIZE, .ram = SIZE - VIDEO, .video = VIDEO};
	memset(ram, 0xee, sizeof(ram));
	vga_init(&vga, &bus);
	vbe_init(&vbe, &bus, &mem);
	return 0;
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	bus_io(&bus, port, size, true, &value);
}

static void set(uint16_t index, uint16_t value)
{
	out(INDEX, 2, index);
	out(DATA, 2, value);
}

static uint32_t get(uint16_t index)
{
	out(INDEX, 2, index);
	return port_in_sized(&bus, DATA, 2);
}

static void mode(uint16_t width, uint16_t height, uint16_t bits, uint16_t enable)
{
	set(ENABLE, 0);
	set(WIDTH, width);
	set(HEIGHT, height);
	set(BITS, bits);
	set(ENABLE, enable);
}

static void test_registers(void **state)
{
	assert_int_equal(get(ID), 0xb0c5);
	set(ID, 0xb0c2);
	assert_int_equal(get(ID), 0xb0c2);
	set(ID, 0x1234);
	assert_int_equal(get(ID), 0xb0c2);
	assert_int_equal(get(MEMORY), VIDEO >> 16);
	set(ENABLE, 2);
	assert_int_equal(get(WIDTH), VBE_WIDTH_MAX);
	assert_int_equal(get(HEIGHT), VBE_HEIGHT_MAX);
	assert_int_equal(get(BITS), 32);
	set(ENABLE, 0);
	set(WIDTH, 320);
	assert_int_equal(get(WIDTH), 320);
	assert_int_equal(port_in_sized(&bus, 0x1d0, 2), 320);
	assert_int_equal(port_in_sized(&bus, INDEX, 2), WIDTH);
	assert_int_equal(port_in_sized(&bus, DATA, 1), 0xff);
	out(DATA, 1, 7);
	assert_int_equal(get(WIDTH), 320);
	assert_int_equal(get(11), 0);
	assert_int_equal(get(0xffff), 0);
}

static void test_mode(void **state)
{
	assert_false(vbe_look(&vbe, &picture));
	mode(320, 200, 16, 0x41);
	assert_true(vbe_look(&vbe, &picture));
	assert_int_equal(picture.width, 320);
	assert_int_equal(picture.height, 200);
	assert_int_equal(picture.bits, 16);
	assert_int_equal(picture.pitch, 640);
	assert_int_equal(picture.gpa, SIZE - VIDEO);
	assert_int_equal(vbe_colours(&picture), 65536);
	set(VIRTUAL_WIDTH, 400);
	set(X_OFFSET, 10);
	set(Y_OFFSET, 20);
	assert_true(vbe_look(&vbe, &picture));
	assert_int_equal(picture.pitch, 800);
	assert_int_equal(picture.gpa, SIZE - VIDEO + 20 * 800 + 20);
	assert_int_equal(get(VIRTUAL_HEIGHT), VIDEO / 800);
	set(ENABLE, 0);
	assert_false(vbe_look(&vbe, &picture));
}

/* Its memory is cleared unless the guest says otherwise, and nothing else is. */
static void test_clear(void **state)
{
	mode(320, 200, 32, 0xc1);
	assert_int_equal(ram[SIZE - VIDEO], 0xee);
	mode(320, 200, 32, 0x41);
	assert_int_equal(ram[SIZE - VIDEO - 1], 0xee);
	assert_int_equal(ram[SIZE - VIDEO], 0);
	assert_int_equal(ram[SIZE - 1], 0);
}

/* Whatever is written, what is shown lies in the display's memory. */
static void test_bounds(void **state)
{
	static const uint16_t values[] = {0, 1, 7, 8, 9, 15, 24, 32, 320, 2559, 2560, 2561, 0x7fff, 0x8000, 0xffff};
	const unsigned count = sizeof(values) / sizeof(values[0]);
	uint32_t draw = 1;

	for (unsigned n = 0; n < 20000; n++) {
		draw = draw * 1664525 + 1013904223;
		set((uint16_t)(draw >> 8) % 12, values[(draw >> 16) % count]);
		if (!(draw >> 28))
			set(ENABLE, 0x81);
		if (!vbe_look(&vbe, &picture))
			continue;
		assert_true(picture.gpa >= SIZE - VIDEO && picture.width && picture.height);
		assert_true(picture.width * ((picture.bits + 7) / 8) <= picture.pitch);
		assert_true(picture.gpa + (uint64_t)(picture.height - 1) * picture.pitch +
				    picture.width * ((picture.bits + 7) / 8) <=
			    SIZE);
	}
}

/* The pixel at the start of the image of a picture of 8 by 2, as it is written. */
static void assert_pixel(const uint8_t rgb[3])
{
	static const char head[] = "P6\n8 2\n255\n";
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	assert_true(picture_write(&vga, &vbe, &mem, file));
	fclose(file);
	assert_int_equal(size, strlen(head) + 8 * 2 * 3);
	assert_memory_equal(text, head, strlen(head));
	assert_memory_equal(text + strlen(head), rgb, 3);
	free(text);
}

static void test_image(void **state)
{
	uint8_t *first = ram + SIZE - VIDEO;

	assert_false(picture_write(&vga, &vbe, &mem, stderr));
	mode(8, 2, 32, 0x41);
	memcpy(first, (const uint8_t[]){1, 2, 3}, 3);
	assert_pixel((const uint8_t[]){3, 2, 1});
	mode(8, 2, 24, 0x41);
	memcpy(first, (const uint8_t[]){4, 5, 6}, 3);
	assert_pixel((const uint8_t[]){6, 5, 4});
	mode(8, 2, 16, 0x41);
	memcpy(first, (const uint8_t[]){0x20, 0xf8}, 2);
	assert_pixel((const uint8_t[]){0xff, 0x04, 0});
	mode(8, 2, 15, 0x41);
	memcpy(first, (const uint8_t[]){0x21, 0x7c}, 2);
	assert_pixel((const uint8_t[]){0xff, 0x08, 0x08});
	mode(8, 2, 8, 0x41);
	*first = 12;
	memcpy(vga.dac + 3 * 12, (const uint8_t[]){0x3f, 0, 0x20}, 3);
	assert_pixel((const uint8_t[]){0xff, 0, 0x82});
}

/* Mode 13h is a VGA's own; of its planes there is no image. */
static void test_image_of_vga(void **state)
{
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	out(0x3ce, 2, 0x0506);
	assert_false(picture_write(&vga, &vbe, &mem, file));
	out(0x3d4, 2, 0x4109);
	out(0x3ce, 2, 0x4005);
	memset(ram + VGA_MEMORY, 0, 64000);
	ram[VGA_MEMORY + 1] = 4;
	assert_true(picture_write(&vga, &vbe, &mem, file));
	fclose(file);
	assert_int_equal(size, strlen("P6\n320 200\n255\n") + 64000u * 3);
	assert_memory_equal(text + strlen("P6\n320 200\n255\n"), ((const uint8_t[]){0, 0, 0, 0xaa, 0, 0}), 6);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_registers, setup), cmocka_unit_test_setup(test_mode, setup),
		cmocka_unit_test_setup(test_clear, setup),     cmocka_unit_test_setup(test_bounds, setup),
		cmocka_unit_test_setup(test_image, setup),     cmocka_unit_test_setup(test_image_of_vga, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The 8237s: registers by the data sheet, and where bytes go.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "monitor/device/dma.h"
#include "tests/unit/ports.h"
#include "tests/unit/ram.h"

static struct bus bus;
static struct dma dma;
static unsigned openings;

static int setup(void **state)
{
	bus = (struct bus){0};
	openings = 0;
	memset(ram, 0, sizeof(ram));
	dma_init(&dma, &bus, NULL, true);
	return 0;
}

static void out(uint16_t port, uint8_t datum)
{
	port_out(&bus, port, datum);
}

static uint8_t in(uint16_t port)
{
	return port_in(&bus, port);
}

static unsigned in_word(uint16_t port)
{
	unsigned low = in(port);

	return low | (unsigned)in(port) << 8;
}

/* As drivers program channel 2; `count` is one less than the bytes. */
static void program(uint8_t mode, uint32_t address, uint16_t count)
{
	out(0x0a, 6);
	out(0x0c, 0);
	out(0x04, (uint8_t)address);
	out(0x04, (uint8_t)(address >> 8));
	out(0x05, (uint8_t)count);
	out(0x05, (uint8_t)(count >> 8));
	out(0x81, (uint8_t)(address >> 16));
	out(0x0b, mode | 2);
	out(0x0a, 2);
}

static void test_to_memory(void **state)
{
	bool ended;

	program(0x44, 0x12340, 15);
	assert_int_equal(dma_to_memory(&dma, 2, "0123456789", 10, &ended), 10);
	assert_false(ended);
	out(0x0c, 0);
	assert_int_equal(in_word(0x04), 0x234a);
	assert_int_equal(in_word(0x05), 5);
	assert_int_equal(in(0x08), 0);
	assert_int_equal(dma_to_memory(&dma, 2, "abcdefghij", 10, &ended), 6); /* no more than was to be */
	assert_true(ended);
	assert_memory_equal(ram + 0x12340, "0123456789abcdef\0", 17);
	out(0x0c, 0);
	assert_int_equal(in_word(0x05), 0xffff);
	assert_int_equal(in(0x08), 0x04); /* read once */
	assert_int_equal(in(0x08), 0);
	assert_int_equal(in(0x0f) & 4, 4);
	assert_int_equal(dma_to_memory(&dma, 2, "x", 1, &ended), 0);
}

static void test_from_memory(void **state)
{
	char bytes[8];
	bool ended;

	memcpy(ram + 0x10000, "written", 7);
	program(0x48, 0x10000, 6);
	assert_int_equal(dma_from_memory(&dma, 2, bytes, sizeof(bytes), &ended), 7);
	assert_true(ended);
	assert_memory_equal(bytes, "written", 7);
	program(0x44, 0x10000, 6); /* the other way */
	assert_int_equal(dma_from_memory(&dma, 2, bytes, sizeof(bytes), &ended), 0);
	program(0x48, 0x10000, 6);
	assert_int_equal(dma_to_memory(&dma, 2, bytes, sizeof(bytes), &ended), 0);
}

/* Around the end of 64 KiB, and not into the next. */
static void test_wrap(void **state)
{
	bool ended;

	program(0x44, 0x1fffe, 3);
	assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 4);
	assert_true(ended);
	assert_memory_equal(ram + 0x1fffe, "ab\0", 3);
	assert_memory_equal(ram + 0x10000, "cd", 2);
}

/* All of 64 KiB, and what more a device may have. */
static void test_longest(void **state)
{
	static uint8_t bytes[0x20000];
	bool ended;

	memset(bytes, 0x5a, sizeof(bytes));
	program(0x44, 0x10000, 0xffff);
	assert_int_equal(dma_to_memory(&dma, 2, bytes, sizeof(bytes), &ended), 0x10000);
	assert_true(ended);
	assert_memory_equal(ram + 0x10000, bytes, 0x10000);
	assert_int_equal(ram[0x20000] | ram[0xffff], 0);
}

/* Where no RAM is, nothing is written and ones are read; RAM beside it is. */
static void test_no_ram(void **state)
{
	uint8_t bytes[4];
	bool ended;

	program(0x44, RAM_SIZE - 2, 3);
	assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 4);
	assert_memory_equal(ram + RAM_SIZE - 2, "ab", 2);
	program(0x48, RAM_SIZE - 2, 3);
	assert_int_equal(dma_from_memory(&dma, 2, bytes, 4, &ended), 4);
	assert_memory_equal(bytes, "ab\xff\xff", 4);
	program(0x44, 0xff0000, 3);
	assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 4);
	assert_true(ended);
}

static void test_down(void **state)
{
	bool ended;

	program(0x64, 0x10001, 3);
	assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 4);
	assert_true(ended);
	assert_memory_equal(ram + 0x10000, "ba", 2);
	assert_memory_equal(ram + 0x1fffe, "dc", 2);
}

static void test_autoinit(void **state)
{
	bool ended;

	program(0x54, 0x10000, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 2);
		assert_true(ended);
	}
	assert_memory_equal(ram + 0x10000, "ab\0", 3);
	assert_int_equal(in(0x0f) & 4, 0);
	out(0x0c, 0);
	assert_int_equal(in_word(0x04), 0);
	assert_int_equal(in_word(0x05), 1);
}

static void test_verify(void **state)
{
	bool ended;

	program(0x40, 0x10000, 3);
	assert_int_equal(dma_to_memory(&dma, 2, "abcd", 4, &ended), 4);
	assert_true(ended);
	assert_int_equal(ram[0x10000], 0);
}

/* Words: the address is shifted, the page's lowest bit is not used, and the wrap is that of 128 KiB. */
static void test_words(void **state)
{
	bool ended;

	out(0xd4, 5);
	out(0xd8, 0);
	out(0xc4, 0xff);
	out(0xc4, 0xff);
	out(0xc6, 1);
	out(0xc6, 0);
	out(0x8b, 0x03);
	out(0xd6, 0x45);
	out(0xd4, 1);
	assert_int_equal(dma_to_memory(&dma, 5, "abcdef", 6, &ended), 4);
	assert_true(ended);
	assert_memory_equal(ram + 0x3fffe, "ab", 2);
	assert_memory_equal(ram + 0x20000, "cd", 2);
	assert_int_equal(in(0xd0), 2);
}

/* The first chip works through the second. */
static void test_cascade(void **state)
{
	bool ended;

	program(0x44, 0x10000, 15);
	out(0xd4, 4);
	assert_int_equal(dma_to_memory(&dma, 2, "a", 1, &ended), 0);
	out(0xd4, 0);
	assert_int_equal(dma_to_memory(&dma, 2, "a", 1, &ended), 1);
	out(0xd6, 0x44); /* no cascade */
	assert_int_equal(dma_to_memory(&dma, 2, "a", 1, &ended), 0);
	out(0xd6, 0xc0);
	out(0x08, 4); /* switched off */
	assert_int_equal(dma_to_memory(&dma, 2, "a", 1, &ended), 0);
	out(0x08, 0);
	assert_int_equal(dma_to_memory(&dma, 2, "a", 1, &ended), 1);
	dma_init(&dma, &(struct bus){0}, NULL, false);
	assert_int_equal(dma.chip[1].mask, 0x0f);
}

static void test_masks(void **state)
{
	out(0x0d, 0);
	assert_int_equal(in(0x0f), 0x0f);
	out(0x0a, 1);
	assert_int_equal(in(0x0f), 0x0d);
	out(0x0a, 5);
	assert_int_equal(in(0x0f), 0x0f);
	out(0x0e, 0);
	assert_int_equal(in(0x0f), 0);
	out(0x0f, 0xfa);
	assert_int_equal(in(0x0f), 0x0a);
	out(0x09, 7);
	assert_int_equal(in(0x08), 0x80);
	out(0x0d, 0);
	assert_int_equal(in(0x08) | in(0x0d), 0);
	/* The flip-flop counts accesses of either direction, and is cleared with all. */
	out(0x00, 0x11);
	out(0x0d, 0);
	out(0x00, 0x33);
	out(0x00, 0x44);
	assert_int_equal(in_word(0x00), 0x4433);
	for (uint16_t port = 0x81; port < 0x90; port++)
		out(port, (uint8_t)port);
	for (uint16_t port = 0x81; port < 0x90; port++)
		assert_int_equal(in(port), port);
}

static void opened(void *device)
{
	bool ended;

	openings += (unsigned)dma_to_memory(&dma, 2, "a", 1, &ended);
}

/* Who waits is told when his channel may have opened. */
static void test_wire(void **state)
{
	dma_connect(&dma, 2, opened, NULL);
	program(0x44, 0x10000, 0);
	assert_int_equal(openings, 1);
	assert_int_equal(ram[0x10000], 'a');
	assert_int_equal(in(0x08), 4);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(to_memory), T(from_memory), T(wrap),	T(longest), T(no_ram), T(down),
		T(autoinit),  T(verify),      T(words), T(cascade), T(masks),  T(wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

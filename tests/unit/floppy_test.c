/*
 * The floppy disk controller as a driver meets it: Intel's 82077AA data sheet, and the images behind it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/device/dma.h"
#include "monitor/device/floppy.h"
#include "tests/unit/ports.h"
#include "tests/unit/ram.h"

#define AT	       0x10000u
#define PER_TRACK      18u
#define READ	       0xe6 /* multi-track, MFM, skip */
#define READ_SIDE      0x46 /* one side of the track */
#define WRITE	       0xc5
#define DOR	       0x3f2
#define STATUS	       0x3f4
#define FIFO	       0x3f5
#define INPUT	       0x3f7
#define NOTHING_TO_SAY (-1)

static struct bus bus;
static struct dma dma;
static struct timers timers;
static uint64_t now;
static struct floppy floppy;
static struct disk_file *files[FLOPPY_DRIVES];
static char path[] = "/tmp/ring3-floppy-XXXXXX";
static unsigned edges;
static bool line;

static void set_line(void *controller, unsigned number, bool level)
{
	assert_int_equal(number, 6);
	edges += level && !line;
	line = level;
}

static void out(uint16_t port, uint8_t datum)
{
	port_out(&bus, port, datum);
}

static uint8_t in(uint16_t port)
{
	return port_in(&bus, port);
}

static uint64_t fake_clock(void)
{
	return now;
}

static void wait_ms(uint64_t ms)
{
	now += ms * 1000000;
	timers_run(&timers, now);
}

static void attach(const struct disk_spec *spec)
{
	files[0] = disk_open(spec);
	assert_non_null(files[0]);
	bus = (struct bus){0};
	timers = (struct timers){0};
	line = false;
	memset(ram, 0, sizeof(ram));
	dma_init(&dma, &bus, NULL, true);
	floppy_init(&floppy, &bus, &dma, files, (struct irq_line){.set = set_line, .line = 6}, &timers, fake_clock,
		    true);
	out(DOR, 0x1c);
	out(INPUT, 0); /* 500 kbit/s */
	edges = 0;
}

/* Sector n of the image begins with n. */
static void make(uint32_t sectors)
{
	FILE *image = fopen(path, "w");

	assert_non_null(image);
	for (uint32_t n = 0; n < sectors; n++) {
		uint32_t sector[DISK_SECTOR / 4] = {n};
		assert_int_equal(fwrite(sector, sizeof(sector), 1, image), 1);
	}
	fclose(image);
}

static int setup(void **state)
{
	make(2880);
	attach(&(struct disk_spec){.path = path});
	return 0;
}

static int teardown(void **state)
{
	disk_close(files[0]);
	files[0] = NULL;
	return 0;
}

static void command(unsigned count, const uint8_t *bytes)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in(STATUS), i ? 0x90 : 0x80);
		out(FIFO, bytes[i]);
	}
}
#define COMMAND(...) command(sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static void answers(unsigned count, const uint8_t *bytes)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in(STATUS), 0xd0);
		assert_int_equal(in(FIFO), bytes[i]);
	}
	assert_int_equal(in(STATUS), 0x80);
	assert_false(line);
}
#define ANSWERS(...) answers(sizeof((const uint8_t[]){__VA_ARGS__}), (const uint8_t[]){__VA_ARGS__})

static void program(uint8_t mode, uint32_t address, unsigned bytes)
{
	out(0x0a, 6);
	out(0x0c, 0);
	out(0x04, (uint8_t)address);
	out(0x04, (uint8_t)(address >> 8));
	out(0x05, (uint8_t)(bytes - 1));
	out(0x05, (uint8_t)((bytes - 1) >> 8));
	out(0x81, (uint8_t)(address >> 16));
	out(0x0b, mode | 2);
	out(0x0a, 2);
}

static void to_memory(unsigned sectors)
{
	program(0x44, AT, sectors * DISK_SECTOR);
}

static void from_memory(unsigned sectors)
{
	program(0x48, AT, sectors * DISK_SECTOR);
}

static uint32_t word_at(uint32_t address)
{
	uint32_t word;

	memcpy(&word, ram + address, sizeof(word));
	return word;
}

static uint32_t on_file(uint32_t sector)
{
	uint32_t word = 0;
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, &word, sizeof(word), (off_t)sector * DISK_SECTOR), sizeof(word));
	close(fd);
	return word;
}

static uint32_t number(uint32_t cylinder, uint32_t head, uint32_t r)
{
	return (cylinder * 2 + head) * PER_TRACK + r - 1;
}

/* ------------------------------------------------------------------------------------------------ reset and settings
 */

static void test_reset(void **state)
{
	out(DOR, 0x00);
	assert_int_equal(in(STATUS), 0);
	out(FIFO, 0x10); /* held in reset it hears nothing */
	out(DOR, 0x0c);
	assert_true(line);
	assert_int_equal(in(STATUS), 0x80);
	for (uint8_t unit = 0; unit < 4; unit++) {
		COMMAND(0x08);
		assert_false(line);
		ANSWERS((uint8_t)(0xc0 | unit), 0);
	}
	COMMAND(0x08);
	ANSWERS(0x80);
	assert_int_equal(edges, 1);
	/* By the rate register too; and not where interrupts are let through by nobody. */
	out(STATUS, 0x80);
	assert_true(line);
	out(DOR, 0x04);
	assert_false(line);
	out(DOR, 0x0c);
	assert_true(line);
	assert_int_equal(in(DOR), 0x0c);
}

/* Who has switched polling off and locked that waits for the end of a reset all the same, as Linux does. */
static void test_unpolled_reset(void **state)
{
	COMMAND(0x13, 0, 0x57, 0x20);
	COMMAND(0x94);
	ANSWERS(0x10);
	out(STATUS, 0x80);
	assert_true(line);
	COMMAND(0x08);
	ANSWERS(0xc0, 0);
}

static void soft_reset(void)
{
	out(STATUS, 0x80);
	for (uint8_t unit = 0; unit < 4; unit++) {
		COMMAND(0x08);
		ANSWERS((uint8_t)(0xc0 | unit), floppy.cylinder[unit]);
	}
}

static void test_settings(void **state)
{
	COMMAND(0x10);
	ANSWERS(0x90);
	COMMAND(0x03, 0xdf, 0x02);
	COMMAND(0x13, 0, 0x57, 0x20);
	COMMAND(0x12, 0x84 | 2);
	COMMAND(0x0f, 0, 7);
	COMMAND(0x08);
	ANSWERS(0x20, 7);
	COMMAND(0x94);
	ANSWERS(0x10);
	COMMAND(0x0e);
	ANSWERS(7, 0, 0, 0, 0xdf, 0x02, 0, 0x86, 0x57, 0x20);
	soft_reset(); /* locked: FIFO and its threshold are kept, the perpendicular mode is not */
	COMMAND(0x0e);
	ANSWERS(7, 0, 0, 0, 0xdf, 0x02, 0, 0x84, 0x07, 0x20);
	COMMAND(0x14);
	ANSWERS(0x00);
	soft_reset();
	COMMAND(0x0e);
	ANSWERS(7, 0, 0, 0, 0xdf, 0x02, 0, 0x04, 0x20, 0x00);
	COMMAND(0x12, 1); /* the mode alone */
	COMMAND(0x0e);
	ANSWERS(7, 0, 0, 0, 0xdf, 0x02, 0, 0x05, 0x20, 0x00);
}

static void test_invalid(void **state)
{
	COMMAND(0x18); /* the 82078's: so drivers tell them apart */
	ANSWERS(0x80);
	COMMAND(0x1f);
	ANSWERS(0x80);
	assert_int_equal(edges, 0);
	assert_int_equal(in(0x3f0), 0xff); /* not there in AT mode */
	out(0x3f3, 2);
	assert_int_equal(in(0x3f3), 0xfe);
}

/* ------------------------------------------------------------------------------------------------------------ drives
 */

static void test_seek(void **state)
{
	assert_int_equal(in(INPUT)&0x80, 0x80); /* changed since power-on */
	COMMAND(0x07, 0);
	assert_true(line);
	COMMAND(0x08);
	ANSWERS(0x20, 0);
	assert_int_equal(in(INPUT)&0x80, 0x80); /* the heads were there */
	COMMAND(0x04, 0x04);
	ANSWERS(0x3c);
	COMMAND(0x0f, 4, 40);
	COMMAND(0x08);
	ANSWERS(0x24, 40);
	assert_int_equal(in(INPUT)&0x80, 0);
	COMMAND(0x04, 0x00);
	ANSWERS(0x28);
	COMMAND(0xcf, 0, 5);
	COMMAND(0x08);
	ANSWERS(0x20, 45);
	COMMAND(0x8f, 0, 50);
	COMMAND(0x08);
	ANSWERS(0x20, 0);
	/* Two at once: each has its own end, and is an edge of its own. */
	edges = 0;
	COMMAND(0x0f, 0, 1);
	COMMAND(0x0f, 3, 2);
	COMMAND(0x08);
	assert_true(line);
	assert_int_equal(in(FIFO), 0x20);
	assert_int_equal(in(FIFO), 1);
	COMMAND(0x08);
	ANSWERS(0x23, 2);
	assert_int_equal(edges, 3);
}

/* No drive: no track 0, no sector, and nothing is said of its disk. */
static void test_absent(void **state)
{
	COMMAND(0x07, 1);
	COMMAND(0x08);
	ANSWERS(0x71, 0);
	COMMAND(0x04, 1);
	ANSWERS(0x29);
	COMMAND(0x4a, 1);
	ANSWERS(0x41, 0x01, 0, 0, 0, 1, 2);
	to_memory(1);
	COMMAND(READ, 1, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x41, 0x01, 0, 0, 0, 1, 2);
	out(DOR, 0x2d);
	assert_int_equal(in(INPUT)&0x80, 0);
}

static void test_read_id(void **state)
{
	COMMAND(0x0f, 0, 79);
	COMMAND(0x08);
	ANSWERS(0x20, 79);
	for (uint8_t n = 0; n < 36; n++) {
		COMMAND(0x4a, 4);
		assert_true(line);
		ANSWERS(0x04, 0, 0, 79, 1, n % 18 + 1, 2);
	}
	out(INPUT, 2); /* by this rate BIOSes find out what disk it is */
	COMMAND(0x4a, 4);
	ANSWERS(0x44, 0x01, 0, 79, 1, 1, 2);
	out(INPUT, 0);
	COMMAND(0x0a, 4); /* FM */
	ANSWERS(0x44, 0x01, 0, 79, 1, 1, 2);
	COMMAND(0x0f, 0, 80);
	COMMAND(0x08);
	ANSWERS(0x20, 80);
	COMMAND(0x4a, 4);
	ANSWERS(0x44, 0x01, 0, 80, 1, 1, 2);
}

/* ---------------------------------------------------------------------------------------------------------- transfers
 */

static void test_read(void **state)
{
	to_memory(3);
	COMMAND(READ_SIDE, 0, 10, 0, 4, 2, 18, 0x1b, 0xff);
	assert_int_equal(edges, 1);
	ANSWERS(0x00, 0, 0, 10, 0, 7, 2);
	for (uint32_t n = 0; n < 3; n++)
		assert_int_equal(word_at(AT + n * DISK_SECTOR), number(10, 0, 4 + n));
	assert_int_equal(word_at(AT + 3 * DISK_SECTOR), 0);
	/* The count ends within a sector. */
	program(0x44, AT, 6);
	COMMAND(READ_SIDE, 4, 1, 1, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 1, 1, 2, 2);
	assert_int_equal(word_at(AT), number(1, 1, 1));
	assert_int_equal(in(0x08), 4);
}

/* Where a transfer ends that goes on to the other side, and what is told of that. */
static void test_multitrack(void **state)
{
	to_memory(4);
	COMMAND(READ, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 5, 1, 3, 2);
	assert_int_equal(word_at(AT + DISK_SECTOR), number(5, 0, 18));
	assert_int_equal(word_at(AT + 2 * DISK_SECTOR), number(5, 1, 1));
	to_memory(2);
	COMMAND(READ, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 5, 1, 1, 2);
	to_memory(2);
	COMMAND(READ, 4, 5, 1, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 6, 0, 1, 2);
	to_memory(2);
	COMMAND(READ_SIDE, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x00, 0, 0, 6, 0, 1, 2);
	/* Nobody says that it is enough: the end of the cylinder does. */
	to_memory(60);
	COMMAND(READ, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x44, 0x80, 0, 5, 1, 18, 2);
	to_memory(60);
	COMMAND(READ_SIDE, 0, 5, 0, 17, 2, 18, 0x1b, 0xff);
	ANSWERS(0x40, 0x80, 0, 5, 0, 18, 2);
	to_memory(18);
	COMMAND(0x42, 4, 5, 1, 9, 2, 18, 0x1b, 0xff); /* the whole track, from its first sector */
	ANSWERS(0x04, 0, 0, 6, 1, 1, 2);
	assert_int_equal(word_at(AT), number(5, 1, 1));
}

/* More than a track at once, as boot sectors have SeaBIOS ask for it: on from side to side, up to the last cylinder. */
static void test_runs_on(void **state)
{
	to_memory(31);
	COMMAND(READ, 0, 0, 0, 2, 2, 32, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 0, 1, 15, 2);
	assert_int_equal(word_at(AT + 16 * DISK_SECTOR), number(0, 0, 18));
	assert_int_equal(word_at(AT + 17 * DISK_SECTOR), number(0, 1, 1));
	assert_int_equal(word_at(AT + 30 * DISK_SECTOR), number(0, 1, 14));
	to_memory(40);
	COMMAND(READ, 0, 5, 0, 17, 2, 56, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 6, 1, 3, 2);
	assert_int_equal(word_at(AT + 19 * DISK_SECTOR), number(5, 1, 18));
	assert_int_equal(word_at(AT + 20 * DISK_SECTOR), number(6, 0, 1));
	assert_int_equal(word_at(AT + 39 * DISK_SECTOR), number(6, 1, 2));
	to_memory(60);
	COMMAND(READ, 4, 79, 1, 18, 2, 255, 0x1b, 0xff);
	ANSWERS(0x40, 0x04, 0, 80, 0, 1, 2);
}

static void test_no_such_sector(void **state)
{
	static const uint8_t addresses[][4] = {{80, 0, 1, 2}, {0, 1, 1, 2}, {0, 0, 0, 2}, {0, 0, 19, 2}, {0, 0, 1, 3}};

	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		const uint8_t *a = addresses[i];

		to_memory(1);
		COMMAND(READ, 0, a[0], a[1], a[2], a[3], 18, 0x1b, 0xff);
		ANSWERS(0x40, 0x04, 0, a[0], a[1], a[2], a[3]);
	}
	/* The last sector to be read is none of the track's: with one side an end all the same. */
	to_memory(128);
	COMMAND(READ_SIDE, 0, 0, 0, 1, 2, 255, 0x1b, 0xff);
	ANSWERS(0x40, 0x04, 0, 0, 0, 19, 2);
	to_memory(128);
	COMMAND(READ, 0, 0, 0, 19, 2, 255, 0x1b, 0xff);
	ANSWERS(0x40, 0x04, 0, 0, 0, 19, 2);
	to_memory(1);
	COMMAND(0xcc, 0, 0, 0, 1, 2, 18, 0x1b, 0xff); /* deleted data */
	ANSWERS(0x40, 0x01, 0x01, 0, 0, 1, 2);
}

static void test_write(void **state)
{
	for (uint32_t n = 0; n < 2; n++)
		memcpy(ram + AT + n * DISK_SECTOR, &(uint32_t){0xabc0 + n}, 4);
	from_memory(2);
	COMMAND(WRITE, 0, 3, 0, 18, 2, 18, 0x1b, 0xff);
	ANSWERS(0x04, 0, 0, 3, 1, 2, 2);
	assert_int_equal(on_file(number(3, 0, 18)), 0xabc0);
	assert_int_equal(on_file(number(3, 1, 1)), 0xabc1);
	assert_int_equal(on_file(number(3, 1, 2)), number(3, 1, 2));
	/* What the count falls short of is zeroes. */
	program(0x48, AT, 2);
	COMMAND(WRITE, 0, 3, 0, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x00, 0, 0, 3, 0, 2, 2);
	assert_int_equal(on_file(number(3, 0, 1)), 0xabc0);
}

static void test_readonly(void **state)
{
	teardown(NULL);
	attach(&(struct disk_spec){.path = path, .readonly = true});
	from_memory(1);
	COMMAND(WRITE, 0, 0, 0, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x40, 0x02, 0, 0, 0, 1, 2);
	COMMAND(0x4d, 0, 2, 18, 0x54, 0xf6);
	ANSWERS(0x40, 0x02, 0, 0, 0, 1, 2);
	COMMAND(0x04, 0);
	ANSWERS(0x78);
	to_memory(1);
	COMMAND(READ, 0, 1, 0, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x00, 0, 0, 1, 0, 2, 2);
	assert_int_equal(word_at(AT), number(1, 0, 1));
}

/* The processor may open the channel after the command; until then the controller is busy, and a reset ends that. */
static void test_late_channel(void **state)
{
	COMMAND(READ, 0, 2, 0, 1, 2, 18, 0x1b, 0xff);
	assert_int_equal(in(STATUS), 0x10);
	out(FIFO, 0x10);
	assert_int_equal(in(FIFO), 0);
	assert_int_equal(edges, 0);
	to_memory(1);
	ANSWERS(0x00, 0, 0, 2, 0, 2, 2);
	assert_int_equal(word_at(AT), number(2, 0, 1));
	from_memory(1); /* the wrong way */
	COMMAND(READ, 0, 2, 0, 1, 2, 18, 0x1b, 0xff);
	assert_int_equal(in(STATUS), 0x10);
	out(DOR, 0x00);
	out(DOR, 0x1c);
	assert_int_equal(in(STATUS), 0x80);
}

/* For a turn of the disk it waits: for a channel that does not open, and for who has begun to read and stops. */
static void test_overrun(void **state)
{
	COMMAND(READ, 0, 2, 0, 1, 2, 18, 0x1b, 0xff);
	wait_ms(199);
	assert_int_equal(in(STATUS), 0x10);
	wait_ms(1);
	assert_true(line);
	ANSWERS(0x40, 0x10, 0, 2, 0, 1, 2);
	wait_ms(1000);
	COMMAND(0x03, 0xdf, 0x03);
	COMMAND(READ_SIDE, 0, 7, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned n = 0; n < DISK_SECTOR + 10; n++) {
		in(FIFO);
		wait_ms(150);
	}
	assert_int_equal(in(STATUS), 0xf0);
	wait_ms(200);
	wait_ms(200);
	ANSWERS(0x40, 0x10, 0, 7, 0, 18, 2);
	COMMAND(0x45, 0, 7, 0, 18, 2, 18, 0x1b, 0xff);
	out(FIFO, 0xff);
	wait_ms(200);
	wait_ms(200);
	ANSWERS(0x40, 0x10, 0, 7, 0, 18, 2);
	assert_int_equal(on_file(number(7, 0, 18)), number(7, 0, 18));
}

/* Without DMA each sector is an interrupt, and the end of the track is the end. */
static void test_pio(void **state)
{
	uint8_t bytes[2 * DISK_SECTOR];
	uint32_t word;

	COMMAND(0x03, 0xdf, 0x03);
	COMMAND(READ_SIDE, 0, 7, 0, 17, 2, 18, 0x1b, 0xff);
	for (unsigned n = 0; n < sizeof(bytes); n++) {
		assert_int_equal(in(STATUS), 0xf0);
		assert_int_equal(line, n % DISK_SECTOR == 0);
		bytes[n] = in(FIFO);
		if ((n + 1) % DISK_SECTOR == 0) { /* a gap */
			assert_int_equal(in(STATUS), 0x70);
			assert_int_equal(in(FIFO), 0);
			assert_false(line);
			wait_ms(1);
		}
	}
	assert_int_equal(edges, 3);
	ANSWERS(0x40, 0x80, 0, 7, 0, 18, 2);
	memcpy(&word, bytes + DISK_SECTOR, sizeof(word));
	assert_int_equal(word, number(7, 0, 18));
	COMMAND(0x45, 0, 7, 0, 18, 2, 18, 0x1b, 0xff);
	for (unsigned n = 0; n < DISK_SECTOR; n++) {
		assert_int_equal(in(STATUS), 0xb0);
		out(FIFO, (uint8_t)n);
	}
	assert_int_equal(in(STATUS), 0x30);
	out(FIFO, 0xff);
	wait_ms(1);
	ANSWERS(0x40, 0x80, 0, 7, 0, 18, 2);
	assert_int_equal(on_file(number(7, 0, 18)), 0x03020100);
}

static void test_verify(void **state)
{
	COMMAND(0x56, 0, 4, 0, 1, 2, 18, 0x1b, 0xff);
	ANSWERS(0x00, 0, 0, 5, 0, 1, 2);
	COMMAND(0xd6, 0x80, 4, 0, 17, 2, 18, 0x1b, 3);
	ANSWERS(0x04, 0, 0, 4, 1, 2, 2);
	COMMAND(0x56, 0, 4, 0, 1, 2, 19, 0x1b, 0xff);
	ANSWERS(0x40, 0x04, 0, 4, 0, 19, 2);
}

static void test_format(void **state)
{
	for (uint8_t r = 1; r <= 18; r++)
		memcpy(ram + AT + 4 * (r - 1), (const uint8_t[]){9, 1, r, 2}, 4);
	COMMAND(0x0f, 4, 9);
	COMMAND(0x08);
	ANSWERS(0x24, 9);
	program(0x48, AT, 18 * 4);
	COMMAND(0x4d, 4, 2, 18, 0x54, 0xf6);
	ANSWERS(0x04, 0, 0, 9, 1, 18, 2);
	for (uint32_t r = 1; r <= 18; r++)
		assert_int_equal(on_file(number(9, 1, r)), 0xf6f6f6f6);
	assert_int_equal(on_file(number(10, 0, 1)), number(10, 0, 1));
	/* Sectors elsewhere than an image has them. */
	ram[AT] = 8;
	program(0x48, AT, 18 * 4);
	COMMAND(0x4d, 4, 2, 18, 0x54, 0xf6);
	ANSWERS(0x44, 0x04, 0, 8, 1, 1, 2);
}

/* ------------------------------------------------------------------------------------------------------------- images
 */

static void test_formats(void **state)
{
	static const struct {
		uint32_t sectors;
		uint8_t rate, type, cylinders, per_track;
	} kinds[] = {{720, 2, 1, 40, 9},
		     {1440, 2, 3, 80, 9},
		     {2400, 0, 2, 80, 15},
		     {2880, 0, 4, 80, 18},
		     {5760, 3, 5, 80, 36}};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		uint8_t c = kinds[i].cylinders - 1, r = kinds[i].per_track;

		teardown(NULL);
		make(kinds[i].sectors);
		attach(&(struct disk_spec){.path = path});
		out(INPUT, kinds[i].rate);
		assert_int_equal(floppy_format_of(kinds[i].sectors)->nvram, kinds[i].type);
		to_memory(1);
		COMMAND(READ, 4, c, 1, r, 2, r, 0x1b, 0xff);
		ANSWERS(0x04, 0, 0, c + 1, 0, 1, 2);
		assert_int_equal(word_at(AT), kinds[i].sectors - 1);
	}
	assert_null(floppy_format_of(2881));
	assert_null(floppy_format_of(5761));
	assert_null(floppy_format_of(UINT32_MAX));
}

/* An image that was not filled up: the rest reads as zeroes, and the file does not grow. */
static void test_short_image(void **state)
{
	teardown(NULL);
	make(3);
	attach(&(struct disk_spec){.path = path});
	memset(ram + AT, 0x5a, 2 * DISK_SECTOR);
	to_memory(2);
	COMMAND(READ, 0, 0, 0, 3, 2, 18, 0x1b, 0xff);
	ANSWERS(0x00, 0, 0, 0, 0, 5, 2);
	assert_int_equal(word_at(AT), 2);
	assert_int_equal(word_at(AT + DISK_SECTOR), 0);
	from_memory(1);
	COMMAND(WRITE, 0, 0, 0, 4, 2, 18, 0x1b, 0xff);
	ANSWERS(0x40, 0x20, 0x20, 0, 0, 4, 2);
}

/* Whatever is written, in whatever order, ends. */
static void test_flood(void **state)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 300000; i++) {
		static const uint16_t ports[] = {FIFO,	FIFO, FIFO, FIFO, DOR,	STATUS,
						 INPUT, 0x0a, 0x0b, 0x0e, 0x04, 0x05};

		seed = seed * 1103515245 + 12345;
		uint16_t port = ports[(seed >> 8) % 12];
		if (seed >> 24 & 1)
			in(port);
		else if (port != DOR || !(seed >> 25 & 31))
			out(port, (uint8_t)(seed >> 16));
		assert_true(floppy.at <= floppy.filled && floppy.filled <= DISK_SECTOR);
		assert_true(floppy.given < FLOPPY_COMMAND_MAX && floppy.told <= FLOPPY_RESULT_MAX);
	}
}

static int make_path(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int remove_path(void **state)
{
	return unlink(path);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reset),    T(unpolled_reset), T(settings),   T(invalid), T(seek),	      T(absent),
		T(read_id),  T(read),		T(multitrack), T(runs_on), T(no_such_sector), T(write),
		T(readonly), T(late_channel),	T(overrun),    T(pio),	   T(verify),	      T(format),
		T(formats),  T(short_image),	T(flood),
	};

	return cmocka_run_group_tests(tests, make_path, remove_path);
}

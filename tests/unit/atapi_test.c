/*
 * The CD-ROM drive as a driver meets it: the packet protocol of ATA/ATAPI-6, and what MMC-5 has packets answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/device/ata.h"
#include "monitor/device/atapi.h"
#include "tests/unit/ports.h"

#define SECTORS 40u /* and half a one */
#define READY	0x40
#define DATA	0x48
#define FAILED	0x41

/* The interrupt reason: 9.8 of ATA/ATAPI-6. */
#define REASON_PACKET 1
#define REASON_DATA   2
#define REASON_END    3

static struct bus bus;
static struct atapi atapi;
static struct disk_file *file;
static char path[64];
static bool line;

static void set_line(void *controller, unsigned number, bool level)
{
	assert_int_equal(number, 15);
	line = level;
}

/* Sector n of the disc begins with n. */
static int setup(void **state)
{
	FILE *out;

	strcpy(path, "/tmp/ring3-atapi-XXXXXX");
	out = fdopen(mkstemp(path), "w");
	assert_non_null(out);
	for (uint32_t n = 0; n <= SECTORS; n++) {
		uint32_t sector[ATAPI_SECTOR / 4] = {n};
		size_t bytes = n < SECTORS ? ATAPI_SECTOR : ATAPI_SECTOR / 2;

		sector[ATAPI_SECTOR / 8 - 1] = ~n;
		assert_int_equal(fwrite(sector, bytes, 1, out), 1);
	}
	fclose(out);
	file = disk_open(&(struct disk_spec){.path = path, .readonly = true});
	assert_non_null(file);
	bus = (struct bus){0};
	line = false;
	atapi_init(&atapi, &bus, file, (struct irq_line){.set = set_line, .line = 15});
	return 0;
}

static int teardown(void **state)
{
	disk_close(file);
	unlink(path);
	return 0;
}

static uint8_t reg(unsigned n)
{
	return port_in(&bus, (uint16_t)(ATA_PORT_2 + n));
}

static void set_reg(unsigned n, uint8_t value)
{
	port_out(&bus, (uint16_t)(ATA_PORT_2 + n), value);
}

static unsigned block_bytes(void)
{
	return reg(4) | reg(5) << 8;
}

/* Sends the packet, with this byte count for each block. */
static void send(const uint8_t packet[ATAPI_PACKET], uint16_t limit)
{
	set_reg(6, 0xa0);
	set_reg(1, 0);
	set_reg(4, (uint8_t)limit);
	set_reg(5, limit >> 8);
	set_reg(7, 0xa0);
	assert_int_equal(port_in(&bus, ATA_PORT_2_CONTROL), DATA);
	assert_int_equal(reg(2), REASON_PACKET);
	assert_false(line); /* it says that it waits for packets so soon that no interrupt is wanted */
	for (unsigned n = 0; n < ATAPI_PACKET; n += 2) {
		uint32_t word = packet[n] | (uint32_t)packet[n + 1] << 8;
		bus_io(&bus, ATA_PORT_2, 2, true, &word);
	}
	assert_true(line);
}

/* Takes all that is offered, block by block as long as there is a next one; the bytes, and how many blocks. */
static unsigned take(uint8_t *to, unsigned size, uint16_t limit, unsigned *blocks)
{
	unsigned got = 0;

	*blocks = 0;
	while (reg(7) == DATA) {
		unsigned bytes = block_bytes();

		assert_int_equal(reg(2), REASON_DATA);
		assert_false(line);
		assert_in_range(bytes, 1, limit && limit > 1 ? limit : 0xfffe);
		for (unsigned n = 0; n < bytes; n += 2) {
			uint32_t word = 0;
			bus_io(&bus, ATA_PORT_2, 2, false, &word);
			assert_true(got < size);
			to[got++] = (uint8_t)word;
			if (n + 1 < bytes)
				to[got++] = (uint8_t)(word >> 8);
		}
		assert_true(line);
		++*blocks;
	}
	assert_int_equal(reg(2), REASON_END);
	return got;
}

#define PACKET(...) ((const uint8_t[ATAPI_PACKET]){__VA_ARGS__})

static unsigned ask(const uint8_t packet[ATAPI_PACKET], uint8_t *to, unsigned size)
{
	unsigned blocks, got;

	memset(to, 0xcc, size);
	send(packet, 0);
	got = take(to, size, 0, &blocks);
	assert_int_equal(port_in(&bus, ATA_PORT_2_CONTROL), READY);
	return got;
}

/* It fails so, and says why to who asks, once. */
static void fails(const uint8_t packet[ATAPI_PACKET], uint8_t key, uint16_t code)
{
	uint8_t sense[18];

	send(packet, 0);
	assert_int_equal(reg(7), FAILED);
	assert_int_equal(reg(1) >> 4, key);
	assert_int_equal(reg(2), REASON_END);
	for (unsigned n = 0; n < 2; n++) {
		assert_int_equal(ask(PACKET(0x03, 0, 0, 0, 18), sense, sizeof(sense)), 18);
		assert_int_equal(sense[0], 0x70);
		assert_int_equal(sense[2], n ? 0 : key);
		assert_int_equal(sense[12] << 8 | sense[13], n ? 0 : code);
	}
}

static uint32_t big(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static bool signed_as_packets(void)
{
	return reg(2) == 1 && reg(3) == 1 && reg(4) == 0x14 && reg(5) == 0xeb;
}

static void test_signature(void **state)
{
	assert_true(signed_as_packets());
	assert_int_equal(reg(7), 0);
	set_reg(4, 0);
	port_out(&bus, ATA_PORT_2_CONTROL, 4);
	assert_int_equal(reg(7), 0x80);
	port_out(&bus, ATA_PORT_2_CONTROL, 0);
	assert_true(signed_as_packets());
	assert_int_equal(reg(1), 1);
	set_reg(4, 0);
	set_reg(7, 0x08); /* DEVICE RESET: no interrupt */
	assert_true(signed_as_packets() && !line);
	set_reg(4, 0);
	set_reg(7, 0xec); /* IDENTIFY DEVICE is not for it */
	assert_int_equal(reg(7), FAILED);
	assert_int_equal(reg(1), 4);
	assert_true(signed_as_packets());
	/* The second drive is not there. */
	set_reg(6, 0xb0);
	assert_int_equal(reg(7), 0);
	set_reg(7, 0xa1);
	assert_int_equal(reg(7), 0);
	assert_false(line);
}

static void test_identify(void **state)
{
	uint16_t words[256];

	set_reg(6, 0xa0);
	set_reg(7, 0xa1);
	assert_true(line);
	assert_int_equal(reg(7), DATA);
	for (unsigned n = 0; n < 256; n++) {
		uint32_t word = 0;
		bus_io(&bus, ATA_PORT_2, 2, false, &word);
		words[n] = (uint16_t)word;
	}
	assert_int_equal(reg(7), READY);
	assert_false(line);
	assert_int_equal(words[0], 0x85c0);
	assert_int_equal(words[49] & 0x100, 0); /* no DMA */
	assert_memory_equal(&words[27], "IRGN 3DCR-MO", 12);
	set_reg(1, 1);
	set_reg(7, 0xa0); /* a packet with DMA is refused */
	assert_int_equal(reg(7), FAILED);
}

/* What a driver does first. */
static void test_questions(void **state)
{
	uint8_t a[64];

	assert_int_equal(ask(PACKET(0x00), a, sizeof(a)), 0);
	assert_int_equal(ask(PACKET(0x12, 0, 0, 0, 36), a, sizeof(a)), 36);
	assert_int_equal(a[0], 5);
	assert_int_equal(a[1], 0x80);
	assert_int_equal(a[4], 31);
	assert_memory_equal(a + 8, "RING3   CD-ROM  ", 16);
	assert_int_equal(ask(PACKET(0x12, 0, 0, 0, 5), a, sizeof(a)), 5);
	assert_int_equal(ask(PACKET(0x12, 0, 0, 0, 0), a, sizeof(a)), 0);
	assert_int_equal(ask(PACKET(0x25), a, sizeof(a)), 8);
	assert_int_equal(big(a), SECTORS);
	assert_int_equal(big(a + 4), ATAPI_SECTOR);
	assert_int_equal(ask(PACKET(0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8), a, sizeof(a)), 8);
	assert_true(a[1] == 6 && a[2] == 4 && a[4] == 0 && a[5] == 2);
	assert_int_equal(ask(PACKET(0x4a, 1, 0, 0, 0x02, 0, 0, 0, 8), a, sizeof(a)), 4);
	assert_int_equal(a[2], 0x80);
	assert_int_equal(ask(PACKET(0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64), a, sizeof(a)), 28);
	assert_true(a[1] == 26 && a[8] == 0x2a && a[9] == 18 && !a[11]);
	assert_int_equal(ask(PACKET(0x5a, 0, 0x6a, 0, 0, 0, 0, 0, 64), a, sizeof(a)), 28); /* nothing is changeable */
	for (unsigned n = 10; n < 28; n++)
		assert_int_equal(a[n], 0);
	assert_int_equal(ask(PACKET(0x51, 0, 0, 0, 0, 0, 0, 0, 64), a, sizeof(a)), 34);
	assert_int_equal(a[2], 0x0e);
	assert_int_equal(ask(PACKET(0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8), a, sizeof(a)), 8);
	assert_int_equal(ask(PACKET(0x1e, 0, 0, 0, 1), a, sizeof(a)), 0);
	assert_int_equal(ask(PACKET(0x1b, 0, 0, 0, 1), a, sizeof(a)), 0);
}

static void test_contents(void **state)
{
	uint8_t a[64];

	assert_int_equal(ask(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 64), a, sizeof(a)), 20);
	assert_true(a[1] == 18 && a[2] == 1 && a[3] == 1);
	assert_true(a[5] == 0x14 && a[6] == 1 && big(a + 8) == 0);
	assert_true(a[13] == 0x14 && a[14] == 0xaa && big(a + 16) == SECTORS + 1);
	/* As times: the first sector is two seconds from the start. */
	assert_int_equal(ask(PACKET(0x43, 2, 0, 0, 0, 0, 0xaa, 0, 64), a, sizeof(a)), 12);
	assert_true(big(a + 8) == (2u << 8 | (SECTORS + 1)));
	/* The session, in both ways to ask. */
	assert_int_equal(ask(PACKET(0x43, 0, 1, 0, 0, 0, 0, 0, 12), a, sizeof(a)), 12);
	assert_true(a[2] == 1 && a[6] == 1 && big(a + 8) == 0);
	assert_int_equal(ask(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40), a, sizeof(a)), 12);
	fails(PACKET(0x43, 0, 0, 0, 0, 0, 2, 0, 64), 5, 0x2400);
	/* Features: all, those from one on, one. */
	assert_int_equal(ask(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), a, sizeof(a)), 8);
	assert_int_equal(a[6] << 8 | a[7], 8);
	assert_int_equal(ask(PACKET(0x46, 2, 0, 0x1e, 0, 0, 0, 0, 64), a, sizeof(a)), 16);
	assert_true(big(a) == 12 && a[9] == 0x1e && (a[10] & 1));
	assert_int_equal(ask(PACKET(0x46, 2, 0, 0x1f, 0, 0, 0, 0, 64), a, sizeof(a)), 12);
	assert_false(a[10] & 1);
	assert_int_equal(ask(PACKET(0x46, 1, 0, 0x1f, 0, 0, 0, 0, 64), a, sizeof(a)), 8);
}

/* Sectors arrive whole whatever the byte count; what the file lacks of the last one reads as zeroes. */
static void test_read(void **state)
{
	static const uint16_t limits[] = {0, 0xffff, 2048, 2047, 512, 6, 1, 33000};
	static uint8_t a[(SECTORS + 1) * ATAPI_SECTOR];
	unsigned blocks;

	for (unsigned n = 0; n < sizeof(limits) / sizeof(limits[0]); n++) {
		send(PACKET(0x28, 0, 0, 0, 0, 0, 0, 0, SECTORS + 1), limits[n]);
		assert_int_equal(take(a, sizeof(a), limits[n], &blocks), sizeof(a));
		for (unsigned s = 0; s <= SECTORS; s++)
			assert_true(a[s * ATAPI_SECTOR] == s &&
				    a[s * ATAPI_SECTOR + ATAPI_SECTOR / 2 - 4] == (uint8_t)~s);
		for (unsigned at = sizeof(a) - ATAPI_SECTOR / 2; at < sizeof(a); at++)
			assert_int_equal(a[at], 0);
		if (limits[n] == 2048)
			assert_int_equal(blocks, SECTORS + 1);
	}
	assert_int_equal(ask(PACKET(0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 2), a, sizeof(a)), 2 * ATAPI_SECTOR);
	assert_true(a[0] == 7 && a[ATAPI_SECTOR] == 8);
	assert_int_equal(ask(PACKET(0xbe, 0, 0, 0, 0, 9, 0, 0, 1, 0x10), a, sizeof(a)), ATAPI_SECTOR);
	assert_int_equal(a[0], 9);
	assert_int_equal(ask(PACKET(0x28, 0, 0, 0, 0, SECTORS), a, sizeof(a)), 0); /* of no sectors */
}

/* The host fails: there is no descriptor where the drive has its own. */
static void take_file_away(void)
{
	char name[32], target[64];

	for (int fd = 3; fd < 64; fd++) {
		ssize_t len;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		len = readlink(name, target, sizeof(target));
		if (len == (ssize_t)strlen(path) && !memcmp(target, path, (size_t)len))
			close(fd);
	}
}

static void test_refused(void **state)
{
	fails(PACKET(0x28, 0, 0, 0, 0, SECTORS, 0, 0, 2), 5, 0x2100);
	fails(PACKET(0xa8, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), 5, 0x2100);
	fails(PACKET(0x2b, 0, 0, 0, 1, 0), 5, 0x2100);
	fails(PACKET(0x2a, 0, 0, 0, 0, 0, 0, 0, 1), 5, 0x2000); /* WRITE */
	fails(PACKET(0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8), 5, 0x2400);
	fails(PACKET(0x12, 1, 0, 0, 36), 5, 0x2400);
	fails(PACKET(0x1b, 0, 0, 0, 2), 5, 0x2400); /* eject */
	fails(PACKET(0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8), 5, 0x2400);
	fails(PACKET(0x5a, 0, 0xea, 0, 0, 0, 0, 0, 64), 5, 0x3900);
	fails(PACKET(0x5a, 0, 0x05, 0, 0, 0, 0, 0, 64), 5, 0x2400);
	take_file_away();
	fails(PACKET(0x28, 0, 0, 0, 0, 3, 0, 0, 1), 3, 0x1100);
}

/* Reset, and a new command, in the middle of a transfer: the next one is whole. */
static void test_torn(void **state)
{
	uint8_t a[ATAPI_SECTOR];
	uint32_t word = 0;

	send(PACKET(0x28, 0, 0, 0, 0, 1, 0, 0, 2), 0);
	bus_io(&bus, ATA_PORT_2, 4, false, &word);
	assert_int_equal(ask(PACKET(0x28, 0, 0, 0, 0, 2, 0, 0, 1), a, sizeof(a)), sizeof(a));
	assert_int_equal(a[0], 2);
	send(PACKET(0x28, 0, 0, 0, 0, 1, 0, 0, 2), 0);
	port_out(&bus, ATA_PORT_2_CONTROL, 4);
	port_out(&bus, ATA_PORT_2_CONTROL, 2); /* and silence */
	word = 0;
	bus_io(&bus, ATA_PORT_2, 4, false, &word);
	assert_int_equal(word, UINT32_MAX);
	set_reg(7, 0xa1);
	assert_false(line);
	port_out(&bus, ATA_PORT_2_CONTROL, 0);
	assert_true(line);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {T(signature), T(identify), T(questions), T(contents),
					   T(read),	 T(refused),  T(torn)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

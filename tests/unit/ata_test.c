/*
 * ATA disks as a driver meets them: ATA/ATAPI-6, and the files behind them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/device/ata.h"
#include "tests/unit/ports.h"

#define SECTORS 1000u
#define LBA	0xe0
#define READY	0x50
#define DATA	0x58

static char directory[] = "/tmp/ring3-ata-XXXXXX", base[64], overlay[64];
static struct bus bus;
static struct ata ata;
static struct disk_file *file;
static unsigned edges;
static bool line;

static void set_line(void *controller, unsigned number, bool level)
{
	assert_int_equal(number, 14);
	edges += level && !line;
	line = level;
}

static void attach(const struct disk_spec *spec)
{
	file = disk_open(spec);
	assert_non_null(file);
	bus = (struct bus){0};
	edges = 0;
	line = false;
	ata_init(&ata, &bus, (struct disk_file *[ATA_DISKS]){file}, (struct irq_line){.set = set_line, .line = 14});
}

/* Sector n of the base begins with n. */
static int setup(void **state)
{
	FILE *out;

	snprintf(base, sizeof(base), "%s/base", directory);
	snprintf(overlay, sizeof(overlay), "%s/overlay", directory);
	unlink(overlay);
	out = fopen(base, "w");
	assert_non_null(out);
	for (uint32_t n = 0; n < SECTORS; n++) {
		uint32_t sector[DISK_SECTOR / 4] = {n};
		assert_int_equal(fwrite(sector, sizeof(sector), 1, out), 1);
	}
	fclose(out);
	attach(&(struct disk_spec){.path = base});
	return 0;
}

static int teardown(void **state)
{
	disk_close(file);
	file = NULL;
	return 0;
}

static uint8_t status(void)
{
	return port_in(&bus, ATA_PORT + 7);
}

static void command(uint8_t code, uint32_t sector, uint8_t count)
{
	port_out(&bus, ATA_PORT + 2, count);
	port_out(&bus, ATA_PORT + 3, (uint8_t)sector);
	port_out(&bus, ATA_PORT + 4, (uint8_t)(sector >> 8));
	port_out(&bus, ATA_PORT + 5, (uint8_t)(sector >> 16));
	port_out(&bus, ATA_PORT + 6, (uint8_t)(LBA | sector >> 24));
	port_out(&bus, ATA_PORT + 7, code);
}

static void transfer(bool write, uint32_t *words, unsigned sectors)
{
	for (unsigned n = 0; n < sectors * DISK_SECTOR / 4; n++)
		bus_io(&bus, ATA_PORT, 4, write, &words[n]);
}

static uint32_t on_file(const char *path, long offset)
{
	uint32_t word = 0;
	int fd = open(path, O_RDONLY);

	assert_int_equal(pread(fd, &word, sizeof(word), offset), sizeof(word));
	close(fd);
	return word;
}

static void test_identify(void **state)
{
	uint16_t words[256];

	port_out(&bus, ATA_PORT + 6, 0xa0);
	port_out(&bus, ATA_PORT + 7, 0xec);
	assert_true(line);
	assert_int_equal(port_in(&bus, ATA_PORT_CONTROL), DATA);
	assert_true(line); /* the other status register says nothing of the interrupt */
	assert_int_equal(status(), DATA);
	assert_false(line);
	transfer(false, (uint32_t *)words, 1);
	assert_int_equal(status(), READY);
	assert_int_equal(words[60] | words[61] << 16, SECTORS);
	assert_true(words[49] & 0x200);
	assert_int_equal(words[1], 2); /* firmware wants cylinders, of however small a disk */
	assert_int_equal(words[57] | words[58] << 16, SECTORS);
	assert_memory_equal(&words[27], "IRGN 3IDKS  ", 12);
	assert_int_equal(port_in(&bus, ATA_PORT), 0xff); /* nothing more */
}

static void test_read(void **state)
{
	uint32_t words[3 * 128];

	command(0x20, 5, 3);
	for (unsigned n = 0; n < 3; n++) {
		assert_int_equal(edges, n + 1);
		assert_int_equal(status(), DATA);
		transfer(false, words + 128 * n, 1);
		assert_int_equal(words[128 * n], 5 + n);
	}
	assert_int_equal(edges, 3);
	assert_int_equal(status(), READY);
	assert_int_equal(port_in(&bus, ATA_PORT + 3), 7);
	assert_int_equal(port_in(&bus, ATA_PORT + 2), 0);
	/* By halves of words, and bytes. */
	command(0x20, 0x103, 1);
	uint32_t half = 0;
	bus_io(&bus, ATA_PORT, 2, false, &half);
	assert_int_equal(half, 0x103);
	for (unsigned n = 2; n < DISK_SECTOR; n++)
		port_in(&bus, ATA_PORT);
	assert_int_equal(status(), READY);
}

static void test_write(void **state)
{
	uint32_t words[2 * 128] = {0x11111111};

	words[128] = 0x22222222;
	command(0x30, 8, 2);
	assert_int_equal(edges, 0); /* the first block is asked for without one */
	assert_int_equal(status(), DATA);
	transfer(true, words, 1);
	assert_int_equal(edges, 1);
	assert_int_equal(status(), DATA);
	transfer(true, words + 128, 1);
	assert_int_equal(edges, 2);
	assert_int_equal(status(), READY);
	command(0xe7, 0, 0);
	assert_int_equal(status(), READY);
	assert_int_equal(on_file(base, 8 * DISK_SECTOR), 0x11111111);
	assert_int_equal(on_file(base, 9 * DISK_SECTOR), 0x22222222);
	assert_int_equal(on_file(base, 10 * DISK_SECTOR), 10);
}

static void test_multiple(void **state)
{
	uint32_t words[5 * 128];

	command(0xc4, 0, 5); /* not set yet */
	assert_int_equal(status(), READY | 1);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 4);
	command(0xc6, 0, 3);
	assert_int_equal(status(), READY | 1);
	command(0xc6, 0, 4);
	assert_int_equal(status(), READY);
	edges = 0;
	command(0xc4, 10, 5);
	status();
	transfer(false, words, 4);
	assert_int_equal(edges, 2);
	status();
	transfer(false, words + 4 * 128, 1);
	assert_int_equal(words[4 * 128], 14);
	assert_int_equal(status(), READY);
	command(0xc5, 20, 5);
	status();
	transfer(true, words, 5);
	assert_int_equal(status(), READY);
	assert_int_equal(on_file(base, 24 * DISK_SECTOR), 14);
}

static void test_ends(void **state)
{
	command(0x20, SECTORS - 1, 2);
	assert_int_equal(status(), READY | 1);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 0x10);
	command(0x20, 0x0fffffff, 0);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 0x10);
	command(0x40, 0, 0); /* 256 sectors */
	assert_int_equal(status(), READY);
	command(0xf8, 0, 0);
	assert_int_equal(port_in(&bus, ATA_PORT + 3) | port_in(&bus, ATA_PORT + 4) << 8, SECTORS - 1);
	command(0x25, 0, 1); /* 48 bits: not here */
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 4);
}

static void test_cylinders(void **state)
{
	uint32_t words[128];

	port_out(&bus, ATA_PORT + 2, 1);
	port_out(&bus, ATA_PORT + 3, 4);
	port_out(&bus, ATA_PORT + 4, 0);
	port_out(&bus, ATA_PORT + 5, 0);
	port_out(&bus, ATA_PORT + 6, 0xa2);
	port_out(&bus, ATA_PORT + 7, 0x20);
	transfer(false, words, 1);
	assert_int_equal(words[0], 2 * 63 + 3);
	port_out(&bus, ATA_PORT + 3, 0); /* sectors count from 1 */
	port_out(&bus, ATA_PORT + 7, 0x20);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 0x10);
}

static void test_reset(void **state)
{
	command(0x30, 0, 1);
	port_out(&bus, ATA_PORT_CONTROL, 4);
	assert_int_equal(port_in(&bus, ATA_PORT_CONTROL), 0x80);
	port_out(&bus, ATA_PORT + 7, 0xec);
	port_out(&bus, ATA_PORT_CONTROL, 2);
	assert_int_equal(status(), READY);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 1);
	assert_int_equal(port_in(&bus, ATA_PORT + 2), 1);
	assert_int_equal(port_in(&bus, ATA_PORT + 3), 1);
	assert_int_equal(port_in(&bus, ATA_PORT + 4), 0);
	command(0xec, 0, 0); /* no interrupt is wanted */
	assert_false(line);
	port_out(&bus, ATA_PORT + 6, 0xb0); /* nobody */
	assert_int_equal(status(), 0);
	port_out(&bus, ATA_PORT + 7, 0xec);
	assert_int_equal(status(), 0);
}

static void test_readonly(void **state)
{
	uint32_t words[128] = {7};

	teardown(NULL);
	attach(&(struct disk_spec){.path = base, .readonly = true});
	command(0x30, 3, 1);
	transfer(true, words, 1);
	assert_int_equal(status(), READY | 0x21);
	assert_int_equal(port_in(&bus, ATA_PORT + 1), 4);
	assert_int_equal(on_file(base, 3 * DISK_SECTOR), 3);
}

/* The host has no room: the guest is told, and what is there stays. */
static void test_host_is_full(void **state)
{
	struct rlimit before, small = {.rlim_cur = 10 * DISK_SECTOR};
	uint32_t words[128] = {7};

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	command(0x30, 20, 1);
	transfer(true, words, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(status(), READY | 0x21);
	assert_int_equal(port_in(&bus, ATA_PORT + 3), 20);
	assert_int_equal(on_file(base, 20 * DISK_SECTOR), 20);
}

/* -------------------------------------------------------------------------------------------------------- files */

static void test_overlay(void **state)
{
	const struct disk_spec spec = {.path = base, .overlay = overlay};
	uint32_t words[128] = {0x77777777}, back[2 * 128];

	teardown(NULL);
	attach(&spec);
	command(0x30, 9, 1); /* in the middle of a cluster */
	transfer(true, words, 1);
	assert_int_equal(status(), READY);
	command(0x30, SECTORS - 1, 1);
	transfer(true, words, 1);
	teardown(NULL);
	assert_int_equal(on_file(base, 9 * DISK_SECTOR), 9);
	attach(&spec);
	command(0x20, 8, 2);
	transfer(false, back, 2);
	assert_int_equal(back[0], 8);
	assert_int_equal(back[128], 0x77777777);
	command(0x20, 16, 1);
	transfer(false, back, 1);
	assert_int_equal(back[0], 16);
	command(0x20, SECTORS - 1, 1);
	transfer(false, back, 1);
	assert_int_equal(back[0], 0x77777777);
}

/* Not flushed: as if it had not been written, when the machine is lost. */
static void test_overlay_without_flush(void **state)
{
	const struct disk_spec spec = {.path = base, .overlay = overlay};
	uint32_t words[128] = {0x77777777};
	char lost[128], command_line[300];

	teardown(NULL);
	attach(&spec);
	command(0x30, 9, 1);
	transfer(true, words, 1);
	snprintf(lost, sizeof(lost), "%s/lost", directory);
	snprintf(command_line, sizeof(command_line), "cp %s %s", overlay, lost);
	assert_int_equal(system(command_line), 0);
	teardown(NULL);
	attach(&(struct disk_spec){.path = base, .overlay = lost});
	command(0x20, 9, 1);
	transfer(false, words, 1);
	assert_int_equal(words[0], 9);
	unlink(lost);
}

static void test_foreign_overlays(void **state)
{
	const struct disk_spec spec = {.path = base, .overlay = overlay};
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	teardown(NULL);
	attach(&spec);
	teardown(NULL);
	assert_int_equal(utimensat(AT_FDCWD, base, times, 0), 0); /* the base was written to */
	assert_null(disk_open(&spec));
	int fd = open(overlay, O_WRONLY | O_TRUNC);
	assert_int_equal(write(fd, "something else", 14), 14);
	close(fd);
	assert_null(disk_open(&spec));
	assert_int_equal(truncate(overlay, 0), 0);
	attach(&spec);
	teardown(NULL);
	assert_int_equal(truncate(base, 0), 0);
	assert_null(disk_open(&(struct disk_spec){.path = base}));
	assert_null(disk_open(&(struct disk_spec){.path = directory}));
	assert_null(disk_open(&(struct disk_spec){.path = "/dev/null"}));
}

/* What is missing of the last sector reads as zeroes; a write to it makes the file whole. */
static void test_no_whole_sectors(void **state)
{
	uint8_t bytes[DISK_SECTOR];
	struct disk_file *disk;

	teardown(NULL);
	assert_int_equal(truncate(base, DISK_SECTOR), 0);
	int fd = open(base, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "last", 4), 4);
	close(fd);
	disk = disk_open(&(struct disk_spec){.path = base});
	assert_non_null(disk);
	assert_int_equal(disk_sectors(disk), 2);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(disk_read(disk, 1, bytes, 1), 0);
	assert_memory_equal(bytes, "last", 4);
	for (unsigned i = 4; i < sizeof(bytes); i++)
		assert_int_equal(bytes[i], 0);
	assert_int_equal(disk_write(disk, 1, bytes, 1), 0);
	disk_close(disk);
	disk = disk_open(&(struct disk_spec){.path = base, .readonly = true});
	assert_int_equal(disk_sectors(disk), 2);
	disk_close(disk);
}

static void test_locks(void **state)
{
	struct disk_file *reader;

	assert_null(disk_open(&(struct disk_spec){.path = base}));
	assert_null(disk_open(&(struct disk_spec){.path = base, .readonly = true}));
	teardown(NULL);
	reader = disk_open(&(struct disk_spec){.path = base, .readonly = true});
	assert_non_null(reader);
	assert_null(disk_open(&(struct disk_spec){.path = base}));
	attach(&(struct disk_spec){.path = base, .overlay = overlay});
	assert_null(disk_open(&(struct disk_spec){.path = base, .overlay = overlay}));
	disk_close(reader);
}

static int make_directory(void **state)
{
	signal(SIGXFSZ, SIG_IGN);
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	unlink(base);
	unlink(overlay);
	return rmdir(directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_identify),
		TEST(test_read),
		TEST(test_write),
		TEST(test_multiple),
		TEST(test_ends),
		TEST(test_cylinders),
		TEST(test_reset),
		TEST(test_readonly),
		TEST(test_host_is_full),
		TEST(test_overlay),
		TEST(test_overlay_without_flush),
		TEST(test_foreign_overlays),
		TEST(test_no_whole_sectors),
		TEST(test_locks),
	};

	return cmocka_run_group_tests_name("ata", tests, make_directory, remove_directory);
}

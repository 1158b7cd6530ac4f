/*
 * What PC firmware is given: its ROM and the state of the processor after reset, the display's BIOS, files and NVRAM,
 * and the port on which it tells what it does. Values: SDM 3A table 9-1, QEMU's docs/specs/fw_cfg, Ralf Brown's
 * CMOS.LST.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/boot/bios.h"
#include "monitor/boot/image.h"
#include "monitor/device/ata.h"
#include "monitor/device/bios_files.h"
#include "monitor/device/dsdt.h"
#include "monitor/device/firmware_log.h"
#include "monitor/device/fw_cfg.h"
#include "monitor/device/nvram.h"
#include "monitor/device/pci.h"
#include "monitor/device/rom.h"
#include "monitor/device/rtc.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"
#include "tests/unit/capture.h"

#define RAM	 (64u << 20)
#define ROM_SIZE 0x40000u

static struct vm vm;
static struct vm_config config;
static struct vcpu vcpu;
static char rom_path[64], vga_path[64];
static uint8_t bytes[ROM_SIZE + 1];

static void write_file(char *name, size_t size)
{
	int fd;

	strcpy(name, "/tmp/ring3-firmware-XXXXXX");
	fd = mkstemp(name);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static int setup(void **state)
{
	memset(&vcpu, 0xee, sizeof(vcpu));
	memset(vcpu.gpr, 0, sizeof(vcpu.gpr));
	config = (struct vm_config){.cmdline = "", .vcpus = 1, .bios = true, .kernel = rom_path};
	vm = (struct vm){.config = &config, .vcpu[0] = &vcpu, .vcpu_count = 1, .kind = MACHINE_PC};
	vcpu.vm = &vm;
	*rom_path = *vga_path = 0;
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	return gm_init(&vm.mem, RAM);
}

static int teardown(void **state)
{
	image_free(&vm);
	gm_free(&vm.mem);
	unlink(rom_path);
	if (*vga_path)
		unlink(vga_path);
	return 0;
}

static void refused(const char *fragment)
{
	struct capture c;
	int err;

	capture_start(&c, stderr);
	err = image_load(&vm);
	capture_end(&c);
	assert_int_equal(err, -ENOEXEC);
	assert_non_null(strstr(c.text, fragment));
}

static void fetch(uint64_t gpa, void *to, unsigned len)
{
	bus_fetch(&vm.bus, gpa, to, len);
}

/* ------------------------------------------------------------------------------------------------- ROM and processor
 */

static void test_reset(void **state)
{
	uint8_t shadow[0x20000];

	write_file(rom_path, ROM_SIZE);
	assert_int_equal(image_load(&vm), 0);
	assert_int_equal(image_machine(&vm), MACHINE_PC);
	assert_int_equal(bios_rom(&vm).size, ROM_SIZE);
	assert_memory_equal(bios_rom(&vm).data, bytes, ROM_SIZE);
	assert_null(bios_vga_rom(&vm).data);
	assert_int_equal(image_boot(&vm), 0);
	assert_int_equal(vcpu.rip, 0xfff0);
	assert_int_equal(vcpu.sreg[SREG_CS].selector, 0xf000);
	assert_int_equal(vcpu.sreg[SREG_CS].base, 0xffff0000);
	assert_int_equal(vcpu.sreg[SREG_CS].limit, 0xffff);
	assert_true(vcpu_is_8086(&vcpu) && vcpu_code_bits(&vcpu) == 16);
	for (unsigned i = 0; i < SREG_COUNT; i++)
		assert_true(i == SREG_CS || (!vcpu.sreg[i].base && !vcpu.sreg[i].selector));
	/* The last 128 KiB, below 1 MiB; and nothing in the BIOS's data area, which is the BIOS's to write. */
	assert_true(gm_read(&vm.mem, 0xe0000, shadow, sizeof(shadow)));
	assert_memory_equal(shadow, bytes + ROM_SIZE - sizeof(shadow), sizeof(shadow));
	assert_true(gm_read(&vm.mem, 0x400, shadow, 0x100));
	for (unsigned i = 0; i < 0x100; i++)
		assert_int_equal(shadow[i], 0);
}

static void test_refused(void **state)
{
	write_file(rom_path, ROM_SIZE + 1);
	refused("is no PC's firmware: its 262145 bytes are no multiple of 64 KiB");
}

static void test_vga(void **state)
{
	bytes[0] = 0x55;
	bytes[1] = 0xaa;
	write_file(rom_path, ROM_SIZE);
	write_file(vga_path, 1000);
	config.vga_rom = vga_path;
	assert_int_equal(image_load(&vm), 0);
	assert_int_equal(bios_vga_rom(&vm).size, 1000);
	assert_memory_equal(bios_vga_rom(&vm).data, bytes, 1000);
}

static void test_vga_refused(void **state)
{
	write_file(rom_path, ROM_SIZE);
	write_file(vga_path, 1000);
	config.vga_rom = vga_path;
	refused("begins with 55 aa");
	image_free(&vm);
	config.vga_rom = "/";
	refused("is no display's BIOS");
	image_free(&vm);
	config.vga_rom = "/nowhere/at/all";
	refused("cannot open");
}

/* Read and executed, at its end too, and never written; beside it is nothing. */
static void test_rom(void **state)
{
	struct rom rom;
	uint8_t back[16], ones[8];

	memset(ones, 0xff, sizeof(ones));
	rom_init(&rom, &vm.bus, PC_HOLE_END, bytes, ROM_SIZE);
	bus_read(&vm.bus, 0xfffffff0, back, 16);
	assert_memory_equal(back, bytes + ROM_SIZE - 16, 16);
	fetch(0xfffffff3, back, 13);
	assert_memory_equal(back, bytes + ROM_SIZE - 13, 13);
	fetch(0xfffffff8, back, 16);
	assert_memory_equal(back, bytes + ROM_SIZE - 8, 8);
	assert_memory_equal(back + 8, ones, 8);
	fetch(PC_HOLE_END - ROM_SIZE - 4, back, 8);
	assert_memory_equal(back, ones, 4);
	assert_memory_equal(back + 4, bytes, 4);
	memset(back, 0, sizeof(back));
	bus_write(&vm.bus, 0xfffffff0, back, 16);
	bus_read(&vm.bus, 0xfffffff0, back, 16);
	assert_memory_equal(back, bytes + ROM_SIZE - 16, 16);
}

static void access_device(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	*value = 0;
}

/* Instructions are fetched from no other device. */
static void test_fetch(void **state)
{
	uint8_t back[4] = {0};

	bus_map(&vm.bus, 0xfee00000, 0x1000, 4, access_device, NULL, "device");
	bus_read(&vm.bus, 0xfee00000, back, 4);
	assert_int_equal(back[0], 0);
	fetch(0xfee00000, back, 4);
	assert_int_equal(back[0], 0xff);
}

/* ------------------------------------------------------------------------------------------------------------- files
 */

static struct fw_cfg fw;
static struct bios_files files;

static void select_key(uint16_t key)
{
	uint32_t value = key;

	bus_io(&vm.bus, FW_CFG_PORT, 2, true, &value);
}

static uint64_t next(unsigned count, bool big)
{
	uint64_t result = 0;

	for (unsigned i = 0; i < count; i++) {
		uint32_t byte = 0;

		bus_io(&vm.bus, FW_CFG_PORT + 1, 1, false, &byte);
		result |= (uint64_t)(byte & 0xff) << 8 * (big ? count - 1 - i : i);
	}
	return result;
}

/* Key and size of a file by the directory; key 0: there is none. */
static uint16_t find_file(const char *name, uint32_t *size)
{
	uint64_t count;
	uint16_t key = 0;

	select_key(0x19);
	count = next(4, true);
	assert_true(count > 0 && count <= FW_CFG_FILES_MAX);
	for (uint64_t n = 0; n < count; n++) {
		uint32_t bytes_of = (uint32_t)next(4, true);
		uint16_t its_key = (uint16_t)next(2, true);
		char its_name[FW_CFG_NAME_MAX];

		next(2, true);
		for (unsigned i = 0; i < sizeof(its_name); i++)
			its_name[i] = (char)next(1, false);
		assert_int_equal(its_name[sizeof(its_name) - 1], 0);
		if (!strcmp(name, its_name)) {
			key = its_key;
			*size = bytes_of;
		}
	}
	assert_int_equal(next(8, false), 0);
	return key;
}

static void with_files(void)
{
	bytes[0] = 0x55;
	bytes[1] = 0xaa;
	write_file(rom_path, ROM_SIZE);
	write_file(vga_path, 512);
	config.vga_rom = vga_path;
	assert_int_equal(image_load(&vm), 0);
	fw_cfg_init(&fw, &vm.bus, vm.mem.ram, 1);
	bios_files_add(&files, &vm, &fw);
}

/* RAM, and what the tables take; they lie there, and the pointer says so. */
static void test_memory_map(void **state)
{
	uint32_t size = 0;
	uint8_t rsdp[ACPI_RSDP_BYTES], there[ACPI_RSDP_BYTES];

	with_files();
	select_key(find_file("etc/e820", &size));
	assert_int_equal(size, 40);
	assert_int_equal(next(8, false), 0);
	assert_int_equal(next(8, false), RAM - 0x10000);
	assert_int_equal(next(4, false), 1);
	assert_int_equal(next(8, false), RAM - 0x10000);
	assert_int_equal(next(8, false), 0x10000);
	assert_int_equal(next(4, false), 2);
	assert_int_equal(next(8, false), 0);
	select_key(find_file("etc/acpi/rsdp", &size));
	assert_int_equal(size, sizeof(rsdp));
	for (unsigned i = 0; i < sizeof(rsdp); i++)
		rsdp[i] = (uint8_t)next(1, false);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	gm_read(&vm.mem, RAM - 0x10000, there, sizeof(there));
	assert_memory_equal(rsdp, there, sizeof(rsdp));
	assert_true(rsdp[18] == 0xff && rsdp[19] == 0x03); /* the RSDT's address: 0x03ff.... */
}

/* Where the bytes are in the code; they are there. */
static size_t place_of(const uint8_t *code, size_t size, const void *wanted, size_t length)
{
	const uint8_t *at = memmem(code, size, wanted, length);

	assert_non_null(at);
	return (size_t)(at - code);
}

static unsigned package_length(const uint8_t *at)
{
	assert_int_equal(at[0] & 0xf0, 0x40);
	return (at[0] & 0xfu) | at[1] << 4;
}

/* ACPI 6.4: the root bridge decodes what is neither RAM nor the board's, and its slots' pins have lines. */
static void test_dsdt(void **state)
{
	static const uint8_t bridge[] = {'_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x0a, 0x03}; /* PNP0A03 */
	static const uint8_t clock[] = {0x47, 1, 0x70, 0, 0x70, 0, 1, 2, 0x22, 0x00, 0x01, 0x79, 0};
	static const uint8_t memory[] = {0x87, 23,   0,	   0,	 0x0c, 1, 0, 0, 0, 0, 0, 0,    0,
					 0x04, 0xff, 0xff, 0xbf, 0xfe, 0, 0, 0, 0, 0, 0, 0xc0, 0xfa};
	uint8_t code[DSDT_CODE_MAX];
	size_t size = dsdt_write(code, 0x04000000), at = place_of(code, size, "\\_SB_", 5);

	assert_in_range(size, 100, DSDT_CODE_MAX);
	/* The scope takes all that is behind the power-off state, the bridge all of the scope. */
	assert_int_equal(at - 2 + package_length(code + at - 2), size);
	at = place_of(code, size, "PCI0", 4);
	assert_int_equal(at - 2 + package_length(code + at - 2), size);
	place_of(code, size, bridge, sizeof(bridge));
	place_of(code, size, clock, sizeof(clock));
	place_of(code, size, memory, sizeof(memory));
	for (unsigned slot = 1; slot <= PCI_SLOTS_WIRED; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			uint8_t route[] = {4, 0x0c, 0xff, 0xff, (uint8_t)slot, 0, 0x0a, (uint8_t)pin, 0, 0x0a, 0};
			route[10] = (uint8_t)pci_line_of(slot, pin);
			assert_true(route[10] == 10 || route[10] == 11);
			place_of(code, size, route, sizeof(route));
		}
	}
}

static void test_loader(void **state)
{
	uint32_t size = 0;

	with_files();
	select_key(find_file("etc/table-loader", &size));
	assert_int_equal(size, 128);
	assert_int_equal(next(4, false), 1);
	for (const char *name = "etc/acpi/rsdp"; *name; name++)
		assert_int_equal(next(1, false), *name);
	for (size_t n = strlen("etc/acpi/rsdp"); n < 56; n++)
		assert_int_equal(next(1, false), 0);
	assert_int_equal(next(4, false), 16);
	assert_int_equal(next(1, false), 2);
	assert_int_equal(find_file("no such file", &size), 0);
}

static void test_display(void **state)
{
	uint32_t size = 0;

	with_files();
	select_key(find_file("vgaroms/vgabios.bin", &size));
	assert_int_equal(size, 512);
	for (unsigned i = 0; i < size; i++)
		assert_int_equal(next(1, false), bytes[i]);
	assert_int_equal(next(1, false), 0);
	select_key(find_file("etc/sercon-port", &size));
	assert_int_equal(size, 8);
	assert_int_equal(next(8, false), 0x3f8);
}

static void test_screen(void **state)
{
	uint32_t size = 0;

	config.screen = true;
	with_files();
	assert_int_equal(find_file("etc/sercon-port", &size), 0);
}

/* Nothing is plugged in: not busy, no drive, and what is written does not come back. */
static void test_empty_channel(void **state)
{
	ata_attach_empty(&vm.bus, ATA_PORT_2, ATA_PORT_2_CONTROL);
	for (uint16_t port = ATA_PORT_2; port < ATA_PORT_2 + 8; port++) {
		uint32_t value = 0x55;

		bus_io(&vm.bus, port, 1, true, &value);
		bus_io(&vm.bus, port, 1, false, &value);
		assert_int_equal(value, 0);
	}
}

/* ------------------------------------------------------------------------------------------------------------- NVRAM
 */

static struct rtc rtc;

static unsigned nvram(unsigned index, unsigned count)
{
	unsigned value = 0;

	for (unsigned i = 0; i < count; i++)
		value |= (unsigned)rtc.bytes[index + i] << 8 * i;
	return value;
}

static void test_nvram(void **state)
{
	unsigned sum = 0;

	memset(&rtc, 0, sizeof(rtc));
	nvram_fill(&rtc, &vm);
	assert_int_equal(nvram(0x15, 2), 640);
	assert_int_equal(nvram(0x17, 2), 63 << 10);
	assert_int_equal(nvram(0x30, 2), 63 << 10);
	assert_int_equal(nvram(0x34, 2), (RAM - (16u << 20)) >> 16);
	assert_int_equal(nvram(0x5b, 3), 0);
	assert_int_equal(nvram(0x5f, 1), 0);
	for (unsigned i = 0x10; i < 0x2e; i++)
		sum += rtc.bytes[i];
	assert_int_equal(rtc.bytes[0x2e] << 8 | rtc.bytes[0x2f], sum);
	assert_int_equal(nvram(0x10, 1), 0);
	assert_int_equal(nvram(0x14, 1), 0x02);
	assert_int_equal(nvram(0x3d, 1), 2);
	/* With a hole: 3 GiB below it, 1 GiB above. */
	vm.mem.hole_start = 0xc0000000;
	vm.mem.hole_end = 0x100000000;
	vm.mem.size = 0x140000000;
	nvram_fill(&rtc, &vm);
	assert_int_equal(nvram(0x30, 2), 63 << 10);
	assert_int_equal(nvram(0x34, 2), (0xc0000000 - (16u << 20)) >> 16);
	assert_int_equal(nvram(0x5b, 3), 0x4000);
	vm.mem.hole_start = vm.mem.hole_end = 0;
	vm.mem.size = RAM;
}

static unsigned boot_order_of(const char *order)
{
	config.boot_order = order;
	memset(&rtc, 0, sizeof(rtc));
	nvram_fill(&rtc, &vm);
	return nvram(0x3d, 1);
}

/* Drives by the lengths of their images, and what is booted first. */
static void test_nvram_floppies(void **state)
{
	char path[64];

	memset(bytes, 0, sizeof(bytes));
	write_file(path, 512);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(truncate(path, i ? 2880 << 10 : 720 << 10), 0);
		config.floppy_files[i] = disk_open(&(struct disk_spec){.path = path, .readonly = true});
		assert_non_null(config.floppy_files[i]);
		assert_int_equal(boot_order_of(NULL), 1);
		assert_int_equal(nvram(0x10, 1), i ? 0x35 : 0x30);
		assert_int_equal(nvram(0x14, 1), i ? 0x43 : 0x03);
	}
	config.disk_files[0] = config.floppy_files[0];
	assert_int_equal(boot_order_of(NULL), 0x12);
	assert_int_equal(boot_order_of("ac"), 0x21);
	assert_int_equal(boot_order_of("a"), 1);
	assert_int_equal(boot_order_of("c"), 2);
	for (unsigned i = 0; i < 2; i++)
		disk_close(config.floppy_files[i]);
	unlink(path);
}

/* --------------------------------------------------------------------------------------------------------------- log
 */

static struct firmware_log firmware;

static void say(const char *text)
{
	for (; *text; text++) {
		uint32_t value = (uint8_t)*text;

		bus_io(&vm.bus, FIRMWARE_LOG_PORT, 1, true, &value);
	}
}

static void told(unsigned lines, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	bool any = firmware_log_print(&firmware, lines, stream);

	fclose(stream);
	assert_string_equal(text, expected);
	assert_int_equal(any, *expected != 0);
	free(text);
}

static void test_log(void **state)
{
	uint32_t value = 0;

	firmware_log_init(&firmware, &vm.bus);
	bus_io(&vm.bus, FIRMWARE_LOG_PORT, 1, false, &value);
	assert_int_equal(value, 0xe9);
	told(5, "");
	say("one\ntwo\r\n\033[2J\n");
	told(5, "  one\n  two\n  .[2J\n");
	told(2, "  two\n  .[2J\n");
	say("unfinished");
	told(1, "  unfinished\n");
	say("\n");
	for (unsigned i = 0; i < 20000; i++)
		say("again\n");
	told(2, "  again\n  again\n");
	say("x");
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	assert_true(firmware_log_print(&firmware, UINT32_MAX, stream));
	fclose(stream);
	assert_in_range(size, FIRMWARE_LOG_BYTES, 2 * FIRMWARE_LOG_BYTES);
	free(text);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(dsdt),   T(reset), T(refused),	T(vga),		  T(vga_refused),
		T(rom),	   T(fetch), T(memory_map),	T(loader),	  T(display),
		T(screen), T(nvram), T(nvram_floppies), T(empty_channel), T(log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

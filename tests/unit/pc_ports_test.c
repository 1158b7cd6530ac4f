/*
 * The small parts of a PC: power management, the PCI host bridge, and the VGA's registers with what they show.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/acpi_pm.h"
#include "monitor/device/fw_cfg.h"
#include "monitor/device/pci.h"
#include "monitor/device/testdev.h"
#include "monitor/device/vga.h"

static struct bus bus;
static struct acpi_pm pm;
static struct pci pci;
static struct vga vga;
static struct fw_cfg fw;
static struct testdev testdev;
static unsigned line_up;
static uint64_t now;
static unsigned ends;

static uint8_t ram[0xc0000];

/* The door to guest memory, for this test's RAM. */
bool gm_read(const struct guest_mem *gm, uint64_t gpa, void *to, uint64_t len)
{
	if (gpa + len > sizeof(ram))
		return false;
	memcpy(to, ram + gpa, len);
	return true;
}

static uint64_t fake_clock(void)
{
	return now;
}

static void end(void *arg)
{
	ends++;
}

static void set_line(void *controller, unsigned number, bool level)
{
	line_up = level ? number : 0;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	now = ends = 0;
	memset(ram, 0, sizeof(ram));
	acpi_pm_init(&pm, &bus, fake_clock, end, NULL);
	pci_init(&pci, &bus, end, NULL);
	vga_init(&vga, &bus);
	fw_cfg_init(&fw, &bus, 0x12345000, 1);
	testdev_init(&testdev, &bus, (struct irq_line){.set = set_line});
	return 0;
}

static void out(uint16_t port, unsigned size, uint32_t value)
{
	bus_io(&bus, port, size, true, &value);
}

static uint32_t in(uint16_t port, unsigned size)
{
	uint32_t value = 0;

	bus_io(&bus, port, size, false, &value);
	return size == 4 ? value : value & ((1u << 8 * size) - 1);
}

/* ----------------------------------------------------------------------------------------------- power management */

static void test_power_off(void **state)
{
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_CONTROL, 2) & 1, 1);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 5 << 10);
	assert_int_equal(ends, 0);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 1 << 13 | 3 << 10); /* a state that is not there */
	assert_int_equal(ends, 0);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 1 << 13 | 5 << 10);
	assert_int_equal(ends, 1);
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_CONTROL, 2), 5 << 10 | 1);
}

static void test_pm_timer(void **state)
{
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_TIMER, 4), 0);
	now = 1000000000;
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_TIMER, 4), 3579545);
	now = 5000000000; /* 24 bits turn over after 4.69 s */
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_TIMER, 4), 5 * 3579545 - (1 << 24));
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_TIMER + 1, 1), (5 * 3579545 - (1 << 24)) >> 8 & 0xff);
}

static void test_pm_events(void **state)
{
	out(ACPI_PM_BASE + 2, 2, 0x121);
	assert_int_equal(in(ACPI_PM_BASE + 2, 2), 0x121);
	assert_int_equal(in(ACPI_PM_BASE, 4), 0x121 << 16);
	assert_int_equal(in(ACPI_PM_BASE + 3, 1), 1);
	out(ACPI_PM_BASE, 2, 0xffff);
	assert_int_equal(in(ACPI_PM_BASE, 2), 0);
}

/* ------------------------------------------------------------------------------------------------------------- PCI */

static uint32_t config(uint32_t address)
{
	out(X86_PORT_PCI, 4, 0x80000000 | address);
	return in(X86_PORT_PCI + 4, 4);
}

static void test_pci(void **state)
{
	assert_int_equal(config(0), 0x12378086);
	assert_int_equal(in(X86_PORT_PCI + 6, 2), 0x1237);
	assert_int_equal(in(X86_PORT_PCI + 5, 1), 0x80);
	assert_int_equal(config(8) >> 16, 0x0600);
	assert_int_equal(config(0x0c) >> 16 & 0x7f, 0);
	for (uint32_t function = 1; function < 0x10000; function++)
		assert_int_equal(config(function << 8), UINT32_MAX);
	assert_int_equal(in(X86_PORT_PCI, 4), 0x80ffff00);
	out(X86_PORT_PCI, 4, 0);
	assert_int_equal(in(X86_PORT_PCI + 4, 4), UINT32_MAX);
}

static void test_pci_reset(void **state)
{
	out(PCI_RESET_PORT, 1, 2);
	assert_int_equal(ends, 0);
	assert_int_equal(in(PCI_RESET_PORT, 1), 2);
	out(PCI_RESET_PORT, 1, PCI_RESET_VALUE);
	assert_int_equal(ends, 1);
}

/* ------------------------------------------------------------------------------------------------------------- VGA */

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
	print_at(80 * 2 + 3, "third\x01\xff ");
	shows("  |first\n\n  |   third..\n");
	/* Scrolled by a line, as drivers do it. */
	crtc(12, 0);
	crtc(13, 80);
	shows("  |   third..\n");
	print_at(80 * 25 + 79, "!");
	crtc(12, 0xff);
	crtc(13, 0xff);
	vga_print(&vga, NULL, stderr);
}

static void test_cursor(void **state)
{
	assert_int_equal(vga_cursor(&vga), -1);
	crtc(10, 14);
	crtc(14, 1);
	crtc(15, 4);
	assert_int_equal(vga_cursor(&vga), 260);
	crtc(13, 80);
	assert_int_equal(vga_cursor(&vga), 180);
	crtc(14, 0xff);
	assert_int_equal(vga_cursor(&vga), -1);
	out(0x3d4, 2, 0x3c0a); /* index and datum in one */
	assert_int_equal(in(0x3d5, 1), 0x3c);
}

static void test_attribute(void **state)
{
	in(0x3da, 1);
	out(0x3c0, 1, 0x10);
	out(0x3c0, 1, 0x0c);
	in(0x3da, 1);
	out(0x3c0, 1, 0x10);
	assert_int_equal(in(0x3c1, 1), 0x0c);
	assert_int_not_equal(in(0x3da, 1) & 8, in(0x3da, 1) & 8);
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
	}
	vga_cursor(&vga);
}

/* ------------------------------------------------------------------------------------------------- for test kernels */

static uint64_t item(uint16_t key, unsigned bytes)
{
	uint64_t value = 0;

	out(FW_CFG_PORT, 2, key);
	for (unsigned n = 0; n < bytes; n++)
		value |= (uint64_t)in(FW_CFG_PORT + 1, 1) << 8 * n;
	return value;
}

static void test_fw_cfg(void **state)
{
	assert_int_equal(item(0, 4), 0x554d4551); /* QEMU */
	assert_int_equal(in(FW_CFG_PORT + 1, 1), 0);
	assert_int_equal(item(1, 4), 1);
	assert_int_equal(item(3, 8), 0x12345000);
	assert_int_equal(item(5, 2), 1);
	assert_int_equal(item(15, 2), 1);
	assert_int_equal(item(0x19, 4), 0);
	assert_int_equal(item(0xffff, 8), 0);
}

static void test_testdev(void **state)
{
	uint8_t bytes[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, back[16];

	out(TESTDEV_PORT, 4, 0x44332211);
	out(TESTDEV_PORT + 1, 1, 0x99);
	assert_int_equal(in(TESTDEV_PORT, 4), 0x44339911);
	assert_int_equal(in(TESTDEV_PORT + 2, 2), 0x4433);
	out(TESTDEV_LINES + 9, 1, 1);
	assert_int_equal(line_up, 9);
	out(TESTDEV_LINES + 9, 1, 0);
	assert_int_equal(line_up, 0);
	bus_write(&bus, TESTDEV_MEMORY + 3, bytes, sizeof(bytes));
	bus_read(&bus, TESTDEV_MEMORY + 3, back, sizeof(back));
	assert_memory_equal(bytes, back, sizeof(back));
	bus_write(&bus, TESTDEV_MEMORY + TESTDEV_BYTES - 1, bytes, sizeof(bytes)); /* over the end */
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(power_off), T(pm_timer),  T(pm_events),      T(pci),	  T(pci_reset), T(screen),
		T(cursor),    T(attribute), T(every_register), T(fw_cfg), T(testdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

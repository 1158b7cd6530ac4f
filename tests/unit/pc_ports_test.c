/*
 * The small parts of a PC: power management, the PCI host bridge, and what test kernels look for.
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
#include "monitor/vm/layout.h"
#include "tests/unit/ports.h"

static struct bus bus;
static struct acpi_pm pm;
static struct pci pci;
static struct fw_cfg fw;
static struct testdev testdev;
static unsigned line_up;
static uint64_t now;
static unsigned ends;

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
	acpi_pm_init(&pm, &bus, fake_clock, end, NULL);
	pci_init(&pci, &bus, end, NULL);
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
	return port_in_sized(&bus, port, size);
}

/* ----------------------------------------------------------------------------------------------- power management */

static void test_power_off(void **state)
{
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_CONTROL, 2) & 1, 1);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 2 << 10);
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_CONTROL, 2), 2 << 10 | 1);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 0); /* the type alone */
	assert_int_equal(ends, 0);
	out(ACPI_PM_BASE + ACPI_PM_CONTROL, 2, 1 << 13 | 3 << 10); /* a state that is not there */
	assert_int_equal(ends, 0);
	out(0x604, 2, 0x2000); /* as kernels know it that read no tables */
	assert_int_equal(ends, 1);
	assert_int_equal(in(ACPI_PM_BASE + ACPI_PM_CONTROL, 2), 1);
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

/* What is identity stays, what is storage is kept: the bridge's attributes of memory, command and interrupt line. */
static void test_pci_writes(void **state)
{
	assert_int_equal(config(0x2c), 0x11001af4);
	out(X86_PORT_PCI + 4, 4, UINT32_MAX);
	assert_int_equal(config(0x2c), 0x11001af4);
	config(4);
	out(X86_PORT_PCI + 4, 4, UINT32_MAX);
	assert_int_equal(config(4), 7);
	config(0x58);
	out(X86_PORT_PCI + 5, 1, 0xff);
	assert_int_equal(config(0x58), 0x3300);
	out(X86_PORT_PCI + 6, 2, 0x1221);
	assert_int_equal(config(0x58), 0x12213300);
	config(0x10);
	out(X86_PORT_PCI + 4, 4, UINT32_MAX);
	assert_int_equal(config(0x10), 0);
}

static void test_pci_piix3(void **state)
{
	pci_add_piix3(&pci);
	assert_int_equal(config(0x0800), 0x70008086);
	assert_int_equal(config(0x0808) >> 16, 0x0601);
	assert_int_equal(config(0x080c) >> 16 & 0xff, 0x80);
	assert_int_equal(config(0x0900), 0x70108086);
	assert_int_equal(config(0x0908), 0x01010000);
	assert_int_equal(config(0x0940), 0x80008000);
	for (uint32_t bar = 0x10; bar < 0x28; bar += 4)
		assert_int_equal(config(0x0900 | bar), 0);
	config(0x0860);
	out(X86_PORT_PCI + 4, 4, 0x0b0b0a0a);
	assert_int_equal(config(0x0860), 0x0b0b0a0a);
	assert_int_equal(config(0x0a00), UINT32_MAX);
	/* Power management: its ports are on, where the FADT has them, and stay there; the SMBus has none. */
	assert_int_equal(config(0x0b00), 0x71138086);
	assert_int_equal(config(0x0b08), 0x06800003);
	assert_int_equal(config(0x0b3c), ACPI_PM_SCI | 0x100);
	assert_int_equal(config(0x0b80), 1);
	assert_int_equal(config(0x0b90) | config(0x0bd0), 0);
	assert_int_equal(config(0x0b40), ACPI_PM_BASE | 1);
	out(X86_PORT_PCI + 4, 4, 0xb001);
	assert_int_equal(config(0x0b40), ACPI_PM_BASE | 1);
	assert_int_equal(config(0x10800), UINT32_MAX);
}

/* Drivers learn where its memory is and how large, and cannot have it elsewhere, whichever bytes they write. */
static void test_pci_display(void **state)
{
	assert_int_equal(config(0x1000), UINT32_MAX);
	pci_add_display(&pci);
	assert_int_equal(config(0x1000), 0x11111234);
	assert_int_equal(config(0x1008), 0x03000000);
	assert_int_equal(config(0x1004), 3);
	assert_int_equal(config(0x1010), PC_VIDEO | 8);
	out(X86_PORT_PCI + 4, 4, UINT32_MAX);
	assert_int_equal(-(config(0x1010) & ~0xfu), PC_VIDEO_BYTES);
	out(X86_PORT_PCI + 4, 4, 0xfd000000);
	assert_int_equal(config(0x1010), PC_VIDEO | 8);
	out(X86_PORT_PCI + 7, 1, 0x10);
	assert_int_equal(config(0x1010), PC_VIDEO | 8);
	for (uint32_t bar = 0x14; bar < 0x34; bar += 4) {
		config(0x1000 | bar);
		out(X86_PORT_PCI + 4, 4, UINT32_MAX);
		assert_int_equal(config(0x1000 | bar), 0);
	}
	/* Others' registers at that place are nothing. */
	config(0x10);
	out(X86_PORT_PCI + 4, 4, 0);
	assert_int_equal(config(0x10), 0);
}

static void test_pci_reset(void **state)
{
	out(PCI_RESET_PORT, 1, 2);
	assert_int_equal(ends, 0);
	assert_int_equal(in(PCI_RESET_PORT, 1), 2);
	out(PCI_RESET_PORT, 1, PCI_RESET_VALUE);
	assert_int_equal(ends, 1);
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
		T(power_off),  T(pm_timer),  T(pm_events),   T(pci),	T(pci_reset),
		T(pci_writes), T(pci_piix3), T(pci_display), T(fw_cfg), T(testdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

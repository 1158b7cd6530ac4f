/*
 * Byte code is appended; a package's length, which stands before it, is filled in at its end, in two bytes always.
 */
#include "monitor/device/dsdt.h"

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/acpi_pm.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/pci.h"
#include "monitor/vm/layout.h"

/* ACPI 6.4, 20.3 */
enum {
	OP_ZERO = 0x00,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_DWORD = 0x0c,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_ROOT = 0x5c, /* '\' */
	OP_EXTENDED = 0x5b,
	OP_EX_DEVICE = 0x82,
};
#define LENGTH_TWO_BYTES 0x40 /* 20.2.4: how many follow the first byte, whose low nibble is the length's */

/* Resource descriptors: 6.4.2, 6.4.3 */
enum {
	IRQ_OF_TWO_BYTES = 0x22,
	PORTS = 0x47, /* 6.4.2.5 */
	END_TAG = 0x79,
	DWORD_SPACE = 0x87,
	WORD_SPACE = 0x88,
};
#define PORTS_16_BITS	  1
#define SPACE_MEMORY	  0
#define SPACE_PORTS	  1
#define SPACE_BUSES	  2
#define SPACE_PRODUCED	  0x0c /* for the bus behind it; both ends are fixed */
#define MEMORY_READ_WRITE 1
#define PORTS_WHOLE_RANGE 3

#define VGA_START 0xa0000u
#define VGA_END	  0xbffffu

struct aml {
	uint8_t *code;
	size_t used;
};

static void put(struct aml *aml, const void *bytes, size_t count)
{
	if (count > DSDT_CODE_MAX - aml->used)
		abort();
	memcpy(aml->code + aml->used, bytes, count);
	aml->used += count;
}

static void put_number(struct aml *aml, uint32_t value, unsigned bytes)
{
	put(aml, &value, bytes);
}

static void put_byte(struct aml *aml, unsigned value)
{
	put_number(aml, value, 1);
}

/* The place of the length of what begins now. */
static size_t open(struct aml *aml)
{
	put_number(aml, 0, 2);
	return aml->used - 2;
}

static void close(struct aml *aml, size_t at)
{
	size_t length = aml->used - at;

	aml->code[at] = (uint8_t)(LENGTH_TWO_BYTES | (length & 0xf));
	aml->code[at + 1] = (uint8_t)(length >> 4);
}

static void put_name(struct aml *aml, const char name[4])
{
	put_byte(aml, OP_NAME);
	put(aml, name, 4);
}

static void put_dword(struct aml *aml, uint32_t value)
{
	put_byte(aml, OP_DWORD);
	put_number(aml, value, 4);
}

/* Three letters of five bits and four hexadecimal digits, the highest byte first: 6.1.5 */
static uint32_t eisa_id(const char id[7])
{
	uint32_t letters = (uint32_t)(id[0] - '@') << 10 | (uint32_t)(id[1] - '@') << 5 | (uint32_t)(id[2] - '@');

	return __builtin_bswap32(letters << 16 | (uint32_t)strtoul(id + 3, NULL, 16));
}

static size_t open_device(struct aml *aml, const char name[4], const char id[7])
{
	put_byte(aml, OP_EXTENDED);
	put_byte(aml, OP_EX_DEVICE);
	size_t at = open(aml);
	put(aml, name, 4);
	put_name(aml, "_HID");
	put_dword(aml, eisa_id(id));
	return at;
}

/* ------------------------------------------------------------------------------------------------------ resources */

struct resources {
	size_t package, size;
};

static struct resources open_resources(struct aml *aml)
{
	struct resources r;

	put_name(aml, "_CRS");
	put_byte(aml, OP_BUFFER);
	r.package = open(aml);
	put_byte(aml, OP_BYTE + 1); /* a word: the buffer's size */
	r.size = aml->used;
	put_number(aml, 0, 2);
	return r;
}

static void close_resources(struct aml *aml, struct resources r)
{
	put_byte(aml, END_TAG);
	put_byte(aml, 0); /* no checksum */
	size_t size = aml->used - r.size - 2;
	aml->code[r.size] = (uint8_t)size;
	aml->code[r.size + 1] = (uint8_t)(size >> 8);
	close(aml, r.package);
}

static void put_ports(struct aml *aml, uint16_t first, uint8_t count)
{
	put_byte(aml, PORTS);
	put_byte(aml, PORTS_16_BITS);
	put_number(aml, first, 2);
	put_number(aml, first, 2);
	put_byte(aml, 1); /* alignment */
	put_byte(aml, count);
}

static void put_irq(struct aml *aml, unsigned line)
{
	put_byte(aml, IRQ_OF_TWO_BYTES);
	put_number(aml, 1u << line, 2);
}

/* An address space descriptor with numbers of `width` bytes: granularity, range, translation, length. */
static void put_space(struct aml *aml, unsigned width, unsigned type, unsigned flags, uint32_t first, uint32_t last)
{
	put_byte(aml, width == 4 ? DWORD_SPACE : WORD_SPACE);
	put_number(aml, 3 + 5 * width, 2);
	put_byte(aml, type);
	put_byte(aml, SPACE_PRODUCED);
	put_byte(aml, flags);
	put_number(aml, 0, width);
	put_number(aml, first, width);
	put_number(aml, last, width);
	put_number(aml, 0, width);
	put_number(aml, last - first + 1, width);
}

/* -------------------------------------------------------------------------------------------------------- devices */

/* A device of the board: ports in one or two ranges, and a line. */
struct board_device {
	const char *name, *id;
	struct {
		uint16_t first;
		uint8_t count;
	} ports[2];
	int line; /* -1: none */
};

static const struct board_device board[] = {
	{"RTC_", "PNP0B00", {{X86_PORT_RTC, 2}}, 8},
	{"KBD_", "PNP0303", {{X86_PORT_KBD_DATA, 1}, {X86_PORT_KBD_COMMAND, 1}}, 1},
	{"MOU_", "PNP0F13", {{0}}, 12},
	{"COM1", "PNP0501", {{X86_PORT_COM1, 8}}, 4},
	{"PMIO", "PNP0C02", {{ACPI_PM_BASE, ACPI_PM_PORTS}}, -1},
};

static void put_board_device(struct aml *aml, const struct board_device *device)
{
	size_t at = open_device(aml, device->name, device->id);
	struct resources r = open_resources(aml);

	for (unsigned i = 0; i < 2 && device->ports[i].count; i++)
		put_ports(aml, device->ports[i].first, device->ports[i].count);
	if (device->line >= 0)
		put_irq(aml, (unsigned)device->line);
	close_resources(aml, r);
	close(aml, at);
}

/* What the bridge has itself, and what it passes on. */
static void put_bridge_resources(struct aml *aml, uint32_t memory)
{
	struct resources r = open_resources(aml);

	put_space(aml, 2, SPACE_BUSES, 0, 0, 0);
	put_ports(aml, X86_PORT_PCI, 8);
	put_space(aml, 2, SPACE_PORTS, PORTS_WHOLE_RANGE, 0, X86_PORT_PCI - 1);
	put_space(aml, 2, SPACE_PORTS, PORTS_WHOLE_RANGE, X86_PORT_PCI + 8, 0xffff);
	put_space(aml, 4, SPACE_MEMORY, MEMORY_READ_WRITE, VGA_START, VGA_END);
	put_space(aml, 4, SPACE_MEMORY, MEMORY_READ_WRITE, memory, IOAPIC_BASE - 1);
	close_resources(aml, r);
}

/* 6.2.13: for each slot and pin a line, which is the same number at the 8259s and at the I/O APIC. */
static void put_routes(struct aml *aml)
{
	put_name(aml, "_PRT");
	put_byte(aml, OP_PACKAGE);
	size_t at = open(aml);
	put_byte(aml, PCI_SLOTS_WIRED * PCI_PINS);
	for (unsigned slot = 1; slot <= PCI_SLOTS_WIRED; slot++) {
		for (unsigned pin = 0; pin < PCI_PINS; pin++) {
			put_byte(aml, OP_PACKAGE);
			size_t entry = open(aml);
			put_byte(aml, 4);
			put_dword(aml, slot << 16 | 0xffff); /* all its functions */
			put_byte(aml, OP_BYTE);
			put_byte(aml, pin);
			put_byte(aml, OP_ZERO);
			put_byte(aml, OP_BYTE);
			put_byte(aml, pci_line_of(slot, pin));
			close(aml, entry);
		}
	}
	close(aml, at);
}

static void put_bridge(struct aml *aml, uint32_t memory)
{
	size_t at = open_device(aml, "PCI0", "PNP0A03");

	put_name(aml, "_ADR");
	put_byte(aml, OP_ZERO);
	put_bridge_resources(aml, memory);
	put_routes(aml);
	for (unsigned i = 0; i < sizeof(board) / sizeof(board[0]); i++)
		put_board_device(aml, &board[i]);
	close(aml, at);
}

/* Name (\_S5, Package () {0, 0, 0, 0}): what the sleep register takes to switch off. */
static void put_power_off(struct aml *aml)
{
	put_name(aml, "_S5_");
	put_byte(aml, OP_PACKAGE);
	size_t at = open(aml);
	put_byte(aml, 4);
	put_byte(aml, OP_BYTE);
	put_byte(aml, ACPI_PM_SLEEP_S5);
	put_number(aml, 0, 3);
	close(aml, at);
}

size_t dsdt_write(uint8_t code[DSDT_CODE_MAX], uint32_t memory)
{
	struct aml aml = {.code = code};

	put_power_off(&aml);
	put_byte(&aml, OP_SCOPE);
	size_t at = open(&aml);
	put_byte(&aml, OP_ROOT);
	put(&aml, "_SB_", 4);
	put_bridge(&aml, memory);
	close(&aml, at);
	return aml.used;
}

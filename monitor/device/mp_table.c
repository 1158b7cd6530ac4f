/*
 * The MultiProcessor table (Intel's MultiProcessor Specification 1.4, chapter 4): one processor, one bus, one I/O APIC
 * and what its pins are connected to. And of the BIOS's data area what tells where base memory ends, which is where the
 * table is searched for.
 */
#include "monitor/device/mp_table.h"

#include "monitor/device/firmware.h"

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/acpi_tables.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/lapic.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

#define POINTER 0xf0000u
#define TABLE	0xf0010u

#define BDA_EBDA_SEGMENT 0x40e
#define BDA_MEMORY_KIB	 0x413

struct pointer {
	char signature[4];
	uint32_t table;
	uint8_t length, revision, checksum; /* length in 16 bytes */
	uint8_t features[5];
} __attribute__((packed));
#define REVISION 4

struct processor {
	uint8_t type, id, version, flags;
	uint32_t model, features, reserved[2];
} __attribute__((packed));
#define PROCESSOR	0
#define PROCESSOR_FIRST 3 /* enabled, and the one that starts */

struct isa {
	uint8_t type, id;
	char name[6];
} __attribute__((packed));
#define BUS 1

struct io {
	uint8_t type, id, version, enabled;
	uint32_t address;
} __attribute__((packed));
#define IO	   2
#define IO_VERSION 0x11

struct interrupt {
	uint8_t type, kind;
	uint16_t flags;
	uint8_t bus, line, apic, pin;
} __attribute__((packed));
#define INTERRUPT	3
#define INTERRUPT_LOCAL 4
#define KIND_INT	0
#define KIND_NMI	1
#define KIND_EXTINT	3
#define LOCAL_ALL	0xff
#define ISA_LINES	16
#define CASCADE		2

struct table {
	char signature[4];
	uint16_t length;
	uint8_t revision, checksum;
	char oem[8], product[12];
	uint32_t oem_table;
	uint16_t oem_size, entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum, reserved;
	struct processor processor;
	struct isa isa;
	struct io io;
	struct interrupt interrupt[ISA_LINES + 2];
} __attribute__((packed));
_Static_assert(offsetof(struct table, processor) == 44, "header of the MultiProcessor specification");

static struct processor first_processor(const struct vm *vm)
{
	struct cpuid_query query = {.leaf = 1, .count = 1};
	uint32_t answer[CPUID_REGISTERS];

	cpu_cpuid(&vm->cpu, &query, answer);
	return (struct processor){.type = PROCESSOR,
				  .version = LAPIC_VERSION,
				  .flags = PROCESSOR_FIRST,
				  .model = answer[CPUID_EAX] & 0xfff,
				  .features = answer[CPUID_EDX]};
}

/* All lines of the ISA bus, then what the processor's own pins get. */
static unsigned connect(struct interrupt *to)
{
	unsigned count = 0;

	for (uint8_t line = 0; line < ISA_LINES; line++) {
		if (line == CASCADE)
			continue;
		to[count++] = (struct interrupt){.type = INTERRUPT,
						 .kind = KIND_INT,
						 .line = line,
						 .apic = IOAPIC_ID,
						 .pin = line == ACPI_IRQ_PIT ? ACPI_PIN_PIT : line};
	}
	to[count++] = (struct interrupt){INTERRUPT_LOCAL, KIND_EXTINT, 0, 0, 0, LOCAL_ALL, 0};
	to[count++] = (struct interrupt){INTERRUPT_LOCAL, KIND_NMI, 0, 0, 0, LOCAL_ALL, 1};
	return count;
}

static void put_data_area(struct vm *vm)
{
	uint16_t segment = PC_LOW_END >> 4, memory = PC_LOW_END >> 10;
	uint8_t extended_kib = 1;

	firmware_put(vm, BDA_EBDA_SEGMENT, &segment, sizeof(segment));
	firmware_put(vm, BDA_MEMORY_KIB, &memory, sizeof(memory));
	firmware_put(vm, PC_LOW_END, &extended_kib, sizeof(extended_kib));
}

void mp_put_table(struct vm *vm)
{
	struct table table = {
		.signature = "PCMP",
		.revision = REVISION,
		.oem = "RING3   ",
		.product = "RING3PC     ",
		.lapic = X86_APIC_BASE_RESET,
		.processor = first_processor(vm),
		.isa = {BUS, 0, "ISA   "},
		.io = {IO, IOAPIC_ID, IO_VERSION, 1, IOAPIC_BASE},
	};
	struct pointer pointer = {.signature = "_MP_", .table = TABLE, .length = 1, .revision = REVISION};
	unsigned interrupts = connect(table.interrupt);
	size_t length = offsetof(struct table, interrupt) + interrupts * sizeof(table.interrupt[0]);

	table.length = (uint16_t)length;
	table.entries = (uint16_t)(3 + interrupts);
	table.checksum = firmware_checksum(&table, length);
	pointer.checksum = firmware_checksum(&pointer, sizeof(pointer));
	firmware_put(vm, TABLE, &table, length);
	firmware_put(vm, POINTER, &pointer, sizeof(pointer));
	put_data_area(vm);
}

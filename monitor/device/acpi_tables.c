/*
 * ACPI tables (ACPI 6.4 chapter 5): RSDP, RSDT and XSDT, FADT, FACS, MADT, HPET, and around the DSDT's byte code. What
 * has no table is found by probing, as on the PCs before ACPI.
 */
#include "monitor/device/acpi_tables.h"

#include "monitor/device/firmware.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/device/acpi_pm.h"
#include "monitor/device/dsdt.h"
#include "monitor/device/hpet.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/pci.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/* Where each table lies, from the root pointer on. */
#define XSDT 0x40u
#define FADT 0x100u
#define FACS 0x240u
#define MADT 0x300u
#define HPET 0x380u
#define RSDT 0x400u
#define DSDT 0x440u

struct rsdp {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));
#define RSDP_V1_SIZE 20

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Generic address structure: 5.2.3.2 */
struct address {
	uint8_t space, bits, offset, access;
	uint64_t address;
} __attribute__((packed));
#define SPACE_IO 1

/* What the root tables lead to. */
static const uint32_t tables[] = {FADT, MADT, HPET};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

struct xsdt {
	struct header header;
	uint64_t entry[TABLES];
} __attribute__((packed));

struct rsdt {
	struct header header;
	uint32_t entry[TABLES];
} __attribute__((packed));

struct fadt {
	struct header header;
	uint32_t facs, dsdt;
	uint8_t model, profile;
	uint16_t sci;
	uint32_t smi_command;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_event, pm1b_event, pm1a_control, pm1b_control, pm2_control, pm_timer, gpe0, gpe1;
	uint8_t pm1_event_len, pm1_control_len, pm2_control_len, pm_timer_len, gpe0_len, gpe1_len, gpe1_base, cst;
	uint16_t c2_latency, c3_latency, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t boot_flags;
	uint8_t reserved;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct address x_pm1a_event, x_pm1b_event, x_pm1a_control, x_pm1b_control, x_pm2_control, x_pm_timer, x_gpe0,
		x_gpe1, sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(sizeof(struct fadt) == 276, "FADT of ACPI 6");

#define FADT_WBINVD	  0x0001
#define FADT_NO_POWER_KEY 0x0010 /* the fixed power and sleep buttons are not there */
#define FADT_NO_SLEEP_KEY 0x0020
#define FADT_RESET	  0x0400
#define BOOT_LEGACY	  0x0001 /* devices that are found by probing */
#define BOOT_8042	  0x0002
#define NO_C2		  101 /* a latency that says: not to be used */
#define NO_C3		  1001
#define CMOS_CENTURY	  0x32

struct facs {
	char signature[4];
	uint32_t length, hardware, waking, lock, flags;
	uint64_t x_waking;
	uint8_t version, reserved[31];
} __attribute__((packed));

struct dsdt {
	struct header header;
	uint8_t code[DSDT_CODE_MAX];
} __attribute__((packed));
_Static_assert(DSDT + sizeof(struct dsdt) <= ACPI_TABLES_BYTES, "the tables are as large as they say");

/* Interrupt controllers: 5.2.12 */
struct madt {
	struct header header;
	uint32_t lapic, flags;
	struct {
		uint8_t type, length, processor, id;
		uint32_t flags;
	} __attribute__((packed)) processor;
	struct {
		uint8_t type, length, id, reserved;
		uint32_t address, first;
	} __attribute__((packed)) ioapic;
	struct {
		uint8_t type, length, bus, line;
		uint32_t pin;
		uint16_t flags;
	} __attribute__((packed)) override[2];
	struct {
		uint8_t type, length, processor;
		uint16_t flags;
		uint8_t lint;
	} __attribute__((packed)) nmi;
} __attribute__((packed));
#define MADT_HAS_8259	   1
#define MADT_LAPIC	   0
#define MADT_IOAPIC	   1
#define MADT_OVERRIDE	   2
#define MADT_NMI	   4
#define PROCESSOR_ENABLED  1
#define PROCESSORS_ALL	   0xff
#define INT_AS_BUS	   0
#define INT_LEVEL_AND_HIGH 0xd

/* IA-PC HPET specification 3.2.4 */
struct hpet_table {
	struct header header;
	uint32_t id;
	struct address address;
	uint8_t number;
	uint16_t shortest; /* period, in counts */
	uint8_t protection;
} __attribute__((packed));
#define SPACE_MEMORY  0
#define HPET_SHORTEST 128

/* Completes the header of a table and puts it. */
static void put_table(struct vm *vm, uint32_t gpa, struct header *header, const char *signature, uint8_t revision,
		      size_t length)
{
	memcpy(header->signature, signature, sizeof(header->signature));
	memcpy(header->oem, "RING3 ", sizeof(header->oem));
	memcpy(header->oem_table, "RING3PC ", sizeof(header->oem_table));
	memcpy(header->creator, "RNG3", sizeof(header->creator));
	header->length = (uint32_t)length;
	header->revision = revision;
	header->oem_revision = header->creator_revision = 1;
	header->checksum = 0;
	header->checksum = firmware_checksum(header, length);
	firmware_put(vm, gpa, header, length);
}

static struct address port(uint16_t first, uint8_t bytes)
{
	return (struct address){
		.space = SPACE_IO, .bits = (uint8_t)(8 * bytes), .access = bytes == 4 ? 3 : bytes, .address = first};
}

static void put_fadt(struct vm *vm, uint32_t root)
{
	struct fadt fadt = {
		.facs = root + FACS, /* here alone: 5.2.9 */
		.dsdt = root + DSDT,
		.sci = ACPI_PM_SCI,
		.pm1a_event = ACPI_PM_BASE,
		.pm1a_control = ACPI_PM_BASE + ACPI_PM_CONTROL,
		.pm_timer = ACPI_PM_BASE + ACPI_PM_TIMER,
		.pm1_event_len = 4,
		.pm1_control_len = 2,
		.pm_timer_len = 4,
		.c2_latency = NO_C2,
		.c3_latency = NO_C3,
		.century = CMOS_CENTURY,
		.boot_flags = BOOT_LEGACY | BOOT_8042,
		.flags = FADT_WBINVD | FADT_NO_POWER_KEY | FADT_NO_SLEEP_KEY | FADT_RESET,
		.reset = port(PCI_RESET_PORT, 1),
		.reset_value = PCI_RESET_VALUE,
		.minor = 4,
		.x_dsdt = root + DSDT,
		.x_pm1a_event = port(ACPI_PM_BASE, 4),
		.x_pm1a_control = port(ACPI_PM_BASE + ACPI_PM_CONTROL, 2),
		.x_pm_timer = port(ACPI_PM_BASE + ACPI_PM_TIMER, 4),
	};

	put_table(vm, root + FADT, &fadt.header, "FACP", 6, sizeof(fadt));
}

static void put_madt(struct vm *vm, uint32_t root)
{
	struct madt madt = {
		.lapic = X86_APIC_BASE_RESET,
		.flags = MADT_HAS_8259,
		.processor = {MADT_LAPIC, sizeof(madt.processor), 0, 0, PROCESSOR_ENABLED},
		.ioapic = {MADT_IOAPIC, sizeof(madt.ioapic), IOAPIC_ID, 0, IOAPIC_BASE, 0},
		.override = {{MADT_OVERRIDE, sizeof(madt.override[0]), 0, ACPI_IRQ_PIT, ACPI_PIN_PIT, INT_AS_BUS},
			     {MADT_OVERRIDE, sizeof(madt.override[0]), 0, ACPI_PM_SCI, ACPI_PM_SCI,
			      INT_LEVEL_AND_HIGH}},
		.nmi = {MADT_NMI, sizeof(madt.nmi), PROCESSORS_ALL, INT_AS_BUS, 1},
	};

	put_table(vm, root + MADT, &madt.header, "APIC", 4, sizeof(madt));
}

static void put_hpet(struct vm *vm, uint32_t root)
{
	struct hpet_table hpet = {
		.id = HPET_CAPABILITIES,
		.address = {.space = SPACE_MEMORY, .bits = 64, .address = HPET_BASE},
		.shortest = HPET_SHORTEST,
	};

	put_table(vm, root + HPET, &hpet.header, "HPET", 1, sizeof(hpet));
}

static void put_roots(struct vm *vm, uint32_t root)
{
	struct xsdt xsdt;
	struct rsdt rsdt;

	for (unsigned n = 0; n < TABLES; n++)
		xsdt.entry[n] = rsdt.entry[n] = root + tables[n];
	put_table(vm, root + XSDT, &xsdt.header, "XSDT", 1, sizeof(xsdt));
	put_table(vm, root + RSDT, &rsdt.header, "RSDT", 1, sizeof(rsdt));
}

static void put_rsdp(struct vm *vm, uint32_t root)
{
	struct rsdp rsdp = {.revision = 2, .rsdt = root + RSDT, .length = sizeof(rsdp), .xsdt = root + XSDT};

	memcpy(rsdp.signature, "RSD PTR ", sizeof(rsdp.signature));
	memcpy(rsdp.oem, "RING3 ", sizeof(rsdp.oem));
	rsdp.checksum = firmware_checksum(&rsdp, RSDP_V1_SIZE);
	rsdp.extended_checksum = firmware_checksum(&rsdp, sizeof(rsdp));
	firmware_put(vm, root, &rsdp, sizeof(rsdp));
}

void acpi_put_tables(struct vm *vm, uint32_t root)
{
	struct facs facs = {.length = sizeof(facs), .version = 2};
	struct dsdt dsdt = {0};

	memcpy(facs.signature, "FACS", sizeof(facs.signature));
	firmware_put(vm, root + FACS, &facs, sizeof(facs));
	size_t code = dsdt_write(dsdt.code, (uint32_t)gm_low_end(&vm->mem));
	put_table(vm, root + DSDT, &dsdt.header, "DSDT", 2, offsetof(struct dsdt, code) + code);
	put_fadt(vm, root);
	put_madt(vm, root);
	put_hpet(vm, root);
	put_roots(vm, root);
	put_rsdp(vm, root);
}

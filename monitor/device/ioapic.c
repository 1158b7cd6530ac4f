/*
 * The 82093AA I/O APIC (Intel's data sheet): an index and a data register, behind them identity, version and the
 * redirection table.
 */
#include "monitor/device/ioapic.h"

#define SELECT 0x00
#define WINDOW 0x10

#define REG_ID		0
#define REG_VERSION	1
#define REG_ARBITRATION 2
#define REG_TABLE	0x10

#define ID_BITS	 0x0f000000u
#define VERSION	 (0x11u | (IOAPIC_PINS - 1) << 16)
#define WRITABLE 0xff0000000001afffull /* an entry's bits but delivery status and remote IRR */

static bool is_level(uint64_t entry)
{
	return entry & APIC_LEVEL;
}

/* The pin asks: an edge came, or its level is up. */
static void request(struct ioapic *io, unsigned pin)
{
	uint64_t entry = io->entry[pin];
	struct apic_message message = {
		.destination = (uint32_t)(entry >> 56),
		.logical = entry & APIC_LOGICAL,
		.level = is_level(entry),
		.mode = APIC_MODE(entry),
		.vector = entry & APIC_VECTOR,
	};

	if ((entry & APIC_MASKED) || (is_level(entry) && (entry & APIC_REMOTE_IRR)))
		return;
	if (io->send(io->arg, &message) && is_level(entry))
		io->entry[pin] |= APIC_REMOTE_IRR;
}

/* After whatever may let a level through that was held back. */
static void look_at(struct ioapic *io, unsigned pin)
{
	if (is_level(io->entry[pin]) && (io->lines >> pin & 1))
		request(io, pin);
}

void ioapic_set_line(void *controller, unsigned line, bool level)
{
	struct ioapic *io = controller;
	bool rises = level && !(io->lines >> line & 1);

	io->lines = level ? io->lines | 1u << line : io->lines & ~(1u << line);
	/* An edge at a masked pin is lost. */
	if (level && (rises || is_level(io->entry[line])))
		request(io, line);
}

void ioapic_eoi(void *controller, uint8_t vector)
{
	struct ioapic *io = controller;

	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		if (!is_level(io->entry[pin]) || (io->entry[pin] & APIC_VECTOR) != vector)
			continue;
		io->entry[pin] &= ~(uint64_t)APIC_REMOTE_IRR;
		look_at(io, pin);
	}
}

unsigned ioapic_pin_of(const struct ioapic *io, uint8_t vector)
{
	unsigned pin = 0;

	while (pin < IOAPIC_PINS && ((io->entry[pin] & APIC_MASKED) || (io->entry[pin] & APIC_VECTOR) != vector))
		pin++;
	return pin;
}

bool ioapic_passes_8259(const struct ioapic *io)
{
	return !(io->entry[0] & APIC_MASKED) && APIC_MODE(io->entry[0]) == APIC_EXTINT;
}

/* ----------------------------------------------------------------------------------------------------- registers */

static uint32_t read_register(const struct ioapic *io)
{
	unsigned n = io->select - REG_TABLE;

	switch (io->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return io->id;
	case REG_VERSION:
		return VERSION;
	default:
		return n / 2 < IOAPIC_PINS ? (uint32_t)(io->entry[n / 2] >> 32 * (n & 1)) : 0;
	}
}

static void write_register(struct ioapic *io, uint32_t value)
{
	unsigned n = io->select - REG_TABLE;

	if (io->select == REG_ID) {
		io->id = value & ID_BITS;
	} else if (n / 2 < IOAPIC_PINS) {
		uint64_t *entry = &io->entry[n / 2], half = (uint64_t)UINT32_MAX << 32 * (n & 1);

		*entry = (*entry & ~(WRITABLE & half)) | ((uint64_t)value << 32 * (n & 1) & WRITABLE);
		/* What the end of a level-triggered interrupt would clear is meaningless on an edge. */
		if (!is_level(*entry))
			*entry &= ~(uint64_t)APIC_REMOTE_IRR;
		look_at(io, n / 2);
	}
}

static void access_ioapic(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	struct ioapic *io = device;
	uint32_t whole = (offset & ~3u) == SELECT ? io->select : (offset & ~3u) == WINDOW ? read_register(io) : 0;

	if (!write)
		*value = whole >> 8 * (offset & 3);
	else if (offset == SELECT)
		io->select = (uint8_t)*value;
	else if (offset == WINDOW && size == 4)
		write_register(io, (uint32_t)*value);
}

void ioapic_init(struct ioapic *io, struct bus *bus, bool (*send)(void *arg, const struct apic_message *message),
		 void *arg)
{
	*io = (struct ioapic){.id = IOAPIC_ID << 24, .send = send, .arg = arg};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->entry[pin] = APIC_MASKED;
	bus_map(bus, IOAPIC_BASE, 0x20, 4, access_ioapic, io, "ioapic");
}

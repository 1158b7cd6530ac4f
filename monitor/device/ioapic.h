/*
 * The I/O APIC of a PC: 24 pins, each of which sends what its redirection entry says to the local APIC.
 */
#ifndef MONITOR_DEVICE_IOAPIC_H
#define MONITOR_DEVICE_IOAPIC_H

#include "monitor/device/apic.h"
#include "monitor/vm/bus.h"

#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_PINS 24
#define IOAPIC_ID   0

struct ioapic {
	uint32_t id; /* as its register shows it */
	uint8_t select;
	uint32_t lines; /* levels of the pins */
	uint64_t entry[IOAPIC_PINS];
	/* False: no processor took it. */
	bool (*send)(void *arg, const struct apic_message *message);
	void *arg;
};

void ioapic_init(struct ioapic *io, struct bus *bus, bool (*send)(void *arg, const struct apic_message *message),
		 void *arg);
/* Drives pin `line`. Fits struct irq_line. */
void ioapic_set_line(void *io, unsigned line, bool level);
/* The local APIC ended a level-triggered interrupt. */
void ioapic_eoi(void *io, uint8_t vector);
/* The pin that raises the vector; IOAPIC_PINS: none does. */
unsigned ioapic_pin_of(const struct ioapic *io, uint8_t vector);
/* Pin 0, which the 8259 hangs on, lets its interrupts through. */
bool ioapic_passes_8259(const struct ioapic *io);

#endif

/*
 * The PCI bus of a PC: configuration mechanism 1, the host bridge and, where firmware or disks want them, the bridge to
 * ISA with its IDE controller and power management; the display, if it has memory of its own; and the reset register
 * that lies among the ports.
 */
#ifndef MONITOR_DEVICE_PCI_H
#define MONITOR_DEVICE_PCI_H

#include <stdint.h>

#include "monitor/vm/bus.h"

#define PCI_RESET_PORT	0xcf9
#define PCI_RESET_VALUE 6 /* CPU reset, hard */

#define PCI_PINS	4 /* INTA to INTD */
#define PCI_SLOTS_WIRED 4 /* from slot 1 on */

#define PCI_FUNCTIONS_MAX 5
#define PCI_CONFIG_BYTES  256

struct pci_function {
	uint16_t at; /* bus, device, function, as the address register has them */
	uint8_t config[PCI_CONFIG_BYTES], writable[PCI_CONFIG_BYTES];
};

struct pci {
	uint32_t address;
	uint8_t reset; /* as last written */
	struct pci_function function[PCI_FUNCTIONS_MAX];
	unsigned functions;
	void (*reset_line)(void *arg);
	void *arg;
};

/* The ISA line that a slot's pin is wired to, once firmware has set the bridge up as it does. */
unsigned pci_line_of(unsigned slot, unsigned pin);

/* With the host bridge alone. */
void pci_init(struct pci *pci, struct bus *bus, void (*reset)(void *arg), void *arg);
/* Adds the PIIX3: its bridge to ISA, and its IDE controller, whose channels are where they are without PCI; and a
 * PIIX4's power management, whose ports are so too. */
void pci_add_piix3(struct pci *pci);
/* Adds the display with memory at PC_VIDEO. Its registers are where they are without PCI. */
void pci_add_display(struct pci *pci);

#endif

/*
 * The PCI host bridge of a PC: configuration mechanism 1, and the reset register that lies among its ports.
 */
#ifndef MONITOR_DEVICE_PCI_H
#define MONITOR_DEVICE_PCI_H

#include <stdint.h>

#include "monitor/vm/bus.h"

#define PCI_RESET_PORT	0xcf9
#define PCI_RESET_VALUE 6 /* CPU reset, hard */

struct pci {
	uint32_t address;
	uint8_t reset; /* as last written */
	void (*reset_line)(void *arg);
	void *arg;
};

void pci_init(struct pci *pci, struct bus *bus, void (*reset)(void *arg), void *arg);

#endif

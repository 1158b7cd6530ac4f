/*
 * Ports 0xcf8 to 0xcff (PCI Local Bus 3.0, 3.2.2.3.2): bus 0 with a host bridge at 0.0 and nothing else. Functions that
 * are not there read as all ones.
 */
#include "monitor/device/pci.h"

#include "hypercalls/x86.h"

#define ADDRESS_ENABLE	    0x80000000u
#define ADDRESS_FUNCTION(a) ((a) >> 8 & 0xffff)
#define ADDRESS_REGISTER(a) ((a)&0xfc)
#define ADDRESS_WRITABLE    0x80fffffcu
#define DATA		    4 /* offset of the data port */
#define RESET		    1
#define RESET_CPU	    4

/* Intel's 440FX, which every operating system knows: identity and class are all that there is to it. */
#define BRIDGE_ID    0x12378086u
#define BRIDGE_CLASS 0x06000002u

static uint32_t read_register(uint32_t address)
{
	if (!(address & ADDRESS_ENABLE) || ADDRESS_FUNCTION(address))
		return UINT32_MAX;
	switch (ADDRESS_REGISTER(address)) {
	case 0x00:
		return BRIDGE_ID;
	case 0x08:
		return BRIDGE_CLASS;
	default:
		return 0;
	}
}

static void access_pci(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct pci *pci = device;

	if (offset >= DATA) {
		if (!write)
			*value = read_register(pci->address) >> 8 * (offset - DATA);
	} else if (size == 4 && write) {
		pci->address = *value & ADDRESS_WRITABLE;
	} else if (size == 4) {
		*value = pci->address;
	} else if (offset == RESET && size == 1 && write) {
		pci->reset = (uint8_t)*value;
		if (pci->reset & RESET_CPU)
			pci->reset_line(pci->arg);
	} else if (!write) {
		*value = offset == RESET ? pci->reset : UINT32_MAX;
	}
}

void pci_init(struct pci *pci, struct bus *bus, void (*reset)(void *arg), void *arg)
{
	*pci = (struct pci){.reset_line = reset, .arg = arg};
	bus_register(bus, X86_PORT_PCI, 8, 4, access_pci, pci, "pci");
}

/*
 * Ports 0xcf8 to 0xcff (PCI Local Bus 3.0, 3.2.2.3.2): bus 0 with an Intel 440FX as its host bridge, and a PIIX3 (their
 * data sheets). Functions that are not there read as all ones. Configuration registers are storage: the bridge's
 * shadowing of ROM has no effect, RAM lies below 1 MiB whatever they say.
 */
#include "monitor/device/pci.h"

#include <stdlib.h>
#include <string.h>

#include "hypercalls/x86.h"
#include "monitor/device/acpi_pm.h"
#include "monitor/vm/layout.h"

#define ADDRESS_ENABLE	    0x80000000u
#define ADDRESS_FUNCTION(a) ((a) >> 8 & 0xffff)
#define ADDRESS_REGISTER(a) ((a)&0xfc)
#define ADDRESS_WRITABLE    0x80fffffcu
#define DATA		    4 /* offset of the data port */
#define RESET		    1
#define RESET_CPU	    4

/* Type 0 headers: PCI Local Bus 3.0, 6.1 */
enum {
	VENDOR = 0x00,
	COMMAND = 0x04,
	REVISION = 0x08, /* and the class above it */
	HEADER_TYPE = 0x0e,
	BASE_ADDRESS = 0x10, /* the first of six */
	SUBSYSTEM = 0x2c,
	INTERRUPT_LINE = 0x3c,
	INTERRUPT_PIN = 0x3d,
};
#define COMMAND_SPACES	  0x07 /* ports, memory, bus master */
#define COMMAND_ANSWERS	  0x03 /* at ports and in memory */
#define BASE_PREFETCHABLE 0x08
#define MULTIFUNCTION	  0x80

#define BRIDGE	       0x12378086u
#define BRIDGE_CLASS   0x06000002u
#define BRIDGE_MACHINE 0x11001af4u /* a virtual one, by which firmware knows that there is fw_cfg */
#define BRIDGE_PAM     0x59	   /* attributes of the memory from 0xc0000 to 1 MiB */
#define BRIDGE_SMRAM   0x72

#define PIIX3_AT	  0x08 /* device 1 */
#define PIIX3_ISA	  0x70008086u
#define PIIX3_ISA_CLASS	  0x06010000u
#define PIIX3_ROUTES	  0x60 /* of the four interrupts of PCI */
#define PIIX3_IDE	  0x70108086u
#define PIIX3_IDE_CLASS	  0x01010000u /* both channels where they always were, no bus master */
#define PIIX3_TIMING	  0x40
#define PIIX3_CHANNELS_ON 0x80008000u /* as firmware has them: drivers leave alone what is off */

/* The power management of a PIIX4, as boards had it with a PIIX3 when there was ACPI. Its ports stay where the FADT has
 * them, and there are none of its SMBus. */
#define PIIX4_PM	 0x71138086u
#define PIIX4_PM_CLASS	 0x06800003u /* revision 3: the PM timer reads as it should */
#define PIIX4_BASE	 0x40
#define PIIX4_BASE_IO	 1
#define PIIX4_APM_SMI	 0x5b /* an APM command is an SMI: that SMM is set up already, of which there is none, */
#define PIIX4_APM_SMI_ON 0x02 /* so that firmware does not wait for it */
#define PIIX4_PORTS	 0x80
#define PIIX4_PORTS_ON	 1

/* As Bochs and QEMU have theirs. Revision 0: no registers in memory. */
#define DISPLAY_AT    0x10 /* device 2 */
#define DISPLAY	      0x11111234u
#define DISPLAY_CLASS 0x03000000u
/* Of its base address the highest byte can be written; all ones ask which bits can be. */
#define DISPLAY_HOME  (PC_VIDEO / PC_VIDEO_BYTES)
#define DISPLAY_ASKED 0xff
_Static_assert(PC_VIDEO_BYTES == 1 << 24 && PC_VIDEO % PC_VIDEO_BYTES == 0, "one byte of the address");

/* Of the four interrupts of PCI. */
static const uint8_t piix3_lines[PCI_PINS] = {10, 10, 11, 11};

static struct pci_function *find(struct pci *pci)
{
	for (unsigned i = 0; i < pci->functions; i++)
		if (pci->address & ADDRESS_ENABLE && ADDRESS_FUNCTION(pci->address) == pci->function[i].at)
			return &pci->function[i];
	return NULL;
}

/* The display's memory stays where it is, for it is guest RAM to all the rest: another base address is not taken. */
static void stay(struct pci_function *function)
{
	uint8_t *highest = &function->config[BASE_ADDRESS + 3];

	if (function->at == DISPLAY_AT && *highest != DISPLAY_ASKED)
		*highest = DISPLAY_HOME;
}

/* Within one register of four bytes. */
static void access_config(struct pci *pci, unsigned byte, unsigned size, bool write, uint32_t *value)
{
	struct pci_function *function = find(pci);
	unsigned first = ADDRESS_REGISTER(pci->address) + byte;

	if (!write)
		*value = function ? 0 : UINT32_MAX;
	for (unsigned i = 0; function && i < size; i++) {
		uint8_t *config = &function->config[first + i], mask = function->writable[first + i];

		if (write)
			*config = (uint8_t)((*config & ~mask) | (*value >> 8 * i & mask));
		else
			*value |= (uint32_t)*config << 8 * i;
	}
	if (function && write)
		stay(function);
}

static void access_pci(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct pci *pci = device;

	if (offset >= DATA) {
		access_config(pci, offset - DATA, size, write, value);
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

/* ------------------------------------------------------------------------------------------------------- functions */

static void set(struct pci_function *function, unsigned first, uint32_t value)
{
	for (unsigned i = 0; i < sizeof(value); i++)
		function->config[first + i] = (uint8_t)(value >> 8 * i);
}

static void permit(struct pci_function *function, unsigned first, unsigned bytes, uint8_t mask)
{
	for (unsigned i = 0; i < bytes; i++)
		function->writable[first + i] = mask;
}

static struct pci_function *add(struct pci *pci, uint16_t at, uint32_t identity, uint32_t class)
{
	struct pci_function *function = &pci->function[pci->functions];

	if (pci->functions++ == PCI_FUNCTIONS_MAX)
		abort();
	*function = (struct pci_function){.at = at};
	set(function, VENDOR, identity);
	set(function, REVISION, class);
	permit(function, COMMAND, 1, COMMAND_SPACES);
	permit(function, INTERRUPT_LINE, 1, UINT8_MAX);
	return function;
}

/* From slot to slot a pin goes to the next of the bridge's four inputs. */
unsigned pci_line_of(unsigned slot, unsigned pin)
{
	return piix3_lines[(slot - 1 + pin) % PCI_PINS];
}

void pci_add_piix3(struct pci *pci)
{
	struct pci_function *isa = add(pci, PIIX3_AT, PIIX3_ISA, PIIX3_ISA_CLASS), *ide, *pm;

	isa->config[HEADER_TYPE] = MULTIFUNCTION;
	memcpy(isa->config + PIIX3_ROUTES, piix3_lines, sizeof(piix3_lines));
	permit(isa, PIIX3_ROUTES, 4, UINT8_MAX);
	ide = add(pci, PIIX3_AT + 1, PIIX3_IDE, PIIX3_IDE_CLASS);
	permit(ide, PIIX3_TIMING, 4, UINT8_MAX);
	set(ide, PIIX3_TIMING, PIIX3_CHANNELS_ON);
	pm = add(pci, PIIX3_AT + 3, PIIX4_PM, PIIX4_PM_CLASS);
	set(pm, PIIX4_BASE, ACPI_PM_BASE | PIIX4_BASE_IO);
	pm->config[INTERRUPT_LINE] = ACPI_PM_SCI;
	pm->config[INTERRUPT_PIN] = 1;
	pm->config[PIIX4_APM_SMI] = PIIX4_APM_SMI_ON;
	pm->config[PIIX4_PORTS] = PIIX4_PORTS_ON;
}

void pci_add_display(struct pci *pci)
{
	struct pci_function *display = add(pci, DISPLAY_AT, DISPLAY, DISPLAY_CLASS);

	display->config[COMMAND] = COMMAND_ANSWERS;
	set(display, BASE_ADDRESS, PC_VIDEO | BASE_PREFETCHABLE);
	permit(display, BASE_ADDRESS + 3, 1, UINT8_MAX);
}

void pci_init(struct pci *pci, struct bus *bus, void (*reset)(void *arg), void *arg)
{
	struct pci_function *bridge;

	*pci = (struct pci){.reset_line = reset, .arg = arg};
	bridge = add(pci, 0, BRIDGE, BRIDGE_CLASS);
	set(bridge, SUBSYSTEM, BRIDGE_MACHINE);
	permit(bridge, BRIDGE_PAM, 7, 0x33);
	permit(bridge, BRIDGE_SMRAM, 1, 0x7f);
	bus_register(bus, X86_PORT_PCI, 8, 4, access_pci, pci, "pci");
}

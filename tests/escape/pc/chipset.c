/*
 * The display, power management, PCI, and what firmware is told.
 */
#include "tests/escape/pc/pc.h"

#define VBE_INDEX  0x1ce
#define VBE_DATUM  0x1d0
#define VBE_MEMORY 0xe0000000
#define VBE_BYTES  0x1000000
#define VBE_PIXEL  0x123456
#define PM_BASE	   0x600
#define PM_SLEEP   0x2000
#define FW_CFG	   0x510
#define CRTC	   0x3d4
#define PCI_ENABLE 0x80000000u

static void set_vga(void)
{
	outb(0x3c2, 0x67);  /* registers where colour displays have them */
	outw(CRTC, 0x0011); /* none are protected */
	outw(CRTC, 0x120e);
	outw(CRTC, 0x340f);
}

static uint64_t look_at_vga(void)
{
	uint64_t sum;

	outb(CRTC, 0x0e);
	sum = inb(CRTC + 1);
	outb(CRTC, 0x0f);
	return sum << 16 | inb(CRTC + 1) << 8 | inb(0x3cc);
}

static void attack_vga(void)
{
	attack_range(X86_PORT_VGA, 0x20);
	attack_range(0x3b0, 0x10);
}

static void write_vbe(uint16_t index, uint16_t value)
{
	outw(VBE_INDEX, index);
	outw(VBE_DATUM, value);
}

static void set_vbe(void)
{
	static const uint16_t values[] = {0xb0c5, 640, 480, 32};

	write_vbe(4, 0);
	for (uint16_t n = 0; n < sizeof(values) / sizeof(values[0]); n++)
		write_vbe(n, values[n]);
	write_vbe(4, 0x81);
	*(volatile uint32_t *)VBE_MEMORY = *(volatile uint32_t *)(VBE_MEMORY + VBE_BYTES - 4) = VBE_PIXEL;
}

static uint64_t look_at_vbe(void)
{
	uint64_t sum = *(volatile uint32_t *)VBE_MEMORY + *(volatile uint32_t *)(VBE_MEMORY + VBE_BYTES - 4);

	for (uint16_t n = 0; n < 16; n++) {
		outw(VBE_INDEX, n);
		sum = mix(sum, inw(VBE_DATUM));
	}
	return sum;
}

/* Pictures that are larger than the memory, and what lies at its ends. */
static void attack_vbe(void)
{
	for (unsigned n = 0; n < 300; n++) {
		uint64_t at = VBE_MEMORY + (below(2) ? VBE_BYTES : 0) + below(16) * 4 - 32;

		write_vbe((uint16_t)(below(8) ? below(12) : luck()), (uint16_t)(below(4) ? luck() : 0x41));
		if (luck() & 1)
			__asm__ volatile(TRY("mov %0, (%1)") : : "r"(luck()), "r"(at) : "memory");
		else
			__asm__ volatile(TRY("mov (%0), %%rax") : : "r"(at) : "rax", "memory");
	}
	attack_range(VBE_INDEX, 4);
}

/* --------------------------------------------------------------------------------- power management, PCI, firmware */

static void set_pm(void)
{
	outw(PM_BASE, 0xffff);
	outw(PM_BASE + 2, 0x0120);
	outw(PM_BASE + 4, 1);
}

static uint64_t look_at_pm(void)
{
	uint32_t first = inl(PM_BASE + 8);
	uint64_t in_range = !(first >> 24);

	return (uint64_t)inw(PM_BASE) << 32 | (uint64_t)inw(PM_BASE + 2) << 16 | inw(PM_BASE + 4) | in_range << 48;
}

/* All but switching off. */
static void attack_pm(void)
{
	for (unsigned n = 0; n < 300; n++) {
		uint16_t offset = (uint16_t)below(12);
		uint32_t value =
			(uint32_t)any_value() & ~(uint32_t)(PM_SLEEP | PM_SLEEP << 16 | PM_SLEEP >> 8 | PM_SLEEP << 8);

		if (luck() & 1)
			any_access(PM_BASE + offset, false, 0);
		else if (offset & 1)
			outb(PM_BASE + offset, (uint8_t)value);
		else
			below(2) ? outw(PM_BASE + offset, (uint16_t)value) : outl(PM_BASE + offset, value);
	}
}

static uint32_t read_pci(uint32_t address)
{
	outl(X86_PORT_PCI, address | PCI_ENABLE);
	return inl(X86_PORT_PCI + 4);
}

static void set_pci(void)
{
	outl(X86_PORT_PCI, PCI_ENABLE | 0x3c);
	outb(X86_PORT_PCI + 4, 0x0b);
}

static uint64_t look_at_pci(void)
{
	uint64_t sum = 0;

	for (uint32_t function = 0; function < 0x1000; function += 0x100)
		sum = mix(mix(sum, read_pci(function)), read_pci(function | 8));
	return sum;
}

static void attack_pci(void)
{
	for (unsigned n = 0; n < 300; n++) {
		outl(X86_PORT_PCI, (uint32_t)(below(4) ? PCI_ENABLE | below(0x1000) : luck()));
		any_access((uint16_t)(X86_PORT_PCI + 4 + below(4)), luck() & 1, (uint32_t)any_value());
		any_access((uint16_t)(X86_PORT_PCI + below(8)), false, 0);
	}
}

static uint64_t look_at_fw_cfg(void)
{
	uint64_t sum = 0;

	outw(FW_CFG, 0);
	for (unsigned n = 0; n < 6; n++)
		sum = sum << 8 | inb(FW_CFG + 1);
	return sum;
}

/* Items and files that there are not, and what lies behind the end of those that there are. */
static void attack_fw_cfg(void)
{
	for (unsigned n = 0; n < 60; n++) {
		outw(FW_CFG, (uint16_t)(below(4) ? below(0x40) : luck()));
		strings(FW_CFG + 1, 1, false, below(3000));
		any_access((uint16_t)(FW_CFG + below(2)), luck() & 1, (uint32_t)any_value());
	}
}

const struct device chipset_devices[] = {
	{"VGA", set_vga, look_at_vga, attack_vga},	     {"frame buffer", set_vbe, look_at_vbe, attack_vbe},
	{"power management", set_pm, look_at_pm, attack_pm}, {"PCI", set_pci, look_at_pci, attack_pci},
	{"fw_cfg", NULL, look_at_fw_cfg, attack_fw_cfg},     {0},
};

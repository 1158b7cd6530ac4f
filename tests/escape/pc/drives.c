/*
 * Disk, CD and floppy with its DMA: commands that there are and that there are not, sectors that are nowhere, transfers
 * that are begun and not ended, or to memory that is none.
 */
#include "tests/escape/pc/pc.h"

#define ATA	      0x1f0
#define ATA_CONTROL   0x3f6
#define ATAPI	      0x170
#define ATAPI_CONTROL 0x376
#define RESET	      4
#define SILENT	      2
#define IDENTIFY      0xec
#define IDENTIFY_CD   0xa1
#define WORDS	      256
#define MODEL	      27 /* words of the answer: the drive's name */
#define MODEL_END     47
#define FIFO	      (X86_PORT_FLOPPY + 5)
#define FIFO_STATUS   (X86_PORT_FLOPPY + 4)
#define FIFO_CONTROL  (X86_PORT_FLOPPY + 2)
#define POLLS	      32

static void set_drive(uint16_t base, uint16_t control)
{
	outb(control, RESET | SILENT);
	outb(control, SILENT);
	outb(base + 6, 0xa0);
}

static uint64_t look_at_drive(uint16_t base, uint8_t command)
{
	uint64_t sum = 0;

	outb(base + 6, 0xa0);
	outb(base + 7, command);
	for (unsigned n = 0; n < WORDS; n++) {
		uint16_t word = inw(base);

		if (n >= MODEL && n < MODEL_END)
			sum = mix(sum, word);
	}
	return mix(sum, inb(base + 7));
}

static void set_disk(void)
{
	set_drive(ATA, ATA_CONTROL);
}

static uint64_t look_at_disk(void)
{
	return look_at_drive(ATA, IDENTIFY);
}

static void attack_disk(void)
{
	static const uint8_t codes[] = {0x20, 0x21, 0x30, 0x31, 0x40, 0xc4, 0xc5,
					0xc6, 0xec, 0xe7, 0xf8, 0x91, 0xef, 0x90};

	for (unsigned n = 0; n < 80; n++) {
		for (unsigned reg = 1; reg < 7; reg++)
			if (below(3))
				outb((uint16_t)(ATA + reg), (uint8_t)(below(3) ? below(8) : luck()));
		outb(ATA + 7, (uint8_t)(below(8) ? codes[below(sizeof(codes))] : luck()));
		strings(ATA, 1u << below(3), luck() & 1, below(4) ? below(600) : below(5000));
		any_access((uint16_t)(ATA + below(8)), false, 0);
		if (!below(8))
			outb(ATA_CONTROL, (uint8_t)luck());
		if (!below(16))
			open_window();
	}
}

static void set_cd(void)
{
	set_drive(ATAPI, ATAPI_CONTROL);
	outb(ATAPI + 7, 0x08); /* DEVICE RESET */
}

static uint64_t look_at_cd(void)
{
	return look_at_drive(ATAPI, IDENTIFY_CD);
}

/* A packet that is mostly one the drive knows, and some of its answer. */
static void attack_cd(void)
{
	static const uint8_t codes[] = {0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x2b, 0x43,
					0x46, 0x4a, 0x51, 0x5a, 0xa8, 0xbb, 0xbd, 0xbe};

	for (unsigned n = 0; n < 80; n++) {
		for (unsigned reg = 1; reg < 6; reg++)
			outb((uint16_t)(ATAPI + reg), (uint8_t)(below(2) ? luck() : 0));
		outb(ATAPI + 7, (uint8_t)(below(8) ? 0xa0 : luck()));
		outw(ATAPI, (uint16_t)(codes[below(sizeof(codes))] | below(4) << 8));
		for (unsigned i = 1; i < 6; i++)
			outw(ATAPI, (uint16_t)(below(3) ? below(4) << 8 : luck()));
		strings(ATAPI, 1u << below(3), luck() & 1, below(8) ? below(600) : below(9000));
		any_access((uint16_t)(ATAPI + below(8)), false, 0);
		if (!below(8))
			outb(ATAPI_CONTROL, (uint8_t)luck());
	}
}

/* ----------------------------------------------------------------------------------------------- floppy and its DMA */

static void empty_fifo(void)
{
	for (unsigned n = 0; n < POLLS && (inb(FIFO_STATUS) & 0xd0) == 0xd0; n++)
		inb(FIFO);
}

static void set_floppy(void)
{
	outb(X86_PORT_DMA1 + 0x0d, 0);
	outb(X86_PORT_DMA2 + 0x1a, 0);
	outb(X86_PORT_DMA1 + 0x0f, 0x0f);
	outb(X86_PORT_DMA2 + 0x16, 0xc0);
	outb(X86_PORT_DMA2 + 0x1e, 0x0e);
	for (uint8_t n = 0; n < 15; n++)
		outb(X86_PORT_DMA_PAGE + n, (uint8_t)(0x40 + n));
	outb(X86_PORT_DMA1 + 6, 0x34);
	outb(X86_PORT_DMA1 + 6, 0x12);
	outb(FIFO_CONTROL, 0);
	outb(FIFO_CONTROL, 0x0c);
	for (unsigned n = 0; n < 4; n++) { /* what polling found after the reset, a drive at a time */
		outb(FIFO, 8);
		inb(FIFO);
		inb(FIFO);
	}
	empty_fifo();
}

static uint64_t look_at_floppy(void)
{
	uint64_t sum = 0;

	for (uint16_t n = 0; n < 15; n++)
		sum = mix(sum, inb(X86_PORT_DMA_PAGE + n));
	outb(X86_PORT_DMA1 + 0x0c, 0);
	sum = mix(sum, inb(X86_PORT_DMA1 + 6));
	sum = mix(sum, inb(X86_PORT_DMA1 + 6));
	outb(FIFO, 0x10); /* VERSION */
	return mix(sum, inb(FIFO));
}

static void attack_floppy(void)
{
	static const uint8_t codes[] = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0c,
					0x0d, 0x0e, 0x0f, 0x10, 0x12, 0x13, 0x14, 0x16, 0x8f};
	static const uint16_t dma[] = {0x0c, 0x04, 0x04, 0x05, 0x05, 0x81, 0x0b,
				       0x0a, 0x0f, 0xd4, 0xd6, 0x08, 0x09, 0x0d};

	for (unsigned n = 0; n < 60; n++) {
		for (unsigned i = 0; i < sizeof(dma) / sizeof(dma[0]); i++)
			if (!below(3))
				outb(dma[i], (uint8_t)luck());
		outb(FIFO_CONTROL, (uint8_t)(below(8) ? 0x1c : luck()));
		outb(FIFO, (uint8_t)(codes[below(sizeof(codes))] | (luck() & 0xe0)));
		for (uint64_t i = below(12); i; i--)
			outb(FIFO, (uint8_t)(below(4) ? below(40) : luck()));
		strings(FIFO, 1, luck() & 1, below(8) ? 10 : 2000);
		any_access((uint16_t)(X86_PORT_DMA1 + below(16)), luck() & 1, (uint32_t)any_value() & 0xff);
		outb(X86_PORT_FLOPPY + 7, (uint8_t)luck());
		inb(X86_PORT_FLOPPY + 7);
		if (!below(16))
			open_window();
	}
}

const struct device drive_devices[] = {
	{"disk", set_disk, look_at_disk, attack_disk},
	{"CD", set_cd, look_at_cd, attack_cd},
	{"floppy and DMA", set_floppy, look_at_floppy, attack_floppy},
	{0},
};

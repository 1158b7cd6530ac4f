/*
 * A disk by programmed I/O: "word=N" is what the first word of sector 3 is to be; with "write=N" it becomes N, flushed.
 */
#include <pvguest/pvguest.h>

#define ATA    0x1f0
#define STATUS (ATA + 7)
#define BUSY   0x80
#define DATA   0x08
#define READY  0x50
#define SECTOR 3
#define READ   0x20
#define WRITE  0x30
#define FLUSH  0xe7
#define TRIES  1000000

static uint32_t words[128];

static uint8_t settled(void)
{
	uint8_t status = BUSY;

	for (unsigned n = 0; n < TRIES && (status & BUSY); n++)
		status = pvg_inb(STATUS);
	return status;
}

static void command(uint8_t code)
{
	pvg_outb(ATA + 2, 1);
	pvg_outb(ATA + 3, SECTOR);
	pvg_outb(ATA + 4, 0);
	pvg_outb(ATA + 5, 0);
	pvg_outb(ATA + 6, 0xe0);
	pvg_outb(STATUS, code);
}

static uint64_t number(const char *key)
{
	char text[32] = "";

	return pvg_option(key, text, sizeof(text)) ? pvg_strtoul(text) : 0;
}

static void write_word(uint32_t word)
{
	const void *from = words;
	uint64_t count = sizeof(words) / 2;

	words[0] = word;
	command(WRITE);
	pvg_test_equal(settled(), READY | DATA, "the disk takes a sector");
	__asm__ volatile("cld; rep outsw" : "+S"(from), "+c"(count) : "d"(ATA) : "memory");
	pvg_test_equal(settled(), READY, "the sector is written");
	command(FLUSH);
	pvg_test_equal(settled(), READY, "the disk is flushed");
}

int main(const char *cmdline)
{
	void *to = words;
	uint64_t count = sizeof(words) / 4;

	command(READ);
	pvg_test_equal(settled(), READY | DATA, "the disk has a sector");
	__asm__ volatile("cld; rep insl" : "+D"(to), "+c"(count) : "d"(ATA) : "memory");
	pvg_test_equal(settled(), READY, "the sector is read");
	pvg_test_equal(words[0], number("word"), "it is the one");
	if (number("write"))
		write_word((uint32_t)number("write"));
	return pvg_test_finish();
}

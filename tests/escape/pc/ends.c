/*
 * What ends a PC: each reset line and switch there is. And accesses that take the monitor longest, one after the other
 * without an end, for who wants an answer of it meanwhile.
 */
#include "tests/escape/pc/pc.h"

#define STATE_PORT 0x604
#define SLEEP	   0x2000
#define RESET_PORT (X86_PORT_PCI + 1)
#define VBE_INDEX  0x1ce
#define VBE_DATUM  0x1d0
#define ATA	   0x1f0
#define MANY	   0x8000
#define VERIFY	   0x40000000u /* of the four last of a disk's registers */
#define FLUSH	   0xe7000000u
#define LBA	   0x00e00000u

static bool is(const char *word, const char *name)
{
	while (*name && *word == *name)
		word++, name++;
	return !*name && (!*word || *word == ' ');
}

static void fill(uint32_t value)
{
	for (unsigned n = 0; n < AREA_BYTES; n += 4)
		*(volatile uint32_t *)(uint64_t)(AREA + n) = value;
}

/* Nothing behind it is executed. */
void end_by(const char *way)
{
	if (is(way, "pulse")) {
		outb(X86_PORT_KBD_COMMAND, 0xfe);
	} else if (is(way, "pulses")) { /* again and again, by one instruction */
		fill(0xf0f0fefe);
		strings(X86_PORT_KBD_COMMAND, 1, true, MANY);
	} else if (is(way, "output")) {
		outb(X86_PORT_KBD_COMMAND, 0xd1);
		outb(X86_PORT_KBD_DATA, 0xfe);
	} else if (is(way, "port_a")) {
		outb(X86_PORT_SYSA, 1);
	} else if (is(way, "reset")) {
		outb(RESET_PORT, 2);
		outb(RESET_PORT, 6);
	} else if (is(way, "sleep")) {
		outw(STATE_PORT, SLEEP);
	}
	leave(1);
}

_Noreturn void be_slow(const char *how)
{
	print("ready\n");
	outb(ATA + 2, 0);
	if (is(how, "verify")) /* 256 sectors, from where the lowest byte says */
		fill(VERIFY | LBA);
	else if (is(how, "flush"))
		fill(FLUSH | LBA);
	else /* the display is off, and on again, which clears its memory */
		fill(0x10000);
	outw(VBE_INDEX, 4);
	for (;;)
		if (is(how, "clear"))
			strings(VBE_DATUM, 2, true, MANY);
		else
			strings(ATA + 4, 4, true, MANY);
}

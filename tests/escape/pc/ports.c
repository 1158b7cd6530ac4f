/*
 * Devices that are reached by ports alone: the keyboard's controller, clocks, interrupt controllers, the serial line.
 */
#include "tests/escape/pc/pc.h"

#define LOOKS	    200
#define KBD_OUTPUT  0xd1 /* the datum that follows is the output port's: its lowest bit is the reset line */
#define KBD_PULSE   0xf0
#define KBD_CONFIG  0x44
#define RTC_NVRAM   0x40
#define RTC_PATTERN 32

void strings(uint16_t port, unsigned size, bool write, uint64_t count)
{
	uint64_t at = AREA;

	count = count * size < AREA_BYTES ? count : AREA_BYTES / size;
	if (write)
		__asm__ volatile("cmp $2, %3\n\tja 2f\n\tje 1f\n\trep outsb\n\tjmp 3f\n1:\trep outsw\n\tjmp "
				 "3f\n2:\trep outsl\n3:"
				 : "+S"(at), "+c"(count)
				 : "d"(port), "r"(size)
				 : "memory", "cc");
	else
		__asm__ volatile(
			"cmp $2, %3\n\tja 2f\n\tje 1f\n\trep insb\n\tjmp 3f\n1:\trep insw\n\tjmp 3f\n2:\trep insl\n3:"
			: "+D"(at), "+c"(count)
			: "d"(port), "r"(size)
			: "memory", "cc");
}

void any_access(uint16_t port, bool write, uint32_t value)
{
	unsigned size = 1u << below(3);

	if (!below(16))
		strings(port, size, write, below(300));
	else if (size == 1)
		write ? outb(port, (uint8_t)value) : (void)inb(port);
	else if (size == 2)
		write ? outw(port, (uint16_t)value) : (void)inw(port);
	else
		write ? outl(port, value) : (void)inl(port);
}

void attack_range(uint16_t base, uint16_t length)
{
	for (unsigned n = 0; n < 300; n++) {
		any_access((uint16_t)(base + below(length)), luck() & 1, (uint32_t)any_value());
		if (!below(32))
			open_window();
	}
}

/* ------------------------------------------------------------------------------------------------------- keyboard */

static uint8_t ask_keyboard(uint8_t command)
{
	outb(X86_PORT_KBD_COMMAND, command);
	return inb(X86_PORT_KBD_DATA);
}

static void set_keyboard(void)
{
	outb(X86_PORT_KBD_COMMAND, 0xad); /* the keyboard is held, and the mouse */
	outb(X86_PORT_KBD_COMMAND, 0xa7);
	for (unsigned n = 0; n < LOOKS && inb(X86_PORT_KBD_COMMAND) & 1; n++)
		inb(X86_PORT_KBD_DATA);
	outb(X86_PORT_KBD_COMMAND, 0x60);
	outb(X86_PORT_KBD_DATA, KBD_CONFIG);
}

static uint64_t look_at_keyboard(void)
{
	uint64_t sum = ask_keyboard(0x20);

	sum = sum << 8 | ask_keyboard(0xaa);
	sum = sum << 8 | ask_keyboard(0xc0);
	return sum << 8 | (inb(X86_PORT_KBD_COMMAND) & 0x29u);
}

/* All but the reset line. Without an end of what waits unread. */
static void attack_keyboard(void)
{
	for (unsigned n = 0; n < 400; n++) {
		uint8_t command = (uint8_t)(below(3) ? luck() : 0xd1 + below(4));

		if (command >= KBD_PULSE)
			command |= 1;
		switch (below(8)) {
		case 0 ... 2:
			outb(X86_PORT_KBD_COMMAND, command);
			outb(X86_PORT_KBD_DATA, (uint8_t)(luck() | (command == KBD_OUTPUT)));
			break;
		case 3:
			outb(X86_PORT_KBD_DATA, (uint8_t)(luck() | 1));
			break;
		case 4:
			strings(X86_PORT_KBD_DATA, 1, luck() & 1, below(2000));
			break;
		case 5:
			outb(X86_PORT_SYSA, (uint8_t)(luck() & ~1ull));
			break;
		default:
			any_access(X86_PORT_KBD_COMMAND, false, 0);
		}
	}
}

/* ---------------------------------------------------------------------------------------------------------- clocks */

static void write_rtc(uint8_t index, uint8_t value)
{
	outb(X86_PORT_RTC, index);
	outb(X86_PORT_RTC + 1, value);
}

static uint8_t read_rtc(uint8_t index)
{
	outb(X86_PORT_RTC, index);
	return inb(X86_PORT_RTC + 1);
}

static void set_rtc(void)
{
	write_rtc(0x0b, 0x02);
	write_rtc(0x0a, 0x26);
	read_rtc(0x0c);
	for (uint8_t n = 0; n < RTC_PATTERN; n++)
		write_rtc(RTC_NVRAM + n, n * 7);
}

static uint64_t look_at_rtc(void)
{
	uint64_t sum = mix(read_rtc(0x0b), read_rtc(0x0d));

	sum = mix(sum, read_rtc(0x0a) & 0x7f);
	for (uint8_t n = 0; n < RTC_PATTERN; n++)
		sum = mix(sum, read_rtc(RTC_NVRAM + n));
	return sum;
}

/* Times and dates that do not exist, in either format; the shortest periods. */
static void attack_rtc(void)
{
	for (unsigned n = 0; n < 300; n++) {
		write_rtc((uint8_t)(below(4) ? below(14) : luck()), (uint8_t)luck());
		read_rtc((uint8_t)(below(4) ? below(14) : luck()));
		if (!below(16))
			write_rtc(0x32, (uint8_t)luck());
		if (!below(32))
			open_window();
	}
	attack_range(X86_PORT_RTC, 2);
}

static void set_pit(void)
{
	outb(X86_PORT_PIT + 3, 0x38); /* channel 0: a strobe that is never loaded */
	outb(X86_PORT_PIT + 3, 0xb6);
	outb(X86_PORT_PIT + 2, 0x34);
	outb(X86_PORT_PIT + 2, 0x12);
	outb(X86_PORT_SYSB, 1);
}

static uint64_t look_at_pit(void)
{
	outb(X86_PORT_PIT + 3, 0xe8); /* the status of channel 2 */
	return (uint64_t)(inb(X86_PORT_PIT + 2) & 0x7f) << 8 | (inb(X86_PORT_SYSB) & 3);
}

static void attack_pit(void)
{
	attack_range(X86_PORT_PIT, 4);
	for (unsigned n = 0; n < 50; n++) {
		outb(X86_PORT_SYSB, (uint8_t)luck());
		inb(X86_PORT_SYSB);
	}
}

/* -------------------------------------------------------------------------------------- 8259, serial line */

static void set_pic(void)
{
	static const uint8_t words[][2] = {{0x11, 0x11}, {0x20, 0x28}, {4, 2}, {1, 1}, {0xff, 0xff}};

	for (unsigned n = 0; n < 5; n++) {
		outb(X86_PORT_PIC1 + !!n, words[n][0]);
		outb(X86_PORT_PIC2 + !!n, words[n][1]);
	}
	outw(X86_PORT_ELCR, 0);
}

static uint64_t look_at_pic(void)
{
	uint64_t sum = (uint64_t)inb(X86_PORT_PIC1 + 1) << 8 | inb(X86_PORT_PIC2 + 1);

	outb(X86_PORT_PIC1, 0x0b);
	outb(X86_PORT_PIC2, 0x0b);
	sum = sum << 8 | inb(X86_PORT_PIC1);
	sum = sum << 8 | inb(X86_PORT_PIC2);
	return sum << 16 | inw(X86_PORT_ELCR);
}

static void attack_pic(void)
{
	attack_range(X86_PORT_PIC1, 2);
	attack_range(X86_PORT_PIC2, 2);
	attack_range(X86_PORT_ELCR, 2);
}

static void set_uart(void)
{
	static const uint8_t registers[][2] = {{3, 0x80}, {0, 1}, {1, 0}, {3, 3}, {1, 0}, {2, 6}, {4, 0}, {7, 0xa5}};

	for (unsigned n = 0; n < sizeof(registers) / sizeof(registers[0]); n++)
		outb(X86_PORT_COM1 + registers[n][0], registers[n][1]);
}

static uint64_t look_at_uart(void)
{
	return (uint64_t)inb(X86_PORT_COM1 + 7) << 24 | (uint64_t)inb(X86_PORT_COM1 + 3) << 16 |
	       (uint64_t)inb(X86_PORT_COM1 + 1) << 8 | inb(X86_PORT_COM1 + 4);
}

static void attack_uart(void)
{
	attack_range(X86_PORT_COM1, 8);
}

const struct device port_devices[] = {
	{"keyboard controller", set_keyboard, look_at_keyboard, attack_keyboard},
	{"real-time clock", set_rtc, look_at_rtc, attack_rtc},
	{"timer", set_pit, look_at_pit, attack_pit},
	{"interrupt controllers", set_pic, look_at_pic, attack_pic},
	{"serial line", set_uart, look_at_uart, attack_uart},
	{0},
};

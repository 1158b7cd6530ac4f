/*
 * The console of a freestanding kernel in flat 32-bit mode: a line to the first UART, and the exit port.
 */
#ifndef TESTS_MODES_CONSOLE_H
#define TESTS_MODES_CONSOLE_H

#include <stdarg.h>
#include <stdint.h>

#include "hypercalls/x86.h"

static inline void put(char c)
{
	__asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((uint16_t)0x3f8));
}

static inline void put_number(uint32_t value, unsigned base)
{
	char digits[10];
	unsigned count = 0;

	do
		digits[count++] = "0123456789abcdef"[value % base];
	while (value /= base);
	while (count)
		put(digits[--count]);
}

/* %s, %c, %u, and %x with "0x" before it. */
static inline void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			for (const char *text = va_arg(args, const char *); *text; text++)
				put(*text);
			break;
		case 'c':
			put((char)va_arg(args, int));
			break;
		case 'x':
			put('0');
			put('x');
			put_number(va_arg(args, uint32_t), 16);
			break;
		default:
			put_number(va_arg(args, uint32_t), 10);
		}
	}
	va_end(args);
}

static inline void leave(uint8_t status)
{
	__asm__ volatile("outb %0, %1" : : "a"(status), "Nd"((uint16_t)X86_PORT_EXIT));
}

#endif

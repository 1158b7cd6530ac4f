/*
 * TAP from a Linux program: one line per check, the plan at the end.
 */
#ifndef TESTS_TINIX_TAP_H
#define TESTS_TINIX_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <termios.h>

static unsigned tap_count, tap_failed;

/* Lines end as TAP wants them, not with the terminal's carriage return. */
static inline void tap_begin(void)
{
	struct termios termios;

	if (tcgetattr(1, &termios))
		return;
	termios.c_oflag &= ~(tcflag_t)OPOST;
	tcsetattr(1, TCSANOW, &termios);
}

__attribute__((format(printf, 2, 3))) static inline bool check(bool passed, const char *format, ...)
{
	va_list args;

	tap_count++;
	tap_failed += !passed;
	printf("%sok %u - ", passed ? "" : "not ", tap_count);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	return passed;
}

static inline bool check_equal(long got, long want, const char *what)
{
	if (!check(got == want, "%s", what))
		printf("# got %ld (%#lx), want %ld (%#lx)\n", got, (unsigned long)got, want, (unsigned long)want);
	return got == want;
}

static inline int tap_finish(void)
{
	printf("1..%u\n", tap_count);
	fflush(stdout);
	return tap_count == 0 || tap_failed;
}

#endif

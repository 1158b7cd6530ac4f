/*
 * TAP on the console.
 */
#include "pvguest/internal.h"

static unsigned count, failed;

/* A description must not look like a directive, nor end the line. */
static void print_name(const char *format, va_list args)
{
	char name[PVG_TEST_NAME_MAX + 1];

	pvg_vsnprintf(name, sizeof(name), format, args);
	for (const char *c = name; *c; c++) {
		if (*c == '#' || *c == '\\')
			pvg_putc('\\');
		pvg_putc(*c == '\n' ? ' ' : *c);
	}
}

static void report(bool passed, const char *format, va_list args)
{
	count++;
	if (!passed)
		failed++;
	pvg_printf("%sok %u - ", passed ? "" : "not ", count);
	print_name(format, args);
	pvg_putc('\n');
}

bool pvg_test(bool passed, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(passed, format, args);
	va_end(args);
	return passed;
}

bool pvg_test_equal(uint64_t got, uint64_t want, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(got == want, format, args);
	va_end(args);
	if (got != want)
		pvg_printf("# got 0x%lx, want 0x%lx\n", got, want);
	return got == want;
}

void pvg_test_skip(const char *name, const char *why)
{
	pvg_printf("ok %u - %s # SKIP %s\n", ++count, name, why);
}

void pvg_test_bail(const char *format, ...)
{
	va_list args;

	pvg_puts("Bail out! ");
	va_start(args, format);
	print_name(format, args);
	va_end(args);
	pvg_putc('\n');
	pvg_exit(1);
}

int pvg_test_finish(void)
{
	pvg_printf("1..%u\n", count);
	return count == 0 || failed ? 1 : 0;
}

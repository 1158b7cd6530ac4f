/*
 * TAP on the console.
 */
#include "pvguest/internal.h"

static unsigned count, failed;

static void report(bool passed, const char *format, va_list args)
{
	count++;
	if (!passed)
		failed++;
	pvg_printf("%sok %u - ", passed ? "" : "not ", count);
	pvg_vprintf(format, args);
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

int pvg_test_finish(void)
{
	pvg_printf("1..%u\n", count);
	return count == 0 || failed ? 1 : 0;
}

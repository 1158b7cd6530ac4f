/*
 * Console output of all sizes, input that is not there, formatting, strings, and the command line.
 */
#include <pvguest/pvguest.h>

#define LONG_LINE 3000 /* longer than the library's buffer */

static void __attribute__((format(printf, 2, 3))) check_format(const char *want, const char *format, ...)
{
	char text[128];
	va_list args;
	int len;

	va_start(args, format);
	len = pvg_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!pvg_test(!pvg_strcmp(text, want) && len == (int)pvg_strlen(want), "prints \"%s\"", want))
		pvg_printf("# got \"%s\", length %d\n", text, len);
}

static void test_formats(void)
{
	check_format("-5 5 +5", "%d %i %+d", -5, 5, 5);
	check_format("4294967295 18446744073709551615", "%u %lu", 0xffffffffu, ~0ul);
	check_format("-9223372036854775808", "%ld", (long)R3_BIT(63));
	check_format("ff FF 0", "%x %X %x", 255, 255, 0);
	check_format("00ff|  ff|ff  |", "%04x|%4x|%-4x|", 255, 255, 255);
	check_format("-007|  -7|-7  |", "%04d|%4d|%-4d|", -7, -7, -7);
	check_format("0x1234", "%p", (void *)0x1234);
	check_format("text|  text|text  |te", "%s|%6s|%-6s|%.2s", "text", "text", "text", "text");
	check_format("a%b", "%c%%%c", 'a', 'b');
	check_format("0123456789abcdef", "%016llx", 0x123456789abcdefull);
	check_format("    5", "%*d", 5, 5);
}

static void test_cut(void)
{
	char text[5];
	int len = pvg_snprintf(text, sizeof(text), "%s", "longer");

	pvg_test(len == 6 && !pvg_strcmp(text, "long"), "text is cut to the buffer, its length told");
}

static void test_strings(void)
{
	char text[] = "abcdef";

	memmove(text + 2, text, 4);
	pvg_test(!pvg_strcmp(text, "ababcd"), "memmove upwards");
	memmove(text, text + 2, 4);
	pvg_test(!pvg_strcmp(text, "abcdcd"), "memmove downwards");
	pvg_test(memcmp("abc", "abd", 3) < 0 && !memcmp("abc", "abd", 2), "memcmp");
	pvg_test_equal(pvg_strtoul("0x1Fg"), 0x1f, "pvg_strtoul, hexadecimal");
	pvg_test_equal(pvg_strtoul("123 "), 123, "pvg_strtoul, decimal");
}

static void test_long_output(void)
{
	pvg_puts("# ");
	for (unsigned i = 0; i < LONG_LINE; i++)
		pvg_putc('.');
	pvg_putc('\n');
	pvg_test(true, "a line of %u characters", LONG_LINE);
}

static void test_option(void)
{
	char value[8], small[2];

	pvg_test(pvg_option("pv", value, sizeof(value)), "pv= is on the command line");
	pvg_test(!pvg_strcmp(value, pvg_ops->name), "and was obeyed");
	pvg_option("pv", small, sizeof(small));
	pvg_test(!pvg_strcmp(small, "o"), "a value is cut to the buffer");
	pvg_test(!pvg_option("p", value, sizeof(value)) && !value[0], "part of a key is not the key");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_formats();
	test_cut();
	test_strings();
	test_long_output();
	test_option();
	pvg_test_equal(pvg_getc() < 0, 1, "no input waits");
	return pvg_test_finish();
}

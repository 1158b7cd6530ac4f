/*
 * A run of tests as JUnit XML, the form that continuous integration reads. Names and notes are the guest's: what
 * XML 1.0 does not allow (section 2.2) is dropped, or replaced where it is no UTF-8.
 */
#include <string.h>

#include "monitor/cli/run/tap.h"

/*
 * Length in bytes of the character at text, 0 if it is none that XML allows; RFC 3629: no overlong forms, no
 * surrogates, nothing above U+10FFFF.
 */
static unsigned character(const unsigned char *text)
{
	unsigned len = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
	unsigned code = len > 1 ? text[0] & (0xffu >> (len + 1)) : text[0];

	if (text[0] > 0xf4)
		return 0;
	for (unsigned i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if ((len == 3 && code < 0x800) || (len == 4 && (code < 0x10000 || code > 0x10ffff)))
		return 0;
	return (code >= 0xd800 && code <= 0xdfff) || code == 0xfffe || code == 0xffff ? 0 : len;
}

static void put_text(const char *text, FILE *out)
{
	for (const unsigned char *at = (const unsigned char *)text; *at;) {
		unsigned len = character(at);

		if (*at == '&')
			fputs("&amp;", out);
		else if (*at == '<')
			fputs("&lt;", out);
		else if (*at == '>')
			fputs("&gt;", out);
		else if (*at == '"')
			fputs("&quot;", out);
		else if (!len)
			fputs("\xef\xbf\xbd", out); /* U+FFFD, replacement character */
		else if (*at >= ' ' || *at == '\t' || *at == '\n')
			fwrite(at, 1, len, out);
		at += len ? len : 1;
	}
}

static void put_attribute(const char *name, const char *value, FILE *out)
{
	fprintf(out, " %s=\"", name);
	put_text(value, out);
	fputc('"', out);
}

static void open_case(const char *suite, const char *name, double seconds, FILE *out)
{
	fputs("    <testcase", out);
	put_attribute("classname", suite, out);
	put_attribute("name", name, out);
	fprintf(out, " time=\"%.6f\">\n", seconds);
}

static void put_test(const struct tap_test *test, unsigned number, const char *suite, FILE *out)
{
	char name[16 + TAP_LINE_MAX + 1];

	snprintf(name, sizeof(name), "%u%s%s", number, *test->name ? " - " : "", test->name);
	open_case(suite, name, (double)test->ns / 1e9, out);
	if (test->verdict == TAP_FAILED) {
		fputs("      <failure", out);
		put_attribute("message", test->name, out);
		fputc('>', out);
		put_text(test->notes ? test->notes : "", out);
		fputs("</failure>\n", out);
	} else if (test->verdict != TAP_PASSED) {
		fputs("      <skipped", out);
		put_attribute("message", test->why, out);
		fputs("/>\n", out);
	}
	fputs("    </testcase>\n", out);
}

/* What is wrong with the run as a whole stands as one more case. */
static void put_problems(const struct tap *tap, const char *suite, FILE *out)
{
	if (!tap->problem_count)
		return;
	open_case(suite, "the run", 0, out);
	fputs("      <error", out);
	put_attribute("message", tap->problems[0], out);
	fputc('>', out);
	for (unsigned i = 0; i < tap->problem_count; i++) {
		put_text(tap->problems[i], out);
		fputc('\n', out);
	}
	fputs("</error>\n    </testcase>\n", out);
}

void junit_write(const struct tap *tap, const char *suite, double seconds, FILE *out)
{
	static const char *const levels[] = {"<testsuites", "  <testsuite"};
	unsigned errors = tap->problem_count > 0;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
	for (unsigned i = 0; i < 2; i++) {
		fputs(levels[i], out);
		put_attribute("name", suite, out);
		fprintf(out, " tests=\"%u\" failures=\"%u\" errors=\"%u\" skipped=\"%u\" time=\"%.6f\">\n",
			tap->count + errors, tap->verdicts[TAP_FAILED], errors,
			tap->verdicts[TAP_SKIPPED] + tap->verdicts[TAP_TODO], seconds);
	}
	for (unsigned i = 0; i < tap->count; i++)
		put_test(&tap->tests[i], i + 1, suite, out);
	put_problems(tap, suite, out);
	fputs("  </testsuite>\n</testsuites>\n", out);
}

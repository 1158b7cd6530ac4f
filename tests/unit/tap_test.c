/*
 * TAP read, what makes a run a failure, and JUnit XML from hostile text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "monitor/cli/run/tap.h"

static struct tap tap;

static int setup(void **state)
{
	tap_start(&tap, 1000);
	return 0;
}

static int teardown(void **state)
{
	tap_free(&tap);
	return 0;
}

/* Fed whole, or byte by byte, it is the same. */
static void feed(const char *text)
{
	static unsigned turn;

	if (turn++ % 2) {
		tap_feed(&tap, text, strlen(text), 2000);
		return;
	}
	for (; *text; text++)
		tap_feed(&tap, text, 1, 2000);
}

static void finish(const char *text)
{
	feed(text);
	tap_finish(&tap, 3000);
}

static void passes(const char *text)
{
	finish(text);
	if (!tap_passed(&tap))
		fail_msg("failed: %s", tap.problem_count ? tap.problems[0] : "a test");
	tap_free(&tap);
}

static void fails(const char *text, const char *problem)
{
	finish(text);
	if (tap_passed(&tap))
		fail_msg("passed: %s", text);
	if (!tap.problem_count || !strstr(tap.problems[0], problem))
		fail_msg("no problem \"%s\" but \"%s\"", problem, tap.problem_count ? tap.problems[0] : "none");
	tap_free(&tap);
}

static void test_good_runs(void **state)
{
	passes("1..2\nok 1\nok 2\n");
	passes("ok 1 - one\nok 2 - two\n1..2\n");
	passes("TAP version 13\nok\nok\n1..2");
	passes("booting\r\nok 1\r\n1..1\r\nokay then\n1..x\n");
	passes("1..0 # SKIP nothing to do here\n");
	passes("1..2\nok 1 - a # skip no disk\nnot ok 2 - b # TODO later\n");
	passes("1..1\nok 1\n    not ok 1 - indented: of another\n");
}

static void test_bad_runs(void **state)
{
	fails("", "there is no plan");
	fails("ok 1\nok 2\n", "there is no plan");
	fails("1..0\n", "there are no tests");
	fails("1..3\nok 1\nok 2\n", "3 tests are planned, 2 reported");
	fails("1..1\nok 1\nok 2\n", "1 tests are planned, 2 reported");
	fails("1..2\nok 1\nok 1\n", "test 1 is reported a second time, where 2 was due");
	fails("1..2\nok 1\nok 3\n", "test 3 is reported where 2 was due");
	fails("1..1\nok 0\n", "test 0 is reported where 1 was due");
	fails("1..1\nok 99999999999999999999\n", "is reported where 1 was due");
	fails("1..1\n1..1\nok 1\n", "second plan");
	fails("ok 1\n1..1\nok 2\n", "follows the plan");
	fails("1..2\nok 1\nBail out! no \x1b[31mdisk\nok 2\n", "the guest gave up: no [31mdisk");
	fails("1..99999999999\nok 1\n", "1000000000 tests are planned, 1 reported");
}

static void test_failed_test(void **state)
{
	finish("1..2\nok 1 - fine\nnot ok 2 - broken\n# got 1\n  ---\n  want: 2\n  ...\n");
	assert_false(tap_passed(&tap));
	assert_int_equal(tap.problem_count, 0);
	assert_int_equal(tap.verdicts[TAP_FAILED], 1);
	assert_string_equal(tap.tests[1].name, "broken");
	assert_string_equal(tap.tests[1].notes, "# got 1\n  ---\n  want: 2\n  ...\n");
	assert_int_equal(tap.tests[0].ns, 1000);
}

static void test_directives(void **state)
{
	finish("ok 1 - a \\# skip is text \\\\\nok 2 - issue #7\nok - c # SkIp: why\nok 4 # TODOS\nok 5 # "
	       "todo\n1..5\n");
	assert_int_equal(tap.count, 5);
	assert_string_equal(tap.tests[0].name, "a # skip is text \\");
	assert_int_equal(tap.tests[0].verdict, TAP_PASSED);
	assert_string_equal(tap.tests[1].name, "issue #7");
	assert_int_equal(tap.tests[2].verdict, TAP_SKIPPED);
	assert_string_equal(tap.tests[2].name, "c");
	assert_int_equal(tap.tests[3].verdict, TAP_PASSED);
	/* One that was to do, and passes, has passed. */
	assert_int_equal(tap.tests[4].verdict, TAP_PASSED);
}

/* Whatever a guest writes, what is kept is bounded. */
static void test_bounds(void **state)
{
	char *line = malloc(100000);

	memset(line, 'x', 100000);
	memcpy(line, "ok 1 ", 5);
	tap_feed(&tap, line, 100000, 0);
	for (unsigned i = 0; i < 1000; i++)
		feed("\n# and a note that is repeated rather often");
	free(line);
	feed("\n");
	assert_int_equal(tap.count, 1);
	assert_true(strlen(tap.tests[0].name) < TAP_LINE_MAX);
	assert_true(tap.tests[0].notes_len <= TAP_NOTES_MAX);
	for (unsigned i = 0; i < TAP_TESTS_MAX + 5; i++)
		tap_feed(&tap, "ok\n", 3, 0);
	assert_int_equal(tap.count, TAP_TESTS_MAX);
	for (unsigned i = 0; i < 100; i++)
		feed("1..1\n");
	assert_int_equal(tap.problem_count, TAP_PROBLEMS_MAX);
	assert_string_equal(tap.problems[0], "more than 100000 tests");
}

/* ----------------------------------------------------------------------------------------------------------- XML */

static char *junit(const char *suite)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	junit_write(&tap, suite, 1.5, out);
	fclose(out);
	return text;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in:\n%s", part, text);
}

static void test_junit(void **state)
{
	finish("1..4\nok 1 - a\nnot ok 2 - b\n# why\nok 3 # SKIP off\nok 4\nok 5\n");
	char *xml = junit("kernel");

	has(xml, "<testsuite name=\"kernel\" tests=\"6\" failures=\"1\" errors=\"1\" skipped=\"1\" time=\"1.500000\">");
	has(xml,
	    "<testcase classname=\"kernel\" name=\"2 - b\" time=\"0.000000\">\n      <failure message=\"b\"># why\n"
	    "</failure>");
	has(xml, "<skipped message=\"off\"/>");
	has(xml, "<error message=\"4 tests are planned, 5 reported\">");
	free(xml);
}

static void test_junit_hostile(void **state)
{
	finish("1..1\nnot ok 1 - <a href=\"x\"> & ]]> \x01\x1b[0m \xff\xc0\xaf \xed\xa0\x80 \xef\xbf\xbf "
	       "\xf4\x90\x80\x80 "
	       "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc3\n# </failure><x/>\n");
	char *xml = junit("k\"<e>&\n\x02rnel");

	has(xml, "name=\"k&quot;&lt;e&gt;&amp;\nrnel\"");
	has(xml, "1 - &lt;a href=&quot;x&quot;&gt; &amp; ]]&gt; [0m ");
	has(xml, " \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbd\"");
	has(xml, "# &lt;/failure&gt;&lt;x/&gt;");
	for (const char *c = xml; *c; c++)
		assert_true((unsigned char)*c >= ' ' || *c == '\n');
	assert_null(strchr(xml, '\xff'));
	assert_null(strstr(xml, "\xed\xa0"));
	assert_null(strstr(xml, "\xef\xbf\xbf"));
	assert_null(strstr(xml, "\xf4\x90"));
	assert_null(strstr(xml, "\xc0\xaf"));
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_good_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_test, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_junit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_junit_hostile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

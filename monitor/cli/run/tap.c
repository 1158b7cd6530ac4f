/*
 * Reading TAP.
 */
#include "monitor/cli/run/tap.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* No plan and no number may be larger: it keeps them far from overflow. */
#define NUMBER_MAX 1000000000u

void tap_start(struct tap *tap, uint64_t now)
{
	tap->last_ns = now;
}

void tap_problem(struct tap *tap, const char *format, ...)
{
	char *text = NULL;
	va_list args;

	if (tap->problem_count == TAP_PROBLEMS_MAX)
		return;
	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	if (!text)
		return;
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
			*c = '?';
	tap->problems[tap->problem_count++] = text;
}

/* ------------------------------------------------------------------------------------------------ parts of lines */

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " \t");
}

/* Reads a number; false if there is none. What is too large becomes NUMBER_MAX. */
static bool read_number(const char **text, unsigned *number)
{
	const char *at = *text;

	for (*number = 0; isdigit((unsigned char)*at); at++)
		*number = *number < NUMBER_MAX / 10 ? *number * 10 + (unsigned)(*at - '0') : NUMBER_MAX;
	if (at == *text)
		return false;
	*text = at;
	return true;
}

/* The word stands at text, in any case, and ends there; returns what follows, or NULL. */
static const char *after_word(const char *text, const char *word)
{
	size_t len = strlen(word);

	return !strncasecmp(text, word, len) && !isalnum((unsigned char)text[len]) ? text + len : NULL;
}

/* Splits "description # SKIP why" in place. Elsewhere '#' is an ordinary character; a backslash takes its meaning. */
static const char *take_directive(char *text, enum tap_verdict *verdict)
{
	char *end = text + strlen(text);

	for (char *c = text; *c; c++) {
		const char *word, *why;

		if (*c == '\\' && c[1]) {
			c++;
			continue;
		}
		if (*c != '#')
			continue;
		word = skip_blanks(c + 1);
		why = after_word(word, "skip");
		if (why)
			*verdict = TAP_SKIPPED;
		else if ((why = after_word(word, "todo")))
			*verdict = TAP_TODO;
		if (why) {
			*c = '\0';
			return skip_blanks(why);
		}
	}
	return end;
}

static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from == '\\' && (from[1] == '\\' || from[1] == '#'))
			from++;
		*to++ = *from;
	}
	while (to > text && (to[-1] == ' ' || to[-1] == '\t'))
		to--;
	*to = '\0';
}

/* ---------------------------------------------------------------------------------------------------------- lines */

static struct tap_test *new_test(struct tap *tap)
{
	if (tap->count == TAP_TESTS_MAX) {
		tap_problem(tap, "more than %u tests", TAP_TESTS_MAX);
		return NULL;
	}
	if (tap->count == tap->capacity) {
		unsigned capacity = tap->capacity ? 2 * tap->capacity : 64;
		struct tap_test *tests = reallocarray(tap->tests, capacity, sizeof(*tests));

		if (!tests) {
			tap_problem(tap, "this host has no memory for the tests' results");
			return NULL;
		}
		tap->tests = tests;
		tap->capacity = capacity;
	}
	return &tap->tests[tap->count];
}

/* A number that is given is the next one: so none is missing, and none comes twice. */
static void check_number(struct tap *tap, unsigned number)
{
	unsigned due = tap->count + 1;

	if (number == due)
		return;
	if (number && number < due)
		tap_problem(tap, "test %u is reported a second time, where %u was due", number, due);
	else
		tap_problem(tap, "test %u is reported where %u was due", number, due);
}

/* What follows "ok" or "not ok". */
static void read_test(struct tap *tap, bool passed, char *text, uint64_t now)
{
	enum tap_verdict verdict = passed ? TAP_PASSED : TAP_FAILED, directive = verdict;
	const char *at = skip_blanks(text);
	struct tap_test *test;
	const char *why;
	unsigned number;
	char *name;

	if (tap->plan_ended)
		tap_problem(tap, "a test follows the plan that ended them");
	if (read_number(&at, &number))
		check_number(tap, number);
	at = skip_blanks(at);
	if (*at == '-')
		at = skip_blanks(at + 1);
	name = text + (at - text);
	why = take_directive(name, &directive);
	/* A test that is skipped has not passed, one that is to do may fail. */
	if (directive == TAP_SKIPPED || (directive == TAP_TODO && !passed))
		verdict = directive;
	unescape(name);
	test = new_test(tap);
	if (!test)
		return;
	*test = (struct tap_test){.verdict = verdict, .name = strdup(name), .why = strdup(why)};
	if (!test->name || !test->why) {
		free(test->name);
		free(test->why);
		tap_problem(tap, "this host has no memory for the tests' results");
		return;
	}
	test->ns = now - tap->last_ns;
	tap->last_ns = now;
	tap->verdicts[verdict]++;
	tap->count++;
}

static void read_plan(struct tap *tap, const char *text)
{
	unsigned plan;

	if (!read_number(&text, &plan))
		return;
	text = skip_blanks(text);
	if (*text && *text != '#')
		return;
	if (tap->planned) {
		tap_problem(tap, "there is a second plan");
		return;
	}
	tap->planned = true;
	tap->plan = plan;
	tap->plan_ended = tap->count > 0;
	tap->skipped = !plan && *text && after_word(skip_blanks(text + 1), "skip");
}

/* Belongs to the test before it. */
static void add_note(struct tap *tap, const char *text)
{
	struct tap_test *test = tap->count ? &tap->tests[tap->count - 1] : NULL;
	size_t len = strlen(text);
	char *notes;

	if (!test || test->notes_len + len + 1 > TAP_NOTES_MAX || tap->notes_total + len + 1 > TAP_NOTES_TOTAL)
		return;
	notes = realloc(test->notes, test->notes_len + len + 2);
	if (!notes)
		return;
	test->notes = notes;
	memcpy(notes + test->notes_len, text, len);
	memcpy(notes + test->notes_len + len, "\n", 2);
	test->notes_len += len + 1;
	tap->notes_total += len + 1;
}

static void read_line(struct tap *tap, char *line, uint64_t now)
{
	static const char bail[] = "Bail out!";
	bool passed = strncmp(line, "not ", 4) != 0;
	char *result = passed ? line : line + 4;

	if (tap->bailed)
		return;
	if (!strncmp(result, "ok", 2) && (!result[2] || result[2] == ' ' || result[2] == '\t'))
		read_test(tap, passed, result + 2, now);
	else if (!strncmp(line, "1..", 3))
		read_plan(tap, line + 3);
	else if (!strncasecmp(line, bail, sizeof(bail) - 1)) {
		tap->bailed = true;
		tap_problem(tap, "the guest gave up: %s", skip_blanks(line + sizeof(bail) - 1));
	} else if (*line == '#' || *line == ' ')
		add_note(tap, line);
}

void tap_feed(struct tap *tap, const void *data, size_t len, uint64_t now)
{
	const char *from = data;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)from[i];

		if (c == '\n') {
			tap->line[tap->used] = '\0';
			tap->used = 0;
			read_line(tap, tap->line, now);
		} else if ((c >= ' ' || c == '\t') && c != 0x7f && tap->used < TAP_LINE_MAX) {
			tap->line[tap->used++] = (char)c;
		}
	}
}

/* ---------------------------------------------------------------------------------------------------------- the end */

void tap_finish(struct tap *tap, uint64_t now)
{
	if (tap->used)
		tap_feed(tap, "\n", 1, now);
	if (tap->bailed)
		return;
	if (!tap->planned)
		tap_problem(tap, "there is no plan (a line 1..N): the guest did not come to the end of its tests");
	else if (tap->plan != tap->count)
		tap_problem(tap, "%u tests are planned, %u reported", tap->plan, tap->count);
	else if (!tap->count && !tap->skipped)
		tap_problem(tap, "there are no tests");
}

bool tap_passed(const struct tap *tap)
{
	return !tap->verdicts[TAP_FAILED] && !tap->problem_count;
}

void tap_free(struct tap *tap)
{
	for (unsigned i = 0; i < tap->count; i++) {
		free(tap->tests[i].name);
		free(tap->tests[i].why);
		free(tap->tests[i].notes);
	}
	free(tap->tests);
	while (tap->problem_count)
		free(tap->problems[--tap->problem_count]);
	*tap = (struct tap){0};
}

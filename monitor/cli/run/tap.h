/*
 * Test Anything Protocol (testanything.org, versions 12 to 14), as a guest writes it on its console: read line by line,
 * with everything that makes a run a failure. All of it is the guest's word: lengths and counts are bounded, control
 * characters dropped. Lines that are no TAP are a kernel's chatter, and ignored.
 */
#ifndef MONITOR_CLI_TAP_H
#define MONITOR_CLI_TAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TAP_TESTS_MAX	 100000
#define TAP_LINE_MAX	 512	   /* bytes; the rest of a longer line is dropped */
#define TAP_NOTES_MAX	 4096	   /* bytes of notes a test */
#define TAP_NOTES_TOTAL	 (1 << 20) /* bytes of notes a run */
#define TAP_PROBLEMS_MAX 16

enum tap_verdict { TAP_PASSED, TAP_FAILED, TAP_SKIPPED, TAP_TODO, TAP_VERDICTS };

struct tap_test {
	enum tap_verdict verdict;
	char *name;  /* never NULL, may be empty */
	char *why;   /* of SKIP and TODO; never NULL */
	char *notes; /* comments and indented lines that followed it; NULL: none */
	size_t notes_len;
	uint64_t ns; /* since the test before, or the beginning */
};

struct tap {
	char line[TAP_LINE_MAX + 1];
	size_t used;
	struct tap_test *tests;
	unsigned count, capacity;
	unsigned verdicts[TAP_VERDICTS];
	bool planned, plan_ended; /* plan_ended: it came after tests, none may follow */
	unsigned plan;
	bool skipped; /* the plan says that there is nothing to do here */
	bool bailed;
	size_t notes_total;
	uint64_t last_ns;
	/* What makes the run a failure, beside failed tests. */
	char *problems[TAP_PROBLEMS_MAX];
	unsigned problem_count; /* of those kept */
};

/* *tap is zero; times are clock_ns(). */
void tap_start(struct tap *tap, uint64_t now);
void tap_feed(struct tap *tap, const void *data, size_t len, uint64_t now);
/* Notes a problem of the run, in ASCII. Beyond TAP_PROBLEMS_MAX they are dropped. */
void tap_problem(struct tap *tap, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The console has ended: what is missing becomes a problem. */
void tap_finish(struct tap *tap, uint64_t now);
bool tap_passed(const struct tap *tap);
void tap_free(struct tap *tap);

/* junit.c: the run as JUnit XML. `suite` names it; `seconds` is how long it took. */
void junit_write(const struct tap *tap, const char *suite, double seconds, FILE *out);

#endif

/*
 * Tests that report in TAP (testanything.org): one line per check on the console, the plan at the end. `ring3 run
 *--tap` makes an exit status of it, --junit a file. Descriptions are cut to PVG_TEST_NAME_MAX bytes.
 *
 *	int main(const char *cmdline)
 *	{
 *		pvg_test(1 + 1 == 2, "one and one make %d", 2);
 *		return pvg_test_finish();
 *	}
 */
#ifndef PVGUEST_TEST_H
#define PVGUEST_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include <pvguest/language.h>

PVG_BEGIN

#define PVG_TEST_NAME_MAX 255

/* Reports one check; returns `passed`. */
bool pvg_test(bool passed, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for got == want; shows both when they differ. */
bool pvg_test_equal(uint64_t got, uint64_t want, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A check that cannot be made here, and why. */
void pvg_test_skip(const char *name, const char *why);
/* Gives up: nothing after this can be tested. Ends the guest with status 1. */
PVG_NORETURN void pvg_test_bail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Prints the plan; the exit status: 0 if all passed and there was at least one, else 1. */
int pvg_test_finish(void);

PVG_END

#endif

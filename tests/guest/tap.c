/*
 * Reports of tests as a guest may write them, good and bad; tap=NAME on the command line says which.
 */
#include <pvguest/pvguest.h>

static bool chosen(const char *name)
{
	char value[32];

	pvg_option("tap", value, sizeof(value));
	for (const char *c = value; *c || *name; c++, name++)
		if (*c != *name)
			return false;
	return true;
}

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_test(true, "the first, with a # SKIP and a \\ in its name");
	if (chosen("fails"))
		pvg_test_equal(6 * 9, 42, "the <second> & \"last\" \x1b[31m\xff");
	if (chosen("fails_silently")) {
		pvg_printf("not ok 2 - a guest that says nothing more of it\n1..2\n");
		return 0;
	}
	if (chosen("skips"))
		pvg_test_skip("the second", "there is nothing to try it on");
	if (chosen("gives_up"))
		pvg_test_bail("the machine is on fire");
	if (chosen("crashes"))
		*(volatile char *)PVG_SPACE_BASE = 1;
	if (chosen("panics"))
		pvg_panic("in the middle");
	if (chosen("no_plan"))
		return 0;
	if (chosen("twice"))
		pvg_printf("ok 1 - once more\n1..2\n");
	if (chosen("twice"))
		return 0;
	if (chosen("hangs"))
		for (;;)
			;
	if (chosen("status"))
		return pvg_test_finish() + 7;
	return pvg_test_finish();
}

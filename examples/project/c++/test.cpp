/*
 * @NAME@'s tests: a guest that reports in TAP.
 */
#include <pvguest/pvguest.h>

#include "sum.h"

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_test_equal(sum_to(0), 0, "nothing adds up to nothing");
	pvg_test_equal(sum_to(1), 1, "one number is its own sum");
	pvg_test_equal(sum_to(100), 5050, "the sum that Gauss found");
	return pvg_test_finish();
}

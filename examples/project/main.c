/*
 * @NAME@: a guest kernel.
 */
#include <pvguest/pvguest.h>

#include "sum.h"

int main(const char *cmdline)
{
	pvg_printf("@NAME@ runs, told '%s'\n", cmdline);
	pvg_printf("the numbers up to 100 add up to %lu\n", sum_to(100));
	return 0;
}

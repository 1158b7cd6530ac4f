/*
 * A panic says why and ends the guest with its own status.
 */
#include <pvguest/pvguest.h>

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_printf("a line without end");
	pvg_panic("the answer is %d", 42);
}

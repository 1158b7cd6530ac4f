/*
 * hello: the smallest guest. It teaches what a guest kernel is: a freestanding program that starts with paging on and
 * nothing else, talks to a machine that is not there, and ends by saying so. Run it with `-a pv=off` and the same
 * binary reaches its console by port I/O that traps instead of by hypercalls; `--stats` shows the difference.
 */
#include <pvguest/pvguest.h>

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_printf("hello from ring 0, or so it seems\n");
	return 0;
}

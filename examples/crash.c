/*
 * crash: a triple fault. It teaches how a processor gives up: an exception whose handler cannot be entered becomes a
 * double fault, and when that cannot be entered either, the machine shuts down. ring3 reports the chain of exceptions,
 * the registers, the page tables and a backtrace, and exits with status 120.
 */
#include <pvguest/pvguest.h>

static __attribute__((noinline)) void touch_nothing(void)
{
	*(volatile uint64_t *)(PVG_SPACE_BASE + 0xdead000) = 1;
}

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_printf("no handler is left, and here comes a page fault\n");
	pvg_traps_clear();
	touch_nothing();
	pvg_printf("this line is never reached\n");
	return 0;
}

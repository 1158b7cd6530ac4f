/*
 * Solution of 03-pushf: the kernel keeps a copy of the flag in memory and never asks the processor. The order counts:
 * the copy says "enabled" before STI and "disabled" after CLI, since an interrupt may come on either side.
 */
#include <pvguest/pvguest.h>

static volatile bool enabled;

static void enable(void)
{
	/* EXERCISE: mind the order */
	enabled = true;
	pvg_sti();
	/* END */
}

static bool save_and_disable(void)
{
	bool was = enabled;

	/* EXERCISE: mind the order */
	pvg_cli();
	enabled = false;
	/* END */
	return was;
}

static void restore(bool was)
{
	if (was)
		enable();
}

static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

static void compare(const char *when)
{
	struct pvg_caught caught;

	pvg_catch(breakpoint, NULL, &caught);
	pvg_printf("%-26s frame %u, copy %u\n", when, !!(caught.rflags & X86_RFLAGS_IF), enabled);
}

int main(const char *cmdline)
{
	bool outer, inner;

	(void)cmdline;
	enable();
	compare("enabled:");
	outer = save_and_disable();
	compare("in the outer section:");
	inner = save_and_disable();
	compare("in the inner section:");
	restore(inner);
	compare("in the outer section again:");
	restore(outer);
	compare("after both:");
	return 0;
}

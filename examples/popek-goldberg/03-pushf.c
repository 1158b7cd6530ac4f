/*
 * 03-pushf: two witnesses of the interrupt flag. PUSHF copies the processor's own flag. The frame that a trap leaves on
 * the stack is written by the monitor and holds the virtual processor's. Then what becomes of a kernel that trusts the
 * first: the usual pair save_and_disable() and restore(), nested.
 */
#include <pvguest/pvguest.h>

static void breakpoint(void *arg)
{
	(void)arg;
	__asm__ volatile("int3");
}

static unsigned flag_of_frame(void)
{
	struct pvg_caught caught;

	pvg_catch(breakpoint, NULL, &caught);
	return !!(caught.rflags & X86_RFLAGS_IF);
}

static unsigned flag_of_pushf(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags) : : "memory");
	return !!(flags & X86_RFLAGS_IF);
}

static void compare(const char *when)
{
	unsigned frame = flag_of_frame(), pushf = flag_of_pushf();

	pvg_printf("%-26s frame %u, PUSHF %u%s\n", when, frame, pushf, frame == pushf ? "" : "   <- PUSHF is wrong");
}

/* As many kernels have them. Only PUSHF is to blame: CLI and STI trap. */
static unsigned save_and_disable(void)
{
	unsigned enabled = flag_of_pushf();

	pvg_cli();
	return enabled;
}

static void restore(unsigned enabled)
{
	if (enabled)
		pvg_sti();
}

int main(const char *cmdline)
{
	unsigned outer, inner;

	(void)cmdline;
	pvg_sti();
	compare("after STI:");
	pvg_cli();
	compare("after CLI:");

	pvg_sti();
	outer = save_and_disable();
	compare("in the outer section:");
	inner = save_and_disable();
	compare("in the inner section:");
	restore(inner);
	compare("in the outer section again:");
	pvg_printf("%s\n", flag_of_frame() ? "THE INNER SECTION HAS OPENED THE OUTER ONE" : "the outer section holds");
	restore(outer);
	return 0;
}

/*
 * A guest built against an installed pvguest. Its global names clash with what a library might use inside.
 */
#include <pvguest/pvguest.h>

int timer = 40, slots = 1, lines = 1;

void install(void);
void install(void)
{
	pvg_printf("built elsewhere, says pvguest: pv=%s\n", pvg_ops->name);
}

int main(const char *cmdline)
{
	(void)cmdline;
	install();
	return timer + slots + lines;
}

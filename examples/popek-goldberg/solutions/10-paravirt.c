/*
 * Solution of 10-paravirt: what the lock costs. Nothing happens in these critical sections, so all exits are the
 * lock's.
 */
#include <pvguest/pvguest.h>

#define SECTIONS 10000

int main(const char *cmdline)
{
	(void)cmdline;
	/* EXERCISE: enter and leave an empty section that many times */
	for (unsigned i = 0; i < SECTIONS; i++) {
		bool enabled = pvg_irq_save();

		__asm__ volatile("nop"); /* so that CLI and STI are not answered in one exit */
		pvg_irq_restore(enabled);
	}
	/* END */
	return 0;
}

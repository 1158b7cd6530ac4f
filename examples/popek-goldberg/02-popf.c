/*
 * 02-popf: a lock that does not lock. One processor; a counter that the kernel and its timer interrupt both increase.
 * The kernel keeps the interrupt out by POPF with the interrupt flag clear, as the manual permits it in ring 0. Where
 * POPF does nothing about the flag, the interrupt comes in the middle, and its increment is lost.
 */
#include <pvguest/pvguest.h>

#define ROUNDS 10

#define PIC_COMMAND  0x20
#define PIC_READ_IRR 0x0a /* OCW3: the next read gives the requests */
#define PIC_TIMER    1	  /* line 0 */

static volatile unsigned counter;
static volatile bool came;

static uint64_t read_flags(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq\n\tpop %0" : "=r"(flags) : : "memory");
	return flags;
}

static void write_flags(uint64_t flags)
{
	__asm__ volatile("push %0\n\tpopfq" : : "r"(flags) : "memory", "cc");
}

static void timer_interrupt(void *arg)
{
	(void)arg;
	counter++;
	came = true;
}

/* True as soon as the timer has asked for an interrupt, whether that was let in or has to wait. */
static bool timer_is_due(void)
{
	pvg_outb(PIC_COMMAND, PIC_READ_IRR);
	return came || pvg_inb(PIC_COMMAND) & PIC_TIMER;
}

int main(const char *cmdline)
{
	unsigned inside = 0;

	(void)cmdline;
	if (pvg_is_paravirt())
		pvg_panic("with hypercalls the interrupt flag is elsewhere: -a pv=off");
	for (unsigned round = 0; round < ROUNDS; round++) {
		uint64_t flags = read_flags();
		unsigned start = counter, value;

		do { /* on a busy host the timer may run out before the lock is taken: then again */
			counter = start;
			came = false;
			write_flags(flags | X86_RFLAGS_IF);
			pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, timer_interrupt, NULL);
			write_flags(flags & ~X86_RFLAGS_IF); /* lock */
			value = counter;
		} while (came);
		while (!timer_is_due()) /* a long critical section: the timer runs out in it */
			__asm__ volatile("pause");
		counter = value + 1;
		inside += came;
		write_flags(flags | X86_RFLAGS_IF); /* unlock */

		while (!came) /* now it is let in, if it was not before */
			__asm__ volatile("pause");
	}
	pvg_printf("interrupts inside the critical section: %u\n", inside);
	pvg_printf("increments made: %u, counted: %u\n", 2 * ROUNDS, counter);
	pvg_printf("%s\n", counter == 2 * ROUNDS ? "mutual exclusion holds" : "MUTUAL EXCLUSION IS LOST");
	return 0;
}

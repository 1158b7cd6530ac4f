/*
 * Solution of 04-redpill: the clock. An instruction that the monitor has to emulate takes as long as thousands of
 * others. No engine is accused of an error by this: Popek and Goldberg's equivalence leaves time out.
 */
#include <pvguest/pvguest.h>

#define TRIES 200
#define LOOPS 500

/* EXERCISE: measure one CLI, and 1000 innocuous instructions: the shortest of many tries */
static uint64_t time_of_cli(void)
{
	uint64_t start = pvg_rdtsc();

	pvg_cli();
	return pvg_rdtsc() - start;
}

static uint64_t time_of_loop(void)
{
	uint64_t start = pvg_rdtsc(), count = LOOPS;

	__asm__ volatile("1:\tdec %0\n\tjnz 1b" : "+r"(count) : : "cc");
	return pvg_rdtsc() - start;
}

/* The shortest of many tries: what disturbs a measurement only makes it longer. */
static uint64_t shortest(uint64_t (*measure)(void))
{
	uint64_t best = UINT64_MAX;

	for (unsigned i = 0; i < TRIES; i++) {
		uint64_t time = measure();

		best = time < best ? time : best;
	}
	return best;
}
/* END */

int main(const char *cmdline)
{
	(void)cmdline;
	/* EXERCISE: say "one CLI takes LONGER than 1000 innocuous instructions", or "less" */
	uint64_t cli = shortest(time_of_cli), loop = shortest(time_of_loop);

	pvg_printf("one CLI takes %s than %u innocuous instructions\n", cli > loop ? "LONGER" : "less", 2 * LOOPS);
	/* END */
	return 0;
}

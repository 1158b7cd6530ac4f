/*
 * The neighbour: a guest that works while another one tries to get out. It checks its sums until it is told to stop by
 * a byte of input, and says whether all were right.
 */
#include <pvguest/pvguest.h>

#define WORDS 4096

static uint64_t words[WORDS];

static uint64_t sum(uint64_t seed)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < WORDS; i++) {
		seed = seed * 6364136223846793005 + 1442695040888963407;
		words[i] = seed;
	}
	for (unsigned i = 0; i < WORDS; i++)
		total += words[i];
	return total;
}

static void tick(void *arg)
{
	(*(volatile unsigned *)arg)++;
}

int main(const char *cmdline)
{
	uint64_t first = sum(1), rounds = 0;
	unsigned ticks = 0;

	(void)cmdline;
	pvg_timer_every(20 * PVG_NS_PER_MS, tick, &ticks);
	pvg_puts("ready\n");
	while (pvg_getc() < 0) {
		if (sum(1) != first) {
			pvg_puts("harmed\n");
			return 1;
		}
		rounds++;
		pvg_halt();
	}
	pvg_timer_stop();
	pvg_printf("unharmed: %lu rounds, checksum 0x%016lx\n", rounds, first);
	return 0;
}

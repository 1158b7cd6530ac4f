/*
 * 08-efficiency: what a guest pays for. A fixed number of innocuous instructions, and among them a privileged one every
 * so often: `every=N` on the command line. With `time=on` it says how long that took, and so what one exit costs.
 */
#include <pvguest/pvguest.h>

#define INSTRUCTIONS 10000000ul

/* count instructions, count even. */
static void innocuous(uint64_t count)
{
	count /= 2;
	__asm__ volatile("1:\tdec %0\n\tjnz 1b" : "+r"(count) : : "cc");
}

static uint64_t number(const char *key, uint64_t otherwise)
{
	char text[16];

	return pvg_option(key, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

static uint64_t run(uint64_t every, bool privileged)
{
	uint64_t start = pvg_clock_ns();

	for (uint64_t done = 0; done < INSTRUCTIONS; done += every) {
		innocuous(every);
		if (privileged)
			__asm__ volatile("clts" : : : "memory");
	}
	return pvg_clock_ns() - start;
}

int main(const char *cmdline)
{
	char time[4];
	uint64_t every = number("every", 10000), with, without;

	(void)cmdline;
	if (every < 2 || every > INSTRUCTIONS || every % 2)
		pvg_panic("every=%lu: an even number, please, from 2 to %lu", every, INSTRUCTIONS);
	if (!pvg_option("time", time, sizeof(time)) || pvg_strcmp(time, "on")) {
		run(every, true);
		return 0;
	}
	without = run(every, false);
	with = run(every, true);
	pvg_printf("%lu innocuous instructions: %lu us\n", INSTRUCTIONS, (unsigned long)(without / PVG_NS_PER_US));
	pvg_printf("with %lu privileged ones among them: %lu us\n", INSTRUCTIONS / every,
		   (unsigned long)(with / PVG_NS_PER_US));
	if (with > without)
		pvg_printf("one of these took %lu ns\n", (unsigned long)((with - without) * every / INSTRUCTIONS));
	return 0;
}

/*
 * Solution of 14-techniques: the monitor that has come for one sensitive instruction looks at the next as well. The
 * same values go to CR8 in the same order, eight instructions in a row.
 */
#include <pvguest/pvguest.h>

#define TIMES 4096

static uint64_t value(uint64_t i)
{
	return (i * 7 + i / 5) % 16;
}

int main(const char *cmdline)
{
	uint64_t last;

	(void)cmdline;
	/* EXERCISE: value(0) to value(TIMES - 1) to CR8, in this order, with few exits */
	for (uint64_t i = 0; i < TIMES; i += 8)
		__asm__ volatile("mov %0, %%cr8\n\t"
				 "mov %1, %%cr8\n\t"
				 "mov %2, %%cr8\n\t"
				 "mov %3, %%cr8\n\t"
				 "mov %4, %%cr8\n\t"
				 "mov %5, %%cr8\n\t"
				 "mov %6, %%cr8\n\t"
				 "mov %7, %%cr8"
				 :
				 : "r"(value(i)), "r"(value(i + 1)), "r"(value(i + 2)), "r"(value(i + 3)),
				   "r"(value(i + 4)), "r"(value(i + 5)), "r"(value(i + 6)), "r"(value(i + 7)));
	/* END */
	__asm__ volatile("mov %%cr8, %0" : "=r"(last));
	pvg_printf("CR8 has %lu, %s\n", last, last == value(TIMES - 1) ? "the last value" : "NOT the last value");
	return 0;
}

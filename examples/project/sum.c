/*
 * A sum, the slow way: a loop to step through.
 */
#include "sum.h"

uint64_t sum_to(uint64_t last)
{
	uint64_t sum = 0;

	for (uint64_t number = 1; number <= last; number++)
		sum += number;
	return sum;
}

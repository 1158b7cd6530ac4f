#include "sum.h"

void Sum::add(unsigned long number)
{
	total_ += number;
}

unsigned long Sum::total() const
{
	return total_;
}

unsigned long sum_to(unsigned long last)
{
	Sum sum;

	for (unsigned long i = 0; i <= last; i++)
		sum.add(i);
	return sum.total();
}

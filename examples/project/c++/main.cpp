/*
 * @NAME@: a guest kernel in C++, without exceptions and RTTI. Constructors of global objects run before main,
 * destructors after it.
 */
#include <pvguest/pvguest.h>

#include "sum.h"

namespace
{

class Greeter
{
      public:
	Greeter()
	{
		pvg_printf("@NAME@ runs\n");
	}
	~Greeter()
	{
		pvg_printf("@NAME@ has run\n");
	}
};

Greeter greeter;

} // namespace

int main(const char *cmdline)
{
	pvg_printf("told '%s'\n", cmdline);
	pvg_printf("the numbers up to 100 add up to %lu\n", sum_to(100));
	return 0;
}

/*
 * A guest in C++: all headers parse, constructors of global objects run before main in their order, destructors after
 * it in the opposite one, and what compilers call is there. The output is the test.
 */
#include <pvguest/pvguest.h>

namespace
{

struct Named {
	explicit Named(const char *given) : name(given)
	{
		pvg_printf("constructed %s\n", name);
	}
	virtual ~Named()
	{
		pvg_printf("destroyed %s\n", name);
	}
	virtual int value() const = 0;

	const char *name;
};

struct Answer : Named {
	using Named::Named;
	int value() const override
	{
		return 42;
	}
};

Answer first("first"), second("second");

/* Its constructor runs when the function is called first. */
const Named &local()
{
	static Answer object("local");

	return object;
}

/* What compilers make calls of: a large copy, a comparison, a length. */
struct Large {
	char bytes[512];
};

__attribute__((noinline)) Large copy(const Large &from)
{
	return from;
}

template <typename T> T larger(T a, T b)
{
	return a > b ? a : b;
}

__attribute__((constructor(101))) void early()
{
	pvg_printf("early\n");
}

__attribute__((destructor)) void late()
{
	pvg_printf("late\n");
}

} // namespace

int main(const char *cmdline)
{
	Large large = {}, other;

	pvg_printf("main %s\n", cmdline[0] ? "was told something" : "");
	large.bytes[511] = 7;
	other = copy(large);
	pvg_printf("values %d, %d, %d\n", first.value(), local().value(), larger<int>(other.bytes[511], 3));
	pvg_assert(!memcmp(&large, &other, sizeof(large)));
	return 0;
}

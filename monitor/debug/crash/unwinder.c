/*
 * Loading libunwind.
 */
#include "monitor/debug/crash/unwinder.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stddef.h>

/* An indirection, so that macros in the argument are expanded first. */
#define NAME_OF(symbol)	 NAME_OF_(symbol)
#define NAME_OF_(symbol) #symbol

static bool load(struct unwinder *to)
{
	/*
	 * R3_LIBUNWIND and its sibling: names to load by, as the build found them. Never unloaded. Bound when called,
	 * since Debian's accessors name functions, for files that we do not have, of a library that they do not load.
	 */
	void *library = dlopen(R3_LIBUNWIND, RTLD_LAZY | RTLD_LOCAL);
	void *accessors = library ? dlopen(R3_LIBUNWIND_PTRACE, RTLD_LAZY | RTLD_LOCAL) : NULL;

	if (!accessors)
		return false;
#define X(name)                                                                                                        \
	if (!(to->name = (__typeof__(to->name))dlsym(library, NAME_OF(UNW_OBJ(name)))))                                \
		return false;
	UNWINDER_CALLS(X)
#undef X
#define X(name)                                                                                                        \
	if (!(to->name = (__typeof__(to->name))dlsym(accessors, NAME_OF(name))))                                       \
		return false;
	UNWINDER_PTRACE_CALLS(X)
#undef X
	return true;
}

const struct unwinder *unwinder(void)
{
	static struct unwinder calls;
	static bool tried, loaded;

	if (!tried)
		loaded = load(&calls);
	tried = true;
	return loaded ? &calls : NULL;
}

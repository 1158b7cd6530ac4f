/*
 * Calling a function that may fault, and carrying on after it: for tests, and to ask "what happens if".
 */
#ifndef PVGUEST_CATCH_H
#define PVGUEST_CATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <pvguest/language.h>

PVG_BEGIN

struct pvg_caught {
	unsigned vector;
	uint64_t error;
	uint64_t rip, cs, rflags, rsp; /* as the frame had them */
	uint64_t cr2;		       /* #PF only */
};

/*
 * Calls function(arg). True: a trap came that no handler was registered for; *caught describes it, and what function
 * was doing is abandoned. False: it returned. Calls nest; not for use in interrupt handlers.
 */
bool pvg_catch(void (*function)(void *arg), void *arg, struct pvg_caught *caught);

PVG_END

#endif

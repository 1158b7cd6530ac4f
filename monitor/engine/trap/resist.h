/*
 * A runner that does not come out however often it is kicked: does it resist, or does a busy host not let it run? A
 * clock does not tell; what the host has given it does.
 */
#ifndef MONITOR_ENGINE_TRAP_RESIST_H
#define MONITOR_ENGINE_TRAP_RESIST_H

#include <stdbool.h>
#include <stdint.h>

struct cell;

/* From the first kick on; zeroed before. */
struct resist {
	unsigned kicks;
	uint64_t first_ns;     /* clock_ns() of the first */
	uint64_t first_cpu_ns; /* what the cell, and its peer, had used of a CPU at the second */
};

/*
 * To be called before each kick, which from the second on come HANDOVER_KICK_NS or more apart; peer: the user cell that
 * `cell` may have entered directly, so that it may be either's turn, or NULL. True: it resists, and is to be ended.
 */
bool resist_note(struct resist *resist, const struct cell *cell, const struct cell *peer);

#endif

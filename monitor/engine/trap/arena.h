/*
 * The arena: the file that the gate's pages of all cells lie in. It begins with what all share, at the offsets it has
 * in the gate; then come all cells' orders, all that GATE_PEERS shows, and the nursery.
 */
#ifndef MONITOR_ENGINE_TRAP_ARENA_H
#define MONITOR_ENGINE_TRAP_ARENA_H

#include <sys/types.h>

#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/nursery.h"

#define ARENA_SHARED  (GATE_ORDER - GATE_TEXT)
#define ARENA_DATA    (GATE_DATA - GATE_TEXT)
#define ARENA_TURN    (GATE_TURN - GATE_TEXT)
#define ARENA_PEERS   (ARENA_SHARED + GATE_CELLS_MAX * GATE_ORDER_SIZE)
#define ARENA_NURSERY (ARENA_PEERS + GATE_CELLS_MAX * GATE_OWN_SIZE)
#define ARENA_SIZE    (ARENA_NURSERY + NURSERY_SIZE)

static inline off_t arena_order(unsigned slot)
{
	return ARENA_SHARED + (off_t)slot * GATE_ORDER_SIZE;
}

static inline off_t arena_own(unsigned slot)
{
	return ARENA_PEERS + (off_t)slot * GATE_OWN_SIZE;
}

#endif

/*
 * Real debug registers in the cells' runners, for a debugger's hardware breakpoints and watchpoints.
 */
#ifndef MONITOR_ENGINE_TRAP_WATCH_H
#define MONITOR_ENGINE_TRAP_WATCH_H

#include <stdint.h>

#include "monitor/vm/engine.h"

struct cell;

struct watch {
	struct engine_watch wanted;
};

/* engine_ops.watch and engine_ops.watch_hits. */
int trap_watch(struct vm *vm, const struct engine_watch *wanted);
unsigned trap_watch_hits(struct vcpu *vcpu);
/* A cell was made: gives it what the others have. 0 or negative errno. */
int trap_watch_cell(const struct watch *watch, struct cell *cell, bool traced);

#endif

/*
 * The seccomp filters of a cell's two tasks, which install them themselves.
 */
#ifndef MONITOR_ENGINE_TRAP_FILTER_H
#define MONITOR_ENGINE_TRAP_FILTER_H

#include <stdbool.h>

#include "monitor/engine/trap/gate.h"

/* Stands in the mapper's program, as filter_make.c makes it, for the descriptor of guest RAM. */
#define FILTER_RAM_FD 0x52414d
/* And for the one of the answers. */
#define FILTER_ANSWERS_FD 0x414e53

/* And for the one of changed copies of pages. */
#define FILTER_SITES_FD 0x534954

/*
 * Fills data with both programs; bases: GATE_BASES_*; sites_fd may be -1, for none; dispatched: runners have user
 * dispatch.
 */
void filter_fill(struct gate_data *data, int ram_fd, int answers_fd, int sites_fd, uint32_t bases, bool dispatched);

#endif

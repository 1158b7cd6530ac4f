/*
 * The seccomp filters of a cell's two tasks, made with libseccomp in the monitor and installed by the tasks themselves.
 */
#ifndef MONITOR_ENGINE_TRAP_FILTER_H
#define MONITOR_ENGINE_TRAP_FILTER_H

#include "monitor/engine/trap/gate.h"

/* Fills data with both programs; bases: GATE_BASES_*. 0 or negative errno with a message printed. */
int filter_build(struct gate_data *data, int ram_fd, uint32_t bases);

#endif

/*
 * Keeps the gate's addresses free in the monitor's own address space: a cell is born with a copy of that.
 */
#ifndef MONITOR_ENGINE_TRAP_RESERVE_H
#define MONITOR_ENGINE_TRAP_RESERVE_H

#include <stdbool.h>

/*
 * To be called first in main: takes [GATE_HOLE_START, LAYOUT_GATE_END) out of use. If something of this process lies
 * there by chance of address randomisation, executes the program again with the same arguments, a few times at most.
 */
void reserve_gate(char **argv);
/* They are free, because reserve_gate or this call made them so. False: errno says why, EEXIST by chance. */
bool reserve_gate_held(void);

#endif

/*
 * Whether the processor's debug registers, set through ptrace, stop a program: under some hypervisors they never do,
 * and nobody says so.
 */
#ifndef MONITOR_HOST_DEBUG_REGISTERS_H
#define MONITOR_HOST_DEBUG_REGISTERS_H

#include <stdbool.h>

/* Tried in a child the first time. Also false where that cannot be tried. */
bool debug_registers_fire(void);

#endif

/*
 * Layout that traps.S and C agree on; usable from both.
 */
#ifndef PVGUEST_TRAPS_H
#define PVGUEST_TRAPS_H

#define PVG_TRAP_STUB_SIZE 16

#endif

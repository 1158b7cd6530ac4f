/*
 * Layout that traps.S and C agree on; usable from both.
 */
#ifndef PVGUEST_TRAPS_H
#define PVGUEST_TRAPS_H

#define PVG_TRAP_STUB_SIZE 16
/* Stands where the vector does in the frame of a SYSCALL. */
#define PVG_TRAP_SYSCALL_NUMBER 256
/* Selectors as trap.h has them, for assembly. */
#define PVG_USER_DATA 0x1b
#define PVG_USER_CODE 0x23

#endif

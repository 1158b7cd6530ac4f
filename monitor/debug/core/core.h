/*
 * A core file of the guest, which gdb opens beside the kernel's ELF file: `gdb KERNEL CORE`. docs/debugging.md says
 * what is in it.
 */
#ifndef MONITOR_DEBUG_CORE_H
#define MONITOR_DEBUG_CORE_H

#include <stdint.h>
#include <stdio.h>

struct vm;

/* Guest-physical memory is a segment from here on: no guest-virtual address, since it is not canonical. */
#define CORE_PHYSICAL 0x1000000000000000ull

/*
 * Writes the stopped guest to path and says on `say` what came of it: one line. 0 or negative errno; then there is no
 * file.
 */
int core_write(struct vm *vm, const char *path, FILE *say);
/* Says on stderr if core_write(path) could not succeed as things are. */
void core_check_path(const char *path);

#endif

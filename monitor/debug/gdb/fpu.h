/*
 * The guest's FPU state as the debugger's registers are parts of it: an XSAVE image with every component spelt out.
 */
#ifndef MONITOR_DEBUG_GDB_FPU_H
#define MONITOR_DEBUG_GDB_FPU_H

#include <stdint.h>

#include "monitor/debug/gdb/internal.h"

#define FPU_YMM_COUNT 16

struct fpu {
	uint8_t image[ENGINE_FPU_MAX] __attribute__((aligned(64)));
	unsigned size;
	uint8_t *ymm; /* upper halves of YMM0 to YMM15, in the image where the machine has AVX */
	uint8_t no_ymm[FPU_YMM_COUNT * X86_FPU_SLOT];
};

void fpu_load(struct gdb *gdb, struct fpu *fpu);
void fpu_store(struct gdb *gdb, struct fpu *fpu);

/* The x87's tag word has two bits for each physical register (SDM 1 8.1.7); the image keeps whether it is in use. */
uint32_t fpu_full_tag(const struct fpu *fpu);
uint8_t fpu_short_tag(uint32_t tag);

#endif

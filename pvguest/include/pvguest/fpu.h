/*
 * FPU, SSE and AVX state as XSAVE images in standard form (SDM 1 13.4), of what XCR0 enables. The library itself
 * never uses these registers.
 */
#ifndef PVGUEST_FPU_H
#define PVGUEST_FPU_H

#include <stdint.h>

#include <pvguest/language.h>

PVG_BEGIN

#define PVG_FPU_ALIGNMENT 64

/* Bytes of an image here, of these components (CPUID leaf 0xD). */
unsigned pvg_fpu_size(void);
/* The state components there are: of XCR0 those that ring3 keeps, x87, SSE, AVX and AVX-512. */
uint64_t pvg_fpu_components(void);
/* Writes the image of a processor just reset. */
void pvg_fpu_reset(void *image);
/* Makes an image of whatever origin one that loading cannot fault on. */
void pvg_fpu_sanitize(void *image);

PVG_END

#endif

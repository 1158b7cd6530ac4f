/*
 * What native_run.S shares with native_reference.c: the registers an instruction runs with.
 */
#ifndef TESTS_UNIT_NATIVE_RUN_H
#define TESTS_UNIT_NATIVE_RUN_H

#include "hypercalls/x86.h"

#define NATIVE_FLAGS 128
#define NATIVE_FPU   136
#define NATIVE_MASK  144

/* As the mask: nothing but MXCSR and XMM registers, which the image holds whatever its header says. */
#define NATIVE_SSE_ONLY 2

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stdint.h>

struct native_state {
	uint64_t gpr[16];
	uint64_t flags; /* as LAHF and SETO leave them in AX */
	void *fpu;	/* XSAVE image to load before and to save to after; NULL: none */
	uint64_t mask;	/* its state components */
};

/* Runs the code, which ends in RET and leaves RSP alone. 0, or 1 if it came to native_fault. */
int native_run(struct native_state *state, const void *code);
/* Where the handler of a signal that the code raised goes on, with the code's own RSP. */
void native_fault(void);

/*
 * What the processor itself makes of an instruction, memory operands included: the reference of the tests. False: it
 * raised *vector.
 */
bool native_reference(const uint8_t *bytes, unsigned len, struct native_state *state, uint8_t *vector);
#endif

#endif

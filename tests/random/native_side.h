/*
 * Running a sequence natively, in this process.
 */
#ifndef TESTS_RANDOM_NATIVE_SIDE_H
#define TESTS_RANDOM_NATIVE_SIDE_H

#include <stdint.h>

#include "monitor/vm/engine.h"
#include "tests/random/sequence.h"

/* What a sequence starts with and ends with. */
struct outcome {
	uint64_t gpr[16], rip, rflags, address /* of #PF */;
	uint32_t vector, error;
	uint8_t data[SEQ_AREA_SIZE], stack[SEQ_AREA_SIZE];
	uint8_t fpu[ENGINE_FPU_MAX] __attribute__((aligned(64)));
};

/* Maps the areas at their addresses. 0, or -1 with errno set. */
int native_side_init(uint64_t base, unsigned fpu_size);
/* Runs the sequence from *o until it faults, as it does at its end at the latest. */
void native_side_run(const struct sequence *s, uint64_t base, struct outcome *o);

#endif

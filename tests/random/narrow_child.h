/*
 * A traced child in which 32-bit code runs on the processor, in compatibility mode, and as it was translated.
 */
#ifndef TESTS_RANDOM_NARROW_CHILD_H
#define TESTS_RANDOM_NARROW_CHILD_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/engine/translate/compile.h"

/* A page each, at the low addresses and in the window; code is never written, and lies beside nothing. */
#define NARROW_CODE  0x80100000u
#define NARROW_DATA  0x00300000u
#define NARROW_STACK 0x00201000u
#define NARROW_TOP   0xfffff000u
#define NARROW_BASE  0x00100000u /* of the segment that the hardware has for the guest */

#define NARROW_CODE_MAX 0x1000
#define NARROW_MEMORY	0x3000 /* data, stack, top */
#define NARROW_XMM	160
#define NARROW_XMM_END	288 /* of eight registers */
#define NARROW_YMM	576
#define NARROW_YMM_END	704
#define NARROW_FPU_SIZE 832

struct narrow_state {
	uint64_t gpr[16], rip, rflags;
	uint8_t memory[NARROW_MEMORY];
	uint8_t fpu[NARROW_FPU_SIZE]; /* as XSAVE has it */
};

enum narrow_end {
	NARROW_FAULT,	/* as it does at its end, an HLT, at the latest */
	NARROW_GOES_ON, /* with another block */
	NARROW_ODD,	/* otherwise: nothing to compare */
};

/* 0, or -1 with errno set. */
int narrow_start(void);
void narrow_end(void);
void narrow_place(struct bt_place *place);
/* NARROW_CODE_MAX bytes. */
void narrow_write(const uint8_t *code);
/* Both run from *state until they stop, and fill it in. */
enum narrow_end narrow_native(struct narrow_state *state, bool user);
enum narrow_end narrow_block(const struct bt_source *source, const struct bt_place *place, const struct bt_code *code,
			     struct narrow_state *state);

#endif

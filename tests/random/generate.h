/*
 * The generator of random sequences. A sequence is a function of its series, its number, and of where it is to run.
 */
#ifndef TESTS_RANDOM_GENERATE_H
#define TESTS_RANDOM_GENERATE_H

#include <stdbool.h>
#include <stdio.h>

#include "tests/random/sequence.h"

enum generate_where {
	GENERATE_PROCESS,     /* user mode of a process that holds more than the sequence's pages */
	GENERATE_USER,	      /* user mode of a guest */
	GENERATE_NO_FPU,      /* the same with the FPU switched off */
	GENERATE_KERNEL,      /* kernel mode of a guest whose kernel is interpreted */
	GENERATE_KERNEL_TRAP, /* kernel mode of any guest: nothing sensitive that does not trap */
	GENERATE_UPPER,	      /* as GENERATE_KERNEL, in the upper half, with operands in user memory */
};

/* Where a sequence's areas begin. */
uint64_t generate_base(enum generate_where where);
/* Sequence n of a series: first each template alone, by turns, then random ones. */
void generate(struct sequence *s, uint64_t series, uint64_t n, enum generate_where where);
/* The code in Intel syntax, an instruction a line. */
void generate_print(const struct sequence *s, uint64_t base, FILE *to);

/* rules.c: whether a single instruction of random bytes may be part of a sequence. */
struct emu_insn;
bool rules_allow(const struct emu_insn *insn, enum generate_where where);
/* Where manuals leave things open, the interpreter does as these processors do. */
bool generate_host_is_amd(void);
/* Programs have protection keys here. */
bool generate_host_has_keys(void);
/* The host sees a locked access that crosses a cache line, and may let whoever made it wait. */
bool generate_host_resents_locks(void);

#endif

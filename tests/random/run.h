/*
 * What run.S shares with the guest: a sequence's registers before and after.
 */
#ifndef TESTS_RANDOM_RUN_H
#define TESTS_RANDOM_RUN_H

#define RUN_RIP	    128
#define RUN_CS	    136
#define RUN_RFLAGS  144
#define RUN_SS	    152
#define RUN_VECTOR  160
#define RUN_ERROR   168
#define RUN_SYSCALL 256 /* as a vector: SYSCALL was executed */
#define RUN_STUB    16	/* bytes of an entry of run_stubs */

#ifndef __ASSEMBLER__
#include <stdint.h>

struct run_registers {
	uint64_t gpr[16]; /* in the order of their encoding */
	uint64_t rip, cs, rflags, ss, vector, error;
	uint64_t stepped; /* run_stepped at the end */
};

/* Loads the registers and goes there; returns with what they are when an exception or a system call comes. */
void run_sequence(struct run_registers *registers);
/* Single steps that do not end the sequence, and what has become of run_stepped by where each led. */
extern uint64_t run_steps_left, run_stepped;
/* The vectors' handlers, RUN_STUB bytes apart, and that of SYSCALL. All want a stack of their own. */
extern const char run_stubs[], run_syscall[];
/* An exception came from elsewhere. */
_Noreturn void run_unexpected(uint64_t vector, uint64_t rip);
#endif

#endif

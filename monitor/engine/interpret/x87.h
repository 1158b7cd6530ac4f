/*
 * The common x87 instructions: what x87_pick.c, which knows them, and x87_forms.c, which executes them, share. insn.src
 * is the number of the stack's register that the encoding names.
 */
#ifndef MONITOR_ENGINE_INTERPRET_X87_H
#define MONITOR_ENGINE_INTERPRET_X87_H

#include "monitor/engine/interpret/native.h"

/* On the host's x87, which is empty, masks all exceptions, and is left so. The status word of the operation alone. */
typedef uint16_t x87_function(void *to, const void *from);

/* `to` of a comparison into RFLAGS: its first operand, and AX after LAHF and SETO. */
struct x87_flags {
	const void *first;
	uint32_t ax;
};

struct x87_form {
	insn_function *run;
	x87_function *operate;
	uint16_t conditions; /* X86_FSW_C0 to C3 that the instruction sets */
	uint16_t unsure;     /* those that it clears on one processor and leaves on another, or leaves at times */
	uint8_t pops;
};

/* By operands: ST(0), and a register or memory; a register, and ST(0); ST(0) alone. */
insn_function x87_run_operation, x87_run_to_register, x87_run_unary;
/* Comparisons, into the status word and into RFLAGS. */
insn_function x87_run_compare, x87_run_examine, x87_run_compare_flags;
/* With a conversion; of 80 bits in memory; of a register. */
insn_function x87_run_load, x87_run_load_whole, x87_run_load_register, x87_run_constant;
insn_function x87_run_store, x87_run_store_whole, x87_run_store_register, x87_run_exchange, x87_run_conditional;
insn_function x87_run_control_load, x87_run_word_store, x87_run_status_to_ax;

#endif

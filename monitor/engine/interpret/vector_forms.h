/*
 * The common SSE and AVX instructions: what vector_pick.c, which knows them, and vector_forms.c, which executes them,
 * share. insn.dst and insn.src are numbers of vector registers, or offsets of general ones; insn_detail.width is 0 for
 * legacy encodings.
 */
#ifndef MONITOR_ENGINE_INTERPRET_VECTOR_FORMS_H
#define MONITOR_ENGINE_INTERPRET_VECTOR_FORMS_H

#include "monitor/engine/interpret/native.h"

/* insn_detail.width */
#define HALF  16
#define WHOLE 32

/* d = op(d, s), or op(s) */
typedef void vector_function(uint8_t *d, const uint8_t *s);

enum vector_kind {
	VECTOR_PLAIN,	/* all of the vector */
	VECTOR_ROUNDS,	/* likewise, with flags */
	VECTOR_INTEGER, /* as PLAIN, of which 256 bits came with AVX2 */
	VECTOR_SCALAR,	/* one element, with flags */
	VECTOR_SHIFT,
	VECTOR_MOVE,
	VECTOR_MOVE_ELEMENT, /* MOVSS, MOVSD, MOVD, MOVQ */
	VECTOR_COMPARE,	     /* into RFLAGS */
	VECTOR_FROM_GPR,     /* CVTSI2SS, CVTSI2SD */
	VECTOR_TO_GPR,	     /* CVTTSD2SI and its like */
	VECTOR_SHUFFLE,	     /* PSHUFD, SHUFPS, SHUFPD */
};

struct vector_entry {
	ZydisMnemonic legacy, vex;
	uint8_t kind;
	vector_function *run;
};

insn_function vector_run_operation, vector_run_shift, vector_run_load, vector_run_store, vector_run_merge,
	vector_run_to_vector, vector_run_from_vector, vector_run_compare, vector_run_from_gpr, vector_run_to_gpr,
	vector_run_shuffle;

#endif

/*
 * Registers as the debugger sees them: what there is, how wide, and where it comes from. For registers.c and
 * description.c.
 */
#ifndef MONITOR_DEBUG_GDB_REGISTERS_H
#define MONITOR_DEBUG_GDB_REGISTERS_H

#include "monitor/debug/gdb/internal.h"

#define REGISTER_MAX 16 /* bytes */

enum kind { KIND_GPR, KIND_FIELD, KIND_RIP, KIND_RFLAGS, KIND_ST, KIND_X87, KIND_XMM, KIND_MXCSR, KIND_YMM };

/* GDB's sets of registers, and one of our own, which follow one another. */
enum reg_feature { FEATURE_CORE, FEATURE_SSE, FEATURE_SEGMENTS, FEATURE_SYSTEM, FEATURE_AVX };

/* Names lie within: a table of pointers is written to at each start, wherever the program comes to lie. */
struct reg {
	char name[20], type[12];
	enum reg_feature feature;
	unsigned size; /* bytes */
	enum kind kind;
	unsigned index; /* of a KIND_GPR, KIND_ST, KIND_XMM, KIND_YMM; offset in struct vcpu of a KIND_FIELD */
	unsigned width; /* bytes of a KIND_FIELD, or of a KIND_X87 at offset index of the FXSAVE area */
	bool read_only;
};

/* Those of the debugger's present connection (gdb->bits), and how many. */
const struct reg *registers_list(const struct gdb *gdb, size_t *count);

#endif

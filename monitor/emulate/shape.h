/*
 * The commonest instructions of 64-bit code, taken apart by a table: for who decodes much, and needs no more than this.
 * All others are Zydis's.
 */
#ifndef MONITOR_EMULATE_SHAPE_H
#define MONITOR_EMULATE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

#define PREFIX_OPERAND 0x66
#define REX	       0x40
#define REX_W	       0x48
#define REX_R	       0x04
#define REX_X	       0x02
#define REX_B	       0x01

enum {
	SHAPE_MODRM = 1,
	SHAPE_NAMES = 2,    /* a register, by the opcode's low bits */
	SHAPE_BRANCH = 4,   /* control goes elsewhere; to an immediate, if there is one */
	SHAPE_SETS_RSP = 8, /* RSP is loaded */
	SHAPE_GROUP = 16,   /* ModRM.reg is part of the opcode */
};

struct emu_shape {
	char kind;	 /* by the table of shape.c: j l Jcc, J L JMP, C CALL, R RET, a ModRM for memory alone */
	bool two;	 /* behind the escape 0F */
	bool narrow;	 /* of 16 bits, by the only prefix that there may be beside REX */
	bool relative;	 /* the operand is relative to RIP */
	uint16_t traits; /* SHAPE_* */
	uint8_t opcode, rex, length;
	uint8_t modrm;		 /* where it lies; 0: there is none */
	uint8_t disp, disp_size; /* where it lies, and its bytes */
	uint8_t imm, imm_size;
};

/* False: it is not known, or not all of it lies there. */
bool emu_shape(const uint8_t *bytes, unsigned len, struct emu_shape *shape);

/* What is encoded in so many bytes, 0, 1, 2, 4 or 8, sign-extended. */
int64_t emu_shape_value(const uint8_t *at, unsigned size);

#endif

/*
 * The few host instructions of which sequences are made. None of them touches RFLAGS, but for those that say so. SDM 2A
 * chapter 2 for the codings.
 */
#ifndef MONITOR_ENGINE_TRANSLATE_EMIT_H
#define MONITOR_ENGINE_TRANSLATE_EMIT_H

#include <stddef.h>
#include <stdint.h>

#include "monitor/emulate/shape.h"
#include "monitor/engine/translate/compile.h"

#define VEX_NOT_XB	  0x60 /* in the byte behind C4, 8F and 62: the inverse of REX.X and REX.B */
#define MODRM_REG	  0x38
#define MODRM_RM_SIB	  0x04
#define MODRM_DISP32	  0x80
#define MODRM_RIP	  0x05
#define SIB_ABSOLUTE	  0x25 /* neither base nor index */
#define PREFIX_ES	  0x26
#define PREFIX_CS	  0x2e
#define PREFIX_SS	  0x36
#define PREFIX_DS	  0x3e
#define PREFIX_FS	  0x64
#define PREFIX_GS	  0x65
#define OPCODE_ADD	  0x03
#define OPCODE_OR	  0x0b
#define OPCODE_AND_TO	  0x21
#define OPCODE_SUB	  0x2b
#define OPCODE_COMPARE	  0x3b
#define OPCODE_TEST	  0x85
#define OPCODE_STORE	  0x89
#define OPCODE_LOAD	  0x8b
#define OPCODE_PUSH_IMM32 0x68
#define OPCODE_LEA	  0x8d
#define OPCODE_PUSHF	  0x9c
#define OPCODE_POPF	  0x9d
#define OPCODE_GROUP_FF	  0xff
#define FF_INC		  0
#define FF_PUSH		  6
#define OPCODE_JB	  0x72
#define OPCODE_JAE	  0x73
#define OPCODE_JNO	  0x71
#define OPCODE_JNZ	  0x75
#define OPCODE_JZ	  0x74
#define OPCODE_JNS	  0x79
#define OPCODE_JMP	  0xeb
#define OPCODE_JRCXZ	  0xe3

/* Bytes for place->host + len. A sequence that is longer than there is room for is the monitor's own fault: abort. */
struct emit {
	uint8_t *bytes;
	unsigned len, room;
	const struct bt_place *place;
};

/* Where a field of the state lies. */
#define SLOT(field) offsetof(struct bt_state, field)

void emit8(struct emit *e, unsigned value);
void emit32(struct emit *e, uint32_t value);
void emit64(struct emit *e, uint64_t value);
void emit_bytes(struct emit *e, const uint8_t *bytes, size_t len);

/* MOV [slot], register; MOV register, [slot]: all 64 bits. */
void emit_store(struct emit *e, unsigned reg, size_t slot);
void emit_load(struct emit *e, unsigned reg, size_t slot);
/* The lower half alone, of one of the low eight registers: the upper one becomes 0. */
void emit_load_half(struct emit *e, unsigned reg, size_t slot);
/* The low 16 bits alone: the others stay. */
void emit_load_word(struct emit *e, unsigned reg, size_t slot);
/* MOVQ XMM, [slot]; MOVQ [slot], XMM: of the low eight. */
void emit_load_vector(struct emit *e, unsigned xmm, size_t slot);
void emit_store_vector(struct emit *e, unsigned xmm, size_t slot);
/* POP QWORD [slot] */
void emit_pop(struct emit *e, size_t slot);
/* opcode with register and the slot: all 64 bits. */
void emit_state(struct emit *e, unsigned opcode, unsigned reg, size_t slot);
/* Stores the address of the instruction behind it, low half only, in so many bytes. */
#define EMIT_STORE_ADDRESS 10
void emit_store_address(struct emit *e, size_t slot);
/* MOV DWORD [address], imm32; the address within 2 GiB. */
void emit_store_imm(struct emit *e, uint64_t address, uint32_t value);
/* CMP DWORD [slot], 0: this one does touch RFLAGS. */
void emit_compare_zero(struct emit *e, size_t slot);
/* CMP DWORD [slot], imm32: likewise. */
void emit_compare(struct emit *e, size_t slot, uint32_t value);
/* register = value, in as few bytes as it takes; 64: always as many. */
void emit_constant(struct emit *e, unsigned reg, uint64_t value);
void emit_constant64(struct emit *e, unsigned reg, uint64_t value);

/* JMP rel32. Target 0: to be patched. */
void emit_jump(struct emit *e, uint64_t target);
/* Sets the displacement at offset `at` so that the jump which it ends goes to offset `to`. */
void emit_patch(struct emit *e, unsigned at, unsigned to);
/* NOPs, so that a displacement `before` bytes further on lies within one line of the cache: patched by one store. */
void emit_pad_for_patch(struct emit *e, unsigned before);
/* A jump to be patched; the offset of its displacement. */
unsigned emit_jump_for_patch(struct emit *e);
/* A short jump forward, and where it goes to is set by emit_skip_end. */
unsigned emit_hop(struct emit *e, unsigned opcode);
/* JMP rel8 over what comes before emit_skip_end. */
unsigned emit_skip(struct emit *e);
void emit_skip_end(struct emit *e, unsigned skip);

#endif

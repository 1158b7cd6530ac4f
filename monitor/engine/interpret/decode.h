/*
 * What decode*.c share.
 */
#ifndef MONITOR_ENGINE_INTERPRET_DECODE_H
#define MONITOR_ENGINE_INTERPRET_DECODE_H

#include "monitor/engine/interpret/ops.h"

#define OPERAND(emu, n, kind) ((emu)->operands[n].type == ZYDIS_OPERAND_TYPE_##kind)

/* An instruction that is known by its name alone. */
#define DECODE_PLAIN(name, function)                                                                                   \
	case ZYDIS_MNEMONIC_##name:                                                                                    \
		return function;

/* decode_operand.c */

/* It is one of 64-bit mode. */
bool decode_is_long(const struct emu_insn *emu);
enum width decode_width(unsigned bits);
/* Where an operand in memory lies. */
void decode_memory(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu,
		   const ZydisDecodedOperand *op);
/* Registers to dst and src, memory to the address. False: an operand that is neither general register nor these. */
bool decode_operands(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu);

/* decode_flow.c: what ends the block; NULL: another instruction. */
insn_function *decode_flow(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu);
insn_function *decode_jcc(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, unsigned cc);
/* emu_is_narrow_branch: i->run is how it is executed without the prefix. */
insn_function *decode_narrow(struct insn *i, const struct emu_insn *emu);

/* decode_system.c: what has to do with the system and does not end the block; NULL: another instruction. */
insn_function *decode_system(const struct emu_insn *emu);

#endif

/*
 * Inside the compiler: code of 32 bits. A register of the guest's is the low half of the host's, whose upper half is
 * zero; R8 to R15 are free within the sequence of an instruction. Guest memory is a window of 4 GiB, where the base of
 * GS is: an operand has a prefix for that and one for addresses of 32 bits, so that nothing outside can be named. The
 * stack pointer is the guest's as well, so nothing is pushed or popped but by MOV and LEA.
 */
#ifndef MONITOR_ENGINE_TRANSLATE_NARROW_H
#define MONITOR_ENGINE_TRANSLATE_NARROW_H

#include "monitor/engine/translate/internal.h"

#define WORD 4 /* bytes that a push moves the stack pointer */

/* narrow.c: the prefix for what the memory operand's segment is; 0: it has to leave. */
unsigned narrow_prefix(const struct compiler *c, const ZydisDecodedOperand *op);
/*
 * opcode with `reg` and the memory operand of the instruction, whose prefix that is. An opcode of two bytes has 0F in
 * its upper one.
 */
void narrow_operand(struct compiler *c, unsigned prefix, unsigned opcode, unsigned reg);
/* R8D = the operand, in a register or in memory, of the instruction. False: it has to leave. */
bool narrow_load_operand(struct compiler *c, const ZydisDecodedOperand *op);
/* opcode with `reg` and the guest's memory at the stack pointer + offset. */
void narrow_stack(struct compiler *c, unsigned opcode, unsigned reg, int offset);
void narrow_store_imm(struct compiler *c, int offset, uint32_t value);
/* ESP += bytes. */
void narrow_move_stack(struct compiler *c, int bytes);

/* narrow_stack.c: pushes, pops and what is made of them; narrow_system.c: what is sensitive. As compile_copy. */
bool narrow_push_pop(struct compiler *c);
bool narrow_system(struct compiler *c);
/* narrow_flow.c: transfers of control. As compile_insn. */
enum outcome narrow_flow(struct compiler *c);
/* narrow_device.c: a load of 32 bits; it may be of a device's register: as compile_copy. */
bool narrow_register_load(struct compiler *c);
/* narrow_cross.c: INT and SYSENTER of user mode, IRET and SYSEXIT of its kernel, where both share a cell. */
bool narrow_crosses(const struct compiler *c);
enum outcome narrow_cross(struct compiler *c);

#endif

/*
 * What native.c and native_rules.c share.
 */
#ifndef MONITOR_ENGINE_INTERPRET_NATIVE_H
#define MONITOR_ENGINE_INTERPRET_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/emulate/emulate.h"

/* Not to be run natively; works on general registers and flags; works on FPU state too. */
enum native_kind { NATIVE_FORBIDDEN, NATIVE_INTEGER, NATIVE_VECTOR };

enum native_kind native_kind_of(const struct emu_insn *emu);
/* XSAVE, XRSTOR and their like. */
bool native_is_state(const struct emu_insn *emu);
/* An operand in a vector register, which makes any instruction one of the FPU. */
bool native_is_vector(const ZydisDecodedOperand *op);
/* A register that native code runs with the guest's value of, and may change. */
bool native_register_allowed(ZydisRegister reg);
/* What a memory operand of `size` bytes must be aligned to; 0: nothing. */
uint16_t native_alignment(const struct emu_insn *emu, uint16_t size);

#endif

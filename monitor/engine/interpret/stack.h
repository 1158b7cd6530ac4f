/*
 * Bodies of PUSH, POP and LEAVE, on stacks of every kind.
 */
#ifndef MONITOR_ENGINE_INTERPRET_STACK_H
#define MONITOR_ENGINE_INTERPRET_STACK_H

#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"

/* In a body: on the stack of that kind. */
#define READ(n, rsp, v, kind)  LOAD_AT(n, stack_address(c, rsp, n / 8, false, kind), EA_STACK, v)
#define WRITE(n, rsp, v, kind) STORE_AT(n, stack_address(c, rsp, n / 8, true, kind), EA_STACK, v)

/* `name` and `kind` say which stack it is, n how many bits an operand has. */
#define PUSH_POP(name, n, kind)                                                                                        \
	BODY(push##name##_reg)                                                                                         \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8;                                                                    \
		if (!WRITE(n, rsp, REG(n, i->dst), kind))                                                              \
			return false;                                                                                  \
		set_stack(c, rsp, kind);                                                                               \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(push##name##_imm)                                                                                         \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8;                                                                    \
		if (!WRITE(n, rsp, (uint##n##_t)i->imm, kind))                                                         \
			return false;                                                                                  \
		set_stack(c, rsp, kind);                                                                               \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(push##name##_mem)                                                                                         \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8;                                                                    \
		uint##n##_t v;                                                                                         \
		if (!LOAD(n, &v) || !WRITE(n, rsp, v, kind))                                                           \
			return false;                                                                                  \
		set_stack(c, rsp, kind);                                                                               \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(pop##name##_reg)                                                                                          \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP];                                                                            \
		uint##n##_t v;                                                                                         \
		if (!READ(n, rsp, &v, kind))                                                                           \
			return false;                                                                                  \
		set_stack(c, rsp + n / 8, kind);                                                                       \
		SET##n(i->dst, v);                                                                                     \
		return true;                                                                                           \
	}                                                                                                              \
	/* An address through RSP is computed after it has moved: SDM 2B POP. */                                       \
	BODY(pop##name##_mem)                                                                                          \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP];                                                                            \
		uint##n##_t v;                                                                                         \
		if (!READ(n, rsp, &v, kind))                                                                           \
			return false;                                                                                  \
		set_stack(c, rsp + n / 8, kind);                                                                       \
		if (STORE(n, v))                                                                                       \
			return true;                                                                                   \
		c->gpr[RSP] = rsp;                                                                                     \
		return false;                                                                                          \
	}                                                                                                              \
	BODY(leave##name)                                                                                              \
	{                                                                                                              \
		uint64_t rbp = c->gpr[RBP];                                                                            \
		uint##n##_t v;                                                                                         \
		if (!READ(n, rbp, &v, kind))                                                                           \
			return false;                                                                                  \
		set_stack(c, rbp + n / 8, kind);                                                                       \
		SET##n(RBP * 8, v);                                                                                    \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(push##name##_reg)                                                                                      \
	HANDLER(push##name##_imm)                                                                                      \
	HANDLER(push##name##_mem)                                                                                      \
	HANDLER(pop##name##_reg)                                                                                       \
	HANDLER(pop##name##_mem)                                                                                       \
	HANDLER(leave##name)
PUSH_POP(16w, 16, STACK_WIDE)
PUSH_POP(64w, 64, STACK_WIDE)
PUSH_POP(16f, 16, STACK_FLAT)
PUSH_POP(32f, 32, STACK_FLAT)
PUSH_POP(16n, 16, STACK_NARROW)
PUSH_POP(32n, 32, STACK_NARROW)

#endif

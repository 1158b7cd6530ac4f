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
	static inline bool push##name(struct engine_vcpu *c, uint##n##_t v, bool quick)                                \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8;                                                                    \
		if (!WRITE(n, rsp, v, kind))                                                                           \
			return false;                                                                                  \
		set_stack(c, rsp, kind);                                                                               \
		return true;                                                                                           \
	}                                                                                                              \
	static inline bool pop##name(struct engine_vcpu *c, uint64_t rsp, uint##n##_t *v, bool quick)                  \
	{                                                                                                              \
		if (!READ(n, rsp, v, kind))                                                                            \
			return false;                                                                                  \
		set_stack(c, rsp + n / 8, kind);                                                                       \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(push##name##_reg)                                                                                         \
	{                                                                                                              \
		return push##name(c, REG(n, i->dst), quick);                                                           \
	}                                                                                                              \
	BODY(push##name##_imm)                                                                                         \
	{                                                                                                              \
		return push##name(c, (uint##n##_t)i->imm, quick);                                                      \
	}                                                                                                              \
	BODY(push##name##_mem)                                                                                         \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		return LOAD(n, &v) && push##name(c, v, quick);                                                         \
	}                                                                                                              \
	BODY(pop##name##_reg)                                                                                          \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!pop##name(c, c->gpr[RSP], &v, quick))                                                             \
			return false;                                                                                  \
		SET##n(i->dst, v);                                                                                     \
		return true;                                                                                           \
	}                                                                                                              \
	/* An address through RSP is computed after it has moved: SDM 2B POP. */                                       \
	BODY(pop##name##_mem)                                                                                          \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP];                                                                            \
		uint##n##_t v;                                                                                         \
		if (!pop##name(c, rsp, &v, quick))                                                                     \
			return false;                                                                                  \
		if (STORE(n, v))                                                                                       \
			return true;                                                                                   \
		c->gpr[RSP] = rsp;                                                                                     \
		return false;                                                                                          \
	}                                                                                                              \
	BODY(leave##name)                                                                                              \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!pop##name(c, c->gpr[RBP], &v, quick))                                                             \
			return false;                                                                                  \
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

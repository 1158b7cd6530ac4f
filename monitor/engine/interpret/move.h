/*
 * Bodies of moves, of extensions, and of what a condition decides.
 */
#ifndef MONITOR_ENGINE_INTERPRET_MOVE_H
#define MONITOR_ENGINE_INTERPRET_MOVE_H

#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"

#define MOV(n)                                                                                                         \
	BODY(mov##n##_rr)                                                                                              \
	{                                                                                                              \
		SET##n(i->dst, REG(n, i->src));                                                                        \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(mov##n##_ri)                                                                                              \
	{                                                                                                              \
		SET##n(i->dst, (uint##n##_t)i->imm);                                                                   \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(mov##n##_rm)                                                                                              \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!LOAD(n, &v))                                                                                      \
			return false;                                                                                  \
		SET##n(i->dst, v);                                                                                     \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(mov##n##_mr)                                                                                              \
	{                                                                                                              \
		return STORE(n, REG(n, i->src));                                                                       \
	}                                                                                                              \
	BODY(mov##n##_mi)                                                                                              \
	{                                                                                                              \
		return STORE(n, (uint##n##_t)i->imm);                                                                  \
	}                                                                                                              \
	HANDLER(mov##n##_rr)                                                                                           \
	HANDLER(mov##n##_ri)                                                                                           \
	HANDLER(mov##n##_rm)                                                                                           \
	HANDLER(mov##n##_mr)                                                                                           \
	HANDLER(mov##n##_mi)
MOV(8)
MOV(16)
MOV(32)
MOV(64)

#define EXTEND(name, type, to, from)                                                                                   \
	BODY(name##to##_##from##_r)                                                                                    \
	{                                                                                                              \
		SET##to(i->dst, (uint##to##_t)(type##from##_t)REG(from, i->src));                                      \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(name##to##_##from##_m)                                                                                    \
	{                                                                                                              \
		uint##from##_t v;                                                                                      \
		if (!LOAD(from, &v))                                                                                   \
			return false;                                                                                  \
		SET##to(i->dst, (uint##to##_t)(type##from##_t)v);                                                      \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##to##_##from##_r)                                                                                 \
	HANDLER(name##to##_##from##_m)
#define EXTENDS(name, type)                                                                                            \
	EXTEND(name, type, 16, 8)                                                                                      \
	EXTEND(name, type, 16, 16)                                                                                     \
	EXTEND(name, type, 32, 8)                                                                                      \
	EXTEND(name, type, 32, 16)                                                                                     \
	EXTEND(name, type, 32, 32)                                                                                     \
	EXTEND(name, type, 64, 8)                                                                                      \
	EXTEND(name, type, 64, 16)                                                                                     \
	EXTEND(name, type, 64, 32)
EXTENDS(movzx, uint)
EXTENDS(movsx, int)

#define LEA(n)                                                                                                         \
	BODY(lea##n)                                                                                                   \
	{                                                                                                              \
		if (quick && unlikely(i->ea & EA_OTHER))                                                               \
			return false;                                                                                  \
		SET##n(i->dst, (uint##n##_t)ADDRESS);                                                                  \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(lea##n)
LEA(16)
LEA(32)
LEA(64)

#define XCHG(n)                                                                                                        \
	BODY(xchg##n##_r)                                                                                              \
	{                                                                                                              \
		uint##n##_t d = REG(n, i->dst), s = REG(n, i->src);                                                    \
		SET##n(i->dst, s);                                                                                     \
		SET##n(i->src, d);                                                                                     \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(xchg##n##_m)                                                                                              \
	{                                                                                                              \
		uint##n##_t *p = MODIFY(n), d, s = REG(n, i->src);                                                     \
		if (unlikely(!p))                                                                                      \
			return false;                                                                                  \
		__builtin_memcpy(&d, p, sizeof(d));                                                                    \
		__builtin_memcpy(p, &s, sizeof(s));                                                                    \
		MODIFIED;                                                                                              \
		SET##n(i->src, d);                                                                                     \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(xchg##n##_r)                                                                                           \
	HANDLER(xchg##n##_m)
XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)

/* ---------------------------------------------------------------------------------------------------- conditions */

/* CMOV of 32 bits clears the upper half even if the condition is false, and reads its operand always. */
#define CMOV(cc, n)                                                                                                    \
	BODY(cmov##cc##_##n##_r)                                                                                       \
	{                                                                                                              \
		SET##n(i->dst, condition(c->flags, cc) ? REG(n, i->src) : REG(n, i->dst));                             \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(cmov##cc##_##n##_m)                                                                                       \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!LOAD(n, &s))                                                                                      \
			return false;                                                                                  \
		SET##n(i->dst, condition(c->flags, cc) ? s : REG(n, i->dst));                                          \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(cmov##cc##_##n##_r)                                                                                    \
	HANDLER(cmov##cc##_##n##_m)

#define CONDITIONAL(cc)                                                                                                \
	CMOV(cc, 16)                                                                                                   \
	CMOV(cc, 32)                                                                                                   \
	CMOV(cc, 64)                                                                                                   \
	BODY(set##cc##_r)                                                                                              \
	{                                                                                                              \
		SET8(i->dst, condition(c->flags, cc));                                                                 \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(set##cc##_m)                                                                                              \
	{                                                                                                              \
		return STORE(8, condition(c->flags, cc));                                                              \
	}                                                                                                              \
	BODY(jcc##cc)                                                                                                  \
	{                                                                                                              \
		c->rip = c->base + i->end + (condition(c->flags, cc) ? (uint64_t)i->imm : 0);                          \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(set##cc##_r)                                                                                           \
	HANDLER(set##cc##_m)                                                                                           \
	ENDING(jcc##cc, FOLLOW)
#define ALL_CONDITIONS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
ALL_CONDITIONS(CONDITIONAL)

#endif

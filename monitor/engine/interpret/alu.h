/*
 * Bodies of arithmetic and logic. Each operation is the host's own instruction, so result and flags, undefined ones
 * included, are what the processor makes of them.
 */
#ifndef MONITOR_ENGINE_INTERPRET_ALU_H
#define MONITOR_ENGINE_INTERPRET_ALU_H

#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"

/*
 * The operation on flags in AX form: before it, set what it reads or, being undefined, may leave as it is; after it,
 * take all six.
 */
#define TAKE_FLAGS "\n\tlahf\n\tseto %%al"
#define SET_CF	   "btl $8, %%eax\n\t"
#define SET_ALL	   "addb $0x7f, %%al\n\tsahf\n\t"

#define BINARY_CORE(name, text, n, m, before)                                                                          \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d, uint##n##_t s)                               \
	{                                                                                                              \
		uint32_t ax = before;                                                                                  \
		__asm__(text " %" #m "[s], %" #m "[d]" TAKE_FLAGS : [d] "+&r"(d), "+&a"(ax) : [s] "r"(s) : "cc");      \
		*flags = ax;                                                                                           \
		return d;                                                                                              \
	}
#define KEEP(n, offset, v) SET##n(offset, v)
#define DROP(n, offset, v) ((void)(v))

#define BINARY_REG(name, n, set)                                                                                       \
	BODY(name##n##_rr)                                                                                             \
	{                                                                                                              \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), REG(n, i->src)));                                    \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(name##n##_ri)                                                                                             \
	{                                                                                                              \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), (uint##n##_t)i->imm));                               \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(name##n##_rm)                                                                                             \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!LOAD(n, &s))                                                                                      \
			return false;                                                                                  \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), s));                                                 \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##n##_rr)                                                                                          \
	HANDLER(name##n##_ri)                                                                                          \
	HANDLER(name##n##_rm)

/* The memory operand is changed in place. */
#define BINARY_MEM(name, n, form, s)                                                                                   \
	BODY(name##n##_##form)                                                                                         \
	{                                                                                                              \
		uint##n##_t *p = MODIFY(n), d;                                                                         \
		if (unlikely(!p))                                                                                      \
			return false;                                                                                  \
		__builtin_memcpy(&d, p, sizeof(d));                                                                    \
		d = name##n(&c->flags, d, (uint##n##_t)(s));                                                           \
		__builtin_memcpy(p, &d, sizeof(d));                                                                    \
		MODIFIED;                                                                                              \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##n##_##form)

/* The memory operand is only read. */
#define COMPARE_MEM(name, n, form, s)                                                                                  \
	BODY(name##n##_##form)                                                                                         \
	{                                                                                                              \
		uint##n##_t d;                                                                                         \
		if (!LOAD(n, &d))                                                                                      \
			return false;                                                                                  \
		name##n(&c->flags, d, (uint##n##_t)(s));                                                               \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##n##_##form)

#define BINARY_SIZE(name, text, n, m, before)                                                                          \
	BINARY_CORE(name, text, n, m, before)                                                                          \
	BINARY_REG(name, n, KEEP)                                                                                      \
	BINARY_MEM(name, n, mr, REG(n, i->src))                                                                        \
	BINARY_MEM(name, n, mi, i->imm)
#define COMPARE_SIZE(name, text, n, m)                                                                                 \
	BINARY_CORE(name, text, n, m, 0)                                                                               \
	BINARY_REG(name, n, DROP)                                                                                      \
	COMPARE_MEM(name, n, mr, REG(n, i->src))                                                                       \
	COMPARE_MEM(name, n, mi, i->imm)
#define BINARY(name, text, before)                                                                                     \
	BINARY_SIZE(name, text "b", 8, b, before)                                                                      \
	BINARY_SIZE(name, text "w", 16, w, before)                                                                     \
	BINARY_SIZE(name, text "l", 32, k, before)                                                                     \
	BINARY_SIZE(name, text "q", 64, q, before)
#define COMPARE(name, text)                                                                                            \
	COMPARE_SIZE(name, text "b", 8, b)                                                                             \
	COMPARE_SIZE(name, text "w", 16, w)                                                                            \
	COMPARE_SIZE(name, text "l", 32, k)                                                                            \
	COMPARE_SIZE(name, text "q", 64, q)

BINARY(add, "add", 0)
BINARY(or, "or", 0)
BINARY(adc, SET_CF "adc", *flags)
BINARY(sbb, SET_CF "sbb", *flags)
BINARY(and, "and", 0)
BINARY(sub, "sub", 0)
BINARY(xor, "xor", 0)
COMPARE(cmp, "cmp")
COMPARE(test, "test")

/* -------------------------------------------------------------------------------------------------- one operand */

#define UNARY_SIZE(name, text, n, m)                                                                                   \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d)                                              \
	{                                                                                                              \
		uint32_t ax = *flags;                                                                                  \
		__asm__(SET_CF text " %" #m "[d]" TAKE_FLAGS : [d] "+&r"(d), "+&a"(ax) : : "cc");                      \
		*flags = ax;                                                                                           \
		return d;                                                                                              \
	}                                                                                                              \
	UNARY_FORMS(name, n)
#define UNARY_FORMS(name, n)                                                                                           \
	BODY(name##n##_r)                                                                                              \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst)));                                                    \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##n##_r)                                                                                           \
	BINARY_MEM(name##_one_, n, m, 0)
/* BINARY_MEM passes two operands. */
#define ONE(name, n)                                                                                                   \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d);                                             \
	static inline uint##n##_t name##_one_##n(uint32_t *flags, uint##n##_t d, uint##n##_t s)                        \
	{                                                                                                              \
		return name##n(flags, d);                                                                              \
	}
#define ONES(name) ONE(name, 8) ONE(name, 16) ONE(name, 32) ONE(name, 64)
#define UNARY(name, text)                                                                                              \
	ONES(name)                                                                                                     \
	UNARY_SIZE(name, text "b", 8, b)                                                                               \
	UNARY_SIZE(name, text "w", 16, w)                                                                              \
	UNARY_SIZE(name, text "l", 32, k)                                                                              \
	UNARY_SIZE(name, text "q", 64, q)
UNARY(inc, "inc")
UNARY(dec, "dec")
UNARY(neg, "neg")

/* NOT leaves the flags alone. */
#define NOT(n)                                                                                                         \
	static inline uint##n##_t not ##n(uint32_t * flags, uint##n##_t d)                                             \
	{                                                                                                              \
		return (uint##n##_t) ~d;                                                                               \
	}                                                                                                              \
	UNARY_FORMS(not, n)
ONES(not )
NOT(8)
NOT(16)
NOT(32)
NOT(64)

/* ------------------------------------------------------------------------------------------------------- shifts */

#define SHIFT_SIZE(name, text, n, m)                                                                                   \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d, uint8_t count)                               \
	{                                                                                                              \
		uint32_t ax = *flags;                                                                                  \
		__asm__(SET_ALL text " %%cl, %" #m "[d]" TAKE_FLAGS : [d] "+&r"(d), "+&a"(ax) : "c"(count) : "cc");    \
		*flags = ax;                                                                                           \
		return d;                                                                                              \
	}                                                                                                              \
	BODY(name##n##_imm)                                                                                            \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst), (uint8_t)i->imm));                                   \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(name##n##_cl)                                                                                             \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst), (uint8_t)c->gpr[RCX]));                              \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(name##n##_imm)                                                                                         \
	HANDLER(name##n##_cl)
#define SHIFT(name, text)                                                                                              \
	SHIFT_SIZE(name, text "b", 8, b)                                                                               \
	SHIFT_SIZE(name, text "w", 16, w)                                                                              \
	SHIFT_SIZE(name, text "l", 32, k)                                                                              \
	SHIFT_SIZE(name, text "q", 64, q)
SHIFT(shl, "shl")
SHIFT(shr, "shr")
SHIFT(sar, "sar")
SHIFT(rol, "rol")
SHIFT(ror, "ror")

/* ----------------------------------------------------------------------------------------------- multiplication */

#define IMUL_SIZE(n, m)                                                                                                \
	BINARY_CORE(imul, SET_ALL "imul", n, m, *flags)                                                                \
	BODY(imul##n##_r)                                                                                              \
	{                                                                                                              \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->dst), REG(n, i->src)));                                    \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(imul##n##_m)                                                                                              \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!LOAD(n, &s))                                                                                      \
			return false;                                                                                  \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->dst), s));                                                 \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(imul##n##_ri)                                                                                             \
	{                                                                                                              \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->src), (uint##n##_t)i->imm));                               \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(imul##n##_mi)                                                                                             \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!LOAD(n, &s))                                                                                      \
			return false;                                                                                  \
		SET##n(i->dst, imul##n(&c->flags, s, (uint##n##_t)i->imm));                                            \
		return true;                                                                                           \
	}                                                                                                              \
	HANDLER(imul##n##_r)                                                                                           \
	HANDLER(imul##n##_m)                                                                                           \
	HANDLER(imul##n##_ri)                                                                                          \
	HANDLER(imul##n##_mi)
IMUL_SIZE(16, w)
IMUL_SIZE(32, k)
IMUL_SIZE(64, q)

#endif

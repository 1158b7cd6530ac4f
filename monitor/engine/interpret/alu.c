/*
 * Arithmetic and logic. Each operation is the host's own instruction, so result and flags, undefined ones included, are
 * what the processor makes of them.
 */
#include "monitor/engine/interpret/ops.h"

/*
 * The operation on flags in AX form: before it, set what it reads or, being undefined, may leave as it is; after it,
 * take all six.
 */
#define TAKE_FLAGS "\n\tlahf\n\tseto %%al"
#define SET_CF	   "btl $8, %%eax\n\t"
#define SET_ALL	   "addb $0x7f, %%al\n\tsahf\n\t"

#define BINARY_CORE(name, text, n, m)                                                                                  \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d, uint##n##_t s)                               \
	{                                                                                                              \
		uint32_t ax = *flags;                                                                                  \
		__asm__(text " %" #m "[s], %" #m "[d]" TAKE_FLAGS : [d] "+&r"(d), "+&a"(ax) : [s] "r"(s) : "cc");      \
		*flags = ax;                                                                                           \
		return d;                                                                                              \
	}
#define KEEP(n, offset, v) SET##n(offset, v)
#define DROP(n, offset, v) ((void)(v))

#define BINARY_REG(name, n, set)                                                                                       \
	static void name##n##_rr(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), REG(n, i->src)));                                    \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void name##n##_ri(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), (uint##n##_t)i->imm));                               \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void name##n##_rm(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &s))                                                          \
			FAULT;                                                                                         \
		set(n, i->dst, name##n(&c->flags, REG(n, i->dst), s));                                                 \
		NEXT;                                                                                                  \
	}

/* The memory operand is changed in place. */
#define BINARY_MEM(name, n, form, s)                                                                                   \
	static void name##n##_##form(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		uint##n##_t *p = modify##n(c, address_of(c, i), i->ea), d;                                             \
		if (unlikely(!p))                                                                                      \
			FAULT;                                                                                         \
		__builtin_memcpy(&d, p, sizeof(d));                                                                    \
		d = name##n(&c->flags, d, (uint##n##_t)(s));                                                           \
		__builtin_memcpy(p, &d, sizeof(d));                                                                    \
		memory_commit_if(c);                                                                                   \
		NEXT_STORED;                                                                                           \
	}
/* The memory operand is only read. */
#define COMPARE_MEM(name, n, form, s)                                                                                  \
	static void name##n##_##form(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		uint##n##_t d;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &d))                                                          \
			FAULT;                                                                                         \
		name##n(&c->flags, d, (uint##n##_t)(s));                                                               \
		NEXT;                                                                                                  \
	}

static inline void memory_commit_if(struct engine_vcpu *c)
{
	if (unlikely(c->bounce.size))
		memory_commit(c);
}

#define BINARY_SIZE(name, text, n, m)                                                                                  \
	BINARY_CORE(name, text, n, m)                                                                                  \
	BINARY_REG(name, n, KEEP)                                                                                      \
	BINARY_MEM(name, n, mr, REG(n, i->src))                                                                        \
	BINARY_MEM(name, n, mi, i->imm)
#define COMPARE_SIZE(name, text, n, m)                                                                                 \
	BINARY_CORE(name, text, n, m)                                                                                  \
	BINARY_REG(name, n, DROP)                                                                                      \
	COMPARE_MEM(name, n, mr, REG(n, i->src))                                                                       \
	COMPARE_MEM(name, n, mi, i->imm)
#define BINARY(name, text)                                                                                             \
	BINARY_SIZE(name, text "b", 8, b)                                                                              \
	BINARY_SIZE(name, text "w", 16, w)                                                                             \
	BINARY_SIZE(name, text "l", 32, k)                                                                             \
	BINARY_SIZE(name, text "q", 64, q)
#define COMPARE(name, text)                                                                                            \
	COMPARE_SIZE(name, text "b", 8, b)                                                                             \
	COMPARE_SIZE(name, text "w", 16, w)                                                                            \
	COMPARE_SIZE(name, text "l", 32, k)                                                                            \
	COMPARE_SIZE(name, text "q", 64, q)

BINARY(add, "add")
BINARY(or, "or")
BINARY(adc, SET_CF "adc")
BINARY(sbb, SET_CF "sbb")
BINARY(and, "and")
BINARY(sub, "sub")
BINARY(xor, "xor")
COMPARE(cmp, "cmp")
COMPARE(test, "test")

#define FORMS(name, n)                                                                                                 \
	{                                                                                                              \
		name##n##_rr, name##n##_ri, name##n##_rm, name##n##_mr, name##n##_mi                                   \
	}
#define WIDTHS(name)                                                                                                   \
	{                                                                                                              \
		FORMS(name, 8), FORMS(name, 16), FORMS(name, 32), FORMS(name, 64)                                      \
	}

insn_function *const alu_table[ALU_COUNT][WIDTH_COUNT][FORM_COUNT] = {
	[ALU_ADD] = WIDTHS(add), [ALU_OR] = WIDTHS(or),	  [ALU_ADC] = WIDTHS(adc),
	[ALU_SBB] = WIDTHS(sbb), [ALU_AND] = WIDTHS(and), [ALU_SUB] = WIDTHS(sub),
	[ALU_XOR] = WIDTHS(xor), [ALU_CMP] = WIDTHS(cmp), [ALU_TEST] = WIDTHS(test),
};

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
	static void name##n##_r(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst)));                                                    \
		NEXT;                                                                                                  \
	}                                                                                                              \
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

#define UNARY_WIDTHS(name)                                                                                             \
	{                                                                                                              \
		{name##8_r, name##_one_8_m}, {name##16_r, name##_one_16_m}, {name##32_r, name##_one_32_m},             \
		{                                                                                                      \
			name##64_r, name##_one_64_m                                                                    \
		}                                                                                                      \
	}
insn_function *const unary_table[UNARY_COUNT][WIDTH_COUNT][2] = {
	[UNARY_INC] = UNARY_WIDTHS(inc),
	[UNARY_DEC] = UNARY_WIDTHS(dec),
	[UNARY_NEG] = UNARY_WIDTHS(neg),
	[UNARY_NOT] = UNARY_WIDTHS(not ),
};

/* ------------------------------------------------------------------------------------------------------- shifts */

#define SHIFT_SIZE(name, text, n, m)                                                                                   \
	static inline uint##n##_t name##n(uint32_t *flags, uint##n##_t d, uint8_t count)                               \
	{                                                                                                              \
		uint32_t ax = *flags;                                                                                  \
		__asm__(SET_ALL text " %%cl, %" #m "[d]" TAKE_FLAGS : [d] "+&r"(d), "+&a"(ax) : "c"(count) : "cc");    \
		*flags = ax;                                                                                           \
		return d;                                                                                              \
	}                                                                                                              \
	static void name##n##_imm(struct engine_vcpu *c, const struct insn *i)                                         \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst), (uint8_t)i->imm));                                   \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void name##n##_cl(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		SET##n(i->dst, name##n(&c->flags, REG(n, i->dst), (uint8_t)c->gpr[RCX]));                              \
		NEXT;                                                                                                  \
	}
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

#define SHIFT_WIDTHS(name)                                                                                             \
	{                                                                                                              \
		{name##8_imm, name##8_cl}, {name##16_imm, name##16_cl}, {name##32_imm, name##32_cl},                   \
		{                                                                                                      \
			name##64_imm, name##64_cl                                                                      \
		}                                                                                                      \
	}
insn_function *const shift_table[SHIFT_COUNT][WIDTH_COUNT][2] = {
	[SHIFT_SHL] = SHIFT_WIDTHS(shl), [SHIFT_SHR] = SHIFT_WIDTHS(shr), [SHIFT_SAR] = SHIFT_WIDTHS(sar),
	[SHIFT_ROL] = SHIFT_WIDTHS(rol), [SHIFT_ROR] = SHIFT_WIDTHS(ror),
};

/* ----------------------------------------------------------------------------------------------- multiplication */

#define IMUL_SIZE(n, m)                                                                                                \
	BINARY_CORE(imul, SET_ALL "imul", n, m)                                                                        \
	static void imul##n##_r(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->dst), REG(n, i->src)));                                    \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void imul##n##_m(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &s))                                                          \
			FAULT;                                                                                         \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->dst), s));                                                 \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void imul##n##_ri(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		SET##n(i->dst, imul##n(&c->flags, REG(n, i->src), (uint##n##_t)i->imm));                               \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void imul##n##_mi(struct engine_vcpu *c, const struct insn *i)                                          \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &s))                                                          \
			FAULT;                                                                                         \
		SET##n(i->dst, imul##n(&c->flags, s, (uint##n##_t)i->imm));                                            \
		NEXT;                                                                                                  \
	}
IMUL_SIZE(16, w)
IMUL_SIZE(32, k)
IMUL_SIZE(64, q)
insn_function *const imul_table[WIDTH_COUNT][4] = {
	[WIDTH_16] = {imul16_r, imul16_m, imul16_ri, imul16_mi},
	[WIDTH_32] = {imul32_r, imul32_m, imul32_ri, imul32_mi},
	[WIDTH_64] = {imul64_r, imul64_m, imul64_ri, imul64_mi},
};

/* --------------------------------------------------------------------------------------------------- bit strings */

/* The bit offset is signed and reaches beyond the operand: SDM 2A 3.1.1.9. Only CF changes. */
#define BIT(n, shift)                                                                                                  \
	static void bit##n(struct engine_vcpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		int64_t offset = (int##n##_t)REG(n, i->src);                                                           \
		uint64_t gva = address_beyond(c, i, (uint64_t)(offset >> shift) * (n / 8));                            \
		uint##n##_t d, bit = (uint##n##_t)((uint##n##_t)1 << (offset & (n - 1)));                              \
		if (i->imm == 0) {                                                                                     \
			if (!load##n(c, gva, i->ea, &d))                                                               \
				FAULT;                                                                                 \
			c->flags = (c->flags & ~FLAG_CF) | (d & bit ? FLAG_CF : 0);                                    \
			NEXT;                                                                                          \
		}                                                                                                      \
		uint##n##_t *p = modify##n(c, gva, i->ea);                                                             \
		if (unlikely(!p))                                                                                      \
			FAULT;                                                                                         \
		__builtin_memcpy(&d, p, sizeof(d));                                                                    \
		c->flags = (c->flags & ~FLAG_CF) | (d & bit ? FLAG_CF : 0);                                            \
		d = (uint##n##_t)(i->imm == 1 ? d | bit : i->imm == 2 ? d & ~bit : d ^ bit);                           \
		__builtin_memcpy(p, &d, sizeof(d));                                                                    \
		memory_commit_if(c);                                                                                   \
		NEXT_STORED;                                                                                           \
	}
BIT(16, 4)
BIT(32, 5)
BIT(64, 6)
insn_function *const bit_table[WIDTH_COUNT] = {[WIDTH_16] = bit16, [WIDTH_32] = bit32, [WIDTH_64] = bit64};

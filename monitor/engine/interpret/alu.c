/*
 * Arithmetic and logic, by operation, size and form.
 */
#include "monitor/engine/interpret/alu.h"

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
		if (unlikely(c->bounce.size))                                                                          \
			memory_commit(c);                                                                              \
		NEXT_STORED;                                                                                           \
	}
BIT(16, 4)
BIT(32, 5)
BIT(64, 6)
insn_function *const bit_table[WIDTH_COUNT] = {[WIDTH_16] = bit16, [WIDTH_32] = bit32, [WIDTH_64] = bit64};

/*
 * Addresses, moves, conversions and conditional moves.
 */
#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/segment.h"

uint64_t address_within(const struct engine_vcpu *c, enum vcpu_sreg sreg, uint64_t offset, unsigned len, bool write)
{
	uint32_t linear;
	return seg_linear(&c->vcpu->sreg[sreg], (uint32_t)offset, len, write, &linear) ? linear : ADDRESS_NONE;
}

uint64_t address_other(const struct engine_vcpu *c, const struct insn *i, uint64_t address)
{
	if (i->ea & EA_RIP)
		address += c->base + i->end;
	if (i->ea & EA_32)
		address = (uint32_t)address;
	else if (i->ea & EA_16)
		address = (uint16_t)address;
	if (i->ea & EA_SEG)
		return address_within(c, i->within.sreg, address, i->within.len, i->within.write);
	if (i->ea & EA_FS)
		address += c->vcpu->sreg[SREG_FS].base;
	else if (i->ea & EA_GS)
		address += c->vcpu->sreg[SREG_GS].base;
	return address;
}

#define MOV(n)                                                                                                         \
	static void mov##n##_rr(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		SET##n(i->dst, REG(n, i->src));                                                                        \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void mov##n##_ri(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		SET##n(i->dst, (uint##n##_t)i->imm);                                                                   \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void mov##n##_rm(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &v))                                                          \
			FAULT;                                                                                         \
		SET##n(i->dst, v);                                                                                     \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void mov##n##_mr(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		if (!store##n(c, address_of(c, i), i->ea, REG(n, i->src)))                                             \
			FAULT;                                                                                         \
		NEXT_STORED;                                                                                           \
	}                                                                                                              \
	static void mov##n##_mi(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		if (!store##n(c, address_of(c, i), i->ea, (uint##n##_t)i->imm))                                        \
			FAULT;                                                                                         \
		NEXT_STORED;                                                                                           \
	}
MOV(8)
MOV(16)
MOV(32)
MOV(64)
#define FORMS(name, n)                                                                                                 \
	{                                                                                                              \
		name##n##_rr, name##n##_ri, name##n##_rm, name##n##_mr, name##n##_mi                                   \
	}
insn_function *const mov_table[WIDTH_COUNT][FORM_COUNT] = {FORMS(mov, 8), FORMS(mov, 16), FORMS(mov, 32),
							   FORMS(mov, 64)};

#define EXTEND(name, type, to, from)                                                                                   \
	static void name##to##_##from##_r(struct engine_vcpu *c, const struct insn *i)                                 \
	{                                                                                                              \
		SET##to(i->dst, (uint##to##_t)(type##from##_t)REG(from, i->src));                                      \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void name##to##_##from##_m(struct engine_vcpu *c, const struct insn *i)                                 \
	{                                                                                                              \
		uint##from##_t v;                                                                                      \
		if (!load##from(c, address_of(c, i), i->ea, &v))                                                       \
			FAULT;                                                                                         \
		SET##to(i->dst, (uint##to##_t)(type##from##_t)v);                                                      \
		NEXT;                                                                                                  \
	}
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
#define PAIR(name, to, from)                                                                                           \
	{                                                                                                              \
		name##to##_##from##_r, name##to##_##from##_m                                                           \
	}
#define EXTEND_WIDTHS(name)                                                                                            \
	{                                                                                                              \
		[WIDTH_16] = {PAIR(name, 16, 8), PAIR(name, 16, 16)},                                                  \
		[WIDTH_32] = {PAIR(name, 32, 8), PAIR(name, 32, 16), PAIR(name, 32, 32)},                              \
		[WIDTH_64] = {PAIR(name, 64, 8), PAIR(name, 64, 16), PAIR(name, 64, 32)},                              \
	}
insn_function *const movzx_table[WIDTH_COUNT][3][2] = EXTEND_WIDTHS(movzx);
insn_function *const movsx_table[WIDTH_COUNT][3][2] = EXTEND_WIDTHS(movsx);

#define LEA(n)                                                                                                         \
	static void lea##n(struct engine_vcpu *c, const struct insn *i)                                                \
	{                                                                                                              \
		SET##n(i->dst, (uint##n##_t)address_of(c, i));                                                         \
		NEXT;                                                                                                  \
	}
LEA(16)
LEA(32)
LEA(64)
insn_function *const lea_table[WIDTH_COUNT] = {[WIDTH_16] = lea16, [WIDTH_32] = lea32, [WIDTH_64] = lea64};

#define XCHG(n)                                                                                                        \
	static void xchg##n##_r(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint##n##_t d = REG(n, i->dst), s = REG(n, i->src);                                                    \
		SET##n(i->dst, s);                                                                                     \
		SET##n(i->src, d);                                                                                     \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void xchg##n##_m(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint##n##_t *p = modify##n(c, address_of(c, i), i->ea), d, s = REG(n, i->src);                         \
		if (unlikely(!p))                                                                                      \
			FAULT;                                                                                         \
		__builtin_memcpy(&d, p, sizeof(d));                                                                    \
		__builtin_memcpy(p, &s, sizeof(s));                                                                    \
		if (c->bounce.size)                                                                                    \
			memory_commit(c);                                                                              \
		SET##n(i->src, d);                                                                                     \
		NEXT_STORED;                                                                                           \
	}
XCHG(8)
XCHG(16)
XCHG(32)
XCHG(64)
insn_function *const xchg_table[WIDTH_COUNT][2] = {
	{xchg8_r, xchg8_m}, {xchg16_r, xchg16_m}, {xchg32_r, xchg32_m}, {xchg64_r, xchg64_m}};

/* ---------------------------------------------------------------------------------------------------- conditions */

/* CMOV of 32 bits clears the upper half even if the condition is false, and reads its operand always. */
#define CMOV(cc, n)                                                                                                    \
	static void cmov##cc##_##n##_r(struct engine_vcpu *c, const struct insn *i)                                    \
	{                                                                                                              \
		SET##n(i->dst, condition(c->flags, cc) ? REG(n, i->src) : REG(n, i->dst));                             \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void cmov##cc##_##n##_m(struct engine_vcpu *c, const struct insn *i)                                    \
	{                                                                                                              \
		uint##n##_t s;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &s))                                                          \
			FAULT;                                                                                         \
		SET##n(i->dst, condition(c->flags, cc) ? s : REG(n, i->dst));                                          \
		NEXT;                                                                                                  \
	}
#define CONDITIONAL(cc)                                                                                                \
	CMOV(cc, 16)                                                                                                   \
	CMOV(cc, 32)                                                                                                   \
	CMOV(cc, 64)                                                                                                   \
	static void set##cc##_r(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		SET8(i->dst, condition(c->flags, cc));                                                                 \
		NEXT;                                                                                                  \
	}                                                                                                              \
	static void set##cc##_m(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		if (!store8(c, address_of(c, i), i->ea, condition(c->flags, cc)))                                      \
			FAULT;                                                                                         \
		NEXT_STORED;                                                                                           \
	}                                                                                                              \
	static void jcc##cc(struct engine_vcpu *c, const struct insn *i)                                               \
	{                                                                                                              \
		c->rip = c->base + i->end + (condition(c->flags, cc) ? (uint64_t)i->imm : 0);                          \
	}
#define ALL_CONDITIONS(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)
ALL_CONDITIONS(CONDITIONAL)
#define CMOV_ROW(cc)                                                                                                   \
	[cc] = {[WIDTH_16] = {cmov##cc##_16_r, cmov##cc##_16_m},                                                       \
		[WIDTH_32] = {cmov##cc##_32_r, cmov##cc##_32_m},                                                       \
		[WIDTH_64] = {cmov##cc##_64_r, cmov##cc##_64_m}},
#define SET_ROW(cc) [cc] = {set##cc##_r, set##cc##_m},
#define JCC_ROW(cc) [cc] = jcc##cc,
insn_function *const cmov_table[16][WIDTH_COUNT][2] = {ALL_CONDITIONS(CMOV_ROW)};
insn_function *const setcc_table[16][2] = {ALL_CONDITIONS(SET_ROW)};
insn_function *const jcc_table[16] = {ALL_CONDITIONS(JCC_ROW)};

/* --------------------------------------------------------------------------------------------------- conversions */

void op_cbw(struct engine_vcpu *c, const struct insn *i)
{
	SET16(0, (uint16_t)(int8_t)c->gpr[RAX]);
	NEXT;
}

void op_cwde(struct engine_vcpu *c, const struct insn *i)
{
	SET32(0, (uint32_t)(int16_t)c->gpr[RAX]);
	NEXT;
}

void op_cdqe(struct engine_vcpu *c, const struct insn *i)
{
	c->gpr[RAX] = (uint64_t)(int32_t)c->gpr[RAX];
	NEXT;
}

void op_cwd(struct engine_vcpu *c, const struct insn *i)
{
	REG(16, RDX * 8) = (int16_t)c->gpr[RAX] < 0 ? 0xffff : 0;
	NEXT;
}

void op_cdq(struct engine_vcpu *c, const struct insn *i)
{
	c->gpr[RDX] = (int32_t)c->gpr[RAX] < 0 ? 0xffffffff : 0;
	NEXT;
}

void op_cqo(struct engine_vcpu *c, const struct insn *i)
{
	c->gpr[RDX] = (int64_t)c->gpr[RAX] < 0 ? ~R3_U64(0) : 0;
	NEXT;
}

void op_xlat(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t v;
	if (!load8(c, address_beyond(c, i, (uint8_t)c->gpr[RAX]), i->ea, &v))
		FAULT;
	REG(8, 0) = v;
	NEXT;
}

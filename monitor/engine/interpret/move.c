/*
 * Addresses, moves, conversions and conditional moves.
 */
#include "monitor/engine/interpret/move.h"
#include "monitor/vm/segment.h"

uint64_t address_within(const struct engine_vcpu *c, enum vcpu_sreg sreg, uint64_t offset, unsigned len, bool write)
{
	uint32_t linear;
	return seg_linear(&c->vcpu->sreg[sreg], (uint32_t)offset, len, write, &linear) ? linear : ADDRESS_NONE;
}

uint64_t address_other(const struct engine_vcpu *c, const struct insn *i, uint64_t address)
{
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

#define FORMS(name, n)                                                                                                 \
	{                                                                                                              \
		name##n##_rr, name##n##_ri, name##n##_rm, name##n##_mr, name##n##_mi                                   \
	}
insn_function *const mov_table[WIDTH_COUNT][FORM_COUNT] = {FORMS(mov, 8), FORMS(mov, 16), FORMS(mov, 32),
							   FORMS(mov, 64)};

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

insn_function *const lea_table[WIDTH_COUNT] = {[WIDTH_16] = lea16, [WIDTH_32] = lea32, [WIDTH_64] = lea64};

insn_function *const xchg_table[WIDTH_COUNT][2] = {
	{xchg8_r, xchg8_m}, {xchg16_r, xchg16_m}, {xchg32_r, xchg32_m}, {xchg64_r, xchg64_m}};

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

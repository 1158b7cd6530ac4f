/*
 * Instructions that 64-bit mode lacks: decimal arithmetic, bounds, ARPL (SDM 2A, 2B). Flags that the manual leaves
 * undefined are as AMD's processors leave them.
 */
#include "monitor/engine/interpret/ops.h"

#define FLAG_AF 0x1000u
#define AL	REG(8, 0)
#define AH	REG(8, 1)
#define AX	REG(16, 0)

/* SF, ZF and PF of a byte, with the others given. */
static uint32_t result_flags(uint8_t result, uint32_t others)
{
	return others | (result & 0x80 ? FLAG_SF : 0) | (result ? 0 : FLAG_ZF) |
	       (__builtin_parity(result) ? 0 : FLAG_PF);
}

/* AAA adds 0x106 to AX, AAS takes it off, where the low digit is none. */
static void adjust_ascii(struct engine_vcpu *c, int by)
{
	uint32_t carry = 0;
	if ((AL & 15) > 9 || (c->flags & FLAG_AF)) {
		AX = (uint16_t)(AX + by);
		carry = FLAG_AF | FLAG_CF;
	}
	AL &= 15;
	c->flags = result_flags(AL, carry);
}

void op_aaa(struct engine_vcpu *c, const struct insn *i)
{
	adjust_ascii(c, 0x106);
	NEXT;
}

void op_aas(struct engine_vcpu *c, const struct insn *i)
{
	adjust_ascii(c, -0x106);
	NEXT;
}

void op_aam(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t base = (uint8_t)i->imm, value = AL;
	if (!base) {
		interp_raise(c, i, X86_VEC_DE, 0);
		return;
	}
	AH = value / base;
	AL = value % base;
	c->flags = result_flags(AL, 0);
	NEXT;
}

void op_aad(struct engine_vcpu *c, const struct insn *i)
{
	AX = (uint8_t)(AL + AH * (unsigned)i->imm);
	c->flags = result_flags(AL, 0);
	NEXT;
}

/* DAA adds 6 to each digit that needs it, DAS takes it off. */
static void adjust_decimal(struct engine_vcpu *c, bool subtract)
{
	uint8_t old = AL, by = 0;
	uint32_t carry = 0;
	if ((old & 15) > 9 || (c->flags & FLAG_AF)) {
		by = 6;
		carry |= FLAG_AF | (c->flags & FLAG_CF) | (subtract && old < 6 ? FLAG_CF : 0);
	}
	if (old > 0x99 || (c->flags & FLAG_CF)) {
		by += 0x60;
		carry |= FLAG_CF;
	}
	AL = (uint8_t)(subtract ? old - by : old + by);
	c->flags = result_flags(AL, carry);
}

void op_daa(struct engine_vcpu *c, const struct insn *i)
{
	adjust_decimal(c, false);
	NEXT;
}

void op_das(struct engine_vcpu *c, const struct insn *i)
{
	adjust_decimal(c, true);
	NEXT;
}

void op_salc(struct engine_vcpu *c, const struct insn *i)
{
	AL = c->flags & FLAG_CF ? 0xff : 0;
	NEXT;
}

/* The RPL of a selector is raised to that of the caller's. True: it was. */
static bool raise_rpl(struct engine_vcpu *c, uint16_t *to, uint16_t from)
{
	bool raised = (*to & X86_SEL_RPL) < (from & X86_SEL_RPL);
	c->flags = (c->flags & ~FLAG_ZF) | (raised ? FLAG_ZF : 0);
	if (raised)
		*to = (uint16_t)((*to & ~X86_SEL_RPL) | (from & X86_SEL_RPL));
	return raised;
}

void op_arpl_reg(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t to = REG(16, i->dst);
	if (raise_rpl(c, &to, REG(16, i->src)))
		SET16(i->dst, to);
	NEXT;
}

void op_arpl_mem(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t *p = modify16(c, address_of(c, i), i->ea), to;
	if (unlikely(!p))
		FAULT;
	__builtin_memcpy(&to, p, sizeof(to));
	raise_rpl(c, &to, REG(16, i->src));
	__builtin_memcpy(p, &to, sizeof(to));
	if (unlikely(c->bounce.size))
		memory_commit(c);
	NEXT_STORED;
}

#define BOUND(n, pair)                                                                                                 \
	void op_bound##n(struct engine_vcpu *c, const struct insn *i)                                                  \
	{                                                                                                              \
		int##n##_t index = (int##n##_t)REG(n, i->dst);                                                         \
		uint##pair##_t bounds;                                                                                 \
		if (!load##pair(c, address_of(c, i), i->ea, &bounds))                                                  \
			FAULT;                                                                                         \
		if (index < (int##n##_t)bounds || index > (int##n##_t)(bounds >> n)) {                                 \
			interp_raise(c, i, X86_VEC_BR, 0);                                                             \
			return;                                                                                        \
		}                                                                                                      \
		NEXT;                                                                                                  \
	}
BOUND(16, 32)
BOUND(32, 64)

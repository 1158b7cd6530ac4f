/*
 * The stack: PUSH, POP and what is made of them. In 64-bit mode the stack is all of RSP; elsewhere SS says how wide it
 * is, where it lies and what of it may be used (SDM 1 6.2).
 */
#include "monitor/engine/interpret/interp.h"

/* A write that stores nothing: where the stack pointer comes to lie must be writable (SDM 2A, APM 3 ENTER). */
static bool probe(struct engine_vcpu *c, uint64_t gva)
{
	bool writable = memory_modify(c, gva, 1, EA_STACK);
	c->bounce.size = 0;
	return writable;
}

/* `name` and `wide` say which mode it is, n how many bits an operand has. */
#define PUSH_POP(name, n, wide)                                                                                        \
	static bool read##name(struct engine_vcpu *c, uint64_t rsp, uint##n##_t *v)                                    \
	{                                                                                                              \
		return load##n(c, stack_address(c, rsp, n / 8, false, wide), EA_STACK, v);                             \
	}                                                                                                              \
	static bool write##name(struct engine_vcpu *c, uint64_t rsp, uint##n##_t v)                                    \
	{                                                                                                              \
		return store##n(c, stack_address(c, rsp, n / 8, true, wide), EA_STACK, v);                             \
	}                                                                                                              \
	static void push##name(struct engine_vcpu *c, const struct insn *i, uint##n##_t v)                             \
	{                                                                                                              \
		if (!write##name(c, c->gpr[RSP] - n / 8, v))                                                           \
			FAULT;                                                                                         \
		set_stack(c, c->gpr[RSP] - n / 8, wide);                                                               \
		NEXT_STORED;                                                                                           \
	}                                                                                                              \
	static void push##name##_reg(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		return push##name(c, i, REG(n, i->dst));                                                               \
	}                                                                                                              \
	static void push##name##_imm(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		return push##name(c, i, (uint##n##_t)i->imm);                                                          \
	}                                                                                                              \
	static void push##name##_mem(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!load##n(c, address_of(c, i), i->ea, &v))                                                          \
			FAULT;                                                                                         \
		return push##name(c, i, v);                                                                            \
	}                                                                                                              \
	static void pop##name##_reg(struct engine_vcpu *c, const struct insn *i)                                       \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!read##name(c, c->gpr[RSP], &v))                                                                   \
			FAULT;                                                                                         \
		set_stack(c, c->gpr[RSP] + n / 8, wide);                                                               \
		SET##n(i->dst, v);                                                                                     \
		NEXT;                                                                                                  \
	}                                                                                                              \
	/* An address through RSP is computed after it has moved: SDM 2B POP. */                                       \
	static void pop##name##_mem(struct engine_vcpu *c, const struct insn *i)                                       \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP];                                                                            \
		uint##n##_t v;                                                                                         \
		if (!read##name(c, rsp, &v))                                                                           \
			FAULT;                                                                                         \
		set_stack(c, rsp + n / 8, wide);                                                                       \
		if (!store##n(c, address_of(c, i), i->ea, v)) {                                                        \
			c->gpr[RSP] = rsp;                                                                             \
			FAULT;                                                                                         \
		}                                                                                                      \
		NEXT_STORED;                                                                                           \
	}

#define FRAME(name, n, wide)                                                                                           \
	static void leave##name(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint##n##_t v;                                                                                         \
		if (!read##name(c, c->gpr[RBP], &v))                                                                   \
			FAULT;                                                                                         \
		set_stack(c, c->gpr[RBP] + n / 8, wide);                                                               \
		SET##n(RBP * 8, v);                                                                                    \
		NEXT;                                                                                                  \
	}                                                                                                              \
	/* SDM 2A ENTER: src is the nesting level. The frame pointers of the levels around it are copied. */           \
	static void enter##name(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8, rbp = c->gpr[RBP], frame = stack_moved(c, rsp, wide);              \
		uint##n##_t v;                                                                                         \
		if (!write##name(c, rsp, (uint##n##_t)rbp))                                                            \
			FAULT;                                                                                         \
		for (unsigned level = 1; level < i->src; level++) {                                                    \
			rbp -= n / 8;                                                                                  \
			rsp -= n / 8;                                                                                  \
			if (!read##name(c, rbp, &v) || !write##name(c, rsp, v))                                        \
				FAULT;                                                                                 \
		}                                                                                                      \
		if (i->src) {                                                                                          \
			rsp -= n / 8;                                                                                  \
			if (!write##name(c, rsp, (uint##n##_t)frame))                                                  \
				FAULT;                                                                                 \
		}                                                                                                      \
		rsp -= (uint64_t)i->imm;                                                                               \
		if (!probe(c, stack_address(c, rsp, 1, true, wide)))                                                   \
			FAULT;                                                                                         \
		SET##n(RBP * 8, (uint##n##_t)frame);                                                                   \
		set_stack(c, rsp, wide);                                                                               \
		NEXT_STORED;                                                                                           \
	}

/* Nothing has changed but memory below the stack pointer if one of the eight faults. */
#define ALL(name, n)                                                                                                   \
	static void pusha##name(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		for (unsigned reg = RAX; reg <= RDI; reg++)                                                            \
			if (!write##name(c, c->gpr[RSP] - (reg + 1) * (n / 8), REG(n, reg * 8)))                       \
				FAULT;                                                                                 \
		set_stack(c, c->gpr[RSP] - 8 * (n / 8), false);                                                        \
		NEXT_STORED;                                                                                           \
	}                                                                                                              \
	/* What was RSP is passed over. */                                                                             \
	static void popa##name(struct engine_vcpu *c, const struct insn *i)                                            \
	{                                                                                                              \
		uint##n##_t v[RDI + 1];                                                                                \
		for (unsigned reg = RAX; reg <= RDI; reg++)                                                            \
			if (!read##name(c, c->gpr[RSP] + (RDI - reg) * (n / 8), &v[reg]))                              \
				FAULT;                                                                                 \
		for (unsigned reg = RAX; reg <= RDI; reg++)                                                            \
			if (reg != RSP)                                                                                \
				SET##n(reg * 8, v[reg]);                                                               \
		set_stack(c, c->gpr[RSP] + 8 * (n / 8), false);                                                        \
		NEXT;                                                                                                  \
	}

#define STACK(name, n, wide) PUSH_POP(name, n, wide) FRAME(name, n, wide)
STACK(16, 16, true)
STACK(64, 64, true)
STACK(16n, 16, false)
STACK(32n, 32, false)
ALL(16n, 16)
ALL(32n, 32)

#define ROW(name)                                                                                                      \
	[STACK_PUSH] = push##name##_reg, [STACK_PUSH_IMM] = push##name##_imm, [STACK_PUSH_MEM] = push##name##_mem,     \
	[STACK_POP] = pop##name##_reg, [STACK_POP_MEM] = pop##name##_mem, [STACK_LEAVE] = leave##name,                 \
	[STACK_ENTER] = enter##name
insn_function *const stack_table[WIDTH_COUNT][STACK_COUNT] = {[WIDTH_16] = {ROW(16)}, [WIDTH_64] = {ROW(64)}};
insn_function *const stack_narrow_table[WIDTH_COUNT][STACK_COUNT] = {
	[WIDTH_16] = {ROW(16n), [STACK_PUSHA] = pusha16n, [STACK_POPA] = popa16n},
	[WIDTH_32] = {ROW(32n), [STACK_PUSHA] = pusha32n, [STACK_POPA] = popa32n},
};

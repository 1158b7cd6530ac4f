/*
 * The stack: PUSH, POP and what is made of them. In 64-bit mode the stack is all of RSP; elsewhere SS says how wide it
 * is, where it lies and what of it may be used (SDM 1 6.2).
 */
#include "monitor/engine/interpret/stack.h"

/* A write that stores nothing: where the stack pointer comes to lie must be writable (SDM 2A, APM 3 ENTER). */
static bool probe(struct engine_vcpu *c, uint64_t gva)
{
	bool writable = memory_modify(c, gva, 1, EA_STACK);
	c->bounce.size = 0;
	return writable;
}

#define FRAME(name, n, kind)                                                                                           \
	static bool read##name(struct engine_vcpu *c, uint64_t rsp, uint##n##_t *v)                                    \
	{                                                                                                              \
		return load##n(c, stack_address(c, rsp, n / 8, false, kind), EA_STACK, v);                             \
	}                                                                                                              \
	static bool write##name(struct engine_vcpu *c, uint64_t rsp, uint##n##_t v)                                    \
	{                                                                                                              \
		return store##n(c, stack_address(c, rsp, n / 8, true, kind), EA_STACK, v);                             \
	}                                                                                                              \
	/* SDM 2A ENTER: src is the nesting level. The frame pointers of the levels around it are copied. */           \
	static void enter##name(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8, rbp = c->gpr[RBP], frame = stack_moved(c, rsp, kind);              \
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
		if (!probe(c, stack_address(c, rsp, 1, true, kind)))                                                   \
			FAULT;                                                                                         \
		SET##n(RBP * 8, (uint##n##_t)frame);                                                                   \
		set_stack(c, rsp, kind);                                                                               \
		NEXT_STORED;                                                                                           \
	}

/* Nothing has changed but memory below the stack pointer if one of the eight faults. */
#define ALL(name, n, kind)                                                                                             \
	static void pusha##name(struct engine_vcpu *c, const struct insn *i)                                           \
	{                                                                                                              \
		for (unsigned reg = RAX; reg <= RDI; reg++)                                                            \
			if (!write##name(c, c->gpr[RSP] - (reg + 1) * (n / 8), REG(n, reg * 8)))                       \
				FAULT;                                                                                 \
		set_stack(c, c->gpr[RSP] - 8 * (n / 8), kind);                                                         \
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
		set_stack(c, c->gpr[RSP] + 8 * (n / 8), kind);                                                         \
		NEXT;                                                                                                  \
	}

FRAME(16w, 16, STACK_WIDE)
FRAME(64w, 64, STACK_WIDE)
FRAME(16f, 16, STACK_FLAT)
FRAME(32f, 32, STACK_FLAT)
FRAME(16n, 16, STACK_NARROW)
FRAME(32n, 32, STACK_NARROW)
ALL(16f, 16, STACK_FLAT)
ALL(32f, 32, STACK_FLAT)
ALL(16n, 16, STACK_NARROW)
ALL(32n, 32, STACK_NARROW)

#define ROW(name)                                                                                                      \
	[STACK_PUSH] = push##name##_reg, [STACK_PUSH_IMM] = push##name##_imm, [STACK_PUSH_MEM] = push##name##_mem,     \
	[STACK_POP] = pop##name##_reg, [STACK_POP_MEM] = pop##name##_mem, [STACK_LEAVE] = leave##name,                 \
	[STACK_ENTER] = enter##name
#define ALL_ROW(name) ROW(name), [STACK_PUSHA] = pusha##name, [STACK_POPA] = popa##name
insn_function *const stack_table[STACK_KINDS][WIDTH_COUNT][STACK_COUNT] = {
	[STACK_WIDE] = {[WIDTH_16] = {ROW(16w)}, [WIDTH_64] = {ROW(64w)}},
	[STACK_FLAT] = {[WIDTH_16] = {ALL_ROW(16f)}, [WIDTH_32] = {ALL_ROW(32f)}},
	[STACK_NARROW] = {[WIDTH_16] = {ALL_ROW(16n)}, [WIDTH_32] = {ALL_ROW(32n)}},
};

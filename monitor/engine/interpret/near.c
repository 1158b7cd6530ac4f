/*
 * Near transfers of control outside 64-bit mode: as many bits of the target count as the operand has, and it must lie
 * within the limit of CS, else #GP(0) with nothing changed (SDM 2A CALL, Jcc, JMP; 2B RET).
 */
#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"
#include "monitor/vm/guest_mem.h"

static inline bool target_bad(struct engine_vcpu *c, const struct insn *i, uint32_t target, bool quick)
{
	if (likely(target <= c->cs_limit))
		return false;
	if (!quick)
		interp_raise(c, i, X86_VEC_GP, 0);
	return true;
}

/* The processor sees whether the stack can be written before it looks at the target. */
static void call_bad(struct engine_vcpu *c, const struct insn *i, uint64_t gva, unsigned len)
{
	struct gm_fault fault = {.vector = X86_VEC_GP};
	if (!gm_probe_write_gva(c->vcpu, gva, len, GM_CPL, &fault) && fault.vector == X86_VEC_GP)
		fault.vector = X86_VEC_SS;
	interp_raise(c, i, fault.vector, fault.error);
	c->exit->gva = fault.gva;
}

#define NEAR(name, n, kind)                                                                                            \
	static inline bool jump##name(struct engine_vcpu *c, const struct insn *i, uint##n##_t target, bool quick)     \
	{                                                                                                              \
		if (target_bad(c, i, target, quick))                                                                   \
			return false;                                                                                  \
		c->rip = target;                                                                                       \
		return true;                                                                                           \
	}                                                                                                              \
	static inline bool call##name(struct engine_vcpu *c, const struct insn *i, uint##n##_t target, bool quick)     \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP] - n / 8, gva = stack_address(c, rsp, n / 8, true, kind);                    \
		if (unlikely(target > c->cs_limit)) {                                                                  \
			if (!quick)                                                                                    \
				call_bad(c, i, gva, n / 8);                                                            \
			return false;                                                                                  \
		}                                                                                                      \
		if (!STORE_AT(n, gva, EA_STACK, (uint##n##_t)(c->base + i->end)))                                      \
			return false;                                                                                  \
		set_stack(c, rsp, kind);                                                                               \
		c->rip = target;                                                                                       \
		return true;                                                                                           \
	}                                                                                                              \
	BODY(jmp##name##_imm)                                                                                          \
	{                                                                                                              \
		return jump##name(c, i, (uint##n##_t)(c->base + i->end + (uint64_t)i->imm), quick);                    \
	}                                                                                                              \
	BODY(jmp##name##_reg)                                                                                          \
	{                                                                                                              \
		return jump##name(c, i, REG(n, i->dst), quick);                                                        \
	}                                                                                                              \
	BODY(jmp##name##_mem)                                                                                          \
	{                                                                                                              \
		uint##n##_t target;                                                                                    \
		return LOAD(n, &target) && jump##name(c, i, target, quick);                                            \
	}                                                                                                              \
	BODY(call##name##_imm)                                                                                         \
	{                                                                                                              \
		return call##name(c, i, (uint##n##_t)(c->base + i->end + (uint64_t)i->imm), quick);                    \
	}                                                                                                              \
	BODY(call##name##_reg)                                                                                         \
	{                                                                                                              \
		return call##name(c, i, REG(n, i->dst), quick);                                                        \
	}                                                                                                              \
	BODY(call##name##_mem)                                                                                         \
	{                                                                                                              \
		uint##n##_t target;                                                                                    \
		return LOAD(n, &target) && call##name(c, i, target, quick);                                            \
	}                                                                                                              \
	BODY(ret##name)                                                                                                \
	{                                                                                                              \
		uint64_t rsp = c->gpr[RSP];                                                                            \
		uint##n##_t target;                                                                                    \
		if (!LOAD_AT(n, stack_address(c, rsp, n / 8, false, kind), EA_STACK, &target) ||                       \
		    target_bad(c, i, target, quick))                                                                   \
			return false;                                                                                  \
		set_stack(c, rsp + n / 8 + (uint64_t)i->imm, kind);                                                    \
		c->rip = target;                                                                                       \
		return true;                                                                                           \
	}                                                                                                              \
	ENDING(jmp##name##_imm, FOLLOW)                                                                                \
	ENDING(jmp##name##_reg, FOLLOW)                                                                                \
	ENDING(jmp##name##_mem, FOLLOW)                                                                                \
	ENDING(call##name##_imm, FOLLOW)                                                                               \
	ENDING(call##name##_reg, FOLLOW)                                                                               \
	ENDING(call##name##_mem, FOLLOW)                                                                               \
	ENDING(ret##name, FOLLOW)
NEAR(16f, 16, STACK_FLAT)
NEAR(32f, 32, STACK_FLAT)
NEAR(16n, 16, STACK_NARROW)
NEAR(32n, 32, STACK_NARROW)
#define ROW(name)                                                                                                      \
	{                                                                                                              \
		[NEAR_JMP] = jmp##name##_imm, [NEAR_JMP_REG] = jmp##name##_reg, [NEAR_JMP_MEM] = jmp##name##_mem,      \
		[NEAR_CALL] = call##name##_imm, [NEAR_CALL_REG] = call##name##_reg,                                    \
		[NEAR_CALL_MEM] = call##name##_mem, [NEAR_RET] = ret##name                                             \
	}
insn_function *const near_table[STACK_KINDS][WIDTH_COUNT][NEAR_COUNT] = {
	[STACK_FLAT] = {[WIDTH_16] = ROW(16f), [WIDTH_32] = ROW(32f)},
	[STACK_NARROW] = {[WIDTH_16] = ROW(16n), [WIDTH_32] = ROW(32n)},
};

/* Conditional ones. False: it faults. */
static bool branch(struct engine_vcpu *c, const struct insn *i, bool taken)
{
	uint32_t next = (uint32_t)c->base + i->end, target = next + (uint32_t)i->imm;
	if (i->dst == 16)
		target = (uint16_t)target;
	if (taken && target_bad(c, i, target, false))
		return false;
	c->rip = taken ? target : next;
	return true;
}

void op_near_jcc(struct engine_vcpu *c, const struct insn *i)
{
	branch(c, i, condition(c->flags, i->src));
}

static uint64_t count_mask(const struct insn *i)
{
	return i->ea & EA_32 ? UINT32_MAX : UINT16_MAX;
}

void op_near_loop(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t mask = count_mask(i), count = (c->gpr[RCX] - 1) & mask;
	bool zero = c->flags & FLAG_ZF, taken = count && (i->src == 0 || zero == (i->src == 1));
	if (branch(c, i, taken))
		c->gpr[RCX] = i->ea & EA_32 ? count : (c->gpr[RCX] & ~mask) | count;
}

void op_near_jcxz(struct engine_vcpu *c, const struct insn *i)
{
	branch(c, i, !(c->gpr[RCX] & count_mask(i)));
}

/*
 * Transfers of control: what ends a block.
 */
#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"
#include "monitor/vm/guest_mem.h"

/* Not an instruction of the guest's: the block ran into its size or the page's end. */
BODY(op_end)
{
	c->rip = c->base + i->start;
	return true;
}
ENDING(op_end, FOLLOW)

BODY(op_jmp)
{
	c->rip = c->base + i->end + (uint64_t)i->imm;
	return true;
}
ENDING(op_jmp, FOLLOW)

/* A target that is not canonical faults at the branch, with nothing changed: SDM 2A CALL, JMP. */
static inline bool target_bad(struct engine_vcpu *c, const struct insn *i, uint64_t target, bool quick)
{
	if (likely(vcpu_canonical(target)))
		return false;
	if (!quick)
		interp_raise(c, i, X86_VEC_GP, 0);
	return true;
}

static inline bool jump(struct engine_vcpu *c, const struct insn *i, uint64_t target, bool quick)
{
	if (target_bad(c, i, target, quick))
		return false;
	c->rip = target;
	return true;
}

BODY(op_jmp_reg)
{
	return jump(c, i, REG(64, i->dst), quick);
}
ENDING(op_jmp_reg, FOLLOW_FAR)

BODY(op_jmp_mem)
{
	uint64_t target;
	return LOAD(64, &target) && jump(c, i, target, quick);
}
ENDING(op_jmp_mem, FOLLOW_FAR)

/* The processor sees whether the stack can be written before it looks at the target, and writes after. */
static void call_bad(struct engine_vcpu *c, const struct insn *i)
{
	struct gm_fault fault = {.vector = X86_VEC_GP};
	if (!gm_probe_write_gva(c->vcpu, c->gpr[RSP] - 8, 8, GM_CPL, &fault) && fault.vector == X86_VEC_GP)
		fault.vector = X86_VEC_SS;
	interp_raise(c, i, fault.vector, fault.error);
	c->exit->gva = fault.gva;
}

static inline bool call(struct engine_vcpu *c, const struct insn *i, uint64_t target, bool quick)
{
	uint64_t rsp = c->gpr[RSP] - 8;
	if (unlikely(!vcpu_canonical(target))) {
		if (!quick)
			call_bad(c, i);
		return false;
	}
	if (!STORE_AT(64, rsp, EA_STACK, c->base + i->end))
		return false;
	c->gpr[RSP] = rsp;
	c->rip = target;
	return true;
}

BODY(op_call)
{
	return call(c, i, c->base + i->end + (uint64_t)i->imm, quick);
}
ENDING(op_call, FOLLOW)

BODY(op_call_reg)
{
	return call(c, i, REG(64, i->dst), quick);
}
ENDING(op_call_reg, FOLLOW_FAR)

BODY(op_call_mem)
{
	uint64_t target;
	return LOAD(64, &target) && call(c, i, target, quick);
}
ENDING(op_call_mem, FOLLOW_FAR)

BODY(op_ret)
{
	uint64_t rsp = c->gpr[RSP], target;
	if (!LOAD_AT(64, rsp, EA_STACK, &target) || target_bad(c, i, target, quick))
		return false;
	c->gpr[RSP] = rsp + 8 + (uint64_t)i->imm;
	c->rip = target;
	return true;
}
ENDING(op_ret, FOLLOW_FAR)

/* --------------------------------------------------------------------------- near branches of 16 bits: APM 1 3.7.2 */

static void push_narrow(struct engine_vcpu *c, const struct insn *i, uint16_t target)
{
	if (!store16(c, c->gpr[RSP] - 2, EA_STACK, (uint16_t)(c->base + i->end)))
		FAULT;
	c->gpr[RSP] -= 2;
	c->rip = target;
}

static bool narrow_target(struct engine_vcpu *c, const struct insn *i, uint16_t *target)
{
	const ZydisDecodedOperand *op = &i->detail->emu.operands[0];
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return load16(c, address_of(c, i), i->ea, target);
	*target = (uint16_t)(op->type == ZYDIS_OPERAND_TYPE_REGISTER ? REG(64, i->dst)
								     : c->base + i->end + (uint64_t)i->imm);
	return true;
}

void op_jmp16(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t target;
	if (!narrow_target(c, i, &target))
		FAULT;
	c->rip = target;
}

void op_call16(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t target;
	if (!narrow_target(c, i, &target))
		FAULT;
	push_narrow(c, i, target);
}

void op_ret16(struct engine_vcpu *c, const struct insn *i)
{
	uint16_t target;
	if (!load16(c, c->gpr[RSP], EA_STACK, &target))
		FAULT;
	c->gpr[RSP] += 2 + (uint64_t)i->imm;
	c->rip = target;
}

/* Jcc, LOOP, JRCXZ: as without the prefix, but for where they lead to if taken. */
void op_branch16(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t limit = c->limit;
	c->limit = 0; /* not on to the next block yet */
	i->detail->without_prefix(c, i);
	c->limit = limit;
	if (c->rip != c->base + i->end)
		c->rip = (uint16_t)c->rip;
}

/* LOOP, LOOPE, LOOPNE: src is 0, 1, 2. Of counts of 32 bits, with EA_32, the upper half goes. */
void op_loop(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t count = i->ea & EA_32 ? (uint32_t)(c->gpr[RCX] - 1) : c->gpr[RCX] - 1;
	bool zero = c->flags & FLAG_ZF;
	c->gpr[RCX] = count;
	bool taken = count && (i->src == 0 || zero == (i->src == 1));
	c->rip = c->base + i->end + (taken ? (uint64_t)i->imm : 0);
}

void op_jrcxz(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t count = i->ea & EA_32 ? (uint32_t)c->gpr[RCX] : c->gpr[RCX];
	c->rip = c->base + i->end + (count ? 0 : (uint64_t)i->imm);
}

/*
 * Transfers of control: what ends a block.
 */
#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/guest_mem.h"

/* Not an instruction of the guest's: the block ran into its size or the page's end. */
void op_end(struct engine_vcpu *c, const struct insn *i)
{
	c->rip = c->base + i->start;
}

/* A target that is not canonical faults at the branch, with nothing changed: SDM 2A CALL, JMP. */
static bool target_bad(struct engine_vcpu *c, const struct insn *i, uint64_t target)
{
	if (likely(vcpu_canonical(target)))
		return false;
	interp_raise(c, i, X86_VEC_GP, 0);
	return true;
}

void op_jmp(struct engine_vcpu *c, const struct insn *i)
{
	c->rip = c->base + i->end + (uint64_t)i->imm;
}

static void jump(struct engine_vcpu *c, const struct insn *i, uint64_t target)
{
	if (!target_bad(c, i, target))
		c->rip = target;
}

void op_jmp_reg(struct engine_vcpu *c, const struct insn *i)
{
	jump(c, i, REG(64, i->dst));
}

void op_jmp_mem(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t target;
	if (!load64(c, address_of(c, i), i->ea, &target))
		FAULT;
	jump(c, i, target);
}

/* The processor sees whether the stack can be written before it looks at the target, and writes after. */
static void call_bad(struct engine_vcpu *c, const struct insn *i)
{
	struct gm_fault fault = {.vector = X86_VEC_GP};
	if (!gm_probe_write_gva(c->vcpu, c->gpr[RSP] - 8, 8, GM_CPL, &fault) && fault.vector == X86_VEC_GP)
		fault.vector = X86_VEC_SS;
	interp_raise(c, i, fault.vector, fault.error);
	c->exit->gva = fault.gva;
}

static void call(struct engine_vcpu *c, const struct insn *i, uint64_t target)
{
	if (unlikely(!vcpu_canonical(target))) {
		call_bad(c, i);
		return;
	}
	if (!store64(c, c->gpr[RSP] - 8, EA_STACK, c->base + i->end))
		FAULT;
	c->gpr[RSP] -= 8;
	c->rip = target;
}

void op_call(struct engine_vcpu *c, const struct insn *i)
{
	call(c, i, c->base + i->end + (uint64_t)i->imm);
}

void op_call_reg(struct engine_vcpu *c, const struct insn *i)
{
	call(c, i, REG(64, i->dst));
}

void op_call_mem(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t target;
	if (!load64(c, address_of(c, i), i->ea, &target))
		FAULT;
	call(c, i, target);
}

void op_ret(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t target;
	if (!load64(c, c->gpr[RSP], EA_STACK, &target))
		FAULT;
	if (target_bad(c, i, target))
		return;
	c->gpr[RSP] += 8 + (uint64_t)i->imm;
	c->rip = target;
}

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
	i->detail->without_prefix(c, i);
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

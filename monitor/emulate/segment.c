/*
 * Segment registers: MOV to and from them, PUSH and POP, LDS LES LFS LGS LSS (SDM 2A, 2B). The checks of a load are in
 * monitor/vm/segment.c.
 */
#include "monitor/vm/segment.h"

#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/stack.h"

static enum vcpu_sreg sreg_of(ZydisRegister reg)
{
	return (enum vcpu_sreg)ZydisRegisterGetId(reg);
}

static bool load(struct vcpu *vcpu, enum vcpu_sreg sreg, uint16_t selector)
{
	const struct seg_stack_use use = {.cpl = vcpu->cpl, .bits = vcpu_code_bits(vcpu), .vector = X86_VEC_GP};
	struct gm_fault fault;
	if (sreg != SREG_SS || vcpu_is_8086(vcpu)) {
		if (seg_load_data(vcpu, sreg, selector, &fault))
			return true;
	} else {
		/* MOV SS also wants a null selector's RPL to be the CPL, which far returns do not. */
		bool rpl_differs = (selector & X86_SEL_RPL) != vcpu->cpl;
		if (seg_is_null(selector) && rpl_differs)
			seg_fail(&fault, X86_VEC_GP, 0);
		else if (seg_check_stack(vcpu, selector, &use, &vcpu->sreg[SREG_SS], &fault))
			return true;
	}
	vcpu_raise_fault(vcpu, &fault);
	return false;
}

enum emu_step emu_mov_sreg(struct vcpu *vcpu, const struct emu_insn *insn)
{
	const ZydisDecodedOperand *to = &insn->operands[0], *from = &insn->operands[1];
	bool reads = from->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		     ZydisRegisterGetClass(from->reg.value) == ZYDIS_REGCLASS_SEGMENT;
	if (reads) {
		uint16_t selector = vcpu->sreg[sreg_of(from->reg.value)].selector;
		return emu_write_operand(vcpu, insn, 0, selector) ? STEP_NEXT : STEP_FAULT;
	}
	uint64_t selector;
	enum vcpu_sreg sreg = sreg_of(to->reg.value);
	if (sreg == SREG_CS)
		return emu_raise(vcpu, X86_VEC_UD);
	if (!emu_read_operand(vcpu, insn, 1, &selector) || !load(vcpu, sreg, (uint16_t)selector))
		return STEP_FAULT;
	vcpu->interrupt_shadow = vcpu->debug_shadow = sreg == SREG_SS;
	return STEP_NEXT;
}

enum emu_step emu_push_sreg(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t word = vcpu->sreg[sreg_of(insn->operands[0].reg.value)].selector;
	struct stack stack = stack_of(vcpu);
	struct gm_fault fault;
	if (!stack_push(vcpu, &stack, insn->info.operand_width / 8, &word, 1, &fault))
		return emu_raise_fault(vcpu, &fault);
	vcpu->gpr[RSP] = stack.sp;
	return STEP_NEXT;
}

enum emu_step emu_pop_sreg(struct vcpu *vcpu, const struct emu_insn *insn)
{
	enum vcpu_sreg sreg = sreg_of(insn->operands[0].reg.value);
	struct stack stack = stack_of(vcpu);
	struct gm_fault fault;
	uint64_t word;
	if (!stack_pop(vcpu, &stack, insn->info.operand_width / 8, &word, 1, &fault))
		return emu_raise_fault(vcpu, &fault);
	if (!load(vcpu, sreg, (uint16_t)word))
		return STEP_FAULT;
	vcpu->gpr[RSP] = stack.sp;
	vcpu->interrupt_shadow = vcpu->debug_shadow = sreg == SREG_SS;
	return STEP_NEXT;
}

static enum vcpu_sreg sreg_of_load(ZydisMnemonic mnemonic)
{
	switch (mnemonic) {
	case ZYDIS_MNEMONIC_LDS:
		return SREG_DS;
	case ZYDIS_MNEMONIC_LES:
		return SREG_ES;
	case ZYDIS_MNEMONIC_LFS:
		return SREG_FS;
	case ZYDIS_MNEMONIC_LGS:
		return SREG_GS;
	default:
		return SREG_SS;
	}
}

enum emu_step emu_load_far(struct vcpu *vcpu, const struct emu_insn *insn)
{
	enum vcpu_sreg sreg = sreg_of_load(insn->info.mnemonic);
	unsigned width = insn->info.operand_width / 8;
	uint8_t raw[8 + 2];
	uint64_t offset = 0;
	uint16_t selector;
	if (!emu_load(vcpu, insn, 1, raw, width + sizeof(selector)))
		return STEP_FAULT;
	memcpy(&offset, raw, width);
	memcpy(&selector, raw + width, sizeof(selector));
	if (!load(vcpu, sreg, selector))
		return STEP_FAULT;
	emu_set_gpr(vcpu, insn->operands[0].reg.value, offset);
	return STEP_NEXT;
}

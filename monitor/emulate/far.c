/*
 * Far transfers between 64-bit code segments: JMP, CALL, RET (SDM 2A, 2B). Call gates and compatibility mode are not
 * part of this machine and end in #GP(selector).
 */
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"

/* The far pointer in memory: offset of the operand size, then the selector. */
static bool load_pointer(struct vcpu *vcpu, const struct emu_insn *insn, uint64_t *offset, uint16_t *selector)
{
	unsigned width = insn->info.operand_width / 8;
	uint8_t raw[8 + 2];
	if (!emu_load(vcpu, insn, 0, raw, width + sizeof(*selector)))
		return false;
	*offset = 0;
	memcpy(offset, raw, width);
	memcpy(selector, raw + width, sizeof(*selector));
	return true;
}

static bool find_target(struct vcpu *vcpu, const struct emu_insn *insn, struct vcpu_segment *cs, uint64_t *rip)
{
	struct gm_fault fault;
	uint16_t selector;
	if (!load_pointer(vcpu, insn, rip, &selector))
		return false;
	if (seg_check_jump(vcpu, selector, cs, &fault) && (vcpu_canonical(*rip) || seg_fail(&fault, X86_VEC_GP, 0)))
		return true;
	vcpu_raise_fault(vcpu, &fault);
	return false;
}

enum emu_step emu_far_jump(struct vcpu *vcpu, const struct emu_insn *insn)
{
	struct vcpu_segment cs;
	uint64_t rip;
	if (!find_target(vcpu, insn, &cs, &rip))
		return STEP_FAULT;
	vcpu->sreg[SREG_CS] = cs;
	vcpu->rip = rip;
	return STEP_STAYS;
}

enum emu_step emu_far_call(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned width = insn->info.operand_width / 8;
	uint64_t rsp = vcpu->gpr[RSP], rip;
	struct vcpu_segment cs;
	if (!find_target(vcpu, insn, &cs, &rip))
		return STEP_FAULT;
	if (!emu_push(vcpu, width, vcpu->sreg[SREG_CS].selector) ||
	    !emu_push(vcpu, width, vcpu->rip + insn->info.length)) {
		vcpu->gpr[RSP] = rsp;
		return STEP_FAULT;
	}
	vcpu->sreg[SREG_CS] = cs;
	vcpu->rip = rip;
	return STEP_STAYS;
}

/* Return to less privilege: RSP and SS lie above the parameters on the stack. */
static bool outer_stack(struct vcpu *vcpu, unsigned width, uint64_t above, unsigned cpl, struct vcpu_segment *ss,
			uint64_t *rsp)
{
	uint64_t inner = vcpu->gpr[RSP], words[2];
	struct gm_fault fault;
	vcpu->gpr[RSP] = inner + above;
	bool read = emu_peek_stack(vcpu, width, 2, words);
	vcpu->gpr[RSP] = inner;
	if (!read)
		return false;
	*rsp = words[0];
	if (seg_check_stack(vcpu, (uint16_t)words[1], cpl, ss, &fault))
		return true;
	vcpu_raise_fault(vcpu, &fault);
	return false;
}

enum emu_step emu_far_return(struct vcpu *vcpu, const struct emu_insn *insn)
{
	unsigned width = insn->info.operand_width / 8;
	uint64_t parameters =
		insn->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE ? insn->operands[0].imm.value.u : 0;
	uint64_t above = 2 * width + parameters, rsp = vcpu->gpr[RSP] + above, words[2];
	struct vcpu_segment cs, ss = vcpu->sreg[SREG_SS];
	struct gm_fault fault;
	if (!emu_peek_stack(vcpu, width, 2, words))
		return STEP_FAULT;
	if (!seg_check_return(vcpu, (uint16_t)words[1], &cs, &fault))
		return emu_raise_fault(vcpu, &fault);
	unsigned cpl = cs.selector & X86_SEL_RPL;
	if (cpl > vcpu->cpl) {
		if (!outer_stack(vcpu, width, above, cpl, &ss, &rsp))
			return STEP_FAULT;
		rsp += parameters;
	}
	if (!vcpu_canonical(words[0]))
		return emu_raise_gp(vcpu, 0);
	vcpu->sreg[SREG_CS] = cs;
	vcpu->sreg[SREG_SS] = ss;
	vcpu->gpr[RSP] = rsp;
	vcpu->rip = words[0];
	if (cpl > vcpu->cpl) {
		vcpu->cpl = cpl;
		seg_drop_privileged(vcpu, cpl);
	}
	return STEP_STAYS;
}

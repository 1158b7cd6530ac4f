/*
 * Asking about segments: LAR, LSL, VERR, VERW (SDM 2A, 2B). None faults for what the descriptor says: ZF is the answer.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"

/* Bits of a descriptor's upper half that LAR shows. */
#define LAR_BITS R3_U64(0x00ffff00)

#define BIT(type) (1u << (type))
/* System descriptors that exist in long mode, by type: LDT, TSS available and busy; LAR knows call gates too. */
#define LIMIT_TYPES  (BIT(X86_SYSTYPE_LDT) | BIT(X86_SYSTYPE_TSS_AVAIL) | BIT(X86_SYSTYPE_TSS_BUSY))
#define ACCESS_TYPES (LIMIT_TYPES | BIT(X86_GATE_CALL))
/* And outside it, those of 16 bits as well; LAR knows task gates too. */
#define TYPE_16(type)	    BIT((type) & ~X86_SYSTYPE_32)
#define LEGACY_LIMIT_TYPES  (LIMIT_TYPES | TYPE_16(X86_SYSTYPE_TSS_AVAIL) | TYPE_16(X86_SYSTYPE_TSS_BUSY))
#define LEGACY_ACCESS_TYPES (LEGACY_LIMIT_TYPES | BIT(X86_GATE_CALL) | TYPE_16(X86_GATE_CALL) | BIT(X86_GATE_TASK))

static void set_zf(struct vcpu *vcpu, bool set)
{
	vcpu->rflags = (vcpu->rflags & ~X86_RFLAGS_ZF) | (set ? X86_RFLAGS_ZF : 0);
}

/* Reads the descriptor if there is one that may be looked at; only a page fault is raised. */
static bool look_up(struct vcpu *vcpu, uint16_t selector, uint64_t *descriptor, bool *faulted)
{
	struct gm_fault fault;
	*faulted = false;
	if (seg_is_null(selector))
		return false;
	if (seg_read(vcpu, selector, descriptor, &fault))
		return true;
	*faulted = fault.vector == X86_VEC_PF;
	if (*faulted)
		vcpu_raise_fault(vcpu, &fault);
	return false;
}

/* SDM 3A 5.10.5: a conforming code segment is visible to all. */
static bool visible(const struct vcpu *vcpu, uint16_t selector, uint64_t d)
{
	unsigned rpl = selector & X86_SEL_RPL, weaker = rpl > vcpu->cpl ? rpl : vcpu->cpl;
	return (seg_is_code(d) && (d & X86_DESC_CONFORMING)) || seg_dpl(d) >= weaker;
}

static enum emu_step answer(struct vcpu *vcpu, const struct emu_insn *insn, unsigned system_types, bool limit)
{
	uint64_t selector, d;
	bool faulted;
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (!emu_read_operand(vcpu, insn, 1, &selector))
		return STEP_FAULT;
	bool found = look_up(vcpu, (uint16_t)selector, &d, &faulted);
	if (faulted)
		return STEP_FAULT;
	bool known = found && ((d & X86_DESC_S) || (system_types & BIT(seg_type(d)))) &&
		     visible(vcpu, (uint16_t)selector, d);
	set_zf(vcpu, known);
	if (known)
		emu_set_gpr(vcpu, insn->operands[0].reg.value,
			    limit ? seg_make((uint16_t)selector, d).limit : d >> 32 & LAR_BITS);
	return STEP_NEXT;
}

enum emu_step emu_lar(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return answer(vcpu, insn, vcpu_is_long(vcpu) ? ACCESS_TYPES : LEGACY_ACCESS_TYPES, false);
}

enum emu_step emu_lsl(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return answer(vcpu, insn, vcpu_is_long(vcpu) ? LIMIT_TYPES : LEGACY_LIMIT_TYPES, true);
}

static enum emu_step verify(struct vcpu *vcpu, const struct emu_insn *insn, bool write)
{
	uint64_t selector, d;
	bool faulted;
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (!emu_read_operand(vcpu, insn, 0, &selector))
		return STEP_FAULT;
	bool found = look_up(vcpu, (uint16_t)selector, &d, &faulted);
	if (faulted)
		return STEP_FAULT;
	bool allowed = found && (d & X86_DESC_S) && visible(vcpu, (uint16_t)selector, d);
	bool code = allowed && seg_is_code(d), rw = allowed && (d & X86_DESC_RW);
	set_zf(vcpu, allowed && (write ? !code && rw : !code || rw));
	return STEP_NEXT;
}

enum emu_step emu_verr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return verify(vcpu, insn, false);
}

enum emu_step emu_verw(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return verify(vcpu, insn, true);
}

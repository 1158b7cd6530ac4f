/*
 * Descriptor-table registers: LGDT LIDT LLDT LTR, and SGDT SIDT SLDT STR SMSW, which any privilege may execute unless
 * CR4.UMIP is set (SDM 2A, 2B).
 */
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"

/* Limit and base as they lie in memory; the base has 8 bytes in 64-bit code, else 4. */
#define TABLE_BYTES	  10
#define TABLE_BYTES_SHORT 6
#define BASE_24_BITS	  R3_U64(0xffffff)

static unsigned table_bytes(const struct vcpu *vcpu)
{
	return vcpu_code_bits(vcpu) == 64 ? TABLE_BYTES : TABLE_BYTES_SHORT;
}

static enum emu_step load_table(struct vcpu *vcpu, const struct emu_insn *insn, struct vcpu_table *table)
{
	unsigned bytes = table_bytes(vcpu);
	uint8_t raw[TABLE_BYTES] = {0};
	struct vcpu_table loaded;
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (!emu_load(vcpu, insn, 0, raw, bytes))
		return STEP_FAULT;
	memcpy(&loaded.limit, raw, sizeof(loaded.limit));
	memcpy(&loaded.base, raw + sizeof(loaded.limit), sizeof(loaded.base));
	if (bytes == TABLE_BYTES_SHORT && insn->info.operand_width == 16)
		loaded.base &= BASE_24_BITS;
	if (!vcpu_canonical(loaded.base))
		return emu_raise_gp(vcpu, 0);
	*table = loaded;
	return STEP_NEXT;
}

static bool umip_forbids(const struct vcpu *vcpu)
{
	return vcpu->cpl != 0 && (vcpu->cr4 & X86_CR4_UMIP);
}

static enum emu_step store_table(struct vcpu *vcpu, const struct emu_insn *insn, const struct vcpu_table *table)
{
	uint8_t raw[TABLE_BYTES];
	if (umip_forbids(vcpu))
		return emu_raise_gp(vcpu, 0);
	memcpy(raw, &table->limit, sizeof(table->limit));
	memcpy(raw + sizeof(table->limit), &table->base, sizeof(table->base));
	return emu_store(vcpu, insn, 0, raw, table_bytes(vcpu)) ? STEP_NEXT : STEP_FAULT;
}

static enum emu_step store_word(struct vcpu *vcpu, const struct emu_insn *insn, uint64_t value)
{
	if (umip_forbids(vcpu))
		return emu_raise_gp(vcpu, 0);
	return emu_write_operand(vcpu, insn, 0, value) ? STEP_NEXT : STEP_FAULT;
}

enum emu_step emu_lgdt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return load_table(vcpu, insn, &vcpu->gdtr);
}

enum emu_step emu_lidt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return load_table(vcpu, insn, &vcpu->idtr);
}

enum emu_step emu_sgdt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return store_table(vcpu, insn, &vcpu->gdtr);
}

enum emu_step emu_sidt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return store_table(vcpu, insn, &vcpu->idtr);
}

enum emu_step emu_sldt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	return store_word(vcpu, insn, vcpu->ldtr.selector);
}

enum emu_step emu_str(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	return store_word(vcpu, insn, vcpu->tr.selector);
}

enum emu_step emu_smsw(struct vcpu *vcpu, const struct emu_insn *insn)
{
	return store_word(vcpu, insn, vcpu->cr0);
}

/* Reads and checks the system descriptor LLDT and LTR share the rules of; makes *segment. */
static bool read_system(struct vcpu *vcpu, uint16_t selector, unsigned type, struct vcpu_segment *segment,
			struct gm_fault *fault)
{
	uint64_t d[2];
	if (!seg_read_system(vcpu, selector, d, fault))
		return false;
	bool narrow = !vcpu_is_long(vcpu) && type == X86_SYSTYPE_TSS_AVAIL &&
		      seg_type(d[0]) == (X86_SYSTYPE_TSS_AVAIL & ~X86_SYSTYPE_32);
	if ((seg_type(d[0]) != type && !narrow) || (d[1] & X86_DESC_UPPER_TYPE))
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	if (!(d[0] & X86_DESC_P))
		return seg_fail(fault, X86_VEC_NP, seg_error(selector));
	*segment = seg_make(selector, d[0]);
	segment->base |= d[1] << 32;
	if (!vcpu_canonical(segment->base))
		return seg_fail(fault, X86_VEC_GP, seg_error(selector));
	return true;
}

enum emu_step emu_lldt(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t selector;
	struct vcpu_segment segment;
	struct gm_fault fault;
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (!emu_read_operand(vcpu, insn, 0, &selector))
		return STEP_FAULT;
	if (seg_is_null((uint16_t)selector)) {
		vcpu->ldtr = (struct vcpu_segment){.selector = (uint16_t)selector};
		return STEP_NEXT;
	}
	if (!read_system(vcpu, (uint16_t)selector, X86_SYSTYPE_LDT, &segment, &fault))
		return emu_raise_fault(vcpu, &fault);
	vcpu->ldtr = segment;
	return STEP_NEXT;
}

enum emu_step emu_ltr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t selector;
	struct vcpu_segment segment;
	struct gm_fault fault;
	if (vcpu_is_8086(vcpu))
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (!emu_read_operand(vcpu, insn, 0, &selector))
		return STEP_FAULT;
	if (seg_is_null((uint16_t)selector))
		return emu_raise_gp(vcpu, 0);
	if (!read_system(vcpu, (uint16_t)selector, X86_SYSTYPE_TSS_AVAIL, &segment, &fault))
		return emu_raise_fault(vcpu, &fault);
	/* Available becomes busy, in the table and in the register. */
	segment.descriptor |= (uint64_t)(X86_SYSTYPE_TSS_BUSY ^ X86_SYSTYPE_TSS_AVAIL) << X86_DESC_TYPE_SHIFT;
	if (!seg_write(vcpu, (uint16_t)selector, segment.descriptor, &fault))
		return emu_raise_fault(vcpu, &fault);
	vcpu->tr = segment;
	return STEP_NEXT;
}

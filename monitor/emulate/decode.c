/*
 * From bytes at RIP to a decoded instruction. Decoding is a pure function of the bytes and the mode, so a small cache
 * is indexed by RIP and believed only if both agree: code that changes needs no invalidation.
 */
#include <stdio.h>
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/cpu.h"

#define CACHE_SLOTS 128

/* Of the thread that runs vCPUs. Not thread-local: the loader clears what is, as a whole. */
static struct emu_insn cache[CACHE_SLOTS];

static struct emu_insn *cache_slot(uint64_t rip)
{
	return &cache[(rip ^ rip >> 7) % CACHE_SLOTS];
}

static bool cache_holds(const struct emu_insn *slot, ZydisMachineMode mode, const uint8_t *bytes, size_t len)
{
	return slot->info.length && slot->info.machine_mode == mode && slot->info.length <= len &&
	       !memcmp(slot->bytes, bytes, slot->info.length);
}

static void copy_insn(struct emu_insn *to, const struct emu_insn *from)
{
	to->info = from->info;
	memcpy(to->bytes, from->bytes, sizeof(to->bytes));
	memcpy(to->operands, from->operands, from->info.operand_count * sizeof(to->operands[0]));
}

/* With no base register in the SIB byte, REX.B does not make one: Zydis believes so where addresses have 32 bits. */
static void drop_false_base(struct emu_insn *insn)
{
	if (!insn->info.raw.sib.offset || insn->info.raw.sib.base != 5 || insn->info.raw.modrm.mod != 0)
		return;
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		ZydisDecodedOperand *op = &insn->operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY || op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM)
			continue;
		op->mem.base = ZYDIS_REGISTER_NONE;
		op->mem.disp.value = insn->info.raw.disp.value;
	}
}

ZydisMachineMode emu_mode_of(unsigned code_bits)
{
	switch (code_bits) {
	case 64:
		return ZYDIS_MACHINE_MODE_LONG_64;
	case 32:
		return ZYDIS_MACHINE_MODE_LEGACY_32;
	default:
		return ZYDIS_MACHINE_MODE_LEGACY_16;
	}
}

ZydisMachineMode emu_mode(const struct vcpu *vcpu)
{
	ZydisMachineMode mode = emu_mode_of(vcpu_code_bits(vcpu));
	/* It lacks VEX and what is for protected mode only. */
	return mode == ZYDIS_MACHINE_MODE_LEGACY_16 && vcpu_is_8086(vcpu) ? ZYDIS_MACHINE_MODE_REAL_16 : mode;
}

static ZydisStackWidth stack_width(ZydisMachineMode mode)
{
	switch (mode) {
	case ZYDIS_MACHINE_MODE_LONG_64:
		return ZYDIS_STACK_WIDTH_64;
	case ZYDIS_MACHINE_MODE_LEGACY_32:
		return ZYDIS_STACK_WIDTH_32;
	default:
		return ZYDIS_STACK_WIDTH_16;
	}
}

ZyanStatus emu_decode_bytes(ZydisMachineMode mode, const uint8_t *bytes, size_t len, struct emu_insn *insn)
{
	ZydisDecoder decoder;
	ZydisDecoderInit(&decoder, mode, stack_width(mode));
	/* The operand-size prefix makes near branches of 16 bits on AMD's processors, and nothing on Intel's. */
	ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_AMD_BRANCHES, cpu_decodes_as_amd());
	if (len > sizeof(insn->bytes))
		len = sizeof(insn->bytes);
	/* What is looked at and what is kept is one copy, whatever memory the bytes lie in. */
	memset(insn->bytes, 0, sizeof(insn->bytes));
	memcpy(insn->bytes, bytes, len);
	ZyanStatus status = ZydisDecoderDecodeFull(&decoder, insn->bytes, len, &insn->info, insn->operands);
	if (ZYAN_FAILED(status))
		return status;
	drop_false_base(insn);
	memset(insn->bytes + insn->info.length, 0, sizeof(insn->bytes) - insn->info.length);
	return status;
}

bool emu_is_narrow_branch(const struct emu_insn *insn)
{
	return cpu_decodes_as_amd() && insn->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
	       (insn->info.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) && !insn->info.raw.rex.W &&
	       (insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_SHORT ||
		insn->info.meta.branch_type == ZYDIS_BRANCH_TYPE_NEAR);
}

bool emu_is_vector(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
	case ZYDIS_REGCLASS_MASK:
		return true;
	default:
		return false;
	}
}

bool emu_has_vector(const struct emu_insn *insn)
{
	for (unsigned n = 0; n < insn->info.operand_count; n++)
		if (emu_is_vector(&insn->operands[n]))
			return true;
	return false;
}

/* What stands in the way of an instruction at RIP. */
struct decode_fault {
	bool fetch; /* gm holds it; else vector */
	struct gm_fault gm;
	uint8_t vector;
};

/* UD0 and UD1 have a ModRM byte on Intel's processors alone: AMD's do not look at what follows the opcode. */
static bool is_complete_ud(ZydisMachineMode mode, const uint8_t *bytes, size_t len)
{
	uint8_t padded[X86_INSN_MAX + 1] = {0};
	struct emu_insn insn;
	if (!cpu_decodes_as_amd())
		return false;
	memcpy(padded, bytes, len);
	return ZYAN_SUCCESS(emu_decode_bytes(mode, padded, sizeof(padded), &insn)) &&
	       (insn.info.mnemonic == ZYDIS_MNEMONIC_UD0 || insn.info.mnemonic == ZYDIS_MNEMONIC_UD1) &&
	       insn.info.raw.modrm.offset >= len;
}

/* Bytes from RIP on that an instruction may have: the limit of CS may leave fewer. */
static size_t reachable(const struct vcpu *vcpu)
{
	uint32_t rip = (uint32_t)vcpu->rip, limit = vcpu->sreg[SREG_CS].limit;
	if (vcpu_code_bits(vcpu) == 64 || (rip <= limit && limit - rip >= X86_INSN_MAX - 1))
		return X86_INSN_MAX;
	return rip <= limit ? limit - rip + 1 : 0;
}

static bool decode(struct vcpu *vcpu, struct emu_insn *insn, struct decode_fault *fault)
{
	uint8_t bytes[X86_INSN_MAX];
	ZydisMachineMode mode = emu_mode(vcpu);
	uint64_t gva = vcpu_code_address(vcpu, vcpu->rip);
	struct emu_insn *slot = cache_slot(gva);
	size_t room = X86_PAGE_SIZE - (gva & X86_PAGE_MASK), most = reachable(vcpu);
	size_t want = room < most ? room : most;

	*fault = (struct decode_fault){.fetch = true};
	size_t have = gm_fetch(vcpu, gva, bytes, want, &fault->gm);
	if (have < want)
		return false;
	if (cache_holds(slot, mode, bytes, have)) {
		copy_insn(insn, slot);
		return true;
	}
	ZyanStatus status = emu_decode_bytes(mode, bytes, have, insn);
	if (status == ZYDIS_STATUS_NO_MORE_DATA && is_complete_ud(mode, bytes, have)) {
		*fault = (struct decode_fault){.vector = X86_VEC_UD};
		return false;
	}
	if (status == ZYDIS_STATUS_NO_MORE_DATA && have < most) {
		/* The next page is touched only for an instruction that does reach into it. */
		want = most - have;
		gva = vcpu_code_address(vcpu, vcpu->rip + have);
		have += gm_fetch(vcpu, gva, bytes + have, want, &fault->gm);
		status = emu_decode_bytes(mode, bytes, have, insn);
		if (status == ZYDIS_STATUS_NO_MORE_DATA && have < most)
			return false;
	}
	if (ZYAN_FAILED(status)) {
		fault->fetch = false;
		bool too_long = status == ZYDIS_STATUS_INSTRUCTION_TOO_LONG || status == ZYDIS_STATUS_NO_MORE_DATA;
		fault->vector = too_long ? X86_VEC_GP : X86_VEC_UD;
		return false;
	}
	copy_insn(slot, insn);
	return true;
}

enum emu_result emu_decode(struct vcpu *vcpu, struct emu_insn *insn)
{
	struct decode_fault fault;
	if (decode(vcpu, insn, &fault))
		return EMU_DONE;
	if (fault.fetch)
		vcpu_raise_fault(vcpu, &fault.gm);
	else
		vcpu_raise(vcpu, fault.vector);
	return EMU_RAISED;
}

bool emu_look_on(struct vcpu *vcpu, struct emu_insn *insn)
{
	struct decode_fault fault;
	return decode(vcpu, insn, &fault) && emu_always_traps(insn);
}

bool emu_peek(struct vcpu *vcpu, struct emu_insn *insn)
{
	uint8_t bytes[X86_INSN_MAX];
	ZydisMachineMode mode = emu_mode(vcpu);
	uint64_t gva = vcpu_code_address(vcpu, vcpu->rip);
	struct emu_insn *slot = cache_slot(gva);
	size_t have = gm_peek(vcpu, gva, bytes, reachable(vcpu));
	if (cache_holds(slot, mode, bytes, have)) {
		copy_insn(insn, slot);
		return true;
	}
	if (ZYAN_FAILED(emu_decode_bytes(mode, bytes, have, insn)))
		return false;
	copy_insn(slot, insn);
	return true;
}

const char *emu_format(const struct emu_insn *insn, uint64_t rip, char *text, unsigned size)
{
	struct emu_insn fresh;
	ZydisFormatter formatter;
	ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
	if (ZYAN_FAILED(emu_decode_bytes(insn->info.machine_mode, insn->bytes, sizeof(insn->bytes), &fresh)) ||
	    ZYAN_FAILED(ZydisFormatterFormatInstruction(&formatter, &fresh.info, fresh.operands,
							fresh.info.operand_count_visible, text, size, rip, NULL)))
		snprintf(text, size, "(bad)");
	return text;
}

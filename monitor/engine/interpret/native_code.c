/*
 * The copies of guest instructions that run natively: the memory operand is led to the buffer, and RSP, which stays the
 * monitor's, is replaced by a register that the instruction does not use.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"

/* ----------------------------------------------------------------------------------------------------------- RSP */

static bool is_rsp(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) == ZYDIS_REGISTER_RSP;
}

static bool uses_rsp(const struct emu_insn *emu)
{
	for (unsigned n = 0; n < emu->info.operand_count; n++)
		if (is_rsp(&emu->operands[n]))
			return true;
	return false;
}

/* One of the first eight, whose numbers need no more bits than RSP's, that is no operand. */
static uint8_t find_stand_in(const struct emu_insn *emu)
{
	static const uint8_t candidates[] = {RBX, RBP, RSI, RDI, RDX, RCX};
	unsigned used = 0;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value);
		if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64)
			used |= 1u << ZydisRegisterGetId(whole);
	}
	for (unsigned n = 0; n < sizeof(candidates); n++)
		if (!(used >> candidates[n] & 1))
			return candidates[n];
	return 0;
}

static bool replace_rsp(struct insn_detail *d, uint8_t *bytes)
{
	const struct emu_insn *emu = &d->emu;
	unsigned vex = emu->info.raw.vex.offset + emu->info.raw.vex.size - 1;
	d->stand_in = find_stand_in(emu);
	if (!d->stand_in)
		return false;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		uint8_t *modrm = &bytes[emu->info.raw.modrm.offset];
		if (!is_rsp(&emu->operands[n]))
			continue;
		switch (emu->operands[n].encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG:
			*modrm = (uint8_t)((*modrm & ~0x38) | d->stand_in << 3);
			break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM:
			*modrm = (uint8_t)((*modrm & ~7) | d->stand_in);
			break;
		case ZYDIS_OPERAND_ENCODING_OPCODE:
			bytes[emu->info.length - 1] = (uint8_t)((bytes[emu->info.length - 1] & ~7) | d->stand_in);
			break;
		case ZYDIS_OPERAND_ENCODING_NDSNDD:
			if (emu->info.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX)
				return false;
			bytes[vex] = (uint8_t)((bytes[vex] & ~0x78) | (~d->stand_in & 15) << 3);
			break;
		default:
			return false;
		}
	}
	return true;
}

/* --------------------------------------------------------------------------------------------------- the whole copy */

static bool add_memory(struct engine_vcpu *c, struct insn_detail *d, const ZydisDecodedOperand *op)
{
	enum { READS = ZYDIS_OPERAND_ACTION_MASK_READ, WRITES = ZYDIS_OPERAND_ACTION_MASK_WRITE };
	bool state = native_is_state(&d->emu), implied = native_is_through_rdi(&d->emu);
	if (d->size || op->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
	    (op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM && !implied))
		return false;
	d->size = (uint16_t)(state ? c->fpu_size : op->size / 8u);
	d->masked = native_is_masked(&d->emu);
	d->writes = op->actions & WRITES;
	/* What is written in part, or perhaps, keeps the rest; the x87 does not store what raises an exception. */
	d->reads = (op->actions & READS) || (op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE) || d->masked || implied ||
		   native_is_x87(&d->emu) || state;
	d->align = native_alignment(&d->emu, d->size);
	return d->size && d->size <= ENGINE_FPU_MAX;
}

/* The instruction's bytes with its memory operand at `buffer`, for execution at `at`. Returns their number. */
static unsigned redirect(const struct emu_insn *emu, const uint8_t *bytes, const uint8_t *at, const uint8_t *buffer,
			 uint8_t *out)
{
	const ZydisDecodedInstruction *info = &emu->info;
	unsigned len = 0, from = 0;
	/* Segment and address-size prefixes go, and a REX that stood before one, which had no effect. */
	for (; from < info->raw.prefix_count; from++) {
		uint8_t byte = bytes[from];
		bool rex = (byte & 0xf0) == 0x40 && from + 1u < info->raw.prefix_count;
		if (byte != 0x26 && byte != 0x2e && byte != 0x36 && byte != 0x3e && byte != 0x64 && byte != 0x65 &&
		    byte != 0x67 && !rex)
			out[len++] = byte;
	}
	while (from < info->raw.modrm.offset)
		out[len++] = bytes[from++];
	out[len++] = (bytes[info->raw.modrm.offset] & 0x38) | 5; /* RIP-relative */
	unsigned tail = info->raw.modrm.offset + 1;
	if (info->raw.sib.offset)
		tail = info->raw.sib.offset + 1;
	if (info->raw.disp.size)
		tail = info->raw.disp.offset + info->raw.disp.size / 8;
	unsigned rest = info->length - tail;
	int32_t displacement = (int32_t)(buffer - (at + len + sizeof(displacement) + rest));
	memcpy(out + len, &displacement, sizeof(displacement));
	len += sizeof(displacement);
	memcpy(out + len, bytes + tail, rest);
	return len + rest;
}

bool native_prepare(struct engine_vcpu *c, struct insn_detail *d, bool single)
{
	const struct emu_insn *emu = &d->emu;
	struct native *native = c->native;
	enum native_kind kind = native_kind_of(emu);
	uint8_t code[2 * NATIVE_SLOT_SIZE], bytes[sizeof(emu->bytes)];
	if (kind == NATIVE_FORBIDDEN || emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		bool bad = op->type == ZYDIS_OPERAND_TYPE_POINTER ||
			   (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !native_register_allowed(op->reg.value)) ||
			   (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !add_memory(c, d, op));
		if (bad)
			return false;
		d->fpu |= native_is_vector(op);
		d->x87 |= native_is_mmx(op);
	}
	d->fpu |= kind == NATIVE_VECTOR;
	d->x87 |= native_is_x87(emu) || native_is_unsorted(emu);
	memcpy(bytes, emu->bytes, sizeof(bytes));
	if (uses_rsp(emu) && !replace_rsp(d, bytes))
		return false;
	unsigned slot = single ? 0 : native->used;
	uint8_t *at = native->code + slot * NATIVE_SLOT_SIZE;
	unsigned len = emu->info.length;
	if (d->size && !native_is_through_rdi(emu))
		len = redirect(emu, bytes, at, native->buffer, code);
	else
		memcpy(code, bytes, len);
	if (len >= NATIVE_SLOT_SIZE || slot >= NATIVE_SLOT_COUNT)
		return false;
	code[len] = 0xc3; /* RET */
	memcpy(native->shadow + slot * NATIVE_SLOT_SIZE, code, len + 1);
	d->code = at;
	native->used += !single;
	return true;
}

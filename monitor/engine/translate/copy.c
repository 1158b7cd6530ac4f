/*
 * Instructions that are copied: as they are, but for operands relative to RIP.
 */
#include <string.h>

#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

bool compiler_is_rip_relative(const struct emu_insn *insn)
{
	return insn->info.raw.modrm.offset && insn->info.raw.modrm.mod == 0 && insn->info.raw.modrm.rm == 5;
}

uint64_t compiler_operand_address(const struct compiler *c)
{
	return c->next + (uint64_t)c->insn.info.raw.disp.value;
}

/* The bit of a general register, or of the one that it is part of; 0: it is none. */
static unsigned register_bit(ZydisRegister reg)
{
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg);
	return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64 ? 1u << ZydisRegisterGetId(whole) : 0;
}

int compiler_free_index(const struct emu_insn *insn, unsigned used)
{
	static const uint8_t candidates[] = {RAX, RCX, RDX, RBX, RSI, RDI, RBP};
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &insn->operands[n];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
			used |= register_bit(op->reg.value);
		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			used |= register_bit(op->mem.base) | register_bit(op->mem.index);
	}
	for (unsigned n = 0; n < sizeof(candidates); n++)
		if (!(used & 1u << candidates[n]))
			return candidates[n];
	return -1;
}

int compiler_free_register(const struct emu_insn *insn, unsigned used)
{
	return compiler_free_index(insn, used | 1u << RBP);
}

/* The bits that would make an index or base one of the high eight registers: SDM 2A 2.2.1, 2.3.5, 2.7.1. */
static void clear_extensions(const struct emu_insn *insn, uint8_t *bytes)
{
	switch (insn->info.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
	case ZYDIS_INSTRUCTION_ENCODING_3DNOW:
		if (insn->info.attributes & ZYDIS_ATTRIB_HAS_REX)
			bytes[insn->info.raw.rex.offset] &= (uint8_t) ~(REX_X | REX_B);
		break;
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		if (insn->info.raw.vex.size == 3)
			bytes[insn->info.raw.vex.offset + 1] |= VEX_NOT_XB;
		break;
	case ZYDIS_INSTRUCTION_ENCODING_XOP:
		bytes[insn->info.raw.xop.offset + 1] |= VEX_NOT_XB;
		break;
	default:
		bytes[insn->info.raw.evex.offset + 1] |= VEX_NOT_XB;
	}
}

static bool is_segment_prefix(uint8_t byte)
{
	static const uint8_t segments[] = {PREFIX_ES, PREFIX_CS, PREFIX_SS, PREFIX_DS, PREFIX_FS, PREFIX_GS};
	return memchr(segments, byte, sizeof(segments));
}

/* A REX with another prefix behind it counts for nothing, and must not come to stand before the opcode. */
static bool is_lost_rex(const uint8_t *bytes, unsigned at, unsigned prefixes)
{
	return (bytes[at] & 0xf0) == REX && at + 1 < prefixes;
}

static void emit_head(struct emit *e, const struct emu_insn *insn, const uint8_t *bytes, unsigned len, uint8_t segment)
{
	unsigned prefixes = insn->info.raw.prefix_count;
	if (!segment) {
		emit_bytes(e, bytes, len);
		return;
	}
	emit8(e, segment);
	for (unsigned n = 0; n < prefixes; n++)
		if (!is_segment_prefix(bytes[n]) && !is_lost_rex(bytes, n, prefixes))
			emit8(e, bytes[n]);
	emit_bytes(e, bytes + prefixes, len - prefixes);
}

bool compiler_copy_head(struct compiler *c, unsigned len, uint8_t segment)
{
	emit_head(&c->e, &c->insn, c->insn.bytes, len, segment);
	return true;
}

void compiler_copy_with_operand(struct compiler *c, unsigned base, unsigned index, uint32_t disp)
{
	uint8_t bytes[sizeof(c->insn.bytes)];
	const ZydisDecodedInstruction *info = &c->insn.info;
	unsigned modrm = info->raw.modrm.offset;
	unsigned end = info->raw.imm[0].size ? info->raw.imm[0].offset : info->length;
	memcpy(bytes, c->insn.bytes, sizeof(bytes));
	clear_extensions(&c->insn, bytes);
	/* DS is in force where no prefix, or another one without a base, is. */
	emit_head(&c->e, &c->insn, bytes, modrm, bt_uses_base(&c->insn) ? PREFIX_DS : 0);
	emit8(&c->e, (disp ? MODRM_DISP32 : 0) | (bytes[modrm] & MODRM_REG) | MODRM_RM_SIB);
	emit8(&c->e, index << 3 | base);
	if (disp)
		emit32(&c->e, disp);
	emit_bytes(&c->e, bytes + end, info->length - end);
}

bool compiler_has_absolute(const struct compiler *c)
{
	return compiler_fits(compiler_operand_address(c)) && c->insn.info.length + 2 <= X86_INSN_MAX;
}

bool compiler_copy_absolute(struct compiler *c, uint8_t segment)
{
	uint8_t bytes[sizeof(c->insn.bytes)];
	unsigned modrm = c->insn.info.raw.modrm.offset, disp = c->insn.info.raw.disp.offset;
	if (!compiler_has_absolute(c))
		return false;
	memcpy(bytes, c->insn.bytes, sizeof(bytes));
	clear_extensions(&c->insn, bytes);
	emit_head(&c->e, &c->insn, bytes, modrm, segment);
	emit8(&c->e, (bytes[modrm] & MODRM_REG) | MODRM_RM_SIB);
	emit8(&c->e, SIB_ABSOLUTE);
	emit32(&c->e, (uint32_t)compiler_operand_address(c));
	emit_bytes(&c->e, bytes + disp + 4, c->insn.info.length - disp - 4);
	return true;
}

bool compiler_copy_through_register(struct compiler *c, uint8_t segment)
{
	int reg = compiler_free_register(&c->insn, 0);
	uint8_t bytes[sizeof(c->insn.bytes)];
	unsigned modrm = c->insn.info.raw.modrm.offset, disp = c->insn.info.raw.disp.offset;
	if (reg < 0)
		return false;
	memcpy(bytes, c->insn.bytes, sizeof(bytes));
	clear_extensions(&c->insn, bytes);
	emit_store(&c->e, (unsigned)reg, SLOT(scratch));
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_SCRATCH, .reg = (uint8_t)reg});
	emit_constant(&c->e, (unsigned)reg, compiler_operand_address(c));
	emit_head(&c->e, &c->insn, bytes, modrm, segment);
	emit8(&c->e, (bytes[modrm] & MODRM_REG) | (uint8_t)reg);
	emit_bytes(&c->e, bytes + disp + 4, c->insn.info.length - disp - 4);
	compiler_mark(c, (struct bt_locus){.rip = c->next, .undo = BT_SCRATCH, .reg = (uint8_t)reg});
	emit_load(&c->e, (unsigned)reg, SLOT(scratch));
	return true;
}

bool compiler_copy_lea(struct compiler *c)
{
	unsigned width = c->insn.info.operand_width;
	if (width == 16)
		return false;
	uint64_t value = compiler_operand_address(c);
	emit_constant(&c->e, ZydisRegisterGetId(c->insn.operands[0].reg.value), width == 32 ? (uint32_t)value : value);
	return true;
}

bool compile_copy(struct compiler *c)
{
	if (!compiler_is_rip_relative(&c->insn)) {
		emit_bytes(&c->e, c->insn.bytes, c->insn.info.length);
		return true;
	}
	if (c->insn.info.address_width != 64)
		return false;
	if (c->insn.info.mnemonic == ZYDIS_MNEMONIC_LEA)
		return compiler_copy_lea(c);
	return compiler_copy_absolute(c, 0) || compiler_copy_through_register(c, 0);
}

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

/* One of the low eight registers that the instruction has nothing to do with; -1: none. */
static int free_register(const struct emu_insn *insn)
{
	static const uint8_t candidates[] = {RAX, RCX, RDX, RBX, RSI, RDI};
	unsigned used = 0;
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &insn->operands[n];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
			ZydisRegister whole =
				ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value);
			if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64)
				used |= 1u << ZydisRegisterGetId(whole);
		} else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY && op->mem.base != ZYDIS_REGISTER_RIP &&
			   op->mem.base != ZYDIS_REGISTER_NONE) {
			used |= 1u << ZydisRegisterGetId(op->mem.base);
		}
	}
	for (unsigned n = 0; n < sizeof(candidates); n++)
		if (!(used & 1u << candidates[n]))
			return candidates[n];
	return -1;
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

/* [disp32] without base and index. */
static bool copy_absolute(struct compiler *c)
{
	uint8_t bytes[sizeof(c->insn.bytes)];
	unsigned modrm = c->insn.info.raw.modrm.offset, disp = c->insn.info.raw.disp.offset;
	if (c->insn.info.length == sizeof(bytes))
		return false;
	memcpy(bytes, c->insn.bytes, sizeof(bytes));
	clear_extensions(&c->insn, bytes);
	emit_bytes(&c->e, bytes, modrm);
	emit8(&c->e, (bytes[modrm] & MODRM_REG) | MODRM_RM_SIB);
	emit8(&c->e, SIB_ABSOLUTE);
	emit32(&c->e, (uint32_t)compiler_operand_address(c));
	emit_bytes(&c->e, bytes + disp + 4, c->insn.info.length - disp - 4);
	return true;
}

/* [register], which holds the address meanwhile. */
static bool copy_through_register(struct compiler *c)
{
	int reg = free_register(&c->insn);
	uint8_t bytes[sizeof(c->insn.bytes)];
	unsigned modrm = c->insn.info.raw.modrm.offset, disp = c->insn.info.raw.disp.offset;
	if (reg < 0)
		return false;
	memcpy(bytes, c->insn.bytes, sizeof(bytes));
	clear_extensions(&c->insn, bytes);
	emit_store(&c->e, (unsigned)reg, SLOT(scratch));
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_SCRATCH, .reg = (uint8_t)reg});
	emit_constant(&c->e, (unsigned)reg, compiler_operand_address(c));
	emit_bytes(&c->e, bytes, modrm);
	emit8(&c->e, (bytes[modrm] & MODRM_REG) | (uint8_t)reg);
	emit_bytes(&c->e, bytes + disp + 4, c->insn.info.length - disp - 4);
	compiler_mark(c, (struct bt_locus){.rip = c->next, .undo = BT_SCRATCH, .reg = (uint8_t)reg});
	emit_load(&c->e, (unsigned)reg, SLOT(scratch));
	return true;
}

static bool copy_lea(struct compiler *c)
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
		return copy_lea(c);
	return compiler_fits(compiler_operand_address(c)) ? copy_absolute(c) : copy_through_register(c);
}

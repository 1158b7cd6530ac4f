/*
 * Instructions of 32-bit code that are copied with other prefixes, and who does the others.
 */
#include "monitor/engine/translate/narrow.h"

#include <string.h>

#include "monitor/vm/vcpu.h"

#define PREFIX_ADDRESS 0x67

/* --------------------------------------------------------------------------------------------------------- operands */

unsigned narrow_prefix(const struct compiler *c, const ZydisDecodedOperand *op)
{
	/* Which of the two the hardware has for the guest. */
	ZydisRegister real = c->source->flavour & BT_USER ? ZYDIS_REGISTER_GS : ZYDIS_REGISTER_FS;
	switch (op->mem.segment) {
	case ZYDIS_REGISTER_DS:
	case ZYDIS_REGISTER_ES:
	case ZYDIS_REGISTER_SS:
		return PREFIX_GS;
	case ZYDIS_REGISTER_CS:
		/* Which can be read, see form_is_narrow. */
		return op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE ? 0 : PREFIX_GS;
	case ZYDIS_REGISTER_FS:
	case ZYDIS_REGISTER_GS:
		return op->mem.segment == real && (c->source->flavour & BT_BASES) ? PREFIX_FS : 0;
	default:
		return 0;
	}
}

/* From ModRM on; where that says [disp32], in 64-bit code it says RIP. */
static void emit_rest(struct compiler *c, unsigned modrm)
{
	unsigned at = c->insn.info.raw.modrm.offset + 1u;
	if (compiler_is_rip_relative(&c->insn)) {
		emit8(&c->e, (modrm & MODRM_REG) | MODRM_RM_SIB);
		emit8(&c->e, SIB_ABSOLUTE);
	} else {
		emit8(&c->e, modrm);
	}
	emit_bytes(&c->e, c->insn.bytes + at, c->insn.info.length - at);
}

static void emit_opcode(struct emit *e, unsigned opcode)
{
	if (opcode >> 8)
		emit8(e, opcode >> 8);
	emit8(e, opcode & 0xff);
}

static void emit_window(struct emit *e, unsigned prefix, unsigned reg)
{
	if (prefix)
		emit8(e, prefix);
	emit8(e, PREFIX_ADDRESS);
	if (reg & 8)
		emit8(e, REX | REX_R);
}

void narrow_operand(struct compiler *c, unsigned prefix, unsigned opcode, unsigned reg)
{
	uint8_t modrm = c->insn.bytes[c->insn.info.raw.modrm.offset];
	emit_window(&c->e, prefix, reg);
	emit_opcode(&c->e, opcode);
	emit_rest(c, (modrm & ~(unsigned)MODRM_REG) | (reg & 7) << 3);
}

bool narrow_load_operand(struct compiler *c, const ZydisDecodedOperand *op)
{
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		emit8(&c->e, REX | REX_R);
		emit8(&c->e, OPCODE_LOAD);
		emit8(&c->e, 0xc0 | ZydisRegisterGetId(op->reg.value));
		return true;
	}
	unsigned prefix = narrow_prefix(c, op);
	if (prefix)
		narrow_operand(c, prefix, OPCODE_LOAD, R8);
	return prefix;
}

void narrow_stack(struct compiler *c, unsigned opcode, unsigned reg, int offset)
{
	emit_window(&c->e, PREFIX_GS, reg);
	emit_opcode(&c->e, opcode);
	emit8(&c->e, 0x44 | (reg & 7) << 3); /* [ESP + disp8] */
	emit8(&c->e, 0x24);
	emit8(&c->e, (uint8_t)offset);
}

void narrow_store_imm(struct compiler *c, int offset, uint32_t value)
{
	narrow_stack(c, 0xc7, 0, offset);
	emit32(&c->e, value);
}

void narrow_move_stack(struct compiler *c, int bytes)
{
	static const uint8_t near[] = {0x8d, 0x64, 0x24}, far[] = {0x8d, 0xa4, 0x24}; /* LEA ESP, [RSP + disp] */
	if (bytes == (int8_t)bytes) {
		emit_bytes(&c->e, near, sizeof(near));
		emit8(&c->e, (uint8_t)bytes);
	} else {
		emit_bytes(&c->e, far, sizeof(far));
		emit32(&c->e, (uint32_t)bytes);
	}
}

/* --------------------------------------------------------------------------------------------------------- strings */

/*
 * The destination takes no prefix, and with one the processor is slow: the pointers are moved into the window, and
 * their upper halves are cleared again behind it. Whatever stops them in between, their lower halves are the guest's.
 */
static bool compile_string(struct compiler *c)
{
	static const uint8_t source[] = {0x4a, 0x8d, 0x34, 0x06}, dest[] = {0x4a, 0x8d, 0x3c, 0x07};
	static const uint8_t clear[] = {0x89, 0xf6, 0x89, 0xff}; /* MOV ESI, ESI; MOV EDI, EDI */
	bool from = false, to = false;
	for (unsigned n = 0; n < c->insn.info.operand_count; n++) {
		const ZydisDecodedOperand *op = &c->insn.operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		if (narrow_prefix(c, op) != PREFIX_GS)
			return false;
		from |= op->mem.base == ZYDIS_REGISTER_ESI;
		to |= op->mem.base == ZYDIS_REGISTER_EDI;
	}
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_WINDOW});
	emit_constant64(&c->e, R8, c->e.place->window);
	if (from)
		emit_bytes(&c->e, source, sizeof(source)); /* LEA RSI, [RSI + R8] */
	if (to)
		emit_bytes(&c->e, dest, sizeof(dest));
	for (unsigned n = 0; n < c->insn.info.raw.prefix_count; n++) {
		uint8_t prefix = c->insn.info.raw.prefixes[n].value;
		if (prefix == 0x66 || prefix == 0xf2 || prefix == 0xf3)
			emit8(&c->e, prefix);
	}
	emit8(&c->e, c->insn.info.opcode);
	compiler_mark(c, (struct bt_locus){.rip = c->next, .undo = BT_WINDOW});
	emit_bytes(&c->e, clear, sizeof(clear));
	return true;
}

/* ----------------------------------------------------------------------------------------------------------- copies */

static bool is_segment_or_address(uint8_t prefix)
{
	switch (prefix) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case PREFIX_FS:
	case PREFIX_GS:
	case PREFIX_ADDRESS:
		return true;
	default:
		return false;
	}
}

/* Bits that 32-bit code has no use for and 64-bit code has: SDM 2A 2.3.5, 2.3.6. */
static bool is_vex_alike(const struct emu_insn *insn)
{
	switch (insn->info.encoding) {
	case ZYDIS_INSTRUCTION_ENCODING_LEGACY:
		return true;
	case ZYDIS_INSTRUCTION_ENCODING_VEX:
		break;
	default:
		return false;
	}
	if (insn->info.raw.vex.size == 3 && (!(insn->bytes[insn->info.raw.vex.offset + 1] & 0x20) ||
					     !(insn->bytes[insn->info.raw.vex.offset + 2] & 0x40)))
		return false;
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &insn->operands[n];
		bool general = op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
			       ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_GPR32;
		if (op->encoding == ZYDIS_OPERAND_ENCODING_IS4 || (general && insn->info.raw.vex.W))
			return false;
	}
	return true;
}

/* The prefix for the memory that the instruction reaches by ModRM, an offset or XLAT; *has: it reaches some. */
static bool memory_prefix(const struct compiler *c, bool *has, unsigned *prefix)
{
	*has = false;
	*prefix = 0;
	for (unsigned n = 0; n < c->insn.info.operand_count; n++) {
		const ZydisDecodedOperand *op = &c->insn.operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		bool named = op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
			     op->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64 ||
			     c->insn.info.mnemonic == ZYDIS_MNEMONIC_XLAT;
		if (!named || *has || op->mem.type == ZYDIS_MEMOP_TYPE_VSIB || op->mem.type == ZYDIS_MEMOP_TYPE_MIB)
			return false;
		*has = true;
		if (op->mem.type == ZYDIS_MEMOP_TYPE_AGEN)
			continue;
		*prefix = narrow_prefix(c, op);
		if (!*prefix)
			return false;
	}
	return true;
}

static void emit_body(struct compiler *c)
{
	const struct emu_insn *insn = &c->insn;
	unsigned at = insn->info.raw.prefix_count, opcode = insn->info.opcode;
	bool by_map = insn->info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
		      insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	if (by_map && (opcode & 0xf0) == 0x40) { /* INC and DEC, where REX is */
		emit8(&c->e, 0xff);
		emit8(&c->e, 0xc0 | (opcode & 15));
		return;
	}
	if (!insn->info.raw.modrm.offset) {
		emit_bytes(&c->e, insn->bytes + at, insn->info.length - at);
		return;
	}
	if (by_map && opcode == 0x82) { /* 80 by another name */
		emit8(&c->e, 0x80);
		at++;
	}
	emit_bytes(&c->e, insn->bytes + at, insn->info.raw.modrm.offset - at);
	emit_rest(c, insn->bytes[insn->info.raw.modrm.offset]);
}

static bool compile_narrow_copy(struct compiler *c)
{
	bool has;
	unsigned prefix;
	if (c->insn.info.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return compile_string(c);
	if (!is_vex_alike(&c->insn) || !memory_prefix(c, &has, &prefix) || c->insn.info.length + 3 > X86_INSN_MAX)
		return false;
	if (prefix)
		emit8(&c->e, prefix);
	if (has)
		emit8(&c->e, PREFIX_ADDRESS);
	for (unsigned n = 0; n < c->insn.info.raw.prefix_count; n++)
		if (!is_segment_or_address(c->insn.info.raw.prefixes[n].value))
			emit8(&c->e, c->insn.info.raw.prefixes[n].value);
	emit_body(c);
	return true;
}

/* Those that BT_COPY holds for in 64-bit code alone, or that use the stack. */
static bool moves_stack(const struct emu_insn *insn)
{
	return insn->info.meta.category == ZYDIS_CATEGORY_PUSH || insn->info.meta.category == ZYDIS_CATEGORY_POP ||
	       insn->info.mnemonic == ZYDIS_MNEMONIC_LEAVE || insn->info.mnemonic == ZYDIS_MNEMONIC_ENTER;
}

void bt_undo_narrow(const struct bt_locus *locus, uint64_t gpr[16], uint64_t *rip, bool *enabled)
{
	*rip = (uint32_t)locus->rip;
	switch (locus->undo) {
	case BT_KEPT:
		gpr[RCX] = gpr[R10];
		break;
	case BT_MOVED:
		gpr[locus->reg] = gpr[R8];
		break;
	case BT_ALL:
		for (unsigned reg = RAX; reg <= RDI; reg++)
			gpr[reg] = reg == RSP ? gpr[reg] : gpr[R8 + reg];
		break;
	case BT_FLAGS:
		*enabled = gpr[R8] & X86_RFLAGS_IF;
		gpr[RSP] = gpr[R9];
		break;
	case BT_BORROWED:
		gpr[RSP] = gpr[R9];
		break;
	case BT_JUMPED:
		gpr[RCX] = gpr[R10];
		*rip = (uint32_t)gpr[R8];
		break;
	default:
		break;
	}
	gpr[RSP] += (uint64_t)(int64_t)locus->rsp;
	for (unsigned reg = RAX; reg <= RDI; reg++)
		gpr[reg] = (uint32_t)gpr[reg];
}

enum outcome compile_narrow(struct compiler *c)
{
	if (c->insn.info.address_width != 32)
		return LEAVES;
	if (narrow_crosses(c))
		return narrow_cross(c);
	enum bt_class class = bt_classify(&c->insn, c->source->flavour);
	if (class == BT_LEAVE)
		return LEAVES;
	if (moves_stack(&c->insn) && class != BT_INSIDE)
		return narrow_push_pop(c) ? GOES_ON : LEAVES;
	switch (class) {
	case BT_COPY:
		if (c->device && narrow_register_load(c))
			return GOES_ON;
		return compile_narrow_copy(c) ? GOES_ON : LEAVES;
	case BT_INSIDE:
		if (!narrow_system(c))
			return LEAVES;
		compiler_done_inside(c);
		return GOES_ON;
	default:
		return narrow_flow(c);
	}
}

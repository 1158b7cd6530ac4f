/*
 * Loads of 32-bit code that were seen to read a device's register which does not change by itself. The address is
 * compared with that register's, and what it holds is in the state; all else is loaded from memory.
 */
#include "monitor/engine/translate/narrow.h"
#include "monitor/vm/vcpu.h"

#define OPCODE_LOAD_OFFSET 0xa1 /* EAX, from an address in the instruction */

#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void keep_counter(struct compiler *c)
{
	EMIT(0x41, OPCODE_STORE, 0xca); /* MOV R10D, ECX */
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_KEPT});
}

static void restore_counter(struct compiler *c)
{
	EMIT(0x44, OPCODE_STORE, 0xd1); /* MOV ECX, R10D */
	compiler_mark_exact(c, c->rip);
}

/* R8D = the operand's address. */
static void load_address(struct compiler *c)
{
	if (c->insn.info.raw.modrm.offset)
		narrow_operand(c, 0, OPCODE_LEA, R8);
	else
		emit_constant(&c->e, R8, (uint32_t)c->insn.operands[1].mem.disp.value);
}

static bool is_register_load(const struct emu_insn *insn)
{
	const ZydisDecodedOperand *to = &insn->operands[0], *from = &insn->operands[1];
	return insn->info.mnemonic == ZYDIS_MNEMONIC_MOV && insn->info.operand_width == 32 &&
	       to->type == ZYDIS_OPERAND_TYPE_REGISTER && from->type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       (insn->info.opcode == OPCODE_LOAD || insn->info.opcode == OPCODE_LOAD_OFFSET);
}

bool narrow_register_load(struct compiler *c)
{
	if (!is_register_load(&c->insn) || narrow_prefix(c, &c->insn.operands[1]) != PREFIX_GS ||
	    (c->source->flavour & BT_USER))
		return false;
	unsigned reg = (unsigned)ZydisRegisterGetId(c->insn.operands[0].reg.value);
	load_address(c);
	keep_counter(c);
	emit_load(&c->e, RCX, SLOT(constant_at));
	EMIT(0x48, 0xf7, 0xd1);			  /* NOT RCX */
	EMIT(0x49, OPCODE_LEA, 0x4c, 0x08, 0x01); /* LEA RCX, [R8 + RCX + 1] */
	unsigned same = emit_hop(&c->e, OPCODE_JRCXZ);
	restore_counter(c);
	EMIT(PREFIX_GS, 0x67, 0x41, OPCODE_LOAD, (uint8_t)(reg << 3)); /* MOV reg, GS:[R8D] */
	compiler_mark_exact(c, c->next);
	unsigned done = emit_skip(&c->e);
	emit_skip_end(&c->e, same);
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_KEPT});
	restore_counter(c);
	emit_load(&c->e, reg, SLOT(constant));
	emit_skip_end(&c->e, done);
	return true;
}

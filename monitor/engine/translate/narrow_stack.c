/*
 * The stack of 32-bit code.
 */
#include "monitor/engine/translate/narrow.h"
#include "monitor/vm/vcpu.h"

#define HERE	  .rip = c->rip
#define NEXT_RIP  .rip = c->next
#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})

/* The registers of PUSHA and POPA from the top of the stack down, in the order of their numbers. */
#define ALL_BYTES (8 * WORD)

static unsigned number(const ZydisDecodedOperand *op)
{
	return ZydisRegisterGetId(op->reg.value);
}

static bool push(struct compiler *c)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		narrow_store_imm(c, -WORD, (uint32_t)op->imm.value.u);
		break;
	case ZYDIS_OPERAND_TYPE_REGISTER:
		narrow_stack(c, OPCODE_STORE, number(op), -WORD);
		break;
	default:
		if (!narrow_load_operand(c, op))
			return false;
		narrow_stack(c, OPCODE_STORE, R8, -WORD);
	}
	narrow_move_stack(c, -WORD);
	return true;
}

static bool pop(struct compiler *c)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		narrow_stack(c, OPCODE_LOAD, number(op), 0);
		if (number(op) == RSP)
			return true;
	} else {
		/* An address through the stack pointer is computed after that has moved. */
		unsigned prefix = op->mem.base == ZYDIS_REGISTER_ESP ? 0 : narrow_prefix(c, op);
		if (!prefix)
			return false;
		narrow_stack(c, OPCODE_LOAD, R8, 0);
		narrow_operand(c, prefix, OPCODE_STORE, R8);
	}
	MARK(NEXT_RIP, .rsp = WORD);
	narrow_move_stack(c, WORD);
	return true;
}

static bool push_all(struct compiler *c)
{
	for (unsigned reg = RAX; reg <= RDI; reg++)
		narrow_stack(c, OPCODE_STORE, reg, -(int)(reg + 1) * WORD);
	narrow_move_stack(c, -ALL_BYTES);
	return true;
}

/* All are loaded before the first one changes. The stack pointer's is not. */
static bool pop_all(struct compiler *c)
{
	for (unsigned reg = RAX; reg <= RDI; reg++)
		if (reg != RSP)
			narrow_stack(c, OPCODE_LOAD, R8 + reg, ALL_BYTES - (int)(reg + 1) * WORD);
	MARK(NEXT_RIP, .undo = BT_ALL, .rsp = ALL_BYTES);
	for (unsigned reg = RAX; reg <= RDI; reg++) {
		const uint8_t move[] = {0x44, OPCODE_STORE, (uint8_t)(0xc0 | reg << 3 | reg)}; /* MOV reg, R8D + reg */
		if (reg != RSP)
			emit_bytes(&c->e, move, sizeof(move));
	}
	MARK(NEXT_RIP, .rsp = ALL_BYTES);
	narrow_move_stack(c, ALL_BYTES);
	return true;
}

static bool leave(struct compiler *c)
{
	static const uint8_t load[] = {PREFIX_GS, 0x67, 0x44, OPCODE_LOAD, 0x45, 0}; /* MOV R8D, GS:[EBP] */
	static const uint8_t move_stack[] = {0x8d, 0x65, WORD};			     /* LEA ESP, [RBP + 4] */
	static const uint8_t move_frame[] = {0x44, OPCODE_STORE, 0xc5};		     /* MOV EBP, R8D */
	emit_bytes(&c->e, load, sizeof(load));
	emit_bytes(&c->e, move_stack, sizeof(move_stack));
	MARK(NEXT_RIP, .undo = BT_MOVED, .reg = RBP);
	emit_bytes(&c->e, move_frame, sizeof(move_frame));
	return true;
}

bool narrow_push_pop(struct compiler *c)
{
	if (c->insn.info.operand_width != 32)
		return false;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return push(c);
	case ZYDIS_MNEMONIC_POP:
		return pop(c);
	case ZYDIS_MNEMONIC_PUSHAD:
		return push_all(c);
	case ZYDIS_MNEMONIC_POPAD:
		return pop_all(c);
	case ZYDIS_MNEMONIC_LEAVE:
		return leave(c);
	default:
		return false;
	}
}

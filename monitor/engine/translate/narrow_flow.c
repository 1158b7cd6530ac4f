/*
 * Transfers of control of 32-bit code. The target of an indirect one goes to R8 and what RCX has to R10, so that its
 * way through the table changes nothing of the guest's.
 */
#include "monitor/engine/translate/narrow.h"
#include "monitor/vm/vcpu.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})

static void jump_by_table(struct compiler *c)
{
	static const uint8_t low_half[] = {0x66, 0x45, 0x89, 0xc1};	    /* MOV R9W, R8W */
	static const uint8_t jump[] = {0x42, 0xff, 0x24, 0xcd, 0, 0, 0, 0}; /* JMP [R9 * 8] */
	MARK(.rip = c->rip, .undo = BT_JUMPED);
	emit_constant64(&c->e, R9, c->e.place->table / 8);
	emit_bytes(&c->e, low_half, sizeof(low_half));
	emit_bytes(&c->e, jump, sizeof(jump));
}

static void keep_counter(struct compiler *c)
{
	static const uint8_t keep[] = {0x41, OPCODE_STORE, 0xca}; /* MOV R10D, ECX */
	emit_bytes(&c->e, keep, sizeof(keep));
}

static void push_return(struct compiler *c)
{
	narrow_store_imm(c, -WORD, (uint32_t)c->next);
	narrow_move_stack(c, -WORD);
}

static enum outcome indirect(struct compiler *c, bool call)
{
	if (!narrow_load_operand(c, &c->insn.operands[0]))
		return LEAVES;
	keep_counter(c);
	if (call)
		push_return(c);
	jump_by_table(c);
	return ENDS;
}

static enum outcome ret(struct compiler *c)
{
	narrow_stack(c, OPCODE_LOAD, R8, 0);
	keep_counter(c);
	narrow_move_stack(c, WORD + (c->insn.info.raw.imm[0].size ? (uint16_t)c->insn.info.raw.imm[0].value.u : 0));
	jump_by_table(c);
	return ENDS;
}

enum outcome narrow_flow(struct compiler *c)
{
	switch (bt_classify(&c->insn, c->source->flavour)) {
	case BT_BRANCH:
		compile_branch(c);
		return GOES_ON;
	case BT_COUNT:
		compile_count(c);
		return GOES_ON;
	case BT_JUMP:
		compiler_link(c, compiler_branch_target(c));
		return ENDS;
	case BT_CALL:
		push_return(c);
		compiler_link(c, compiler_branch_target(c));
		return ENDS;
	case BT_RETURN:
		return ret(c);
	case BT_JUMP_INDIRECT:
		return indirect(c, false);
	case BT_CALL_INDIRECT:
		return indirect(c, true);
	default:
		return LEAVES;
	}
}

unsigned narrow_thunk(struct emit *e, uint64_t gva, uint64_t body, unsigned *otherwise)
{
	static const uint8_t compare[] = {0x41, 0x8d, 0x88};	     /* LEA ECX, [R8 + disp32] */
	static const uint8_t restore[] = {0x44, OPCODE_STORE, 0xd1}; /* MOV ECX, R10D */
	emit_bytes(e, compare, sizeof(compare));
	emit32(e, 0 - (uint32_t)gva);
	unsigned equal = emit_hop(e, OPCODE_JRCXZ);
	*otherwise = emit_jump_for_patch(e);
	emit_skip_end(e, equal);
	emit_bytes(e, restore, sizeof(restore));
	emit_jump(e, body);
	return e->len;
}

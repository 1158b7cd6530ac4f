/*
 * Transfers of control: to a known target through a link, to others through a table.
 */
#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

uint64_t compiler_branch_target(const struct compiler *c)
{
	uint64_t target = c->next + c->insn.operands[0].imm.value.u;
	return c->source->flavour & BT_NARROW ? (uint32_t)target : target;
}

void compile_branch(struct compiler *c)
{
	emit_pad_for_patch(&c->e, 2);
	emit8(&c->e, 0x0f);
	emit8(&c->e, 0x80 | (c->insn.info.opcode & 15u));
	emit32(&c->e, 0);
	compiler_patch(c, compiler_exit(c, BT_LINK, compiler_branch_target(c)));
}

/* LOOP, JECXZ. A repeat prefix may decide which condition it is: interpret/decode_flow.c. */
static void emit_narrow_count(struct compiler *c)
{
	for (unsigned n = 0; n < c->insn.info.raw.prefix_count; n++) {
		uint8_t prefix = c->insn.info.raw.prefixes[n].value;
		if (prefix == X86_PREFIX_REP || prefix == X86_PREFIX_REPNE)
			emit8(&c->e, prefix);
	}
	emit_bytes(&c->e, (const uint8_t[]){0x67, c->insn.info.opcode}, 2);
}

/* These have a displacement of one byte only: over a jump on, to a jump there. */
void compile_count(struct compiler *c)
{
	if (c->source->flavour & BT_NARROW)
		emit_narrow_count(c);
	else
		emit_bytes(&c->e, c->insn.bytes, c->insn.info.length - 1u);
	emit8(&c->e, 2);
	compiler_mark_exact(c, c->next);
	unsigned over = emit_skip(&c->e);
	compiler_link(c, compiler_branch_target(c));
	emit_skip_end(&c->e, over);
}

/*
 * Pushes the address behind the instruction, as one store: a load of what two stores have written waits for both to
 * reach the cache.
 */
static void push_return(struct compiler *c)
{
	if (compiler_fits(c->next)) {
		emit8(&c->e, OPCODE_PUSH_IMM32);
		emit32(&c->e, (uint32_t)c->next);
		return;
	}
	emit8(&c->e, OPCODE_GROUP_FF);
	emit8(&c->e, FF_PUSH << 3 | MODRM_RIP);
	emit32(&c->e, 0);
	c->literal_at = c->e.len - 4;
	c->literal = c->next;
}

void compile_call(struct compiler *c)
{
	push_return(c);
	compiler_link(c, compiler_branch_target(c));
}

/* ---------------------------------------------------------------------------------------------- indirect transfers */

/*
 * The target and what RCX had are in their slots, and the instruction is done. Leaves RFLAGS alone. A multiple of the
 * table's base by an eighth has its low 16 bits free for the target's.
 */
void compiler_look_up(struct compiler *c)
{
	static const uint8_t jump[] = {0xff, 0x24, 0xcd, 0, 0, 0, 0}; /* JMP [RCX * 8] */
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_UNDERWAY});
	emit_constant64(&c->e, RCX, c->e.place->table / 8);
	emit_load_word(&c->e, RCX, SLOT(target));
	emit_bytes(&c->e, jump, sizeof(jump));
}

/* The target is in its slot. The source is where the jump can still be undone. */
static void jump_by_table(struct compiler *c, int32_t undo_rsp)
{
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_COUNTER, .rsp = undo_rsp});
	emit_store_imm(&c->e, c->e.place->state + SLOT(source), (uint32_t)(c->e.place->host + c->e.len));
	compiler_look_up(c);
}

void compile_return(struct compiler *c)
{
	static const uint8_t drop[] = {0x48, 0x8d, 0xa4, 0x24}; /* LEA RSP, [RSP + disp32] */
	int32_t more = c->insn.info.raw.imm[0].size ? (uint16_t)c->insn.info.raw.imm[0].value.u : 0;
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_pop(&c->e, SLOT(target));
	if (more) {
		compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_COUNTER, .rsp = -8});
		emit_bytes(&c->e, drop, sizeof(drop));
		emit32(&c->e, (uint32_t)more);
	}
	jump_by_table(c, -8 - more);
}

static uint8_t plain_segment(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
		return 0;
	return op->mem.segment == ZYDIS_REGISTER_FS ? PREFIX_FS : op->mem.segment == ZYDIS_REGISTER_GS ? PREFIX_GS : 0;
}

/* RCX = the target: the operand of the jump as that of a MOV. */
static void load_target(struct compiler *c)
{
	const struct emu_insn *insn = &c->insn;
	const ZydisDecodedOperand *op = &insn->operands[0];
	unsigned modrm = insn->info.raw.modrm.offset;
	bool extends = insn->info.attributes & ZYDIS_ATTRIB_HAS_REX;
	uint8_t rex = REX_W | (extends ? (uint8_t)(insn->info.raw.rex.X << 1 | insn->info.raw.rex.B) : 0);
	bool far = compiler_is_rip_relative(insn) && !compiler_fits(compiler_operand_address(c));
	if (far)
		emit_constant(&c->e, RCX, compiler_operand_address(c));
	uint8_t segment = plain_segment(op);
	if (c->source->flavour & BT_UPPER)
		upper_segment(c, &segment);
	if (segment)
		emit8(&c->e, segment);
	if (far) {
		emit8(&c->e, REX_W);
		emit8(&c->e, OPCODE_LOAD);
		emit8(&c->e, RCX << 3 | RCX);
		return;
	}
	emit8(&c->e, compiler_is_rip_relative(insn) ? REX_W : rex);
	emit8(&c->e, OPCODE_LOAD);
	if (compiler_is_rip_relative(insn)) {
		emit8(&c->e, RCX << 3 | MODRM_RM_SIB);
		emit8(&c->e, SIB_ABSOLUTE);
		emit32(&c->e, (uint32_t)compiler_operand_address(c));
		return;
	}
	emit8(&c->e, (insn->bytes[modrm] & (uint8_t)~MODRM_REG) | RCX << 3);
	emit_bytes(&c->e, insn->bytes + modrm + 1, insn->info.length - modrm - 1u);
}

void compile_indirect(struct compiler *c, bool call)
{
	emit_store(&c->e, RCX, SLOT(rcx));
	compiler_mark(c, (struct bt_locus){.rip = c->rip, .undo = BT_COUNTER});
	load_target(c);
	emit_store(&c->e, RCX, SLOT(target));
	if (call)
		push_return(c);
	jump_by_table(c, call ? 8 : 0);
}

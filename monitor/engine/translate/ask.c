/*
 * Instructions of 64-bit code that ask about a segment: LAR, LSL, VERR, VERW. In the cache is what finds one of code or
 * data in the GDT, asked for with RPL 0, for CPL 0 sees all of these; what else there is the monitor finds out.
 */
#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define RIGHTS(bits)	 ((uint8_t)((bits) >> RIGHTS_SHIFT))
#define RIGHTS_SHIFT	 40
#define LIMIT_HIGH	 0xf0000u /* of the upper half, as the others */
#define SHOWN		 0xffff00u
#define GRANULARITY_LEFT 8 /* from bit 55 to the sign */

/* MOVZX ECX, the operand */
static void load_selector(struct compiler *c, const ZydisDecodedOperand *op)
{
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		unsigned reg = ZydisRegisterGetId(op->reg.value);
		EMIT((uint8_t)(REX | (reg & 8) >> 3), 0x0f, 0xb7, (uint8_t)(0xc8 | (reg & 7)));
		return;
	}
	if (compiler_is_rip_relative(&c->insn))
		emit_constant64(&c->e, RCX, compiler_operand_address(c));
	else
		compiler_operand_lea(c, RCX, op);
	if (c->source->flavour & BT_UPPER && op->mem.base != ZYDIS_REGISTER_RSP)
		emit8(&c->e, PREFIX_FS);
	EMIT(0x0f, 0xb7, 0x09); /* MOVZX ECX, WORD [RCX] */
}

static void load_first(struct compiler *c)
{
	load_selector(c, &c->insn.operands[0]);
}

static void load_second(struct compiler *c)
{
	load_selector(c, &c->insn.operands[1]);
}

static bool can_load(const struct compiler *c, const ZydisDecodedOperand *op)
{
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return !c->user && c->insn.info.address_width == 64 && !bt_uses_base(&c->insn);
	return !(c->source->flavour & BT_UPPER && ZydisRegisterGetId(op->reg.value) == RSP);
}

/* RCX = the descriptor of the selector there. */
static void load_descriptor(struct compiler *c, struct virtual *v)
{
	EMIT(0xf6, 0xc1, X86_SEL_RPL | X86_SEL_TI); /* TEST CL, imm8 */
	virtual_unless(c, v, OPCODE_JNZ);
	virtual_unless(c, v, OPCODE_JRCXZ);
	emit_state(&c->e, OPCODE_COMPARE, RCX, SLOT(descriptors.end));
	virtual_unless(c, v, OPCODE_JAE);
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(descriptors.at));
	virtual_follow(c, 0);
}

static void shift_right(struct compiler *c, uint8_t count)
{
	EMIT(REX_W, 0xc1, 0xe9, count); /* SHR RCX, imm8 */
}

static void say_yes(struct compiler *c)
{
	EMIT(0x80, 0xcc, X86_RFLAGS_ZF); /* OR AH, imm8 */
}

/* Where the answer is yes. */
static bool verify(struct compiler *c, uint8_t rights, uint8_t of)
{
	struct virtual v;
	if (!can_load(c, &c->insn.operands[0]))
		return false;
	virtual_begin(c, &v, load_first);
	load_descriptor(c, &v);
	shift_right(c, RIGHTS_SHIFT);
	EMIT(0x80, 0xe1, of);	  /* AND CL, imm8 */
	EMIT(0x80, 0xf9, rights); /* CMP CL, imm8 */
	virtual_unless(c, &v, OPCODE_JNZ);
	virtual_plain(c, &v);
	say_yes(c);
	virtual_end(c, c->next);
	return true;
}

bool ask_readable(struct compiler *c)
{
	const uint8_t readable = RIGHTS(X86_DESC_P | X86_DESC_S | X86_DESC_RW);
	return verify(c, readable, readable);
}

bool ask_writable(struct compiler *c)
{
	const uint8_t writable = RIGHTS(X86_DESC_P | X86_DESC_S | X86_DESC_RW);
	return verify(c, writable, writable | RIGHTS(X86_DESC_CODE));
}

static void and_ecx(struct compiler *c, uint32_t mask)
{
	EMIT(0x81, 0xe1); /* AND ECX, imm32 */
	emit32(&c->e, mask);
}

/* RCX = what LAR says of the descriptor there, which bt_state.scratch has too. */
static void show_rights(struct compiler *c)
{
	shift_right(c, 32);
	and_ecx(c, SHOWN);
}

/* Likewise LSL. */
static void show_limit(struct compiler *c)
{
	EMIT(0x0f, 0xb7, 0xc9); /* MOVZX ECX, CX */
	emit_store(&c->e, RCX, SLOT(scratch2));
	emit_load(&c->e, RCX, SLOT(scratch));
	shift_right(c, 32);
	and_ecx(c, LIMIT_HIGH);
	emit_state(&c->e, OPCODE_OR, RCX, SLOT(scratch2));
	emit_store(&c->e, RCX, SLOT(scratch2));
	emit_load(&c->e, RCX, SLOT(scratch));
	EMIT(REX_W, 0xc1, 0xe1, GRANULARITY_LEFT); /* SHL RCX, imm8 */
	emit_load(&c->e, RCX, SLOT(scratch2));
	const unsigned bytes = emit_hop(&c->e, OPCODE_JNS);
	EMIT(REX_W, 0xc1, 0xe1, X86_PAGE_SHIFT);
	EMIT(0x81, 0xc9); /* OR ECX, imm32 */
	emit32(&c->e, X86_PAGE_MASK);
	emit_skip_end(&c->e, bytes);
}

/* RCX is what the register becomes, and the answer is yes. */
static void give(struct compiler *c, uint8_t reg)
{
	say_yes(c);
	MARK(.rip = c->next, .undo = BT_GIVEN, .reg = reg);
	virtual_flags(c);
	if (reg != RCX)
		EMIT(REX_W, OPCODE_STORE, (uint8_t)(0xc0 | RCX << 3 | reg)); /* MOV reg, RCX */
	if (reg != RCX && reg != RAX)
		MARK(.rip = c->next, .undo = BT_BOTH);
	if (reg != RAX)
		emit_load(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->next, .undo = reg == RCX ? BT_EXACT : BT_COUNTER);
	if (reg != RCX)
		emit_load(&c->e, RCX, SLOT(rcx));
	compiler_mark_exact(c, c->next);
}

bool ask_descriptor(struct compiler *c)
{
	const unsigned reg = ZydisRegisterGetId(c->insn.operands[0].reg.value);
	struct virtual v;
	if (c->insn.info.operand_width == 16 || reg > RDI || reg == RSP || !can_load(c, &c->insn.operands[1]))
		return false;
	virtual_begin(c, &v, load_second);
	load_descriptor(c, &v);
	emit_store(&c->e, RCX, SLOT(scratch));
	shift_right(c, RIGHTS_SHIFT);
	EMIT(0xf6, 0xc1, RIGHTS(X86_DESC_S)); /* TEST CL, imm8 */
	virtual_unless(c, &v, OPCODE_JZ);
	emit_load(&c->e, RCX, SLOT(scratch));
	virtual_plain(c, &v);
	if (c->insn.info.mnemonic == ZYDIS_MNEMONIC_LAR)
		show_rights(c);
	else
		show_limit(c);
	give(c, (uint8_t)reg);
	return true;
}

/*
 * Sensitive instructions of 64-bit code done where they stand that take more than inside.c's: the arithmetic flags
 * wait in AX meanwhile, so that a sequence can compare. Whatever is not the plain case is the monitor's.
 */
#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define OPCODE_COMPARE 0x3b

/* ------------------------------------------------------------------------------------------------------ sequences */

void virtual_begin(struct compiler *c, struct virtual *v, void (*load)(struct compiler *))
{
	v->count = 0;
	emit_store(&c->e, RCX, SLOT(rcx));
	MARK(.rip = c->rip, .undo = BT_COUNTER);
	if (load)
		load(c);
	emit_store(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->rip, .undo = BT_BOTH);
	EMIT(0x9f);		/* LAHF */
	EMIT(0x0f, 0x90, 0xc0); /* SETO AL */
	MARK(.rip = c->rip, .undo = BT_STATUS);
}

void virtual_unless(struct compiler *c, struct virtual *v, unsigned jump)
{
	v->check[v->count++] = emit_hop(&c->e, jump);
}

/* 1 less -127 overflows, 0 less -127 does not; and AL stays. */
void virtual_flags(struct compiler *c)
{
	EMIT(0x3c, 0x81); /* CMP AL, -127 */
	EMIT(0x9e);	  /* SAHF */
}

void virtual_end(struct compiler *c, uint64_t rip)
{
	MARK(.rip = rip, .undo = BT_STATUS);
	virtual_flags(c);
	emit_load(&c->e, RAX, SLOT(rax));
	MARK(.rip = rip, .undo = BT_COUNTER);
	emit_load(&c->e, RCX, SLOT(rcx));
	compiler_mark_exact(c, rip);
}

void virtual_plain(struct compiler *c, struct virtual *v)
{
	unsigned plain = emit_skip(&c->e);
	for (unsigned n = 0; n < v->count; n++)
		emit_skip_end(&c->e, v->check[n]);
	virtual_end(c, c->rip);
	emit_pad_for_patch(&c->e, 1);
	emit_jump(&c->e, 0);
	struct bt_exit *exit = compiler_exit(c, BT_INSN, c->rip);
	if (c->insn.info.mnemonic == ZYDIS_MNEMONIC_IRETQ)
		exit->door = BT_IRET;
	compiler_patch(c, exit);
	emit_skip_end(&c->e, plain);
	MARK(.rip = c->rip, .undo = BT_STATUS);
}

void virtual_compare(struct compiler *c, struct virtual *v, size_t slot)
{
	emit_state(&c->e, OPCODE_COMPARE, RCX, slot);
	virtual_unless(c, v, OPCODE_JNZ);
}

void virtual_follow(struct compiler *c, unsigned disp)
{
	EMIT(REX_W, OPCODE_LOAD, 0x49, (uint8_t)disp); /* MOV RCX, [RCX + disp8] */
}

/* ------------------------------------------------------------------------------------------------------ registers */

static unsigned source_register(const struct compiler *c)
{
	return ZydisRegisterGetId(c->insn.operands[1].reg.value);
}

/* MOV RCX, the source */
static void load_source(struct compiler *c)
{
	unsigned reg = source_register(c);
	EMIT((uint8_t)(REX_W | (reg & 8) >> 1), OPCODE_STORE, (uint8_t)(0xc0 | (reg & 7) << 3 | RCX));
}

/* TEST RCX, imm32: sign-extended. */
static void test_rcx(struct compiler *c, uint32_t bits)
{
	EMIT(REX_W, 0xf7, 0xc1);
	emit32(&c->e, bits);
}

/* Stores RCX: with that the instruction is done. */
static bool set_slot(struct compiler *c, size_t slot)
{
	emit_store(&c->e, RCX, slot);
	virtual_end(c, c->next);
	return true;
}

/* An interrupt that the priority holds back is taken when that falls. */
static bool set_cr8(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, load_source);
	test_rcx(c, ~15u);
	virtual_unless(c, &v, OPCODE_JNZ);
	emit_compare_zero(&c->e, SLOT(held));
	virtual_unless(c, &v, OPCODE_JNZ);
	virtual_plain(c, &v);
	return set_slot(c, SLOT(cr8));
}

static bool set_cr2(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, load_source);
	virtual_plain(c, &v);
	return set_slot(c, SLOT(cr2));
}

/* What is there already: nothing else depends on it, as the manual has it. */
static bool set_same(struct compiler *c, size_t slot)
{
	struct virtual v;
	virtual_begin(c, &v, load_source);
	virtual_compare(c, &v, slot);
	virtual_plain(c, &v);
	virtual_end(c, c->next);
	return true;
}

static bool set_control(struct compiler *c)
{
	if (c->source->flavour & BT_UPPER && source_register(c) == RSP)
		return false;
	switch (c->insn.operands[0].reg.value) {
	case ZYDIS_REGISTER_CR0:
		return set_same(c, SLOT(cr0));
	case ZYDIS_REGISTER_CR2:
		return set_cr2(c);
	case ZYDIS_REGISTER_CR8:
		return set_cr8(c);
	default:
		return false;
	}
}

/* TS is clear mostly. */
static bool clear_ts(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, NULL);
	emit_load(&c->e, RCX, SLOT(cr0));
	test_rcx(c, X86_CR0_TS);
	virtual_unless(c, &v, OPCODE_JNZ);
	virtual_plain(c, &v);
	virtual_end(c, c->next);
	return true;
}

/* A base that the cell cannot have is refused by the host's instruction: nothing has happened then. */
static bool swap_gs(struct compiler *c)
{
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->rip, .undo = BT_BOTH);
	emit_load(&c->e, RCX, SLOT(kernel_gs));
	EMIT(0xf3, REX_W, 0x0f, 0xae, 0xc8); /* RDGSBASE RAX */
	EMIT(0xf3, REX_W, 0x0f, 0xae, 0xd9); /* WRGSBASE RCX */
	MARK(.rip = c->next, .undo = BT_SWAPPED);
	emit_store(&c->e, RAX, SLOT(kernel_gs));
	MARK(.rip = c->next, .undo = BT_BOTH);
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

static bool is_control(const struct emu_insn *insn, unsigned operand)
{
	return insn->operands[operand].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetClass(insn->operands[operand].reg.value) == ZYDIS_REGCLASS_CONTROL;
}

bool compile_virtual(struct compiler *c)
{
	const unsigned flavour = c->source->flavour;
	bool reads = flavour & BT_READ && flavour & BT_IF;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return is_control(&c->insn, 0) ? reads && set_control(c) : compile_inside(c);
	case ZYDIS_MNEMONIC_CLTS:
		return reads && clear_ts(c);
	case ZYDIS_MNEMONIC_SWAPGS:
		return reads && flavour & BT_SWAPS && swap_gs(c);
	default:
		return compile_inside(c);
	}
}

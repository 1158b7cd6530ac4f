/*
 * Sensitive instructions of 64-bit code done where they stand that take more than inside.c's: the arithmetic flags
 * wait in AX meanwhile, so that a sequence can compare. Whatever is not the plain case is the monitor's.
 */
#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* ------------------------------------------------------------------------------------------------------ sequences */

void virtual_begin(struct compiler *c, struct virtual *v, void (*load)(struct compiler *))
{
	v->count = v->leap = 0;
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
	if (v->leap)
		emit_patch(&c->e, v->leap, c->e.len);
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

void virtual_canonical(struct compiler *c, struct virtual *v)
{
	emit_store(&c->e, RCX, SLOT(scratch));
	EMIT(REX_W, 0xc1, 0xe1, 16); /* SHL RCX, 16 */
	EMIT(REX_W, 0xc1, 0xf9, 16); /* SAR RCX, 16 */
	virtual_compare(c, v, SLOT(scratch));
}

void virtual_descriptor(struct compiler *c, struct virtual *v, unsigned sreg)
{
	const size_t at = sreg * sizeof(uint64_t);
	emit_load(&c->e, RCX, SLOT(described_at) + at);
	virtual_follow(c, 0);
	virtual_compare(c, v, SLOT(described) + at);
}

/* ------------------------------------------------------------------------------------------------------ registers */

static unsigned register_of(const struct compiler *c, unsigned operand)
{
	return ZydisRegisterGetId(c->insn.operands[operand].reg.value);
}

/* MOV RCX, the operand */
static void load_register(struct compiler *c, unsigned operand)
{
	unsigned reg = register_of(c, operand);
	EMIT((uint8_t)(REX_W | (reg & 8) >> 1), OPCODE_STORE, (uint8_t)(0xc0 | (reg & 7) << 3 | RCX));
}

static void load_operand(struct compiler *c)
{
	load_register(c, 0);
}

static void load_source(struct compiler *c)
{
	load_register(c, 1);
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

/*
 * The gate knows roots that change nothing but who is entered next, and goes on behind the jump that leads there by way
 * of a stub. What is wanted must not outlast an exit: whoever stops here begins anew.
 */
static bool set_root(struct compiler *c)
{
	if (!c->e.place->root)
		return false;
	emit_store(&c->e, RCX, SLOT(rcx));
	MARK(.rip = c->rip, .undo = BT_COUNTER);
	load_source(c);
	emit_store(&c->e, RCX, SLOT(root.wanted));
	emit_load(&c->e, RCX, SLOT(rcx));
	emit_pad_for_patch(&c->e, EMIT_STORE_ADDRESS + 1);
	emit_store_address(&c->e, SLOT(root.from));
	emit_jump(&c->e, 0);
	struct bt_exit *exit = compiler_exit(c, BT_INSN, c->rip);
	exit->door = BT_ROOT;
	compiler_patch(c, exit);
	compiler_mark_exact(c, c->next);
	return true;
}

static bool set_control(struct compiler *c)
{
	switch (c->insn.operands[0].reg.value) {
	case ZYDIS_REGISTER_CR0:
		return set_same(c, SLOT(cr0));
	case ZYDIS_REGISTER_CR2:
		return set_cr2(c);
	case ZYDIS_REGISTER_CR3:
		return set_root(c);
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

void virtual_read_gs(struct compiler *c, unsigned reg)
{
	if (c->source->flavour & BT_GS_SLOT)
		emit_load(&c->e, reg, SLOT(gs));
	else
		EMIT(0xf3, REX_W, 0x0f, 0xae, (uint8_t)(0xc8 | reg)); /* RDGSBASE reg */
}

/* As the cell has it. */
static void set_gs(struct compiler *c)
{
	if (c->source->flavour & BT_GS_SLOT)
		emit_store(&c->e, RCX, SLOT(gs));
	else
		EMIT(0xf3, REX_W, 0x0f, 0xae, 0xd9); /* WRGSBASE RCX */
}

/* A base that GS cannot have is refused by the host's instruction: nothing has happened then. */
static bool swap_gs(struct compiler *c)
{
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->rip, .undo = BT_BOTH);
	emit_load(&c->e, RCX, SLOT(kernel_gs));
	virtual_read_gs(c, RAX);
	set_gs(c);
	MARK(.rip = c->next, .undo = BT_SWAPPED);
	emit_store(&c->e, RAX, SLOT(kernel_gs));
	MARK(.rip = c->next, .undo = BT_BOTH);
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

/* ---------------------------------------------------------------------------------------------------------- bases */

static bool write_fs(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, load_operand);
	virtual_canonical(c, &v);
	virtual_plain(c, &v);
	return set_slot(c, SLOT(fs));
}

/* The guest's base is so much less. */
static bool read_gs(struct compiler *c)
{
	struct virtual v;
	unsigned reg = register_of(c, 0);
	virtual_begin(c, &v, NULL);
	virtual_read_gs(c, RCX);
	emit_state(&c->e, OPCODE_SUB, RCX, SLOT(upper));
	virtual_flags(c);
	emit_load(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->rip, .undo = BT_COUNTER);
	EMIT((uint8_t)(REX_W | (reg & 8) >> 3), OPCODE_STORE, (uint8_t)(0xc0 | RCX << 3 | (reg & 7)));
	if (reg == RCX)
		return true;
	MARK(.rip = c->next, .undo = BT_COUNTER);
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

void virtual_load_fs(struct compiler *c)
{
	if (c->source->flavour & BT_UPPER)
		emit_store(&c->e, RCX, SLOT(fs));
	else
		EMIT(0xf3, REX_W, 0x0f, 0xae, 0xd1); /* WRFSBASE RCX */
}

void virtual_load_gs(struct compiler *c)
{
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(upper));
	set_gs(c);
}

static bool write_gs(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, load_operand);
	if (c->source->flavour & BT_GS_SLOT) {
		virtual_canonical(c, &v);
		virtual_plain(c, &v);
	}
	virtual_load_gs(c);
	virtual_end(c, c->next);
	return true;
}

/* Where memory lies as the guest has it the bases are its own. */
static bool move_base(struct compiler *c)
{
	if (!(c->source->flavour & BT_UPPER)) {
		emit_bytes(&c->e, c->insn.bytes, c->insn.info.length);
		return true;
	}
	if (c->insn.info.operand_width != 64 || register_of(c, 0) == RSP)
		return false;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_RDFSBASE:
		emit_load(&c->e, register_of(c, 0), SLOT(fs));
		return true;
	case ZYDIS_MNEMONIC_WRFSBASE:
		return write_fs(c);
	case ZYDIS_MNEMONIC_RDGSBASE:
		return read_gs(c);
	default:
		return write_gs(c);
	}
}

/* -------------------------------------------------------------------------------------------------------- choices */

/* DR0 to DR3: nobody looks at them as long as none is enabled. */
static bool set_debug(struct compiler *c)
{
	struct virtual v;
	unsigned n = register_of(c, 0);
	if (n > 3)
		return false;
	virtual_begin(c, &v, load_source);
	return set_slot(c, SLOT(dr) + n * sizeof(uint64_t));
}

/* The selector that is there already, of a descriptor that is as it was. SS would hold interrupts back. */
static bool set_segment(struct compiler *c)
{
	struct virtual v;
	const unsigned sreg = register_of(c, 0);
	if (c->insn.operands[1].type != ZYDIS_OPERAND_TYPE_REGISTER || (sreg != SREG_DS && sreg != SREG_ES))
		return false;
	virtual_begin(c, &v, load_source);
	EMIT(0x0f, 0xb7, 0xc9); /* MOVZX ECX, CX */
	virtual_compare(c, &v, SLOT(match) + sreg * sizeof(uint64_t));
	virtual_descriptor(c, &v, sreg);
	virtual_plain(c, &v);
	virtual_end(c, c->next);
	return true;
}

/* A null selector like the one that is there: all that changes is the base, to 0. */
static bool set_based_segment(struct compiler *c, unsigned sreg)
{
	struct virtual v;
	virtual_begin(c, &v, load_source);
	EMIT(0x0f, 0xb7, 0xc9); /* MOVZX ECX, CX */
	virtual_compare(c, &v, SLOT(match) + sreg * sizeof(uint64_t));
	test_rcx(c, ~(uint32_t)X86_SEL_RPL);
	virtual_unless(c, &v, OPCODE_JNZ);
	virtual_plain(c, &v);
	EMIT(0x31, 0xc9); /* XOR ECX, ECX */
	if (sreg == SREG_GS)
		virtual_load_gs(c);
	else
		virtual_load_fs(c);
	virtual_end(c, c->next);
	return true;
}

static bool set_any_segment(struct compiler *c)
{
	const unsigned sreg = register_of(c, 0);
	if (sreg != SREG_FS && sreg != SREG_GS)
		return set_segment(c);
	return c->source->flavour & BT_SWAPS && c->insn.operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       set_based_segment(c, sreg);
}

static bool move(struct compiler *c, bool may_write)
{
	const ZydisDecodedOperand *to = &c->insn.operands[0], *from = &c->insn.operands[1];
	ZydisRegisterClass class =
		to->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(to->reg.value) : ZYDIS_REGCLASS_INVALID;
	bool writes =
		class == ZYDIS_REGCLASS_CONTROL || class == ZYDIS_REGCLASS_DEBUG || class == ZYDIS_REGCLASS_SEGMENT;
	/* Where RSP holds more than the guest's. */
	bool odd = from->type == ZYDIS_OPERAND_TYPE_REGISTER && c->source->flavour & BT_UPPER &&
		   ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, from->reg.value) == ZYDIS_REGISTER_RSP;
	if (!writes)
		return compile_inside(c);
	if (odd || !may_write)
		return false;
	return class == ZYDIS_REGCLASS_CONTROL ? set_control(c)
	       : class == ZYDIS_REGCLASS_DEBUG ? set_debug(c)
					       : set_any_segment(c);
}

bool compile_virtual(struct compiler *c)
{
	const unsigned flavour = c->source->flavour;
	bool reads = flavour & BT_READ && flavour & BT_IF;
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return move(c, reads);
	case ZYDIS_MNEMONIC_CPUID:
		return flavour & BT_READ && show_identity(c);
	case ZYDIS_MNEMONIC_RDMSR:
		return reads && flavour & BT_SWAPS && show_msr(c);
	case ZYDIS_MNEMONIC_SGDT:
		return flavour & BT_READ && show_table(c, SLOT(gdtr));
	case ZYDIS_MNEMONIC_SIDT:
		return flavour & BT_READ && show_table(c, SLOT(idtr));
	case ZYDIS_MNEMONIC_PUSH:
		return flavour & BT_READ && show_segment(c);
	case ZYDIS_MNEMONIC_VERR:
		return flavour & BT_READ && ask_readable(c);
	case ZYDIS_MNEMONIC_VERW:
		return flavour & BT_READ && ask_writable(c);
	case ZYDIS_MNEMONIC_LAR:
	case ZYDIS_MNEMONIC_LSL:
		return flavour & BT_READ && ask_descriptor(c);
	case ZYDIS_MNEMONIC_CLTS:
		return reads && clear_ts(c);
	case ZYDIS_MNEMONIC_SWAPGS:
		return reads && flavour & BT_SWAPS && swap_gs(c);
	case ZYDIS_MNEMONIC_WRMSR:
		return reads && compile_write_msr(c);
	case ZYDIS_MNEMONIC_RDFSBASE:
	case ZYDIS_MNEMONIC_RDGSBASE:
	case ZYDIS_MNEMONIC_WRFSBASE:
	case ZYDIS_MNEMONIC_WRGSBASE:
		return reads && flavour & BT_LOADS && move_base(c);
	default:
		return compile_inside(c);
	}
}

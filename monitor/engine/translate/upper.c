/*
 * Copying for kernels of the upper half (BT_UPPER). In their cell memory lies UPPER_BASE further up, modulo 2^64: FS
 * has that base, GS the guest's and that, and RSP holds the guest's value and that for good. So an operand takes a
 * prefix, or nothing if it is based on RSP; what has RSP as a value takes it through another register; strings, which
 * go through ES as well, have their pointers moved and moved back.
 *
 * Where GS cannot have that base (BT_GS_SLOT) an operand through it adds what the slot says for the address.
 *
 * An operand of the lower half faults, for with UPPER_BASE it is not canonical, or lies where nothing is. A place in
 * the code that has such operands (user_mask) adds what a table says for the address instead.
 */
#include <string.h>

#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

#define MODRM(mod, reg, rm) ((mod) << 6 | ((reg)&7) << 3 | ((rm)&7))
#define SIB(index, base)    (((index)&7) << 3 | ((base)&7))
#define MOD_DISP32	    2u
#define MOD_REGISTER	    3u

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})

/* ------------------------------------------------------------------------------------------------------ sequences */

/* LEA reg, [base + index + disp]; of 32 or 64 bits. */
static void emit_lea(struct emit *e, unsigned width, unsigned reg, unsigned base, unsigned index, uint32_t disp)
{
	emit8(e, (width == 64 ? REX_W : REX) | (reg & 8) >> 1 | (index & 8) >> 2 | (base & 8) >> 3);
	emit8(e, OPCODE_LEA);
	emit8(e, MODRM(MOD_DISP32, reg, MODRM_RM_SIB));
	emit8(e, SIB(index, base));
	emit32(e, disp);
}

/* reg = the guest's RSP. */
static void emit_guest_stack(struct emit *e, unsigned reg)
{
	emit_constant64(e, reg, -UPPER_BASE);
	emit_lea(e, 64, reg, RSP, reg, 0);
}

/* RSP = reg + disp, as a guest's value: RSP is lost in between. */
static void emit_set_stack(struct emit *e, unsigned reg, uint32_t disp)
{
	emit_constant64(e, RSP, UPPER_BASE);
	emit_lea(e, 64, RSP, RSP, reg, disp);
}

/* reg = what is to be added to the address in `address`. The table's low bits are free for the index's 16. */
static void emit_displacement_of(struct emit *e, unsigned reg, unsigned address)
{
	emit_store(e, address, SLOT(address));
	emit_constant64(e, reg, e->place->slots / sizeof(uint64_t));
	emit_load_word(e, reg, SLOT(address) + USER_SLOT_BYTE);
	emit8(e, REX_W);
	emit8(e, OPCODE_LOAD);
	emit8(e, MODRM(0, reg, MODRM_RM_SIB));
	emit8(e, 3 << 6 | SIB(reg, 5)); /* [reg * 8 + disp32] */
	emit32(e, 0);
}

/* ------------------------------------------------------------------------------------------------- plain operands */

static const ZydisDecodedOperand *memory_of(const struct emu_insn *insn)
{
	for (unsigned n = 0; n < insn->info.operand_count_visible; n++)
		if (insn->operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    insn->operands[n].mem.type != ZYDIS_MEMOP_TYPE_AGEN)
			return &insn->operands[n];
	return NULL;
}

bool upper_is_relocated(const struct emu_insn *insn)
{
	const ZydisDecodedOperand *op = memory_of(insn);
	return op && op->mem.base == ZYDIS_REGISTER_RSP;
}

static bool uses_gs(const struct emu_insn *insn)
{
	return insn->info.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS;
}

static bool uses_gs_slot(const struct compiler *c)
{
	return c->source->flavour & BT_GS_SLOT && uses_gs(&c->insn);
}

bool upper_segment(const struct compiler *c, uint8_t *segment)
{
	const struct emu_insn *insn = &c->insn;
	const ZydisDecodedOperand *op = memory_of(insn);
	bool gs = uses_gs(insn);
	*segment = 0;
	if (!op)
		return true;
	if (insn->info.address_width != 64 || (insn->info.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS) ||
	    (gs && (upper_is_relocated(insn) || uses_gs_slot(c))))
		return false;
	if (!upper_is_relocated(insn))
		*segment = gs ? PREFIX_GS : PREFIX_FS;
	return insn->info.length < X86_INSN_MAX;
}

/* The instruction as it stands in c->insn.bytes. */
static bool copy_operands(struct compiler *c)
{
	uint8_t segment;
	if (!upper_segment(c, &segment))
		return false;
	if (!compiler_is_rip_relative(&c->insn))
		return compiler_copy_head(c, c->insn.info.length, segment);
	return compiler_copy_absolute(c, segment) || compiler_copy_through_register(c, segment);
}

/* ----------------------------------------------------------------------------------------------- RSP as a value */

/* RSP is an operand by itself; *field: its field of the instruction. False: in a way that is not known here. */
static bool stack_operand(const struct emu_insn *insn, const ZydisDecodedOperand **found)
{
	*found = NULL;
	for (unsigned n = 0; n < insn->info.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &insn->operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER ||
		    ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) != ZYDIS_REGISTER_RSP)
			continue;
		if (*found)
			return false;
		*found = op;
	}
	return true;
}

/* Puts the register in RSP's place, whose number is that of AH's and needs no extension bit. */
static bool replace(struct emu_insn *insn, const ZydisDecodedOperand *op, unsigned reg)
{
	uint8_t *modrm = &insn->bytes[insn->info.raw.modrm.offset], *opcode;
	if (insn->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return false;
	switch (op->encoding) {
	case ZYDIS_OPERAND_ENCODING_MODRM_REG:
		*modrm = (uint8_t)((*modrm & ~MODRM_REG) | reg << 3);
		return true;
	case ZYDIS_OPERAND_ENCODING_MODRM_RM:
		*modrm = (uint8_t)((*modrm & ~7u) | reg);
		return true;
	case ZYDIS_OPERAND_ENCODING_OPCODE:
		/* The opcode's last byte comes behind prefixes and, in the second map, one more. */
		opcode = &insn->bytes[insn->info.raw.prefix_count +
				      (insn->info.opcode_map == ZYDIS_OPCODE_MAP_0F ? 1 : 0)];
		if (*opcode != insn->info.opcode)
			return false;
		*opcode = (uint8_t)((*opcode & ~7u) | reg);
		return true;
	default:
		return false;
	}
}

/* The operand in memory lies at an address that the instruction's text, and where it lies, say alone. */
static bool fixed_operand(const struct compiler *c, uint32_t *address)
{
	const ZydisDecodedOperand *op = memory_of(&c->insn);
	const bool relative = compiler_is_rip_relative(&c->insn);
	const uint64_t value = relative ? compiler_operand_address(c) : (uint64_t)op->mem.disp.value;
	*address = (uint32_t)value;
	return compiler_fits(value) &&
	       (relative || (op->mem.base == ZYDIS_REGISTER_NONE && op->mem.index == ZYDIS_REGISTER_NONE));
}

/* There is room for another form of the operand, and ModRM to say it. */
static bool can_displace(const struct emu_insn *insn)
{
	return insn->info.length < X86_INSN_MAX && insn->info.raw.modrm.offset && insn->info.address_width == 64 &&
	       (insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY ||
		insn->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX);
}

/*
 * Another register stands in for RSP. What the instruction writes there goes to RSP when it is done: BT_STACK says so
 * until that has happened. Meanwhile RSP can hold the operand's address, where no displacement leads there.
 */
static bool copy_stack(struct compiler *c, const ZydisDecodedOperand *op)
{
	int found = compiler_free_register(&c->insn, 0);
	uint8_t segment;
	bool writes = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	bool slot = memory_of(&c->insn) && uses_gs_slot(c);
	bool far = slot || (compiler_is_rip_relative(&c->insn) && !compiler_has_absolute(c));
	uint32_t address = 0;
	bool known = slot ? fixed_operand(c, &address) && can_displace(&c->insn)
			  : !(far && bt_uses_base(&c->insn)) && upper_segment(c, &segment);
	/* POP SP: the upper bits are of RSP as it is incremented. */
	bool odd = c->insn.info.mnemonic == ZYDIS_MNEMONIC_POP && op->size == 16;
	if (found < 0 || odd || !known || !replace(&c->insn, op, (unsigned)found))
		return false;
	uint8_t reg = (uint8_t)found;
	emit_store(&c->e, reg, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = reg);
	emit_guest_stack(&c->e, reg);
	if (far) {
		MARK(.rip = c->rip, .undo = BT_STACK, .reg = reg);
		if (slot)
			emit_load(&c->e, RSP, SLOT(gs));
		else
			emit_constant64(&c->e, RSP, compiler_operand_address(c) + UPPER_BASE);
		compiler_copy_with_operand(c, RSP, RSP, address);
	} else {
		copy_operands(c);
	}
	if (writes || far) {
		MARK(.rip = c->next, .undo = BT_STACK, .reg = reg);
		emit_set_stack(&c->e, reg, 0);
	}
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = reg);
	emit_load(&c->e, reg, SLOT(scratch));
	return true;
}

/* RSP is lost for a moment: it is kept in the slot. */
static void set_stack_from(struct compiler *c, unsigned reg, uint32_t disp)
{
	emit_store(&c->e, RSP, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = RSP);
	emit_set_stack(&c->e, reg, disp);
}

/* Another register is the base, as which RSP is in the SIB byte, without an extension bit. */
static bool lea_from_stack(struct compiler *c)
{
	int found = compiler_free_register(&c->insn, 0);
	if (found < 0)
		return false;
	uint8_t reg = (uint8_t)found, *sib = &c->insn.bytes[c->insn.info.raw.modrm.offset + 1];
	*sib = (uint8_t)((*sib & ~7u) | reg);
	emit_store(&c->e, reg, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = reg);
	emit_guest_stack(&c->e, reg);
	compiler_copy_head(c, c->insn.info.length, 0);
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = reg);
	emit_load(&c->e, reg, SLOT(scratch));
	return true;
}

static bool copy_lea(struct compiler *c)
{
	const ZydisDecodedOperand *to = &c->insn.operands[0], *from = &c->insn.operands[1];
	unsigned reg = ZydisRegisterGetId(to->reg.value), width = c->insn.info.operand_width;
	bool to_stack = reg == RSP, from_stack = from->mem.base == ZYDIS_REGISTER_RSP;
	bool relative = compiler_is_rip_relative(&c->insn);
	if (c->insn.info.address_width != 64 || (to_stack && width != 64))
		return false;
	if (to_stack == from_stack)
		return relative ? compiler_copy_lea(c) : compiler_copy_head(c, c->insn.info.length, 0);
	if (from_stack)
		return lea_from_stack(c);
	if (relative || from->mem.index != ZYDIS_REGISTER_NONE || from->mem.base == ZYDIS_REGISTER_NONE)
		return false;
	set_stack_from(c, ZydisRegisterGetId(from->mem.base), (uint32_t)from->mem.disp.value);
	return true;
}

/* RSP = RBP; POP RBP */
static bool copy_leave(struct compiler *c)
{
	static const uint8_t pop_rbp = 0x5d;
	if (c->insn.info.operand_width != 64)
		return false;
	set_stack_from(c, RBP, 0);
	emit8(&c->e, pop_rbp);
	return true;
}

/* ------------------------------------------------------------------------------------------------------- strings */

static bool is_string(const struct emu_insn *insn)
{
	return insn->info.meta.category == ZYDIS_CATEGORY_STRINGOP;
}

static bool uses(const struct emu_insn *insn, ZydisRegister base)
{
	for (unsigned n = 0; n < insn->info.operand_count; n++)
		if (insn->operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY && insn->operands[n].mem.base == base)
			return true;
	return false;
}

static void move_there(struct compiler *c, unsigned pointer, size_t slot)
{
	emit_displacement_of(&c->e, RDX, pointer);
	emit_store(&c->e, RDX, slot);
	emit_lea(&c->e, 64, pointer, pointer, RDX, 0);
}

/* NOT changes no flags, NEG does. */
static void move_back(struct compiler *c, unsigned pointer, size_t slot)
{
	static const uint8_t not_rdx[] = {0x48, 0xf7, 0xd2};
	emit_load(&c->e, RDX, slot);
	emit_bytes(&c->e, not_rdx, sizeof(not_rdx));
	emit_lea(&c->e, 64, pointer, pointer, RDX, 1);
}

/* No string instruction has to do with RDX. */
static bool copy_string(struct compiler *c)
{
	const struct emu_insn *insn = &c->insn;
	bool di = uses(insn, ZYDIS_REGISTER_RDI), si = uses(insn, ZYDIS_REGISTER_RSI);
	if (bt_uses_base(insn) || insn->info.address_width != 64 || (!di && !si))
		return false;
	emit_store(&c->e, RDX, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = RDX);
	if (di)
		move_there(c, RDI, SLOT(moved_di));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = RDX, .moved_di = di);
	if (si)
		move_there(c, RSI, SLOT(moved_si));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = RDX, .moved_di = di, .moved_si = si);
	compiler_copy_head(c, insn->info.length, 0);
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = RDX, .moved_di = di, .moved_si = si);
	if (di)
		move_back(c, RDI, SLOT(moved_di));
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = RDX, .moved_si = si);
	if (si)
		move_back(c, RSI, SLOT(moved_si));
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = RDX);
	emit_load(&c->e, RDX, SLOT(scratch));
	return true;
}

/* ----------------------------------------------------------------------------------- user memory, and GS in a slot */

/* LEA reg, [the operand] */
void compiler_operand_lea(struct compiler *c, unsigned reg, const ZydisDecodedOperand *op)
{
	const struct emu_insn *insn = &c->insn;
	unsigned modrm = insn->info.raw.modrm.offset;
	unsigned end = insn->info.raw.imm[0].size ? insn->info.raw.imm[0].offset : insn->info.length;
	bool high_base = op->mem.base != ZYDIS_REGISTER_NONE && ZydisRegisterGetId(op->mem.base) >= 8;
	bool high_index = op->mem.index != ZYDIS_REGISTER_NONE && ZydisRegisterGetId(op->mem.index) >= 8;
	emit8(&c->e, REX_W | (high_index ? REX_X : 0) | (high_base ? REX_B : 0));
	emit8(&c->e, OPCODE_LEA);
	emit8(&c->e, (insn->bytes[modrm] & ~MODRM_REG) | reg << 3);
	emit_bytes(&c->e, insn->bytes + modrm + 1, end - modrm - 1u);
}

void upper_reach_user(struct compiler *c, unsigned address, unsigned scratch)
{
	emit_displacement_of(&c->e, scratch, address);
	emit_lea(&c->e, 64, address, address, scratch, 0);
}

/* The bit's number in a register leads away from the operand's address, to another piece perhaps. */
static bool is_bit_string(const struct emu_insn *insn)
{
	return insn->info.meta.category == ZYDIS_CATEGORY_BITBYTE &&
	       insn->operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
	       insn->operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER;
}

/* The address in one register, and what is to be added to it in another. */
static bool copy_displaced(struct compiler *c)
{
	const struct emu_insn *insn = &c->insn;
	const ZydisDecodedOperand *op = memory_of(insn);
	const bool slot = uses_gs_slot(c), relative = compiler_is_rip_relative(insn);
	int address = compiler_free_register(insn, 0);
	int more = address < 0 ? -1 : compiler_free_index(insn, 1u << address);
	bool plain = can_displace(insn) && op->mem.type == ZYDIS_MEMOP_TYPE_MEM &&
		     (slot || (!relative && !bt_uses_base(insn) && !is_bit_string(insn)));
	if (more < 0 || !plain)
		return false;
	const uint8_t reg = (uint8_t)address, other = (uint8_t)more;
	emit_store(&c->e, reg, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = reg);
	emit_store(&c->e, other, SLOT(scratch2));
	MARK(.rip = c->rip, .undo = BT_PAIR, .reg = reg, .reg2 = other);
	if (relative)
		emit_constant64(&c->e, reg, compiler_operand_address(c));
	else
		compiler_operand_lea(c, reg, op);
	if (slot)
		emit_load(&c->e, other, SLOT(gs));
	else
		emit_displacement_of(&c->e, other, reg);
	compiler_copy_with_operand(c, reg, other, 0);
	MARK(.rip = c->next, .undo = BT_PAIR, .reg = reg, .reg2 = other);
	emit_load(&c->e, other, SLOT(scratch2));
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = reg);
	emit_load(&c->e, reg, SLOT(scratch));
	return true;
}

static bool copy_gs(struct compiler *c)
{
	int found = compiler_free_register(&c->insn, 0);
	uint32_t address;
	if (!fixed_operand(c, &address))
		return copy_displaced(c);
	if (found < 0 || !can_displace(&c->insn))
		return false;
	const uint8_t reg = (uint8_t)found;
	emit_store(&c->e, reg, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_SCRATCH, .reg = reg);
	emit_load(&c->e, reg, SLOT(gs));
	compiler_copy_with_operand(c, reg, RSP, address);
	MARK(.rip = c->next, .undo = BT_SCRATCH, .reg = reg);
	emit_load(&c->e, reg, SLOT(scratch));
	return true;
}

/* ------------------------------------------------------------------------------------------------------ all of it */

/* Memory that is not in the instruction's text: of the stack alone. */
static bool has_hidden_memory(const struct emu_insn *insn)
{
	for (unsigned n = insn->info.operand_count_visible; n < insn->info.operand_count; n++)
		if (insn->operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    insn->operands[n].mem.base != ZYDIS_REGISTER_RSP)
			return true;
	return false;
}

bool upper_copy(struct compiler *c, bool user)
{
	const struct emu_insn *insn = &c->insn;
	const ZydisDecodedOperand *stack;
	if (is_string(insn))
		return copy_string(c);
	/* What it names it does not touch; with another register it would be another hint. */
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_NOP)
		return compiler_copy_head(c, insn->info.length, 0);
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_LEA)
		return copy_lea(c);
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_LEAVE)
		return copy_leave(c);
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_ENTER || has_hidden_memory(insn) || !stack_operand(insn, &stack))
		return false;
	if (stack)
		return copy_stack(c, stack);
	if (!memory_of(insn) || upper_is_relocated(insn))
		return copy_operands(c);
	if (uses_gs_slot(c))
		return !user && copy_gs(c);
	return user ? copy_displaced(c) : copy_operands(c);
}

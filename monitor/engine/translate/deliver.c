/*
 * Exceptions delivered to the kernel that came to them, and its return from there, in the cache: nobody but the guest
 * has to do with them. What hardware reads in memory is compared with what the monitor saw there: the gate, the
 * descriptors. If anything is otherwise the monitor does it.
 */
#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define OPCODE_COMPARE_BYTE 0x38
#define OPCODE_LOAD_BYTE    0x8a
#define JB_NEAR		    0x82

#define STACK_TOP (SLOT(stack) + sizeof(((struct bt_state *)0)->stack))

/* MOV RCX, [RSP + at] */
static void load_stack(struct compiler *c, unsigned at)
{
	EMIT(REX_W, OPCODE_LOAD, 0x4c, 0x24, (uint8_t)at);
}

/* -------------------------------------------------------------------------------------------------------- returns */

/* The frame: RIP, CS, RFLAGS, RSP, SS. */
enum { FRAME_RIP, FRAME_CS = 8, FRAME_FLAGS = 16, FRAME_RSP = 24, FRAME_SS = 32 };

/* RF means something to breakpoints alone, with which no code is translated. */
static void check_frame(struct compiler *c, struct virtual *v)
{
	load_stack(c, FRAME_CS);
	virtual_compare(c, v, SLOT(match[SREG_CS]));
	load_stack(c, FRAME_SS);
	virtual_compare(c, v, SLOT(match[SREG_SS]));
	virtual_descriptor(c, v, SREG_CS);
	virtual_descriptor(c, v, SREG_SS);
	load_stack(c, FRAME_FLAGS);
	EMIT(0xf7, 0xc1); /* TEST ECX, imm32 */
	emit32(&c->e, ~(uint32_t)(BT_POPF_FREE | X86_RFLAGS_RF));
	virtual_unless(c, v, OPCODE_JNZ);
	emit_compare_zero(&c->e, SLOT(hold));
	virtual_unless(c, v, OPCODE_JNZ);
	load_stack(c, FRAME_RIP);
	virtual_canonical(c, v);
}

bool compile_iret(struct compiler *c)
{
	struct virtual v;
	const unsigned needed = BT_IF | BT_READ;
	if ((c->source->flavour & needed) != needed || c->insn.info.operand_width != 64)
		return false;
	virtual_begin(c, &v, NULL);
	check_frame(c, &v);
	virtual_plain(c, &v);
	load_stack(c, FRAME_RSP);
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(upper));
	emit_store(&c->e, RCX, SLOT(scratch));
	load_stack(c, FRAME_RIP);
	emit_store(&c->e, RCX, SLOT(target));
	load_stack(c, FRAME_FLAGS);
	emit_store(&c->e, RCX, SLOT(stack[0]));
	/* All is decided: whoever stops here completes it. */
	MARK(.rip = c->next, .undo = BT_RETURNS);
	EMIT(0x81, 0xe1); /* AND ECX, imm32 */
	emit32(&c->e, X86_RFLAGS_IF);
	emit_store(&c->e, RCX, SLOT(iflag));
	emit_state(&c->e, OPCODE_LEA, RSP, SLOT(stack[0]));
	EMIT(OPCODE_POPF);
	emit_load(&c->e, RSP, SLOT(scratch));
	emit_load(&c->e, RAX, SLOT(rax));
	compiler_look_up(c);
	return true;
}

/* ------------------------------------------------------------------------------------------------------ exceptions */

static void push(struct compiler *c, size_t slot)
{
	emit_state(&c->e, OPCODE_GROUP_FF, FF_PUSH, slot);
}

static void check_gate(struct compiler *c, struct virtual *v)
{
	emit_load(&c->e, RCX, SLOT(gate.at));
	virtual_follow(c, 0);
	virtual_compare(c, v, SLOT(gate.low));
	emit_load(&c->e, RCX, SLOT(gate.at));
	virtual_follow(c, 8);
	virtual_compare(c, v, SLOT(gate.high));
	virtual_descriptor(c, v, SREG_CS);
}

/* RCX = RFLAGS as the frame has it: a fault's, with RF. The guest's own are in force; they are lost. */
static void read_flags(struct compiler *c)
{
	emit_state(&c->e, OPCODE_LEA, RSP, STACK_TOP);
	EMIT(OPCODE_PUSHF);
	emit_load(&c->e, RSP, SLOT(scratch));
	emit_load(&c->e, RCX, STACK_TOP - sizeof(uint64_t));
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(iflag));
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(pushed));
	EMIT(REX_W, 0x81, 0xc9); /* OR RCX, imm32 */
	emit32(&c->e, X86_RFLAGS_RF);
}

/* Of a fault of this instruction. The stack is written before anything is changed, and that may fault itself. */
static void deliver(struct compiler *c)
{
	virtual_flags(c);
	emit_store(&c->e, RSP, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_DELIVERS);
	read_flags(c);
	emit_store(&c->e, RCX, SLOT(target));
	emit_load(&c->e, RCX, SLOT(scratch));
	emit_state(&c->e, OPCODE_SUB, RCX, SLOT(upper));
	EMIT(REX_W, 0x83, 0xe4, 0xf0); /* AND RSP, -16 */
	push(c, SLOT(selector[SREG_SS]));
	EMIT(0x51); /* PUSH RCX */
	push(c, SLOT(target));
	push(c, SLOT(selector[SREG_CS]));
	emit_constant(&c->e, RCX, c->rip);
	EMIT(0x51);
	emit_load(&c->e, RCX, SLOT(gate.handler));
	emit_store(&c->e, RCX, SLOT(target));
	emit_load(&c->e, RCX, SLOT(gate.keeps));
	emit_state(&c->e, OPCODE_AND_TO, RCX, SLOT(iflag));
	MARK(.rip = c->next, .undo = BT_DELIVERED);
	emit_state(&c->e, OPCODE_GROUP_FF, FF_INC, SLOT(gate.delivered));
	virtual_flags(c);
	emit_load(&c->e, RAX, SLOT(rax));
	compiler_look_up(c);
}

static bool is_idiv(const struct compiler *c)
{
	return c->insn.info.mnemonic == ZYDIS_MNEMONIC_IDIV;
}

/* It is copied without a register of its own. */
static bool is_plain_copy(const struct compiler *c)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	uint8_t segment;
	if (op->type == ZYDIS_OPERAND_TYPE_REGISTER)
		return ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) !=
		       ZYDIS_REGISTER_RSP;
	if (compiler_is_rip_relative(&c->insn) &&
	    (c->insn.info.address_width != 64 || c->insn.info.length + 2 > X86_INSN_MAX ||
	     !compiler_fits(compiler_operand_address(c))))
		return false;
	return !c->user && (!(c->source->flavour & BT_UPPER) || upper_segment(c, &segment));
}

/* An instruction of the same length and operands. */
static void copy(struct compiler *c, const struct emu_insn *insn)
{
	struct emu_insn own = c->insn;
	c->insn = *insn;
	if (c->source->flavour & BT_UPPER)
		upper_copy(c, false);
	else
		compile_copy(c);
	c->insn = own;
}

/* The divisor, by the encoding of DIV as that of a MOV. */
static void load_divisor(struct compiler *c)
{
	struct emu_insn insn = c->insn;
	unsigned opcode = insn.info.raw.modrm.offset - 1u;
	uint8_t *modrm = &insn.bytes[opcode + 1];
	if (insn.info.attributes & ZYDIS_ATTRIB_HAS_REX)
		insn.bytes[insn.info.raw.rex.offset] &= (uint8_t)~REX_R;
	insn.bytes[opcode] = insn.bytes[opcode] & 1 ? OPCODE_LOAD : OPCODE_LOAD_BYTE;
	*modrm = (uint8_t)((*modrm & ~MODRM_REG) | RCX << 3);
	copy(c, &insn);
}

static void width_prefix(struct compiler *c, unsigned width)
{
	if (width == 16)
		EMIT(0x66);
	if (width == 64)
		EMIT(REX_W);
}

/* To where the division is done: of unsigned numbers, if the upper half is less than the divisor. */
static unsigned check_unsigned(struct compiler *c, unsigned width)
{
	width_prefix(c, width);
	if (width > 8)
		EMIT(0x39, 0xca); /* CMP DX, CX */
	else
		emit_state(&c->e, OPCODE_COMPARE_BYTE, RCX, SLOT(rax) + 1); /* AH */
	EMIT(0x0f, JB_NEAR);
	emit32(&c->e, 0);
	return c->e.len - 4;
}

/*
 * Of signed ones, but where the divisor is 0, or -1 and the dividend the least number of the width, extended: whoever
 * extends the dividend, as compilers do, comes to #DE by nothing else. Where another quotient is too large the division
 * faults.
 */
static unsigned check_signed(struct compiler *c, unsigned width)
{
	unsigned fine[3], count = 0;
	width_prefix(c, width);
	EMIT(width > 8 ? 0x85 : 0x84, 0xc9); /* TEST CX, CX */
	unsigned zero = emit_hop(&c->e, OPCODE_JZ);
	width_prefix(c, width);
	EMIT(width > 8 ? 0x83 : 0x80, 0xf9, 0xff); /* CMP CX, -1 */
	fine[count++] = emit_hop(&c->e, OPCODE_JNZ);
	emit_load(&c->e, RCX, SLOT(rax));
	if (width > 8) {
		width_prefix(c, width);
		EMIT(0x83, 0xfa, 0xff); /* CMP DX, -1 */
		fine[count++] = emit_hop(&c->e, OPCODE_JNZ);
		width_prefix(c, width);
		EMIT(0xf7, 0xd9); /* NEG CX */
		fine[count++] = emit_hop(&c->e, OPCODE_JNO);
	} else {
		EMIT(0x66, 0x81, 0xf9, 0x80, 0xff); /* CMP CX, -128 */
		fine[count++] = emit_hop(&c->e, OPCODE_JNZ);
	}
	unsigned raises = emit_skip(&c->e);
	while (count)
		emit_skip_end(&c->e, fine[--count]);
	emit_jump(&c->e, 0);
	unsigned at = c->e.len - 4;
	emit_skip_end(&c->e, raises);
	emit_skip_end(&c->e, zero);
	return at;
}

/* A near jump to where the division is done. */
static unsigned check_divisor(struct compiler *c)
{
	unsigned width = c->insn.operands[0].size;
	return is_idiv(c) ? check_signed(c, width) : check_unsigned(c, width);
}

bool compile_division(struct compiler *c)
{
	const unsigned needed = BT_IF | BT_READ;
	struct virtual v;
	bool is = is_idiv(c) || c->insn.info.mnemonic == ZYDIS_MNEMONIC_DIV;
	if (!is || (c->source->flavour & needed) != needed || !is_plain_copy(c))
		return false;
	virtual_begin(c, &v, load_divisor);
	unsigned fine = check_divisor(c);
	check_gate(c, &v);
	virtual_plain(c, &v);
	deliver(c);
	emit_patch(&c->e, fine, c->e.len);
	virtual_end(c, c->rip);
	copy(c, &c->insn);
	return true;
}

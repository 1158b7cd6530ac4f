/*
 * The commonest instructions of 64-bit code, from their bytes to struct insn: the same that decode.c makes of what
 * Zydis says of them.
 */
#include "monitor/emulate/shape.h"
#include "monitor/engine/interpret/decode.h"
#include "monitor/vm/vm.h"

struct quick {
	const uint8_t *bytes;
	struct emu_shape shape;
	unsigned reg, rm; /* of ModRM, REX included */
	bool memory;	  /* what ModRM.rm says is in memory */
};

static uint8_t reg_offset(const struct quick *q, unsigned n, enum width width)
{
	return (uint8_t)(width == WIDTH_8 && !q->shape.rex && n >= 4 ? (n - 4) * 8 + 1 : n * 8);
}

static enum width width_of(const struct quick *q)
{
	return (q->shape.rex & REX_W) == REX_W ? WIDTH_64 : q->shape.narrow ? WIDTH_16 : WIDTH_32;
}

/* Of opcodes whose lowest bit tells bytes from all else. */
static enum width width_by_opcode(const struct quick *q)
{
	return q->shape.opcode & 1 ? width_of(q) : WIDTH_8;
}

static void read_memory(struct quick *q, struct insn *i)
{
	const struct emu_shape *s = &q->shape;
	const uint8_t *modrm = q->bytes + s->modrm;
	bool has_sib = (modrm[0] & 7) == 4;
	unsigned base = has_sib ? modrm[1] & 7 : modrm[0] & 7, index = has_sib ? modrm[1] >> 3 & 7 : 4;
	index |= s->rex & REX_X ? 8 : 0;
	i->disp = emu_shape_value(q->bytes + s->disp, s->disp_size);
	if (s->relative)
		i->base = GPR_RIP;
	else if (base != 5 || modrm[0] >> 6)
		i->base = (uint8_t)(base | (s->rex & REX_B ? 8 : 0));
	if (has_sib && index != 4) {
		i->index = (uint8_t)index;
		i->scale = modrm[1] >> 6;
	}
	if ((i->base == RSP || i->base == RBP) && s->kind != 'a')
		i->ea = EA_STACK;
}

static void read_modrm(struct quick *q, struct insn *i)
{
	const struct emu_shape *s = &q->shape;
	unsigned modrm = q->bytes[s->modrm];
	q->reg = (modrm >> 3 & 7) | (s->rex & REX_R ? 8 : 0);
	q->rm = (modrm & 7) | (s->rex & REX_B ? 8 : 0);
	q->memory = modrm >> 6 != 3;
	if (q->memory)
		read_memory(q, i);
}

/* Destination and source of two operands: ModRM.rm first, or ModRM.reg. */
static enum form set_both(const struct quick *q, struct insn *i, enum width width, bool rm_first)
{
	uint8_t reg = reg_offset(q, q->reg, width), rm = q->memory ? 0 : reg_offset(q, q->rm, width);
	i->dst = rm_first ? rm : reg;
	i->src = rm_first ? reg : rm;
	return !q->memory ? FORM_RR : rm_first ? FORM_MR : FORM_RM;
}

/* ModRM.rm alone, an immediate beside it. */
static enum form set_rm(const struct quick *q, struct insn *i, enum width width)
{
	if (!q->memory)
		i->dst = reg_offset(q, q->rm, width);
	return q->memory ? FORM_MI : FORM_RI;
}

/* 00 to 3F: the operation, and by the low bits r/m and register, register and r/m, accumulator and immediate. */
static insn_function *pick_arithmetic(const struct quick *q, struct insn *i)
{
	enum width width = width_by_opcode(q);
	enum form form = q->shape.modrm ? set_both(q, i, width, !(q->shape.opcode & 2)) : FORM_RI;
	return alu_table[q->shape.opcode >> 3][width][form];
}

static insn_function *pick_group(const struct quick *q, struct insn *i)
{
	static const int8_t shifts[8] = {SHIFT_ROL, SHIFT_ROR, -1, -1, SHIFT_SHL, SHIFT_SHR, -1, SHIFT_SAR};
	enum width width = width_by_opcode(q);
	unsigned op = q->reg & 7;
	enum form form = set_rm(q, i, width);
	switch (q->shape.opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		return alu_table[op][width][form];
	case 0xc0:
	case 0xc1:
		i->imm = (uint8_t)i->imm;
		return q->memory || shifts[op] < 0 ? NULL : shift_table[shifts[op]][width][0];
	case 0xd0:
	case 0xd1:
		i->imm = 1;
		return q->memory || shifts[op] < 0 ? NULL : shift_table[shifts[op]][width][0];
	case 0xd2:
	case 0xd3:
		i->src = reg_offset(q, RCX, width);
		return q->memory || shifts[op] < 0 ? NULL : shift_table[shifts[op]][width][1];
	case 0xc6:
	case 0xc7:
		return mov_table[width][form];
	case 0xf6:
	case 0xf7:
		return !op	 ? alu_table[ALU_TEST][width][form]
		       : op == 2 ? unary_table[UNARY_NOT][width][q->memory]
		       : op == 3 ? unary_table[UNARY_NEG][width][q->memory]
				 : NULL;
	default: /* FE, FF */
		return unary_table[op ? UNARY_DEC : UNARY_INC][width][q->memory];
	}
}

static insn_function *pick_stack(const struct quick *q, struct insn *i)
{
	enum width width = q->shape.narrow && width_of(q) != WIDTH_64 ? WIDTH_16 : WIDTH_64;
	insn_function *const *row = stack_table[STACK_WIDE][width];
	unsigned opcode = q->shape.opcode;
	if (opcode >= 0x50 && opcode < 0x60) {
		i->dst = (uint8_t)(((opcode & 7) | (q->shape.rex & REX_B ? 8 : 0)) * 8);
		return row[opcode < 0x58 ? STACK_PUSH : STACK_POP];
	}
	return row[opcode == 0xc9 ? STACK_LEAVE : STACK_PUSH_IMM];
}

static insn_function *pick_one(const struct quick *q, struct insn *i)
{
	const unsigned opcode = q->shape.opcode;
	const enum width width = width_by_opcode(q);
	if (opcode < 0x40)
		return pick_arithmetic(q, i);
	if (q->shape.traits & SHAPE_GROUP)
		return pick_group(q, i);
	if (opcode >= 0x70 && opcode < 0x80)
		return jcc_table[opcode & 15];
	if (opcode >= 0xb0 && opcode < 0xc0) {
		enum width of = opcode & 8 ? width_of(q) : WIDTH_8;
		i->dst = reg_offset(q, (opcode & 7) | (q->shape.rex & REX_B ? 8 : 0), of);
		return mov_table[of][FORM_RI];
	}
	switch (opcode) {
	case 0x63:
		set_both(q, i, WIDTH_64, false);
		return width_of(q) == WIDTH_64 ? movsx_table[WIDTH_64][WIDTH_32][q->memory] : NULL;
	case 0x69:
	case 0x6b:
		set_both(q, i, width_of(q), false);
		return imul_table[width_of(q)][2 + q->memory];
	case 0x84:
	case 0x85:
		return alu_table[ALU_TEST][width][set_both(q, i, width, true)];
	case 0x88:
	case 0x89:
		return mov_table[width][set_both(q, i, width, true)];
	case 0x8a:
	case 0x8b:
		return mov_table[width][set_both(q, i, width, false)];
	case 0x8d:
		set_both(q, i, width, false);
		return lea_table[width];
	case 0xa8:
	case 0xa9:
		return alu_table[ALU_TEST][width][FORM_RI];
	case 0xc3:
		return op_ret;
	case 0xe8:
		return op_call;
	case 0xe9:
	case 0xeb:
		return op_jmp;
	default:
		return opcode == 0xc9 || opcode == 0x68 || opcode == 0x6a || (opcode & 0xf0) == 0x50 ? pick_stack(q, i)
												     : NULL;
	}
}

static insn_function *pick_two(const struct quick *q, struct insn *i)
{
	const unsigned opcode = q->shape.opcode, low = opcode & 15;
	const enum width width = width_of(q);
	/* MOVZX and MOVSX: of one byte, of two. */
	enum width from = opcode & 1 ? WIDTH_16 : WIDTH_8;
	switch (opcode >> 4) {
	case 4:
		set_both(q, i, width, false);
		return cmov_table[low][width][q->memory];
	case 8:
		return jcc_table[low];
	case 9:
		set_rm(q, i, WIDTH_8);
		return setcc_table[low][q->memory];
	default:
		break;
	}
	switch (opcode) {
	case 0xaf:
		set_both(q, i, width, false);
		return imul_table[width][q->memory];
	case 0xb6:
	case 0xb7:
	case 0xbe:
	case 0xbf:
		set_both(q, i, width, false);
		if (!q->memory)
			i->src = reg_offset(q, q->rm, from);
		return (opcode & 8 ? movsx_table : movzx_table)[width][from][q->memory];
	default:
		return NULL;
	}
}

unsigned decode_quick(const struct engine_vcpu *c, struct insn *i, const uint8_t *bytes, unsigned len, bool *ends)
{
	struct quick q = {.bytes = bytes};
	const struct emu_shape *s = &q.shape;
	if (!c->wide || c->vm->cpu.chosen || !emu_shape(bytes, len, &q.shape))
		return 0;
	*i = (struct insn){.base = GPR_ZERO, .index = GPR_ZERO};
	if (s->modrm)
		read_modrm(&q, i);
	i->imm = emu_shape_value(bytes + s->imm, s->imm_size);
	i->run = s->two ? pick_two(&q, i) : pick_one(&q, i);
	*ends = s->traits & SHAPE_BRANCH;
	return i->run ? s->length : 0;
}

/*
 * The commonest instructions of 64-bit code, known by a table: most of what is compiled is copied as it is, and of that
 * no more needs to be known than how long it is. All else is Zydis's.
 */
#include <string.h>

#include "monitor/engine/translate/internal.h"

static bool is_rsp(unsigned low, bool extended)
{
	return (low & 7) == 4 && !extended;
}

/* BT_UPPER, with an operand: the segment that memory is in there; false: RSP is a value, or more has to be done. */
static bool find_segment(const struct emu_shape *s, const uint8_t *operand, uint8_t *segment)
{
	const bool b = s->rex & REX_B, address = s->kind == 'a';
	if (!(s->traits & SHAPE_GROUP) && is_rsp(operand[0] >> 3, s->rex & REX_R))
		return false;
	if (operand[0] >> 6 == 3)
		return !is_rsp(operand[0], b);
	bool on_stack = (operand[0] & 7) == 4 && is_rsp(operand[1], b);
	if (!on_stack && !address)
		*segment = PREFIX_FS;
	return !(on_stack && address);
}

/* Likewise of any. */
static bool fits_upper(const struct emu_shape *s, const uint8_t *operand, uint8_t *segment)
{
	if (s->modrm)
		return find_segment(s, operand, segment);
	return !(s->traits & SHAPE_SETS_RSP) && !(s->traits & SHAPE_NAMES && is_rsp(s->opcode, s->rex & REX_B));
}

static enum bt_class class_of(char kind)
{
	switch (kind) {
	case 'j':
	case 'l':
		return BT_BRANCH;
	case 'J':
	case 'L':
		return BT_JUMP;
	case 'C':
		return BT_CALL;
	case 'R':
		return BT_RETURN;
	default:
		return BT_COPY;
	}
}

/* Of its registers ModRM names all. */
static bool names_all(const struct emu_shape *s)
{
	static const uint8_t one[] = {0x63, 0x69, 0x6b, 0x80, 0x81, 0x83, 0x84, 0x85,
				      0x88, 0x89, 0x8a, 0x8b, 0x8d, 0xc6, 0xc7},
			     two[] = {0xaf, 0xb6, 0xb7, 0xbe, 0xbf};
	if (s->two)
		return s->opcode >> 4 == 4 || s->opcode >> 4 == 9 || memchr(two, s->opcode, sizeof(two));
	return s->opcode < 0x40 || memchr(one, s->opcode, sizeof(one));
}

/* What copy.c asks for where an operand is relative to RIP. */
static void describe_relative(const uint8_t *bytes, const struct emu_shape *s, struct emu_insn *insn)
{
	ZydisDecodedInstruction *info = &insn->info;
	const bool legacy = !s->rex && !s->two && !(s->opcode & 1) && s->kind == 'm';
	unsigned reg = (bytes[s->modrm] >> 3 & 7) | (s->rex & REX_R ? 8 : 0);
	info->encoding = ZYDIS_INSTRUCTION_ENCODING_LEGACY;
	info->attributes = s->rex ? ZYDIS_ATTRIB_HAS_REX : 0;
	info->raw.prefix_count = 0;
	info->raw.rex.offset = s->narrow;
	info->raw.modrm.offset = s->modrm;
	info->raw.modrm.mod = 0;
	info->raw.modrm.rm = 5;
	info->raw.disp.offset = s->disp;
	info->raw.disp.value = emu_shape_value(bytes + s->disp, s->disp_size);
	info->operand_width = (s->rex & REX_W) == REX_W ? 64 : s->narrow ? 16 : 32;
	info->operand_count = !(s->traits & SHAPE_GROUP) && !(s->two && s->opcode >> 4 == 9); /* SETcc has no other */
	insn->operands[0].type = ZYDIS_OPERAND_TYPE_REGISTER;
	/* AH to BH are parts of RAX to RBX. */
	insn->operands[0].reg.value = (ZydisRegister)(ZYDIS_REGISTER_RAX + (legacy ? reg & 3 : reg));
}

/* What of an instruction its compilation asks for, as Zydis has it. */
static void describe(const uint8_t *bytes, unsigned len, const struct emu_shape *s, enum bt_class class,
		     struct emu_insn *insn)
{
	static const uint16_t mnemonic[] = {
		[BT_JUMP] = ZYDIS_MNEMONIC_JMP, [BT_CALL] = ZYDIS_MNEMONIC_CALL, [BT_RETURN] = ZYDIS_MNEMONIC_RET};
	bool direct = s->traits & SHAPE_BRANCH && s->imm_size;
	insn->info.length = s->length;
	insn->info.opcode = s->opcode;
	insn->info.mnemonic = class == BT_COPY || class == BT_BRANCH ? ZYDIS_MNEMONIC_INVALID : mnemonic[class];
	insn->info.raw.modrm.offset = 0; /* not relative to RIP */
	insn->info.raw.imm[0].size = 0;	 /* of RET */
	insn->operands[0].type = direct ? ZYDIS_OPERAND_TYPE_IMMEDIATE : ZYDIS_OPERAND_TYPE_UNUSED;
	if (direct)
		insn->operands[0].imm.value.s = emu_shape_value(bytes + s->imm, s->imm_size);
	/* A length that is known beforehand takes no call. */
	if (len >= X86_INSN_MAX)
		memcpy(insn->bytes, bytes, X86_INSN_MAX);
	else
		memcpy(insn->bytes, bytes, s->length);
}

bool quick_decode(const struct bt_source *source, unsigned at, struct emu_insn *insn, struct quick *quick)
{
	const uint8_t *bytes = source->bytes + at;
	struct emu_shape s;
	if (source->flavour & BT_NARROW || source->model || !emu_shape(bytes, source->len - at, &s) ||
	    (s.relative && !names_all(&s)))
		return false;
	*quick = (struct quick){.relative = s.relative, .address = s.kind == 'a'};
	if (source->flavour & BT_UPPER && !fits_upper(&s, bytes + s.modrm, &quick->segment))
		return false;
	quick->class = class_of(s.kind);
	describe(bytes, source->len - at, &s, quick->class, insn);
	if (s.relative)
		describe_relative(bytes, &s, insn);
	return true;
}

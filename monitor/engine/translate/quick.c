/*
 * The commonest instructions of 64-bit code, known by a table: most of what is compiled is copied as it is, and of that
 * no more needs to be known than how long it is. All else is Zydis's.
 */
#include <string.h>

#include "monitor/engine/translate/internal.h"

/*
 * By opcode: what follows it, and what it is.
 *   -         nothing              m        ModRM
 *   1 4       an immediate of one byte, of the operand's size but at most 4 bytes
 *   v i       of the operand's size; of one byte, and no register in the opcode
 *   b z       ModRM and an immediate as 1, 4
 *   n         ModRM, and for TEST alone an immediate: F6 and F7
 *   a         ModRM for memory alone
 *   e         LEAVE
 *   j l       Jcc to the displacement of 1 or 4 bytes
 *   J L C R   JMP to either, CALL, RET
 *   .         not here
 */
static const char one_byte[] = "mmmm14..mmmm14..mmmm14..mmmm14.."
			       "mmmm14..mmmm14..mmmm14..mmmm14.."
			       "................----------------"
			       "...m....4zib....jjjjjjjjjjjjjjjj"
			       "bz.bmmmmmmmm.a..----------......"
			       "........14......11111111vvvvvvvv"
			       "bb.R..bz.e......mmmm............"
			       "........CL.J.........-nn--..--mm";
static const char two_bytes[] = "................................"
				"................................"
				"mmmmmmmmmmmmmmmm................"
				"................................"
				"llllllllllllllllmmmmmmmmmmmmmmmm"
				"...mbm.....mbm.mmm.m..mm..bmmmmm"
				"mm......--------................"
				"................................";
_Static_assert(sizeof(one_byte) == 257 && sizeof(two_bytes) == 257, "a letter for each opcode");

enum {
	HAS_MODRM = 1,
	IMM1 = 2,
	IMM4 = 4,
	WORD = 8,  /* as narrow as the operand */
	WIDE = 16, /* and as wide */
	TESTS = 32,
	NAMES = 64, /* a register, by the opcode's low bits */
	BRANCH = 128,
	SETS_RSP = 256, /* RSP is loaded */
};

static const uint16_t traits[] = {
	['-'] = NAMES,
	['e'] = SETS_RSP,
	['i'] = IMM1,
	['m'] = HAS_MODRM,
	['a'] = HAS_MODRM,
	['1'] = IMM1 | NAMES,
	['4'] = IMM4 | WORD,
	['v'] = IMM4 | WORD | WIDE | NAMES,
	['b'] = HAS_MODRM | IMM1,
	['z'] = HAS_MODRM | IMM4 | WORD,
	['n'] = HAS_MODRM | TESTS,
	['j'] = BRANCH | IMM1,
	['l'] = BRANCH | IMM4,
	['J'] = BRANCH | IMM1,
	['L'] = BRANCH | IMM4,
	['C'] = BRANCH | IMM4,
	['R'] = BRANCH,
};

/* Before ModRM there are no more bytes. */
#define HEAD_MAX 4
#define ESCAPE	 0x0f

struct shape {
	const uint8_t *bytes;
	unsigned len, at; /* what there is; behind what has been read */
	unsigned opcode, rex, traits;
	bool two, narrow; /* behind the escape; 16 bits, by a prefix */
	char kind;
};

static bool read_head(struct shape *s)
{
	const uint8_t *bytes = s->bytes;
	if (s->len <= HEAD_MAX)
		return false;
	s->narrow = bytes[s->at] == PREFIX_OPERAND;
	s->at += s->narrow;
	if ((bytes[s->at] & 0xf0) == REX)
		s->rex = bytes[s->at++];
	s->two = bytes[s->at] == ESCAPE;
	s->at += s->two;
	s->opcode = bytes[s->at++];
	s->kind = (s->two ? two_bytes : one_byte)[s->opcode];
	s->traits = traits[(unsigned char)s->kind];
	/* Of narrow branches processors differ; BSWAP of 16 bits, and MOVSXD to them, are odd. */
	bool odd = (s->traits & BRANCH) || (s->two ? s->opcode >= 0xc8 : s->opcode == 0x63);
	return s->kind != '.' && !(s->narrow && odd);
}

/* Where ModRM.reg is part of the opcode, those that are known: a bit each. */
static unsigned known_regs(const struct shape *s)
{
	if (s->two)
		return s->opcode == 0xba ? 0xf0 : s->opcode == 0x1f ? 1 : 0xff;
	switch (s->opcode) {
	case 0xc0:
	case 0xc1:
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return 0xbf; /* SAL under its other name */
	case 0xc6:
	case 0xc7:
		return 1;
	case 0xf6:
	case 0xf7:
		return 0x3d; /* a division may come to #DE */
	case 0xfe:
	case 0xff:
		return 3;
	default:
		return 0xff;
	}
}

/* False: it is not known, or relative to RIP. */
static bool read_operand(struct shape *s)
{
	if (s->at + 2 > s->len)
		return false;
	const uint8_t *bytes = s->bytes + s->at;
	unsigned mod = bytes[0] >> 6, reg = bytes[0] >> 3 & 7, rm = bytes[0] & 7;
	if (s->traits & TESTS && !reg)
		s->traits |= s->opcode & 1 ? IMM4 | WORD : IMM1;
	if (!(known_regs(s) >> reg & 1) || (mod == 3 && s->kind == 'a') || (mod == 0 && rm == 5))
		return false;
	s->at++;
	if (mod == 3)
		return true;
	unsigned base = rm == 4 ? bytes[1] & 7 : rm;
	s->at += (rm == 4) + (mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0);
	return true;
}

/* ModRM.reg is no register. */
static bool is_group(const struct shape *s)
{
	bool arithmetic = !s->two && s->opcode >= 0x80 && s->opcode <= 0x83;
	return arithmetic || known_regs(s) != 0xff;
}

static bool is_rsp(unsigned low, bool extended)
{
	return (low & 7) == 4 && !extended;
}

/* BT_UPPER, with an operand: the segment that memory is in there; false: RSP is a value, or more has to be done. */
static bool find_segment(const struct shape *s, const uint8_t *operand, uint8_t *segment)
{
	const bool b = s->rex & REX_B, hint = s->two && s->opcode == 0x1f, address = s->kind == 'a';
	if (!is_group(s) && is_rsp(operand[0] >> 3, s->rex & REX_R))
		return false;
	if (operand[0] >> 6 == 3)
		return !is_rsp(operand[0], b);
	bool on_stack = (operand[0] & 7) == 4 && is_rsp(operand[1], b);
	if (!on_stack && !address && !hint)
		*segment = PREFIX_FS;
	return !(on_stack && address);
}

/* Likewise of any. */
static bool fits_upper(const struct shape *s, const uint8_t *operand, uint8_t *segment)
{
	if (s->traits & HAS_MODRM)
		return find_segment(s, operand, segment);
	return !(s->traits & SETS_RSP) && !(s->traits & NAMES && is_rsp(s->opcode, s->rex & REX_B));
}

static unsigned immediate_of(const struct shape *s)
{
	bool wide = (s->rex & REX_W) == REX_W;
	if (s->traits & IMM1)
		return 1;
	if (!(s->traits & IMM4))
		return 0;
	if (wide)
		return s->traits & WIDE ? 8 : 4;
	return s->traits & WORD && s->narrow ? 2 : 4;
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

static int64_t distance(const uint8_t *at, unsigned len)
{
	int32_t far;
	if (len == 1)
		return (int8_t)at[0];
	memcpy(&far, at, sizeof(far));
	return far;
}

/* What of an instruction its compilation asks for, as Zydis has it. */
static void describe(const struct shape *s, unsigned imm, enum bt_class class, struct emu_insn *insn)
{
	static const uint16_t mnemonic[] = {
		[BT_JUMP] = ZYDIS_MNEMONIC_JMP, [BT_CALL] = ZYDIS_MNEMONIC_CALL, [BT_RETURN] = ZYDIS_MNEMONIC_RET};
	bool direct = s->traits & BRANCH && imm;
	insn->info.length = (uint8_t)(s->at + imm);
	insn->info.opcode = (uint8_t)s->opcode;
	insn->info.mnemonic = class == BT_COPY || class == BT_BRANCH ? ZYDIS_MNEMONIC_INVALID : mnemonic[class];
	insn->info.raw.modrm.offset = 0; /* not relative to RIP */
	insn->info.raw.imm[0].size = 0;	 /* of RET */
	insn->operands[0].type = direct ? ZYDIS_OPERAND_TYPE_IMMEDIATE : ZYDIS_OPERAND_TYPE_UNUSED;
	if (direct)
		insn->operands[0].imm.value.s = distance(s->bytes + s->at, imm);
	memcpy(insn->bytes, s->bytes, insn->info.length);
}

bool quick_decode(const struct bt_source *source, unsigned at, struct emu_insn *insn, struct quick *quick)
{
	struct shape s = {.bytes = source->bytes + at, .len = source->len - at};
	if (source->flavour & BT_NARROW || source->model || !read_head(&s))
		return false;
	const uint8_t *operand = s.bytes + s.at;
	if (s.traits & HAS_MODRM && !read_operand(&s))
		return false;
	unsigned imm = immediate_of(&s);
	quick->segment = 0;
	if (s.at + imm > s.len || (source->flavour & BT_UPPER && !fits_upper(&s, operand, &quick->segment)))
		return false;
	quick->class = class_of(s.kind);
	describe(&s, imm, quick->class, insn);
	return true;
}

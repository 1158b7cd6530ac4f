/*
 * By opcode, what an instruction consists of.
 */
#include "monitor/emulate/shape.h"

#include <string.h>

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
	IMM1 = 256,
	IMM4 = 512,
	WORD = 1024, /* as narrow as the operand */
	WIDE = 2048, /* and as wide */
	TESTS = 4096,
};

static const uint16_t traits[] = {
	['-'] = SHAPE_NAMES,
	['e'] = SHAPE_SETS_RSP,
	['i'] = IMM1,
	['m'] = SHAPE_MODRM,
	['a'] = SHAPE_MODRM,
	['1'] = IMM1 | SHAPE_NAMES,
	['4'] = IMM4 | WORD,
	['v'] = IMM4 | WORD | WIDE | SHAPE_NAMES,
	['b'] = SHAPE_MODRM | IMM1,
	['z'] = SHAPE_MODRM | IMM4 | WORD,
	['n'] = SHAPE_MODRM | TESTS,
	['j'] = SHAPE_BRANCH | IMM1,
	['l'] = SHAPE_BRANCH | IMM4,
	['J'] = SHAPE_BRANCH | IMM1,
	['L'] = SHAPE_BRANCH | IMM4,
	['C'] = SHAPE_BRANCH | IMM4,
	['R'] = SHAPE_BRANCH,
};

/* Two prefixes, the escape, opcode, ModRM and SIB are no more. */
#define HEAD_MAX 8
#define ESCAPE	 0x0f

static bool read_head(const uint8_t *bytes, struct emu_shape *s)
{
	unsigned at = 0;
	s->narrow = bytes[at] == PREFIX_OPERAND;
	at += s->narrow;
	if ((bytes[at] & 0xf0) == REX)
		s->rex = bytes[at++];
	s->two = bytes[at] == ESCAPE;
	at += s->two;
	s->opcode = bytes[at++];
	s->length = (uint8_t)at;
	s->kind = (s->two ? two_bytes : one_byte)[s->opcode];
	s->traits = traits[(unsigned char)s->kind];
	/* Of narrow branches processors differ; BSWAP of 16 bits, and MOVSXD to them, are odd. */
	bool odd = (s->traits & SHAPE_BRANCH) || (s->two ? s->opcode >= 0xc8 : s->opcode == 0x63);
	return s->kind != '.' && !(s->narrow && odd);
}

/* Where ModRM.reg is part of the opcode, those that are known: a bit each. */
static unsigned known_regs(const struct emu_shape *s)
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

bool emu_shape_is_group(const struct emu_shape *s)
{
	bool arithmetic = !s->two && s->opcode >= 0x80 && s->opcode <= 0x83;
	return arithmetic || known_regs(s) != 0xff;
}

static bool read_operand(const uint8_t *bytes, struct emu_shape *s)
{
	s->modrm = s->length;
	unsigned modrm = bytes[s->modrm], mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
	if (s->traits & TESTS && !reg)
		s->traits |= s->opcode & 1 ? IMM4 | WORD : IMM1;
	if (!(known_regs(s) >> reg & 1) || (mod == 3 && s->kind == 'a'))
		return false;
	s->length++;
	if (mod == 3)
		return true;
	unsigned base = rm == 4 ? bytes[s->length] & 7 : rm;
	s->relative = mod == 0 && rm == 5;
	s->disp = (uint8_t)(s->length + (rm == 4));
	s->disp_size = mod == 1 ? 1 : mod == 2 || base == 5 ? 4 : 0;
	s->length = s->disp + s->disp_size;
	return true;
}

static unsigned immediate_of(const struct emu_shape *s)
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

bool emu_shape(const uint8_t *bytes, unsigned len, struct emu_shape *s)
{
	uint8_t padded[HEAD_MAX] = {0};
	if (len < HEAD_MAX) {
		memcpy(padded, bytes, len);
		bytes = padded;
	}
	*s = (struct emu_shape){0};
	if (!read_head(bytes, s) || (s->traits & SHAPE_MODRM && !read_operand(bytes, s)))
		return false;
	s->imm = s->length;
	s->imm_size = (uint8_t)immediate_of(s);
	s->length += s->imm_size;
	return s->length <= len;
}

int64_t emu_shape_value(const uint8_t *at, unsigned size)
{
	uint64_t value = 0;
	memcpy(&value, at, size);
	return size ? (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size) : 0;
}

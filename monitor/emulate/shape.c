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
 *   M B Z     as m, b, z, and ModRM.reg is part of the opcode
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
			       "BZ.Bmmmmmmmm.a..----------......"
			       "........14......11111111vvvvvvvv"
			       "BB.R..BZ.e......MMMM............"
			       "........CL.J.........-nn--..--MM";
static const char two_bytes[] = "................................"
				"................................"
				"mmmmmmmmmmmmmmmm................"
				"................................"
				"llllllllllllllllmmmmmmmmmmmmmmmm"
				"...mbm.....mbm.mmm.m..mm..Bmmmmm"
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
	['M'] = SHAPE_MODRM | SHAPE_GROUP,
	['B'] = SHAPE_MODRM | SHAPE_GROUP | IMM1,
	['Z'] = SHAPE_MODRM | SHAPE_GROUP | IMM4 | WORD,
	['n'] = SHAPE_MODRM | SHAPE_GROUP | TESTS,
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
	const bool has_rex = (bytes[at] & 0xf0) == REX;
	s->rex = has_rex ? bytes[at] : 0;
	at += has_rex;
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

/* SHAPE_GROUP: those that are known, a bit each. */
static unsigned known_regs(const struct emu_shape *s)
{
	if (s->two)
		return 0xf0;
	switch (s->opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		return 0xff;
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
		return 0xbf; /* SAL under its other name */
	}
}

static bool read_operand(const uint8_t *bytes, struct emu_shape *s)
{
	s->modrm = s->length;
	unsigned modrm = bytes[s->modrm], mod = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7;
	if (s->traits & TESTS && !reg)
		s->traits |= s->opcode & 1 ? IMM4 | WORD : IMM1;
	if ((s->traits & SHAPE_GROUP && !(known_regs(s) >> reg & 1)) || (mod == 3 && s->kind == 'a'))
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
	int64_t all;
	int32_t four;
	int16_t two;
	switch (size) {
	case 0:
		return 0;
	case 1:
		return (int8_t)at[0];
	case 2:
		memcpy(&two, at, sizeof(two));
		return two;
	case 4:
		memcpy(&four, at, sizeof(four));
		return four;
	default:
		memcpy(&all, at, sizeof(all));
		return all;
	}
}

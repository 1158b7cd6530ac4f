/*
 * The generator: random encodings whose memory operands are led into the sequence's areas, single conditional jumps
 * over them, and templates.
 */
#include <cpuid.h>
#include <string.h>
#include <sys/auxv.h>

#include "monitor/emulate/emulate.h"
#include "tests/random/generate.h"

#define ITEMS_MAX    10
#define ENCODING_MAX 32 /* what is tried, before it is known how long an instruction is */
#define TRIES	     1000
#define STORE_LEN    7

#define BUS_LOCK_DETECT R3_BIT(24) /* of CPUID 7, ECX */
#define HWCAP2_FSGSBASE R3_BIT(1)  /* arch/x86/include/uapi/asm/hwcap2.h */

/* How often each template stands alone. */
#define TEMPLATE_TURNS 4

static const uint8_t end[] = {0x0f, 0x0b}; /* UD2 */

struct pattern {
	const uint8_t *code, *end;
	const char *where;
};
extern const struct pattern templates[], templates_end[];

struct generator;
/* Extensions of register numbers, as REX, VEX and EVEX carry them. */
struct extension {
	bool r, x, b;
};
/* Prefixes and opcode, to `out`; how many bytes. */
typedef unsigned put_function(struct generator *g, uint8_t *out, struct extension e);

struct generator {
	struct seq_random random;
	enum generate_where where;
	put_function *only; /* nothing but that; NULL: all */
	struct sequence *s;
};

/* Of a guest. */
static bool is_user(enum generate_where where)
{
	return where == GENERATE_USER || where == GENERATE_NO_FPU;
}

/* Nothing but the interpreter's kernel will do. */
static bool is_exact(enum generate_where where)
{
	return where == GENERATE_KERNEL || where == GENERATE_UPPER;
}

uint64_t generate_base(enum generate_where where)
{
	return is_user(where) ? SEQ_USER_BASE : where == GENERATE_UPPER ? SEQ_UPPER_BASE : SEQ_KERNEL_BASE;
}

static unsigned below(struct generator *g, unsigned limit)
{
	return (unsigned)(seq_random(&g->random) >> 32) % limit;
}

static bool one_in(struct generator *g, unsigned n)
{
	return below(g, n) == 0;
}

static uint8_t byte(struct generator *g)
{
	return (uint8_t)below(g, 256);
}

/* -------------------------------------------------------------------------------------------- a random encoding */

/* ModRM, SIB and displacement; the displacement of an address without a register is put right once it is decoded. */
static unsigned put_operand(struct generator *g, uint8_t *out, struct extension *e)
{
	uint8_t reg = (uint8_t)(byte(g) & 0x38);
	*e = (struct extension){one_in(g, 2), one_in(g, 2), one_in(g, 2)};
	switch (below(g, 9)) {
	case 0: /* disp8(%r15) */
		e->b = true;
		out[0] = 0x47 | reg;
		out[1] = byte(g);
		return 2;
	case 1: /* disp8(%r12,%r14,scale) */
		e->b = e->x = true;
		out[0] = 0x44 | reg;
		out[1] = (uint8_t)(0x34 | (byte(g) & 0xc0));
		out[2] = byte(g);
		return 3;
	case 2: /* disp32(%rip) */
		out[0] = 0x05 | reg;
		return 5;
	case 3: /* disp32 */
		e->x = false;
		out[0] = 0x04 | reg;
		out[1] = 0x25;
		return 6;
	case 4: /* disp8(%rsp) */
		e->x = e->b = false;
		out[0] = 0x44 | reg;
		out[1] = 0x24;
		out[2] = byte(g);
		return 3;
	default:
		out[0] = (uint8_t)(0xc0 | byte(g));
		return 1;
	}
}

/* Prefixes of all kinds in any order, REX before others too, where they have no business. */
static unsigned put_prefixes(struct generator *g, uint8_t *out)
{
	static const uint8_t any[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e,
				      0x26, 0x64, 0x65, 0x40, 0x48, 0x41, 0x44, 0x4f};
	unsigned count = 1 + below(g, 4);
	for (unsigned n = 0; n < count; n++)
		out[n] = any[below(g, sizeof(any))];
	return count;
}

/* What most code is made of, mostly of 64 bits: the interpreter executes two of it at once where it can. */
static unsigned put_common(struct generator *g, uint8_t *out, struct extension e)
{
	static const uint8_t one[] = {0x01, 0x03, 0x09, 0x11, 0x21, 0x29, 0x31, 0x39, 0x3b, 0x50, 0x58, 0x63,
				      0x80, 0x81, 0x83, 0x84, 0x85, 0x89, 0x8b, 0x8d, 0xb8, 0xc1, 0xc7, 0xf6};
	static const uint8_t two[] = {0x43, 0x92, 0xaf, 0xb6, 0xb7};
	unsigned len = 0;
	out[len++] = (uint8_t)(0x40 | !one_in(g, 3) << 3 | e.r << 2 | e.x << 1 | e.b);
	bool longer = one_in(g, 6);
	if (longer)
		out[len++] = 0x0f;
	out[len++] = longer ? two[below(g, sizeof(two))] : one[below(g, sizeof(one))];
	return len;
}

/* What most code is made of that computes with the x87. */
static unsigned put_x87(struct generator *g, uint8_t *out, struct extension e)
{
	unsigned len = 0;
	if (e.r || e.x || e.b)
		out[len++] = (uint8_t)(0x40 | e.r << 2 | e.x << 1 | e.b);
	out[len++] = (uint8_t)(0xd8 | below(g, 8));
	return len;
}

static unsigned put_legacy(struct generator *g, uint8_t *out, struct extension e)
{
	static const uint8_t repeats[] = {0xf2, 0xf3};
	unsigned len = one_in(g, 8) ? put_prefixes(g, out) : 0;
	if (one_in(g, 6))
		out[len++] = 0x66;
	if (one_in(g, 5))
		out[len++] = repeats[below(g, 2)];
	if (one_in(g, 25))
		out[len++] = 0xf0;
	if (one_in(g, 25))
		out[len++] = 0x67;
	if (e.r || e.x || e.b || one_in(g, 2))
		out[len++] = (uint8_t)(0x40 | one_in(g, 2) << 3 | e.r << 2 | e.x << 1 | e.b);
	unsigned map = below(g, 10);
	if (map >= 5)
		out[len++] = 0x0f;
	if (map == 8)
		out[len++] = 0x38;
	else if (map == 9)
		out[len++] = 0x3a;
	out[len++] = byte(g);
	return len;
}

static unsigned put_vex(struct generator *g, uint8_t *out, struct extension e)
{
	out[0] = 0xc4;
	out[1] = (uint8_t)(!e.r << 7 | !e.x << 6 | !e.b << 5 | (1 + below(g, 3)));
	out[2] = byte(g);
	if (one_in(g, 2))
		out[2] |= 0x78; /* of many the second source must be none */
	out[3] = byte(g);
	return 4;
}

static unsigned put_evex(struct generator *g, uint8_t *out, struct extension e)
{
	out[0] = 0x62;
	out[1] = (uint8_t)(!e.r << 7 | !e.x << 6 | !e.b << 5 | one_in(g, 2) << 4 | (1 + below(g, 3)));
	out[2] = byte(g) | 4;
	out[3] = byte(g);
	if (one_in(g, 2))
		out[3] &= 0xef; /* no broadcast, no rounding */
	out[4] = byte(g);
	return 5;
}

/* Leads the 32-bit displacement of an address that no register is part of into the data. */
static void set_displacement(struct generator *g, struct emu_insn *insn, uint8_t *bytes, uint64_t at)
{
	for (unsigned n = 0; n < insn->info.operand_count; n++) {
		const ZydisDecodedOperandMem *mem = &insn->operands[n].mem;
		bool rip = mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP;
		if (insn->operands[n].type != ZYDIS_OPERAND_TYPE_MEMORY || insn->info.raw.disp.size != 32 ||
		    (!rip && mem->base != ZYDIS_REGISTER_NONE))
			continue;
		uint64_t target = generate_base(g->where) + SEQ_DATA + 0x100 + below(g, 0xe00);
		int32_t disp = (int32_t)(target - (rip ? at + insn->info.length : 0));
		memcpy(bytes + insn->info.raw.disp.offset, &disp, sizeof(disp));
		return;
	}
}

static bool try_encoding(struct generator *g, uint8_t *bytes, uint64_t at, struct emu_insn *insn)
{
	uint8_t operand[8];
	struct extension e;
	for (unsigned n = 0; n < ENCODING_MAX; n++)
		bytes[n] = byte(g);
	memset(operand, 0, sizeof(operand));
	unsigned operand_len = put_operand(g, operand, &e), kind = below(g, 8), len;
	len = g->only	  ? g->only(g, bytes, e)
	      : kind == 0 ? put_evex(g, bytes, e)
	      : kind <= 2 ? put_vex(g, bytes, e)
			  : put_legacy(g, bytes, e);
	memcpy(bytes + len, operand, operand_len);
	if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, bytes, 15, insn)))
		return false;
	set_displacement(g, insn, bytes, at);
	memcpy(insn->bytes, bytes, 15);
	return rules_allow(insn, g->where);
}

/* ------------------------------------------------------------------------------------------------------ sequences */

static bool put(struct generator *g, const void *bytes, unsigned len)
{
	if (g->s->size + len > SEQ_CODE_MAX - sizeof(end))
		return false;
	memcpy(g->s->code + g->s->size, bytes, len);
	g->s->size = (uint16_t)(g->s->size + len);
	return true;
}

static bool put_random(struct generator *g)
{
	uint8_t bytes[ENCODING_MAX];
	struct emu_insn insn;
	uint64_t at = generate_base(g->where) + SEQ_CODE + g->s->offset + g->s->size;
	for (unsigned n = 0; n < TRIES; n++)
		if (try_encoding(g, bytes, at, &insn))
			return put(g, bytes, insn.info.length);
	return true;
}

/* A few common ones, or the x87's, in a row. */
static bool put_row(struct generator *g)
{
	bool room = true;
	g->only = one_in(g, 3) ? put_x87 : put_common;
	for (unsigned left = 2 + below(g, 4); left && room; left--)
		room = put_random(g);
	g->only = NULL;
	return room;
}

/* An instruction of `len` bytes that is to lie at `at`. */
static bool draw(struct generator *g, uint8_t *bytes, unsigned len, uint64_t at)
{
	struct emu_insn insn;
	for (unsigned n = 0; n < TRIES; n++)
		if (try_encoding(g, bytes, at, &insn) && insn.info.length == len)
			return true;
	return false;
}

/* Stores that make another instruction of the one behind them, byte by byte: MOV BYTE [RIP + disp32], imm8. */
static bool put_change(struct generator *g)
{
	unsigned len = 2 + below(g, 5), stores = len * STORE_LEN;
	uint8_t before[ENCODING_MAX], after[ENCODING_MAX];
	uint64_t at = generate_base(g->where) + SEQ_CODE + g->s->offset + g->s->size + stores;
	if (!draw(g, before, len, at) || !draw(g, after, len, at))
		return true;
	for (unsigned n = 0; n < len; n++) {
		uint8_t store[STORE_LEN] = {0xc6, 0x05};
		uint32_t disp = stores + n - STORE_LEN * (n + 1);
		memcpy(store + 2, &disp, sizeof(disp));
		store[STORE_LEN - 1] = after[n];
		if (!put(g, store, STORE_LEN))
			return false;
	}
	return put(g, before, len);
}

/* What the processor refuses for its prefixes or its length alone. It ends the sequence. */
static bool put_refused(struct generator *g)
{
	static const uint8_t before_vex[] = {0x66, 0xf2, 0xf3, 0xf0, 0x48};
	uint8_t bytes[ENCODING_MAX];
	unsigned len = 0;
	struct extension e = {0};
	switch (below(g, 3)) {
	case 0: /* no prefix may stand before VEX and EVEX: #UD */
		bytes[len++] = before_vex[below(g, sizeof(before_vex))];
		len += one_in(g, 2) ? put_vex(g, bytes + len, e) : put_evex(g, bytes + len, e);
		bytes[len++] = 0xc1; /* registers */
		bytes[len++] = byte(g);
		break;
	case 1: /* LOCK, where memory is not changed: ADD to a register, CMP, MOV */
		bytes[len++] = 0xf0;
		bytes[len++] = (const uint8_t[]){0x01, 0x39, 0x89, 0x03}[below(g, 4)];
		bytes[len++] = bytes[1] == 0x01 ? 0xc1 : 0x07 | (byte(g) & 0x38);
		break;
	default: /* longer than 15 bytes: #GP */
		while (len < 12 + below(g, 4))
			bytes[len++] = 0x66;
		bytes[len++] = 0x81; /* ADD imm16 */
		bytes[len++] = 0xc0;
		bytes[len++] = byte(g);
		bytes[len++] = byte(g);
	}
	return put(g, bytes, len);
}

bool generate_host_is_amd(void)
{
	__builtin_cpu_init();
	return __builtin_cpu_is("amd");
}

/* AMD's of family 1Ah read the other operand first. */
static bool host_reads_di_first(void)
{
	const unsigned turned = 0x1a;
	unsigned eax, ebx, ecx, edx;
	return !generate_host_is_amd() || !__get_cpuid(1, &eax, &ebx, &ecx, &edx) ||
	       (eax >> 8 & 15) + (eax >> 20 & 0xff) < turned;
}

bool generate_host_has_keys(void)
{
	unsigned eax, ebx, ecx, edx;
	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx & bit_OSPKE);
}

/* What a cell writes where it does not, others find. */
static bool host_keeps_bases(void)
{
	return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

bool generate_host_resents_locks(void)
{
	unsigned eax, ebx, ecx, edx;
	return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx & BUS_LOCK_DETECT);
}

static bool may_stand(const struct generator *g, const struct pattern *t)
{
	static const char letters[] = {'p', 'u', 'u', 'k', 't', 'k'};
	if (strchr(t->where, 'A') && !generate_host_is_amd())
		return false;
	if (strchr(t->where, 'D') && !host_reads_di_first())
		return false;
	if (strchr(t->where, 'K') && !generate_host_has_keys())
		return false;
	if (strchr(t->where, 'B') && !host_keeps_bases())
		return false;
	if (strchr(t->where, 'L') && generate_host_resents_locks())
		return false;
	return strchr(t->where, letters[g->where]);
}

static bool put_template(struct generator *g, const struct pattern *t)
{
	if (strchr(t->where, 'S') && !is_user(g->where))
		g->s->flags |= SEQ_SYSTEM;
	if (strchr(t->where, 'W'))
		g->s->flags &= (uint16_t)~SEQ_STEP;
	if (strchr(t->where, 'I') && !is_user(g->where))
		g->s->flags |= SEQ_IRQ;
	return put(g, t->code, (unsigned)(t->end - t->code));
}

static bool put_any_template(struct generator *g)
{
	const struct pattern *t;
	do
		t = &templates[below(g, (unsigned)(templates_end - templates))];
	while (!may_stand(g, t));
	return put_template(g, t);
}

static bool put_item(struct generator *g)
{
	uint16_t jump = g->s->size;
	bool jumps = one_in(g, 12);
	if (jumps) {
		/* Jcc, LOOPcc or JRCXZ over the item, with hints and what else may stand before it. */
		static const uint8_t before[] = {0x2e, 0x3e, 0xf2, 0xf3, 0x26, 0x36, 0x64, 0x65, 0x67, 0x48, 0x41};
		uint8_t code[2] = {(uint8_t)(one_in(g, 6) ? 0xe0 + below(g, 4) : 0x70 + below(g, 16)), 0};
		uint8_t prefix = before[below(g, sizeof(before))];
		if ((one_in(g, 4) && !put(g, &prefix, 1)) || !put(g, code, sizeof(code)))
			return false;
		jump = g->s->size;
	}
	bool room = one_in(g, 80)   ? put_refused(g)
		    : one_in(g, 30) ? put_change(g)
		    : one_in(g, 5)  ? put_any_template(g)
		    : one_in(g, 3)  ? put_row(g)
				    : put_random(g);
	if (jumps)
		g->s->code[jump - 1] = (uint8_t)(g->s->size - jump);
	return room;
}

static void put_items(struct generator *g)
{
	for (unsigned left = 1 + below(g, ITEMS_MAX); left && put_item(g); left--)
		;
}

void generate(struct sequence *s, uint64_t series, uint64_t n, enum generate_where where)
{
	struct generator g = {.random = seq_random_from(series << 32 ^ n), .where = where, .s = s};
	const uint64_t count = (uint64_t)(templates_end - templates);
	memset(s, 0, sizeof(*s));
	s->seed = seq_random(&g.random);
	s->flags = where == GENERATE_PROCESS || is_user(where) ? SEQ_USER : 0;
	if (where == GENERATE_NO_FPU)
		s->flags |= SEQ_NO_FPU;
	if (where == GENERATE_UPPER)
		s->flags |= SEQ_UPPER;
	s->offset = (uint16_t)(one_in(&g, 16) ? 0x1000 - below(&g, 64) : below(&g, 0x1000 - SEQ_CODE_MAX));
	if (one_in(&g, 8) && (is_user(where) || is_exact(where)))
		s->flags |= SEQ_STEP;
	else if (one_in(&g, 8) && is_exact(where))
		s->flags |= SEQ_IRQ;
	if (one_in(&g, 6))
		s->flags |= SEQ_AGAIN;
	if (n < TEMPLATE_TURNS * count && may_stand(&g, &templates[n % count]))
		put_template(&g, &templates[n % count]);
	else
		put_items(&g);
	memcpy(s->code + s->size, end, sizeof(end));
	s->size = (uint16_t)(s->size + sizeof(end));
}

void generate_print(const struct sequence *s, uint64_t base, FILE *to)
{
	uint64_t at = base + SEQ_CODE + s->offset;
	ZydisDisassembledInstruction insn;
	for (unsigned n = 0; n < s->size;) {
		char text[96] = "(bad)";
		unsigned len = 1;
		if (ZYAN_SUCCESS(ZydisDisassembleIntel(ZYDIS_MACHINE_MODE_LONG_64, at + n, s->code + n, s->size - n,
						       &insn))) {
			snprintf(text, sizeof(text), "%s", insn.text);
			len = insn.info.length;
		}
		fprintf(to, "%8lx  ", at + n);
		for (unsigned b = 0; b < len; b++)
			fprintf(to, "%02x", s->code[n + b]);
		fprintf(to, "%*s%s\n", (int)(32 - 2 * len), "", text);
		n += len;
	}
}

/*
 * Multiplication and division into two registers, bit scans and counts, bit tests, double shifts, exchanges, and shifts
 * of memory. As in alu.c each operation is the host's own instruction on values; what is rarer runs in the confined
 * task, and so does what would raise an exception.
 */
#include <string.h>

#include "monitor/engine/interpret/decode.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/host/cpuid.h"

/* The values of one instruction: a its first operand, b its second; flags in AX form. */
struct integer {
	uint64_t a, b;
	uint64_t rax, rdx;
	uint8_t count;
	uint32_t flags;
};
typedef void integer_function(struct integer *v);

#define TAKE_FLAGS "\n\tlahf\n\tseto %%al"
#define SET_ALL	   "addb $0x7f, %%al\n\tsahf\n\t"

/* a = op(a, b), or a, b = op(a, b) */
#define TWO(name, text, n, m)                                                                                          \
	static void name##n(struct integer *v)                                                                         \
	{                                                                                                              \
		uint##n##_t a = (uint##n##_t)v->a, b = (uint##n##_t)v->b;                                              \
		uint32_t ax = v->flags;                                                                                \
		__asm__(SET_ALL text TAKE_FLAGS : [a] "+&r"(a), [b] "+&r"(b), "+&a"(ax) : "c"(v->count) : "cc");       \
		v->a = a;                                                                                              \
		v->b = b;                                                                                              \
		v->flags = ax & FLAGS_ALL;                                                                             \
	}
/* The same of a whole register: whether its upper half is kept where there is no result is the processor's choice. */
#define SCAN(name, text, n, m)                                                                                         \
	static void name##n(struct integer *v)                                                                         \
	{                                                                                                              \
		uint32_t ax = v->flags;                                                                                \
		__asm__(SET_ALL SRC(text, m) TAKE_FLAGS : [a] "+&r"(v->a), "+&a"(ax) : [b] "r"(v->b) : "cc");          \
		v->flags = ax & FLAGS_ALL;                                                                             \
	}
/* RAX, RDX = op(RAX, RDX, b) */
#define WIDE(name, text, n, m)                                                                                         \
	static void name##n(struct integer *v)                                                                         \
	{                                                                                                              \
		uint##n##_t b = (uint##n##_t)v->b;                                                                     \
		uint64_t low = v->rax;                                                                                 \
		uint32_t ax = v->flags;                                                                                \
		__asm__(SET_ALL "mov %[low], %%rax\n\t" text " %" #m "[b]\n\tmov %%rax, %[low]" TAKE_FLAGS             \
			: [low] "+&r"(low), "+&d"(v->rdx), "+&a"(ax)                                                   \
			: [b] "r"(b)                                                                                   \
			: "cc");                                                                                       \
		v->rax = low;                                                                                          \
		v->flags = ax & FLAGS_ALL;                                                                             \
	}
#define SRC(text, m)		text " %" #m "[b], %" #m "[a]"
#define SCAN_SIZES(name)	SCAN(name, #name "w", 16, w) SCAN(name, #name "l", 32, k) SCAN(name, #name "q", 64, q)
#define REST_OF(name)		name##16, name##32, name##64
#define TWO_WIDE(name, w, k, q) TWO(name, w, 16, w) TWO(name, k, 32, k) TWO(name, q, 64, q)
#define TWO_SIZES(name, text)	TWO_WIDE(name, SRC(text "w", w), SRC(text "l", k), SRC(text "q", q))
#define WIDE_SIZES(name, text)	WIDE(name, text "w", 16, w) WIDE(name, text "l", 32, k) WIDE(name, text "q", 64, q)

SCAN_SIZES(bsf)
SCAN_SIZES(bsr)
SCAN_SIZES(tzcnt)
SCAN_SIZES(lzcnt)
SCAN_SIZES(popcnt)
TWO_SIZES(bt, "bt")
TWO_SIZES(bts, "bts")
TWO_SIZES(btr, "btr")
TWO_SIZES(btc, "btc")
TWO_WIDE(shld, "shldw %%cl, %w[b], %w[a]", "shldl %%cl, %k[b], %k[a]", "shldq %%cl, %q[b], %q[a]")
TWO_WIDE(shrd, "shrdw %%cl, %w[b], %w[a]", "shrdl %%cl, %k[b], %k[a]", "shrdq %%cl, %q[b], %q[a]")
TWO(xadd, SRC("xaddb", b), 8, b)
TWO_SIZES(xadd, "xadd")
WIDE_SIZES(mul, "mul")
WIDE_SIZES(imul, "imul")
WIDE_SIZES(div, "div")
WIDE_SIZES(idiv, "idiv")

#define SHIFT(name)                                                                                                    \
	TWO(name, #name "b %%cl, %b[a]", 8, b)                                                                         \
	TWO_WIDE(name, #name "w %%cl, %w[a]", #name "l %%cl, %k[a]", #name "q %%cl, %q[a]")
SHIFT(shl)
SHIFT(shr)
SHIFT(sar)
SHIFT(rol)
SHIFT(ror)
SHIFT(rcl)
SHIFT(rcr)

/* a = b shifted by count: BMI2's, which touch no flags. */
#define APART(name, n, sign, shifted)                                                                                  \
	static void name##n(struct integer *v)                                                                         \
	{                                                                                                              \
		unsigned count = v->count & (n - 1);                                                                   \
		sign##n##_t b = (sign##n##_t)v->b;                                                                     \
		v->a = (uint##n##_t)(shifted);                                                                         \
	}
#define APART_SIZES(name, sign, shifted) APART(name, 32, sign, shifted) APART(name, 64, sign, shifted)
APART_SIZES(shlx, uint, b << count)
APART_SIZES(shrx, uint, b >> count)
APART_SIZES(sarx, int, b >> count)
APART(rorx, 32, uint, b >> count | b << (-count & 31))
APART(rorx, 64, uint, b >> count | b << (-count & 63))
TWO(bzhi, "bzhil %%ecx, %k[b], %k[a]", 32, k)
TWO(bzhi, "bzhiq %%rcx, %q[b], %q[a]", 64, q)
#define BITS(name) SCAN(name, #name "l", 32, k) SCAN(name, #name "q", 64, q)
BITS(blsr)
BITS(blsi)
BITS(blsmsk)

/* Compares the accumulator with a: the flags of that CMP, and a = b if they are equal, else the accumulator = a. */
#define CMPXCHG(n, m)                                                                                                  \
	static void cmpxchg##n(struct integer *v)                                                                      \
	{                                                                                                              \
		uint##n##_t a = (uint##n##_t)v->a, low = (uint##n##_t)v->rax;                                          \
		uint32_t ax = v->flags;                                                                                \
		__asm__("cmp %" #m "[a], %" #m "[low]" TAKE_FLAGS : "+&a"(ax) : [a] "r"(a), [low] "r"(low) : "cc");    \
		v->rax = a;                                                                                            \
		if (a == low)                                                                                          \
			v->a = v->b;                                                                                   \
		v->flags = ax & FLAGS_ALL;                                                                             \
	}
CMPXCHG(8, b)
CMPXCHG(16, w)
CMPXCHG(32, k)
CMPXCHG(64, q)

/* --------------------------------------------------------------------------------------------------- operands */

/* How the values are found and where results go. */
enum shape {
	SHAPE_SCAN,	/* register from register or memory */
	SHAPE_TEST,	/* register or memory, which is read, with register or immediate */
	SHAPE_CHANGE,	/* the same, changed */
	SHAPE_EXCHANGE, /* register or memory and a register, both changed */
	SHAPE_COMPARE,	/* likewise, with the accumulator */
	SHAPE_DOUBLE,	/* register or memory, register, count */
	SHAPE_SHIFT,	/* memory, count */
	SHAPE_APART,	/* register from register or memory, and a count */
	SHAPE_MULTIPLY, /* the accumulator by register or memory */
	SHAPE_DIVIDE,
	SHAPE_DIVIDE_SIGNED,
};

struct integer_entry {
	ZydisMnemonic mnemonic;
	enum shape shape;
	integer_function *run[WIDTH_COUNT];
};

#define WIDTHS3(NAME, name, shape)                                                                                     \
	{                                                                                                              \
		ZYDIS_MNEMONIC_##NAME, shape,                                                                          \
		{                                                                                                      \
			NULL, REST_OF(name)                                                                            \
		}                                                                                                      \
	}
#define WIDTHS4(NAME, name, shape)                                                                                     \
	{                                                                                                              \
		ZYDIS_MNEMONIC_##NAME, shape,                                                                          \
		{                                                                                                      \
			name##8, REST_OF(name)                                                                         \
		}                                                                                                      \
	}
#define WIDTHS2(NAME, name, shape)                                                                                     \
	{                                                                                                              \
		ZYDIS_MNEMONIC_##NAME, shape,                                                                          \
		{                                                                                                      \
			NULL, NULL, name##32, name##64                                                                 \
		}                                                                                                      \
	}
static const struct integer_entry entries[] = {
	WIDTHS3(BSF, bsf, SHAPE_SCAN),
	WIDTHS3(BSR, bsr, SHAPE_SCAN),
	WIDTHS3(TZCNT, tzcnt, SHAPE_SCAN),
	WIDTHS3(LZCNT, lzcnt, SHAPE_SCAN),
	WIDTHS3(POPCNT, popcnt, SHAPE_SCAN),
	WIDTHS3(BT, bt, SHAPE_TEST),
	WIDTHS3(BTS, bts, SHAPE_CHANGE),
	WIDTHS3(BTR, btr, SHAPE_CHANGE),
	WIDTHS3(BTC, btc, SHAPE_CHANGE),
	WIDTHS3(SHLD, shld, SHAPE_DOUBLE),
	WIDTHS3(SHRD, shrd, SHAPE_DOUBLE),
	WIDTHS4(XADD, xadd, SHAPE_EXCHANGE),
	WIDTHS4(CMPXCHG, cmpxchg, SHAPE_COMPARE),
	WIDTHS4(SHL, shl, SHAPE_SHIFT),
	WIDTHS4(SHR, shr, SHAPE_SHIFT),
	WIDTHS4(SAR, sar, SHAPE_SHIFT),
	WIDTHS4(ROL, rol, SHAPE_SHIFT),
	WIDTHS4(ROR, ror, SHAPE_SHIFT),
	WIDTHS4(RCL, rcl, SHAPE_SHIFT),
	WIDTHS4(RCR, rcr, SHAPE_SHIFT),
	WIDTHS2(SHLX, shlx, SHAPE_APART),
	WIDTHS2(SHRX, shrx, SHAPE_APART),
	WIDTHS2(SARX, sarx, SHAPE_APART),
	WIDTHS2(RORX, rorx, SHAPE_APART),
	WIDTHS2(BZHI, bzhi, SHAPE_APART),
	WIDTHS2(BLSR, blsr, SHAPE_SCAN),
	WIDTHS2(BLSI, blsi, SHAPE_SCAN),
	WIDTHS2(BLSMSK, blsmsk, SHAPE_SCAN),
	WIDTHS3(MUL, mul, SHAPE_MULTIPLY),
	WIDTHS3(IMUL, imul, SHAPE_MULTIPLY),
	WIDTHS3(DIV, div, SHAPE_DIVIDE),
	WIDTHS3(IDIV, idiv, SHAPE_DIVIDE_SIGNED),
};

static uint64_t mask_of(enum width width)
{
	return width == WIDTH_64 ? UINT64_MAX : (R3_U64(1) << (8u << width)) - 1;
}

static void set_register(struct engine_vcpu *c, enum width width, uint8_t offset, uint64_t value)
{
	switch (width) {
	case WIDTH_8:
		SET8(offset, (uint8_t)value);
		break;
	case WIDTH_16:
		SET16(offset, (uint16_t)value);
		break;
	case WIDTH_32:
		SET32(offset, (uint32_t)value);
		break;
	default:
		SET64(offset, value);
	}
}

static uint64_t get_register(const struct engine_vcpu *c, enum width width, uint8_t offset)
{
	uint64_t value = 0;
	memcpy(&value, (const char *)c->gpr + offset, 1u << width);
	return value;
}

static bool load(struct engine_vcpu *c, const struct insn *i, enum width width, uint64_t *value)
{
	uint64_t gva = address_of(c, i);
	*value = 0;
	switch (width) {
	case WIDTH_8:
		return load8(c, gva, i->ea, (uint8_t *)value);
	case WIDTH_16:
		return load16(c, gva, i->ea, (uint16_t *)value);
	case WIDTH_32:
		return load32(c, gva, i->ea, (uint32_t *)value);
	default:
		return load64(c, gva, i->ea, value);
	}
}

static void *modify(struct engine_vcpu *c, const struct insn *i, enum width width)
{
	uint64_t gva = address_of(c, i);
	switch (width) {
	case WIDTH_8:
		return modify8(c, gva, i->ea);
	case WIDTH_16:
		return modify16(c, gva, i->ea);
	case WIDTH_32:
		return modify32(c, gva, i->ea);
	default:
		return modify64(c, gva, i->ea);
	}
}

/* -------------------------------------------------------------------------------------------------------- running */

static void run_scan(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	struct integer v = {.a = c->gpr[i->dst / sizeof(uint64_t)], .flags = c->flags};
	if (!d->size)
		v.b = get_register(c, d->width, i->src);
	else if (!load(c, i, d->width, &v.b))
		FAULT;
	d->integer->run[d->width](&v);
	set_register(c, d->width == WIDTH_16 ? WIDTH_16 : WIDTH_64, i->dst, v.a);
	c->flags = v.flags;
	NEXT;
}

static void run_apart(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	struct integer v = {.count = (uint8_t)(d->immediate ? (uint64_t)i->imm : c->gpr[d->first]), .flags = c->flags};
	if (!d->size)
		v.b = get_register(c, d->width, i->src);
	else if (!load(c, i, d->width, &v.b))
		FAULT;
	d->integer->run[d->width](&v);
	set_register(c, d->width, i->dst, v.a);
	c->flags = v.flags;
	NEXT;
}

static void run_test(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	struct integer v = {.b = d->immediate ? (uint64_t)i->imm : get_register(c, d->width, i->src),
			    .flags = c->flags};
	if (!d->size)
		v.a = get_register(c, d->width, i->dst);
	else if (!load(c, i, d->width, &v.a))
		FAULT;
	d->integer->run[d->width](&v);
	c->flags = v.flags;
	NEXT;
}

/* The first operand is changed, in memory or a register; with SHAPE_EXCHANGE and SHAPE_COMPARE another register too. */
static void run_change(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	enum shape shape = d->integer->shape;
	struct integer v = {.flags = c->flags, .rax = c->gpr[RAX]};
	bool differs;
	void *p = d->size ? modify(c, i, d->width) : NULL;
	if (d->size && unlikely(!p))
		FAULT;
	if (p)
		memcpy(&v.a, p, 1u << d->width);
	else
		v.a = get_register(c, d->width, i->dst);
	v.count = d->immediate ? (uint8_t)i->imm : (uint8_t)c->gpr[RCX];
	if (shape == SHAPE_CHANGE && d->immediate)
		v.b = (uint64_t)i->imm;
	else if (shape != SHAPE_SHIFT)
		v.b = get_register(c, d->width, i->src);
	d->integer->run[d->width](&v);
	c->flags = v.flags;
	differs = !(c->flags & FLAG_ZF);
	/* XADD of a register with itself keeps the sum; the destination comes last. */
	if (shape == SHAPE_EXCHANGE)
		set_register(c, d->width, i->src, v.b);
	if (shape == SHAPE_COMPARE && differs)
		set_register(c, d->width, 0, v.rax);
	if (p) {
		memcpy(p, &v.a, 1u << d->width);
		if (unlikely(c->bounce.size))
			memory_commit(c);
	} else if (shape != SHAPE_COMPARE || !differs) {
		set_register(c, d->width, i->dst, v.a);
	}
	NEXT_STORED;
}

/* The quotient fits, without a look at the corners with a sign: those are the processor's to judge. */
static bool divides(const struct integer *v, enum width width, bool with_sign)
{
	uint64_t mask = mask_of(width), b = v->b & mask, high = v->rdx & mask, sign = (mask >> 1) + 1;
	return with_sign ? b && b != mask && high == ((v->rax & sign) ? mask : 0) : high < b;
}

static void run_wide(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	enum shape shape = d->integer->shape;
	struct integer v = {.rax = c->gpr[RAX], .rdx = c->gpr[RDX], .flags = c->flags};
	if (!d->size)
		v.b = get_register(c, d->width, i->dst);
	else if (!load(c, i, d->width, &v.b))
		FAULT;
	if (shape != SHAPE_MULTIPLY && unlikely(!divides(&v, d->width, shape == SHAPE_DIVIDE_SIGNED))) {
		bool corner = shape == SHAPE_DIVIDE_SIGNED && v.b & mask_of(d->width);
		corner ? native_run_insn(c, i) : interp_raise(c, i, X86_VEC_DE, 0);
		return;
	}
	d->integer->run[d->width](&v);
	set_register(c, d->width, 0, v.rax);
	set_register(c, d->width, sizeof(uint64_t) * RDX, v.rdx);
	c->flags = v.flags;
	NEXT;
}

/* The multiplications that arithmetic on large numbers consists of, each a function of its own. */
#define MULTIPLY(name, n)                                                                                              \
	static void run_##name##n(struct engine_vcpu *c, const struct insn *i)                                         \
	{                                                                                                              \
		struct integer v = {.rax = c->gpr[RAX], .rdx = c->gpr[RDX], .flags = c->flags};                        \
		uint##n##_t b;                                                                                         \
		if (!i->detail->size)                                                                                  \
			b = REG(n, i->dst);                                                                            \
		else if (!load##n(c, address_of(c, i), i->ea, &b))                                                     \
			FAULT;                                                                                         \
		v.b = b;                                                                                               \
		name##n(&v);                                                                                           \
		SET##n(0, v.rax);                                                                                      \
		SET##n(sizeof(uint64_t) * RDX, v.rdx);                                                                 \
		c->flags = v.flags;                                                                                    \
		NEXT;                                                                                                  \
	}
MULTIPLY(mul, 32)
MULTIPLY(mul, 64)

/* Of 16 bytes there is no quick way to the end of an entry, but the tag says so. */
static void *modify_pair(struct engine_vcpu *c, uint64_t gva, unsigned size, unsigned ea)
{
	const struct tlb_entry *e = tlb_entry(c, gva);
	return likely(e->write == tlb_tag(c, gva, size)) ? (void *)(gva + e->addend) : memory_modify(c, gva, size, ea);
}

/* CMPXCHG8B, CMPXCHG16B: RDX:RAX with memory, RCX:RBX to it. What is not equal is written back as it was. */
static void run_compare_pair(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	unsigned half = d->size / 2;
	enum width width = half == 8 ? WIDTH_64 : WIDTH_32;
	uint64_t gva = address_of(c, i), old[2] = {0}, set[2] = {c->gpr[RBX], c->gpr[RCX]};
	if (unlikely(d->align && gva % d->align)) {
		native_run_insn(c, i);
		return;
	}
	uint8_t *p = modify_pair(c, gva, d->size, i->ea);
	if (unlikely(!p))
		FAULT;
	memcpy(&old[0], p, half);
	memcpy(&old[1], p + half, half);
	bool equal = !(((old[0] ^ c->gpr[RAX]) | (old[1] ^ c->gpr[RDX])) & mask_of(width));
	memcpy(p, equal ? &set[0] : &old[0], half);
	memcpy(p + half, equal ? &set[1] : &old[1], half);
	if (unlikely(c->bounce.size))
		memory_commit(c);
	c->flags = (c->flags & ~FLAG_ZF) | (equal ? FLAG_ZF : 0);
	if (!equal) {
		set_register(c, width, 0, old[0]);
		set_register(c, width, sizeof(uint64_t) * RDX, old[1]);
	}
	NEXT_STORED;
}

static void run_bswap(struct engine_vcpu *c, const struct insn *i)
{
	if (i->detail->width == WIDTH_64)
		SET64(i->dst, __builtin_bswap64(REG(64, i->dst)));
	else
		SET32(i->dst, __builtin_bswap32(REG(32, i->dst)));
	NEXT;
}

/* --------------------------------------------------------------------------------------------------------- decoding */

static const struct integer_entry *find(ZydisMnemonic m)
{
	for (unsigned n = 0; n < sizeof(entries) / sizeof(entries[0]); n++)
		if (entries[n].mnemonic == m)
			return &entries[n];
	return NULL;
}

static insn_function *function_of(enum shape shape)
{
	switch (shape) {
	case SHAPE_SCAN:
		return run_scan;
	case SHAPE_TEST:
		return run_test;
	case SHAPE_APART:
		return run_apart;
	case SHAPE_MULTIPLY:
	case SHAPE_DIVIDE:
	case SHAPE_DIVIDE_SIGNED:
		return run_wide;
	default:
		return run_change;
	}
}

insn_function *integer_pick(struct insn *i)
{
	struct insn_detail *d = i->detail;
	const struct emu_insn *emu = &d->emu;
	unsigned last = emu->info.operand_count_visible ? emu->info.operand_count_visible - 1u : 0;
	d->width = (uint8_t)decode_width(emu->operands[0].size);
	d->immediate = emu->operands[last].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (emu->info.mnemonic == ZYDIS_MNEMONIC_BSWAP)
		return d->width >= WIDTH_32 ? run_bswap : NULL;
	if (emu->info.mnemonic == ZYDIS_MNEMONIC_CMPXCHG8B || emu->info.mnemonic == ZYDIS_MNEMONIC_CMPXCHG16B)
		return run_compare_pair;
	if (emu->info.mnemonic == ZYDIS_MNEMONIC_POPCNT && !CPU_FEATURE_ACTIVE(POPCNT))
		return NULL;
	if (emu->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY && !CPU_FEATURE_ACTIVE(BMI2))
		return NULL;
	d->integer = find(emu->info.mnemonic);
	if (!d->integer || !d->integer->run[d->width] || (d->integer->shape >= SHAPE_MULTIPLY && last))
		return NULL;
	if (d->integer->shape == SHAPE_APART && !d->immediate)
		d->first = (uint8_t)ZydisRegisterGetId(emu->operands[last].reg.value);
	if (d->immediate)
		i->imm = (int64_t)(emu->operands[last].imm.value.u & 0xff);
	if (emu->info.mnemonic == ZYDIS_MNEMONIC_MUL && d->width >= WIDTH_32)
		return d->width == WIDTH_64 ? run_mul64 : run_mul32;
	return function_of(d->integer->shape);
}

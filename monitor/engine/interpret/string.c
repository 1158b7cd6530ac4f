/*
 * String instructions: MOVS, STOS, LODS, SCAS, CMPS, with their repetitions. Each iteration is complete in itself, so a
 * fault or an interrupt finds the registers as the manual has them and the instruction starts again where it stopped.
 */
#include <string.h>

#include "monitor/engine/interpret/ops.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/* After so many iterations somebody else has a turn; the instruction is then begun again. */
#define ITERATIONS 65536

struct string {
	unsigned size;
	bool repeats, repeat_equal;
	uint64_t mask;		/* of addresses and count */
	uint64_t step;		/* added to addresses */
	enum vcpu_sreg segment; /* of the source */
};

static struct string describe(const struct engine_vcpu *c, const struct insn *i)
{
	struct string s = {.size = i->imm & STRING_SIZE,
			   .repeats = i->imm & (STRING_REPE | STRING_REPNE),
			   .repeat_equal = i->imm & STRING_REPE,
			   .mask = i->imm & STRING_A32	 ? UINT32_MAX
				   : i->imm & STRING_A16 ? UINT16_MAX
							 : UINT64_MAX,
			   .segment = (enum vcpu_sreg)(i->imm >> STRING_SREG_SHIFT)};
	s.step = c->vcpu->rflags & X86_RFLAGS_DF ? -(uint64_t)s.size : s.size;
	return s;
}

/* Registers of 16 bits leave the rest alone; those of 32 clear the upper half. */
static void add(struct engine_vcpu *c, const struct string *s, enum vcpu_gpr reg, uint64_t value)
{
	uint64_t kept = s->mask == UINT16_MAX ? c->gpr[reg] & ~s->mask : 0;
	c->gpr[reg] = kept | ((c->gpr[reg] + value) & s->mask);
}

static void advance(struct engine_vcpu *c, const struct string *s, enum vcpu_gpr reg, uint64_t count)
{
	add(c, s, reg, s->step * count);
}

static uint64_t remaining(const struct engine_vcpu *c, const struct string *s)
{
	return s->repeats ? c->gpr[RCX] & s->mask : 1;
}

static void count_off(struct engine_vcpu *c, const struct string *s, uint64_t count)
{
	if (s->repeats)
		add(c, s, RCX, -count);
}

static bool read_element(struct engine_vcpu *c, const struct string *s, uint64_t gva, unsigned ea, uint64_t *value)
{
	union {
		uint8_t b;
		uint16_t w;
		uint32_t d;
		uint64_t q;
	} v = {.q = 0};
	bool ok = s->size == 1	 ? load8(c, gva, ea, &v.b)
		  : s->size == 2 ? load16(c, gva, ea, &v.w)
		  : s->size == 4 ? load32(c, gva, ea, &v.d)
				 : load64(c, gva, ea, &v.q);
	*value = v.q;
	return ok;
}

static bool write_element(struct engine_vcpu *c, const struct string *s, uint64_t gva, uint64_t value)
{
	switch (s->size) {
	case 1:
		return store8(c, gva, 0, (uint8_t)value);
	case 2:
		return store16(c, gva, 0, (uint16_t)value);
	case 4:
		return store32(c, gva, 0, (uint32_t)value);
	default:
		return store64(c, gva, 0, value);
	}
}

/* The linear address of `len` bytes at an offset of the segment. */
static uint64_t address(const struct engine_vcpu *c, enum vcpu_sreg segment, uint64_t offset, uint64_t len, bool write)
{
	bool apart = segment == SREG_FS || segment == SREG_GS || (segment == SREG_CS && !c->wide);
	if (likely(c->flat && !apart))
		return offset;
	return c->wide ? offset + c->vcpu->sreg[segment].base
		       : address_within(c, segment, offset, (unsigned)len, write);
}

static uint64_t source(const struct engine_vcpu *c, const struct string *s, uint64_t len)
{
	return address(c, s->segment, c->gpr[RSI] & s->mask, len, false);
}

static uint64_t destination(const struct engine_vcpu *c, const struct string *s, uint64_t len, bool write)
{
	return address(c, SREG_ES, c->gpr[RDI] & s->mask, len, write);
}

static bool read_source(struct engine_vcpu *c, const struct string *s, uint64_t *value)
{
	unsigned ea = s->segment == SREG_SS && !c->wide ? EA_STACK : 0;
	return read_element(c, s, source(c, s, s->size), ea, value);
}

static bool read_destination(struct engine_vcpu *c, const struct string *s, uint64_t *value)
{
	return read_element(c, s, destination(c, s, s->size, false), 0, value);
}

/* One iteration of each. False: the exit is set. */
typedef bool iteration(struct engine_vcpu *c, const struct string *s, bool *again);

static bool movs(struct engine_vcpu *c, const struct string *s, bool *again)
{
	uint64_t v;
	if (!read_source(c, s, &v) || !write_element(c, s, destination(c, s, s->size, true), v))
		return false;
	advance(c, s, RSI, 1);
	advance(c, s, RDI, 1);
	return true;
}

static bool stos(struct engine_vcpu *c, const struct string *s, bool *again)
{
	if (!write_element(c, s, destination(c, s, s->size, true), c->gpr[RAX]))
		return false;
	advance(c, s, RDI, 1);
	return true;
}

static bool lods(struct engine_vcpu *c, const struct string *s, bool *again)
{
	uint64_t v;
	if (!read_source(c, s, &v))
		return false;
	if (s->size >= 4)
		c->gpr[RAX] = v;
	else
		memcpy(&c->gpr[RAX], &v, s->size);
	advance(c, s, RSI, 1);
	return true;
}

/* Flags of left - right, made by the host's own CMP. */
static void compare(struct engine_vcpu *c, const struct string *s, uint64_t left, uint64_t right, bool *again)
{
	uint32_t ax = c->flags;
#define CMP(text, m)                                                                                                   \
	__asm__(text " %" #m "[r], %" #m "[l]\n\tlahf\n\tseto %%al"                                                    \
		: "+&a"(ax)                                                                                            \
		: [l] "r"(left), [r] "r"(right)                                                                        \
		: "c"                                                                                                  \
		  "c")
	switch (s->size) {
	case 1:
		CMP("cmpb", b);
		break;
	case 2:
		CMP("cmpw", w);
		break;
	case 4:
		CMP("cmpl", k);
		break;
	default:
		CMP("cmpq", q);
	}
#undef CMP
	c->flags = ax;
	*again = s->repeat_equal == !!(ax & FLAG_ZF);
}

static bool scas(struct engine_vcpu *c, const struct string *s, bool *again)
{
	uint64_t v;
	if (!read_destination(c, s, &v))
		return false;
	compare(c, s, c->gpr[RAX], v, again);
	advance(c, s, RDI, 1);
	return true;
}

static bool cmps(struct engine_vcpu *c, const struct string *s, bool *again)
{
	uint64_t left, right;
	/* Of two that fault, processors tell the destination. */
	if (!read_destination(c, s, &right) || !read_source(c, s, &left))
		return false;
	compare(c, s, left, right, again);
	advance(c, s, RSI, 1);
	advance(c, s, RDI, 1);
	return true;
}

/* Registers of 16 bits begin anew before all of it is through. */
static bool wraps(const struct engine_vcpu *c, const struct string *s, enum vcpu_gpr reg, uint64_t len)
{
	return s->mask == UINT16_MAX && (c->gpr[reg] & s->mask) + len > s->mask + 1;
}

/* MOVS and STOS forward: as many elements as lie within one page each, at once. Returns how many. */
static uint64_t bulk(struct engine_vcpu *c, const struct string *s, bool moves, uint64_t count)
{
	uint64_t len = count * s->size;
	if (s->step != s->size || count < 8 || count > ITERATIONS || wraps(c, s, RDI, len) || wraps(c, s, RSI, len))
		return 0;
	uint64_t source_gva = source(c, s, len);
	uint8_t *to = memory_span(c, destination(c, s, len, true), &len, true), *from = NULL;
	if (moves)
		from = to ? memory_span(c, source_gva, &len, false) : NULL;
	if (!to || (moves && !from))
		return 0;
	len -= len % s->size;
	/* Overlap towards higher addresses repeats what was just written. */
	if (moves && to > from && to < from + len)
		return 0;
	if (moves)
		memmove(to, from, len);
	else if (s->size == 1)
		memset(to, (uint8_t)c->gpr[RAX], len);
	else
		for (uint64_t n = 0; n < len; n += s->size)
			memcpy(to + n, &c->gpr[RAX], s->size);
	uint64_t done = len / s->size;
	if (moves)
		advance(c, s, RSI, done);
	advance(c, s, RDI, done);
	return done;
}

/* Nothing has been stored over the instruction so far. */
static bool still_there(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t bytes[sizeof(i->disp)];
	size_t len = (size_t)(i->end - i->start), kept = len < sizeof(bytes) ? len : sizeof(bytes);
	return gm_peek(c->vcpu, code_address(c, c->base + i->end - kept), bytes, kept) == kept &&
	       !memcmp(bytes, &i->disp, kept);
}

/*
 * An instruction under way goes on whatever it stores over itself (SDM 3A 11.6, as for traps). Stopped, it would be
 * decoded anew; so what the guest is not to notice stops it only where that makes no difference.
 */
static bool pauses(struct engine_vcpu *c, const struct insn *i, unsigned turn)
{
	return c->single || c->watch_hits || c->vcpu->data_hits || turn == ITERATIONS ||
	       (atomic_load(&c->vm->attention) && still_there(c, i));
}

enum bulk { NO_BULK, BULK_MOVES, BULK_STORES };

/* No iteration at all: Intel's processors clear upper halves as if there had been one, of what is only read RCX's
 * alone. */
static void none_to_repeat(struct engine_vcpu *c, const struct string *s, enum bulk how)
{
	if (c->vm->cpu.amd)
		return;
	add(c, s, RCX, 0);
	if (how)
		add(c, s, RDI, 0);
	if (how == BULK_MOVES)
		add(c, s, RSI, 0);
}

/* Comparisons that fault show the flags of the last iteration; on Intel's processors those from before (SDM 2B REP). */
static void undo_flags(struct engine_vcpu *c, uint32_t flags)
{
	if (!c->vm->cpu.amd)
		c->flags = flags;
}

static void repeat(struct engine_vcpu *c, const struct insn *i, iteration *once, enum bulk how)
{
	struct string s = describe(c, i);
	const uint32_t flags = c->flags;
	uint64_t left = remaining(c, &s);
	bool again = true;
	if (!left)
		none_to_repeat(c, &s, how);
	for (unsigned turn = 0; left && again; turn++) {
		uint64_t done = how && !c->single && !c->watching
					? bulk(c, &s, how == BULK_MOVES, left < ITERATIONS ? left : ITERATIONS)
					: 0;
		if (!done) {
			if (!once(c, &s, &again)) {
				undo_flags(c, flags);
				FAULT;
			}
			done = 1;
		}
		count_off(c, &s, done);
		left -= done;
		if (left && again && pauses(c, i, turn)) {
			/* Not done: RIP stays. */
			c->broken = true;
			FAULT;
		}
	}
	NEXT_STORED;
}

void op_movs(struct engine_vcpu *c, const struct insn *i)
{
	repeat(c, i, movs, BULK_MOVES);
}

void op_stos(struct engine_vcpu *c, const struct insn *i)
{
	repeat(c, i, stos, BULK_STORES);
}

void op_lods(struct engine_vcpu *c, const struct insn *i)
{
	repeat(c, i, lods, NO_BULK);
}

void op_scas(struct engine_vcpu *c, const struct insn *i)
{
	repeat(c, i, scas, NO_BULK);
}

void op_cmps(struct engine_vcpu *c, const struct insn *i)
{
	repeat(c, i, cmps, NO_BULK);
}

/* A whole line at once: MOVDIR64B, CLZERO. Their destination is a register's, and aligned or made so. */
#define LINE 64

static void store_line(struct engine_vcpu *c, const struct insn *i, uint64_t gva, const uint8_t *line)
{
	if (!memory_write(c, gva, line, LINE, 0))
		FAULT;
	NEXT_STORED;
}

/* SDM 2B MOVDIR64B; CPUID leaf 7. */
void op_movdir64b(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t line[LINE];
	uint64_t offset = i->ea & EA_32	  ? REG(32, i->dst)
			  : i->ea & EA_16 ? REG(16, i->dst)
					  : REG(64, i->dst) & c->offsets;
	uint64_t gva = address(c, SREG_ES, offset, LINE, true);
	if (!c->vm->cpu.has[CPU_movdir64b]) {
		interp_raise(c, i, X86_VEC_UD, 0);
		return;
	}
	if (gva % LINE) {
		interp_raise(c, i, X86_VEC_GP, 0);
		return;
	}
	if (!memory_read(c, address_of(c, i), line, LINE, i->ea))
		FAULT;
	store_line(c, i, gva, line);
}

/* APM 3 CLZERO; CPUID leaf 80000008h. */
void op_clzero(struct engine_vcpu *c, const struct insn *i)
{
	static const uint8_t zeros[LINE];
	if (!c->vm->cpu.has[CPU_clzero]) {
		interp_raise(c, i, X86_VEC_UD, 0);
		return;
	}
	uint64_t offset = c->gpr[RAX] & ~(uint64_t)(LINE - 1);
	store_line(c, i, address(c, SREG_DS, c->wide ? offset : (uint32_t)offset, LINE, true), zeros);
}

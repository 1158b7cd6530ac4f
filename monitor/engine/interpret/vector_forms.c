/*
 * The common SSE and AVX instructions, on the registers in the FPU image. As in alu.c each operation is the host's own
 * instruction on values, so results and flags are the processor's; what could raise an exception runs in the confined
 * task. A vector of 256 bits is done in halves.
 */
#include "monitor/engine/interpret/vector_forms.h"

#include <immintrin.h>
#include <string.h>

#define AVX_BIT 2
#define ZMM_BIT 6

/* ------------------------------------------------------------------------------------------------------ registers */

uint8_t *vector_high(struct engine_vcpu *c, unsigned n)
{
	return c->fpu + vector_component(AVX_BIT).offset + n * HALF;
}

/* Makes the registers that the instruction works on good as they stand in the image. */
static void ready(struct engine_vcpu *c, bool vex)
{
	uint64_t present, wanted = X86_XCR0_SSE | (vex ? X86_XCR0_AVX : 0);
	native_fpu_borrow(c);
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	if (likely(!(wanted & ~present)))
		return;
	if (!(present & X86_XCR0_SSE))
		memset(vector_xmm(c, 0), 0, 16 * HALF);
	if (wanted & ~present & X86_XCR0_AVX)
		memset(vector_high(c, 0), 0, 16 * HALF);
	present |= wanted;
	memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
}

/* A register written by VEX: what lies above is zero. */
void vector_clear_above(struct engine_vcpu *c, unsigned n, bool whole)
{
	uint64_t present;
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	if (!whole)
		memset(vector_high(c, n), 0, HALF);
	if (unlikely(present >> ZMM_BIT & 1))
		memset(c->fpu + vector_component(ZMM_BIT).offset + n * WHOLE, 0, WHOLE);
}

/* ------------------------------------------------------------------------------------------------------------ MXCSR */

/*
 * From the first instruction that rounds the host's MXCSR is the guest's, whose exceptions are all masked: rounding,
 * denormals and flags are the processor's own. Nothing else that runs until vector_settle computes in floating point.
 * False: an exception is not masked.
 */
bool vector_round(struct engine_vcpu *c)
{
	uint32_t mxcsr;
	memcpy(&mxcsr, c->fpu + X86_FPU_MXCSR, sizeof(mxcsr));
	mxcsr &= X86_MXCSR_WRITABLE;
	if ((mxcsr & X86_MXCSR_MASKS) != X86_MXCSR_MASKS)
		return false;
	_mm_setcsr(mxcsr);
	c->rounding = true;
	return true;
}

void vector_settle(struct engine_vcpu *c)
{
	uint32_t mxcsr = _mm_getcsr();
	memcpy(c->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	_mm_setcsr(X86_MXCSR_RESET);
	c->rounding = false;
}

/* --------------------------------------------------------------------------------------------------------- running */

bool vector_ready(struct engine_vcpu *c)
{
	if (!c->sse || c->aligned)
		return false;
	ready(c, false);
	c->xmm_ready = true;
	return true;
}

/* Everything that could go another way is the task's: traps, refusals, unmasked exceptions, misaligned operands. */
bool vector_is_plain(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	if (d->width || !VECTOR_READY(c, false))
		ready(c, d->width);
	return (d->width ? c->avx : c->sse) && !c->aligned && !(d->align && address_of(c, i) & (d->align - 1u));
}

/* Sizes that operands have, so that each is a move. */
static inline void copy(void *to, const void *from, unsigned size)
{
	switch (size) {
	case 4:
		memcpy(to, from, 4);
		break;
	case 8:
		memcpy(to, from, 8);
		break;
	case HALF:
		memcpy(to, from, HALF);
		break;
	default:
		memcpy(to, from, size);
	}
}

static bool load_memory(struct engine_vcpu *c, const struct insn *i, uint8_t *to, unsigned size)
{
	uint64_t gva = address_of(c, i), len = size;
	const void *host = memory_span(c, gva, &len, false);
	if (unlikely(!host || len != size))
		return memory_read(c, gva, to, size, i->ea);
	copy(to, host, size);
	return true;
}

bool vector_store_memory(struct engine_vcpu *c, const struct insn *i, const uint8_t *from, unsigned size)
{
	uint64_t gva = address_of(c, i), len = size;
	void *host = memory_span(c, gva, &len, true);
	if (unlikely(!host || len != size))
		return memory_write(c, gva, from, size, i->ea);
	copy(host, from, size);
	return true;
}

/* The last source: a register, or memory of the operand's size, zero above. */
bool vector_load_source(struct engine_vcpu *c, const struct insn *i, uint8_t *s)
{
	const struct insn_detail *d = i->detail;
	if (d->size) {
		memset(s, 0, HALF);
		return load_memory(c, i, s, d->size);
	}
	memcpy(s, vector_xmm(c, i->src), HALF);
	if (d->width == WHOLE)
		memcpy(s + HALF, vector_high(c, i->src), HALF);
	return true;
}

void vector_store_result(struct engine_vcpu *c, const struct insn *i, const uint8_t *r)
{
	const struct insn_detail *d = i->detail;
	memcpy(vector_xmm(c, i->dst), r, HALF);
	if (!d->width)
		return;
	if (d->width == WHOLE)
		memcpy(vector_high(c, i->dst), r + HALF, HALF);
	vector_clear_above(c, i->dst, d->width == WHOLE);
}

void vector_load_first(struct engine_vcpu *c, const struct insn_detail *d, uint8_t *r)
{
	memcpy(r, vector_xmm(c, d->first), HALF);
	if (d->width == WHOLE)
		memcpy(r + HALF, vector_high(c, d->first), HALF);
}

void vector_run_operation(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	bool rounds = d->vector->kind == VECTOR_ROUNDS || d->vector->kind == VECTOR_SCALAR;
	uint8_t s[WHOLE], r[WHOLE];
	PLAIN_OR_TASK(rounds);
	if (!vector_load_source(c, i, s))
		FAULT;
	vector_load_first(c, d, r);
	d->vector->run(r, s);
	if (d->width == WHOLE)
		d->vector->run(r + HALF, s + HALF);
	vector_store_result(c, i, r);
	NEXT;
}

/* By an immediate. */
void vector_run_shift(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t s[HALF] = {(uint8_t)i->imm}, r[WHOLE];
	PLAIN_OR_TASK(false);
	vector_load_first(c, d, r);
	d->vector->run(r, s);
	if (d->width == WHOLE)
		d->vector->run(r + HALF, s);
	vector_store_result(c, i, r);
	NEXT;
}

void vector_run_load(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t s[WHOLE];
	PLAIN_OR_TASK(false);
	if (!vector_load_source(c, i, s))
		FAULT;
	vector_store_result(c, i, s);
	NEXT;
}

/* Between registers, in legacy encoding. */
void vector_move(struct engine_vcpu *c, const struct insn *i)
{
	if (unlikely(!VECTOR_READY(c, false))) {
		vector_run_load(c, i);
		return;
	}
	memcpy(vector_xmm(c, i->dst), vector_xmm(c, i->src), HALF);
	NEXT;
}

/* MOVSD, MOVQ and what else moves the low quadword, likewise: from memory, the rest becoming zero, and to memory. */
void vector_load64(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t value, zero = 0;
	if (unlikely(!VECTOR_READY(c, false) || !quick_load64(c, quick_address(c, i), &value)))
		return vector_run_load(c, i);
	memcpy(vector_xmm(c, i->dst), &value, sizeof(value));
	memcpy(vector_xmm(c, i->dst) + sizeof(value), &zero, sizeof(zero));
	NEXT;
}

void vector_store64(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t value;
	if (unlikely(!VECTOR_READY(c, false)))
		return vector_run_store(c, i);
	memcpy(&value, vector_xmm(c, i->src), sizeof(value));
	if (unlikely(!quick_store64(c, quick_address(c, i), value)))
		return vector_run_store(c, i);
	NEXT;
}

void vector_run_store(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t s[WHOLE];
	const struct insn_detail *d = i->detail;
	PLAIN_OR_TASK(false);
	memcpy(s, vector_xmm(c, i->src), HALF);
	if (d->width == WHOLE)
		memcpy(s + HALF, vector_high(c, i->src), HALF);
	if (!vector_store_memory(c, i, s, d->size))
		FAULT;
	NEXT_STORED;
}

/* MOVSS, MOVSD between registers: the rest is the first source's. */
void vector_run_merge(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t r[WHOLE];
	PLAIN_OR_TASK(false);
	vector_load_first(c, d, r);
	copy(r, vector_xmm(c, i->src), d->element);
	vector_store_result(c, i, r);
	NEXT;
}

/* MOVD, MOVQ: MOVQ between vector registers too, as a load of half a register. */
void vector_run_to_vector(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t r[WHOLE] = {0};
	PLAIN_OR_TASK(false);
	copy(r, d->immediate ? (const uint8_t *)c->gpr + i->src : vector_xmm(c, i->src), d->element);
	vector_store_result(c, i, r);
	NEXT;
}

void vector_run_from_vector(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint64_t value[2] = {0};
	PLAIN_OR_TASK(false);
	copy(value, vector_xmm(c, i->src), d->element);
	SET64(i->dst, value[0]);
	NEXT;
}

/* The highest bit of each byte. */
void vector_run_mask(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t s[WHOLE] = {0};
	uint64_t mask = 0;
	PLAIN_OR_TASK(false);
	memcpy(s, vector_xmm(c, i->src), HALF);
	if (d->width == WHOLE)
		memcpy(s + HALF, vector_high(c, i->src), HALF);
	for (unsigned n = 0; n < WHOLE; n++)
		mask |= (uint64_t)(s[n] >> 7) << n;
	SET64(i->dst, mask);
	NEXT;
}

void vector_run_broadcast(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t r[WHOLE];
	PLAIN_OR_TASK(false);
	for (unsigned n = 0; n < WHOLE; n += d->element)
		copy(r + n, vector_xmm(c, i->src), d->element);
	vector_store_result(c, i, r);
	NEXT;
}

#define COMPARE(name) __asm__ volatile(#name " %1, %2\n\tlahf\n\tseto %%al" : "=&a"(ax) : "x"(s), "x"(r) : "cc")

void vector_run_compare(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t bytes[WHOLE];
	uint32_t ax = 0;
	__m128 r, s;
	PLAIN_OR_TASK(true);
	if (!vector_load_source(c, i, bytes))
		FAULT;
	memcpy(&s, bytes, HALF);
	memcpy(&r, vector_xmm(c, i->dst), HALF);
	switch (i->detail->vector->legacy) {
	case ZYDIS_MNEMONIC_COMISS:
		COMPARE(comiss);
		break;
	case ZYDIS_MNEMONIC_COMISD:
		COMPARE(comisd);
		break;
	case ZYDIS_MNEMONIC_UCOMISS:
		COMPARE(ucomiss);
		break;
	default:
		COMPARE(ucomisd);
	}
	c->flags = ax & FLAGS_ALL;
	NEXT;
}

void vector_run_from_gpr(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t r[WHOLE];
	uint64_t value[2] = {0};
	__m128 x;
	PLAIN_OR_TASK(true);
	if (!d->size)
		copy(value, (const char *)c->gpr + i->src, d->element);
	else if (!load_memory(c, i, (uint8_t *)value, d->size))
		FAULT;
	vector_load_first(c, d, r);
	memcpy(&x, r, HALF);
	bool is_double = d->vector->legacy == ZYDIS_MNEMONIC_CVTSI2SD;
	if (d->element == sizeof(uint64_t) && is_double)
		__asm__ volatile("cvtsi2sdq %1, %0" : "+x"(x) : "r"(value[0]));
	else if (is_double)
		__asm__ volatile("cvtsi2sdl %k1, %0" : "+x"(x) : "r"(value[0]));
	else if (d->element == sizeof(uint64_t))
		__asm__ volatile("cvtsi2ssq %1, %0" : "+x"(x) : "r"(value[0]));
	else
		__asm__ volatile("cvtsi2ssl %k1, %0" : "+x"(x) : "r"(value[0]));
	memcpy(r, &x, HALF);
	vector_store_result(c, i, r);
	NEXT;
}

/* Both widths give the same where the narrow one has no exception; else the narrow one has its own. */
#define CONVERT(name)                                                                                                  \
	do {                                                                                                           \
		if (d->element == sizeof(uint64_t))                                                                    \
			__asm__ volatile(#name " %1, %q0" : "=r"(value) : "x"(s));                                     \
		else                                                                                                   \
			__asm__ volatile(#name " %1, %k0" : "=r"(value) : "x"(s));                                     \
	} while (0)

void vector_run_to_gpr(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t bytes[WHOLE];
	uint64_t value;
	__m128 s;
	PLAIN_OR_TASK(true);
	if (!vector_load_source(c, i, bytes))
		FAULT;
	memcpy(&s, bytes, HALF);
	switch (d->vector->legacy) {
	case ZYDIS_MNEMONIC_CVTSS2SI:
		CONVERT(cvtss2si);
		break;
	case ZYDIS_MNEMONIC_CVTTSS2SI:
		CONVERT(cvttss2si);
		break;
	case ZYDIS_MNEMONIC_CVTSD2SI:
		CONVERT(cvtsd2si);
		break;
	default:
		CONVERT(cvttsd2si);
	}
	SET64(i->dst, d->element == sizeof(uint64_t) ? value : (uint32_t)value);
	NEXT;
}

/* Each half by itself: two bits of the immediate choose each doubleword, or one each quadword. */
static void shuffle(const struct insn_detail *d, unsigned imm, uint8_t *r, const uint8_t *s)
{
	uint32_t from[8], to[4];
	bool one_source = d->vector->legacy == ZYDIS_MNEMONIC_PSHUFD;
	memcpy(from, one_source ? s : r, HALF);
	memcpy(from + 4, s, HALF);
	for (unsigned n = 0; n < 4; n++)
		if (d->vector->legacy == ZYDIS_MNEMONIC_SHUFPD)
			to[n] = from[(n >= 2 ? 4 : 0) + 2 * (imm >> n / 2 & 1) + n % 2];
		else
			to[n] = from[(n >= 2 && !one_source ? 4 : 0) + (imm >> 2 * n & 3)];
	memcpy(r, to, HALF);
}

void vector_run_shuffle(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint8_t s[WHOLE], r[WHOLE];
	PLAIN_OR_TASK(false);
	if (!vector_load_source(c, i, s))
		FAULT;
	vector_load_first(c, d, r);
	shuffle(d, (unsigned)i->imm, r, s);
	if (d->width == WHOLE)
		shuffle(d, d->vector->legacy == ZYDIS_MNEMONIC_SHUFPD ? (unsigned)i->imm >> 2 : (unsigned)i->imm,
			r + HALF, s + HALF);
	vector_store_result(c, i, r);
	NEXT;
}

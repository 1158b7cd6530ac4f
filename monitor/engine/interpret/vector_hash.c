/*
 * What kernels compute hashes with beside the common instructions, of AVX and of AVX-512 on the registers of AVX; the
 * end of such code, and MXCSR before it. As in vector_forms.c.
 */
#include <string.h>

#include "monitor/engine/interpret/vector_forms.h"

#define ZMM_BIT 6

/* Half of a vector of 256 bits. */
void vector_run_extract(struct engine_vcpu *c, const struct insn *i)
{
	PLAIN_OR_TASK(false);
	const uint8_t *half = i->imm & 1 ? vector_high(c, i->src) : vector_xmm(c, i->src);
	if (i->detail->size) {
		if (!vector_store_memory(c, i, half, HALF))
			FAULT;
		NEXT_STORED;
	}
	memmove(vector_xmm(c, i->dst), half, HALF);
	vector_clear_above(c, i->dst, false);
	NEXT;
}

/* AVX-512's: the task knows why not. */
#define ALLOWED_OR_TASK                                                                                                \
	do {                                                                                                           \
		if (unlikely(native_forbidden(c, i->detail))) {                                                        \
			native_run_insn(c, i);                                                                         \
			return;                                                                                        \
		}                                                                                                      \
		PLAIN_OR_TASK(false);                                                                                  \
	} while (0)

void vector_run_rotate(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	uint32_t s[WHOLE / sizeof(uint32_t)];
	ALLOWED_OR_TASK;
	if (!vector_load_source(c, i, (uint8_t *)s))
		FAULT;
	unsigned count = (unsigned)i->imm, left = d->emu.info.mnemonic == ZYDIS_MNEMONIC_VPROLD ? count : -count & 31;
	for (unsigned n = 0; n < WHOLE / sizeof(uint32_t); n++)
		s[n] = s[n] << left | s[n] >> (-left & 31);
	vector_store_result(c, i, (uint8_t *)s);
	NEXT;
}

/* VPERMI2D: the destination's doublewords say which of the two sources' come to their places. */
void vector_run_permute(struct engine_vcpu *c, const struct insn *i)
{
	const struct insn_detail *d = i->detail;
	const unsigned count = d->width / sizeof(uint32_t);
	uint32_t from[2 * WHOLE / sizeof(uint32_t)], at[WHOLE / sizeof(uint32_t)] = {0};
	ALLOWED_OR_TASK;
	vector_load_first(c, d, (uint8_t *)from);
	if (!vector_load_source(c, i, (uint8_t *)(from + count)))
		FAULT;
	memcpy(at, vector_xmm(c, i->dst), HALF);
	if (d->width == WHOLE)
		memcpy(at + HALF / sizeof(uint32_t), vector_high(c, i->dst), HALF);
	for (unsigned n = 0; n < count; n++)
		at[n] = from[at[n] & (2 * count - 1)];
	vector_store_result(c, i, (uint8_t *)at);
	NEXT;
}

/* All but the lower halves are in their initial state then. */
void vector_run_zeroupper(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t present;
	PLAIN_OR_TASK(false);
	memcpy(&present, c->fpu + X86_FPU_HEADER, sizeof(present));
	present &= ~(X86_XCR0_AVX | R3_BIT(ZMM_BIT));
	memcpy(c->fpu + X86_FPU_HEADER, &present, sizeof(present));
	NEXT;
}

void vector_run_ldmxcsr(struct engine_vcpu *c, const struct insn *i)
{
	uint32_t mxcsr;
	PLAIN_OR_TASK(false);
	if (!load32(c, address_of(c, i), i->ea, &mxcsr))
		FAULT;
	if (unlikely(mxcsr & ~(uint32_t)X86_MXCSR_WRITABLE)) {
		native_run_insn(c, i);
		return;
	}
	if (c->rounding)
		vector_settle(c);
	memcpy(c->fpu + X86_FPU_MXCSR, &mxcsr, sizeof(mxcsr));
	NEXT;
}

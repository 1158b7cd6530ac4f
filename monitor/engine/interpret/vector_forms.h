/*
 * The common SSE and AVX instructions: what vector_pick.c, which knows them, and vector_forms.c, which executes them,
 * share. insn.dst and insn.src are numbers of vector registers, or offsets of general ones; insn_detail.width is 0 for
 * legacy encodings.
 */
#ifndef MONITOR_ENGINE_INTERPRET_VECTOR_FORMS_H
#define MONITOR_ENGINE_INTERPRET_VECTOR_FORMS_H

#include "monitor/engine/interpret/native.h"
#include "monitor/engine/interpret/quick.h"

/* insn_detail.width */
#define HALF  16
#define WHOLE 32

/* d = op(d, s), or op(s) */
typedef void vector_function(uint8_t *d, const uint8_t *s);

enum vector_kind {
	VECTOR_PLAIN,	/* all of the vector */
	VECTOR_ROUNDS,	/* likewise, with flags */
	VECTOR_INTEGER, /* as PLAIN, of which 256 bits came with AVX2 */
	VECTOR_SSSE3,	/* as INTEGER, which not every processor has */
	VECTOR_SCALAR,	/* one element, with flags */
	VECTOR_SHIFT,
	VECTOR_MOVE,
	VECTOR_MOVE_ELEMENT, /* MOVSS, MOVSD, MOVD, MOVQ */
	VECTOR_COMPARE,	     /* into RFLAGS */
	VECTOR_FROM_GPR,     /* CVTSI2SS, CVTSI2SD */
	VECTOR_TO_GPR,	     /* CVTTSD2SI and its like */
	VECTOR_SHUFFLE,	     /* PSHUFD, SHUFPS, SHUFPD */
	VECTOR_EXTRACT,	     /* VEXTRACTI128, VEXTRACTF128 */
	VECTOR_MASK,	     /* PMOVMSKB */
	VECTOR_BROADCAST,    /* VPBROADCASTB and its like, of a register */
};

struct vector_entry {
	ZydisMnemonic legacy, vex;
	uint8_t kind;
	vector_function *run;
	insn_function *operate; /* in legacy encoding, at most 8 bytes from memory */
};

insn_function vector_run_operation, vector_run_shift, vector_run_load, vector_run_store, vector_run_merge,
	vector_run_to_vector, vector_run_from_vector, vector_run_compare, vector_run_from_gpr, vector_run_to_gpr,
	vector_run_shuffle, vector_run_extract, vector_run_mask, vector_run_broadcast, vector_run_rotate,
	vector_run_permute, vector_run_zeroupper, vector_run_ldmxcsr, vector_move, vector_load64, vector_store64;

/* XMM register n in the image. */
static inline uint8_t *vector_xmm(struct engine_vcpu *c, unsigned n)
{
	return c->fpu + X86_FPU_XMM + n * HALF;
}

/* Set c->xmm_ready, c->rounding. False: for the slow way, or the task. */
bool vector_ready(struct engine_vcpu *c);
bool vector_round(struct engine_vcpu *c);

#define VECTOR_READY(c, rounds)                                                                                        \
	((likely((c)->xmm_ready) || vector_ready(c)) && (!(rounds) || likely((c)->rounding) || vector_round(c)))

/* The upper half of YMM register n in the image. */
uint8_t *vector_high(struct engine_vcpu *c, unsigned n);
/* A register written by VEX: what lies above its first 32 bytes, or 16, is zero. */
void vector_clear_above(struct engine_vcpu *c, unsigned n, bool whole);
/* The last source, a register or memory; the first; the result. By i->detail->width. False: the exit is set. */
bool vector_load_source(struct engine_vcpu *c, const struct insn *i, uint8_t *s);
void vector_load_first(struct engine_vcpu *c, const struct insn_detail *d, uint8_t *r);
void vector_store_result(struct engine_vcpu *c, const struct insn *i, const uint8_t *r);
bool vector_store_memory(struct engine_vcpu *c, const struct insn *i, const uint8_t *from, unsigned size);

/* Nothing stops the instruction, and its registers are good as they stand in the image. */
bool vector_is_plain(struct engine_vcpu *c, const struct insn *i);

#define PLAIN_OR_TASK(rounds)                                                                                          \
	do {                                                                                                           \
		bool at_hand = c->xmm_ready && !i->detail->width && !i->detail->align;                                 \
		if (unlikely(!at_hand && !vector_is_plain(c, i)) || ((rounds) && !c->rounding && !vector_round(c))) {  \
			native_run_insn(c, i);                                                                         \
			return;                                                                                        \
		}                                                                                                      \
	} while (0)

/*
 * An operation in legacy encoding, whose operand in memory is at most 8 bytes: `run` on the registers where they are.
 * Inline, so that each operation becomes a function of its own.
 */
static inline __attribute__((always_inline)) void vector_operate(struct engine_vcpu *c, const struct insn *i,
								 bool rounds, vector_function *run)
{
	const unsigned size = i->detail->size;
	const void *s = size ? (const void *)c->operand : vector_xmm(c, i->src);
	uint64_t wide = 0;
	uint32_t narrow = 0;
	bool there = !size || (size == sizeof(wide) ? quick_load64(c, quick_address(c, i), &wide)
						    : quick_load32(c, quick_address(c, i), &narrow));
	if (unlikely(!VECTOR_READY(c, rounds) || !there))
		return vector_run_operation(c, i);
	if (size) {
		c->operand[0] = wide | narrow;
		c->operand[1] = 0;
	}
	run(vector_xmm(c, i->dst), s);
	NEXT;
}

#endif

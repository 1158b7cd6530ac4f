/*
 * Which of the common SSE and AVX instructions are executed here: those of SSE2, which every processor has, some of
 * SSSE3, and the same in VEX encoding.
 */
#include "monitor/engine/interpret/vector_forms.h"
#include "monitor/host/cpuid.h"

#define OPERATION(name, text)                                                                                          \
	static void do_##name(uint8_t *d, const uint8_t *s)                                                            \
	{                                                                                                              \
		__asm__ volatile("movups (%0), %%xmm0\n\tmovups (%1), %%xmm1\n\t" text                                 \
				 " %%xmm1, %%xmm0\n\tmovups %%xmm0, (%0)"                                              \
				 :                                                                                     \
				 : "r"(d), "r"(s)                                                                      \
				 : "xmm0", "xmm1", "memory");                                                          \
	}

/* clang-format off */
/* X(NAME, name): of whole vectors, which leave MXCSR alone, and which have flags there. */
#define WITHOUT_FLAGS(X) \
	X(PADDB, paddb) X(PADDW, paddw) X(PADDD, paddd) X(PADDQ, paddq) X(PADDSB, paddsb) X(PADDSW, paddsw) \
	X(PADDUSB, paddusb) X(PADDUSW, paddusw) X(PSUBB, psubb) X(PSUBW, psubw) X(PSUBD, psubd) X(PSUBQ, psubq) \
	X(PSUBSB, psubsb) X(PSUBSW, psubsw) X(PSUBUSB, psubusb) X(PSUBUSW, psubusw) X(PMULLW, pmullw) \
	X(PMULHW, pmulhw) X(PMULHUW, pmulhuw) X(PMULUDQ, pmuludq) X(PMADDWD, pmaddwd) X(PAND, pand) X(PANDN, pandn) \
	X(POR, por) X(PXOR, pxor) X(PCMPEQB, pcmpeqb) X(PCMPEQW, pcmpeqw) X(PCMPEQD, pcmpeqd) X(PCMPGTB, pcmpgtb) \
	X(PCMPGTW, pcmpgtw) X(PCMPGTD, pcmpgtd) X(PMINUB, pminub) X(PMAXUB, pmaxub) X(PMINSW, pminsw) \
	X(PMAXSW, pmaxsw) X(PAVGB, pavgb) X(PAVGW, pavgw) X(PSADBW, psadbw) X(PACKSSWB, packsswb) \
	X(PACKSSDW, packssdw) X(PACKUSWB, packuswb) X(PUNPCKLBW, punpcklbw) X(PUNPCKLWD, punpcklwd) \
	X(PUNPCKLDQ, punpckldq) X(PUNPCKLQDQ, punpcklqdq) X(PUNPCKHBW, punpckhbw) X(PUNPCKHWD, punpckhwd) \
	X(PUNPCKHDQ, punpckhdq) X(PUNPCKHQDQ, punpckhqdq) X(ANDPS, andps) X(ANDPD, andpd) X(ANDNPS, andnps) \
	X(ANDNPD, andnpd) X(ORPS, orps) X(ORPD, orpd) X(XORPS, xorps) X(XORPD, xorpd) X(UNPCKLPS, unpcklps) \
	X(UNPCKHPS, unpckhps) X(UNPCKLPD, unpcklpd) X(UNPCKHPD, unpckhpd)
/* Likewise, of SSSE3. */
#define OF_SSSE3(X) \
	X(PSHUFB, pshufb) X(PHADDW, phaddw) X(PHADDD, phaddd) X(PHADDSW, phaddsw) X(PHSUBW, phsubw) X(PHSUBD, phsubd) \
	X(PHSUBSW, phsubsw) X(PMADDUBSW, pmaddubsw) X(PMULHRSW, pmulhrsw) X(PSIGNB, psignb) X(PSIGNW, psignw) \
	X(PSIGND, psignd) X(PABSB, pabsb) X(PABSW, pabsw) X(PABSD, pabsd)
#define WITH_FLAGS(X) \
	X(ADDPS, addps) X(ADDPD, addpd) X(SUBPS, subps) X(SUBPD, subpd) X(MULPS, mulps) X(MULPD, mulpd) \
	X(DIVPS, divps) X(DIVPD, divpd) X(MINPS, minps) X(MINPD, minpd) X(MAXPS, maxps) X(MAXPD, maxpd) \
	X(SQRTPS, sqrtps) X(SQRTPD, sqrtpd) X(CVTDQ2PS, cvtdq2ps) X(CVTPS2DQ, cvtps2dq) X(CVTTPS2DQ, cvttps2dq)
/* The same of one element, the rest of d staying. */
#define SCALARS(X) \
	X(ADDSS, addss) X(ADDSD, addsd) X(SUBSS, subss) X(SUBSD, subsd) X(MULSS, mulss) X(MULSD, mulsd) \
	X(DIVSS, divss) X(DIVSD, divsd) X(MINSS, minss) X(MINSD, minsd) X(MAXSS, maxss) X(MAXSD, maxsd) \
	X(SQRTSS, sqrtss) X(SQRTSD, sqrtsd) X(CVTSS2SD, cvtss2sd) X(CVTSD2SS, cvtsd2ss)
/* Bitwise copies of all, which move between registers and memory. */
#define MOVES(X) \
	X(MOVAPS) X(MOVAPD) X(MOVUPS) X(MOVUPD) X(MOVDQA) X(MOVDQU)
/* Shifts by an immediate are shifts by a vector that holds it. */
#define SHIFTS(X) \
	X(PSLLW, psllw) X(PSLLD, pslld) X(PSLLQ, psllq) X(PSRLW, psrlw) X(PSRLD, psrld) X(PSRLQ, psrlq) \
	X(PSRAW, psraw) X(PSRAD, psrad)
/* clang-format on */

#define DEFINE(NAME, name) OPERATION(name, #name)
WITHOUT_FLAGS(DEFINE)
OF_SSSE3(DEFINE)
WITH_FLAGS(DEFINE)
SCALARS(DEFINE)
SHIFTS(DEFINE)

#define OPERATE(name, rounds)                                                                                          \
	static void operate_##name(struct engine_vcpu *c, const struct insn *i)                                        \
	{                                                                                                              \
		vector_operate(c, i, rounds, do_##name);                                                               \
	}
#define OPERATE_PLAIN(NAME, name)  OPERATE(name, false)
#define OPERATE_ROUNDS(NAME, name) OPERATE(name, true)
WITHOUT_FLAGS(OPERATE_PLAIN)
OF_SSSE3(OPERATE_PLAIN)
WITH_FLAGS(OPERATE_ROUNDS)
SCALARS(OPERATE_ROUNDS)

#define NAMES(NAME)	     ZYDIS_MNEMONIC_##NAME, ZYDIS_MNEMONIC_V##NAME
#define E_PLAIN(NAME, name)  {NAMES(NAME), #NAME[0] == 'P' ? VECTOR_INTEGER : VECTOR_PLAIN, do_##name, operate_##name},
#define E_SSSE3(NAME, name)  {NAMES(NAME), VECTOR_SSSE3, do_##name, operate_##name},
#define E_ROUNDS(NAME, name) {NAMES(NAME), VECTOR_ROUNDS, do_##name, operate_##name},
#define E_SCALAR(NAME, name) {NAMES(NAME), VECTOR_SCALAR, do_##name, operate_##name},
#define E_SHIFT(NAME, name)  {NAMES(NAME), VECTOR_SHIFT, do_##name, NULL},
#define E_MOVE(NAME)	     {NAMES(NAME), VECTOR_MOVE, NULL, NULL},
#define E_OTHER(NAME, kind)  {NAMES(NAME), kind, NULL, NULL},
#define E_VEX(NAME, kind)    {ZYDIS_MNEMONIC_INVALID, ZYDIS_MNEMONIC_##NAME, kind, NULL, NULL},
/* clang-format off */
static const struct vector_entry entries[] = {
	WITHOUT_FLAGS(E_PLAIN) OF_SSSE3(E_SSSE3) WITH_FLAGS(E_ROUNDS) SCALARS(E_SCALAR) SHIFTS(E_SHIFT) MOVES(E_MOVE)
	E_OTHER(MOVSS, VECTOR_MOVE_ELEMENT)	E_OTHER(MOVSD, VECTOR_MOVE_ELEMENT)
	E_OTHER(MOVD, VECTOR_MOVE_ELEMENT)	E_OTHER(MOVQ, VECTOR_MOVE_ELEMENT)
	E_OTHER(COMISS, VECTOR_COMPARE)		E_OTHER(COMISD, VECTOR_COMPARE)
	E_OTHER(UCOMISS, VECTOR_COMPARE)	E_OTHER(UCOMISD, VECTOR_COMPARE)
	E_OTHER(CVTSI2SS, VECTOR_FROM_GPR)	E_OTHER(CVTSI2SD, VECTOR_FROM_GPR)
	E_OTHER(CVTSS2SI, VECTOR_TO_GPR)	E_OTHER(CVTTSS2SI, VECTOR_TO_GPR)
	E_OTHER(CVTSD2SI, VECTOR_TO_GPR)	E_OTHER(CVTTSD2SI, VECTOR_TO_GPR)
	E_OTHER(PSHUFD, VECTOR_SHUFFLE)		E_OTHER(SHUFPS, VECTOR_SHUFFLE)
	E_OTHER(SHUFPD, VECTOR_SHUFFLE)
	E_VEX(VEXTRACTI128, VECTOR_EXTRACT)	E_VEX(VEXTRACTF128, VECTOR_EXTRACT)
	E_OTHER(PMOVMSKB, VECTOR_MASK)
	E_VEX(VPBROADCASTB, VECTOR_BROADCAST)	E_VEX(VPBROADCASTW, VECTOR_BROADCAST)
	E_VEX(VPBROADCASTD, VECTOR_BROADCAST)	E_VEX(VPBROADCASTQ, VECTOR_BROADCAST)
};
/* clang-format on */

/* --------------------------------------------------------------------------------------------------------- decoding */

static const struct vector_entry *find(const struct emu_insn *emu)
{
	bool vex = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	for (unsigned n = 0; n < sizeof(entries) / sizeof(entries[0]); n++)
		if ((vex ? entries[n].vex : entries[n].legacy) == emu->info.mnemonic)
			return &entries[n];
	return NULL;
}

static ZydisRegisterClass class_of(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(op->reg.value) : ZYDIS_REGCLASS_INVALID;
}

static bool is_vector(const ZydisDecodedOperand *op)
{
	return class_of(op) == ZYDIS_REGCLASS_XMM || class_of(op) == ZYDIS_REGCLASS_YMM;
}

static bool is_gpr(const ZydisDecodedOperand *op)
{
	return class_of(op) == ZYDIS_REGCLASS_GPR32 || class_of(op) == ZYDIS_REGCLASS_GPR64;
}

static uint8_t number(const ZydisDecodedOperand *op)
{
	return (uint8_t)ZydisRegisterGetId(op->reg.value);
}

/* What a register is in insn.dst and insn.src: a vector's number, a general one's offset. */
static uint8_t place(const ZydisDecodedOperand *op)
{
	return is_gpr(op)				 ? (uint8_t)(number(op) * sizeof(uint64_t))
	       : op->type == ZYDIS_OPERAND_TYPE_REGISTER ? number(op)
							 : 0;
}

static insn_function *pick_element(struct insn *i, const ZydisDecodedOperand *to, const ZydisDecodedOperand *from,
				   bool three)
{
	struct insn_detail *d = i->detail;
	bool gpr = is_gpr(from);
	d->element = (uint8_t)((is_gpr(to) || to->type == ZYDIS_OPERAND_TYPE_MEMORY ? to : from)->size / 8);
	bool quad = !d->width && d->size == sizeof(uint64_t);
	if (to->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return quad ? vector_store64 : vector_run_store;
	if (from->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return quad ? vector_load64 : vector_run_load;
	if (is_gpr(to))
		return vector_run_from_vector;
	d->immediate = gpr;
	if (d->vector->legacy == ZYDIS_MNEMONIC_MOVSS || d->vector->legacy == ZYDIS_MNEMONIC_MOVSD) {
		d->element = d->vector->legacy == ZYDIS_MNEMONIC_MOVSS ? 4 : 8;
		return vector_run_merge;
	}
	if (!gpr)
		d->element = 8;
	return three ? NULL : vector_run_to_vector;
}

static insn_function *pick_broadcast(struct insn *i, const ZydisDecodedOperand *from)
{
	struct insn_detail *d = i->detail;
	switch (d->vector->vex) {
	case ZYDIS_MNEMONIC_VPBROADCASTB:
		d->element = 1;
		break;
	case ZYDIS_MNEMONIC_VPBROADCASTW:
		d->element = 2;
		break;
	case ZYDIS_MNEMONIC_VPBROADCASTD:
		d->element = 4;
		break;
	default:
		d->element = 8;
	}
	return is_vector(from) && CPU_FEATURE_ACTIVE(AVX2) ? vector_run_broadcast : NULL;
}

static insn_function *pick(struct insn *i, const ZydisDecodedOperand *to, const ZydisDecodedOperand *from, bool three)
{
	struct insn_detail *d = i->detail;
	switch ((enum vector_kind)d->vector->kind) {
	case VECTOR_PLAIN:
	case VECTOR_ROUNDS:
	case VECTOR_INTEGER:
	case VECTOR_SSSE3:
	case VECTOR_SCALAR:
		if (!d->width && d->size <= sizeof(uint64_t) && is_vector(to))
			return d->vector->operate;
		return is_vector(to) ? vector_run_operation : NULL;
	case VECTOR_SHIFT:
		/* The count is 16 bytes, whatever the vector is. */
		if (from->type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return vector_run_shift;
		return d->width == WHOLE ? NULL : vector_run_operation;
	case VECTOR_MOVE:
		if (!d->width && is_vector(to) && is_vector(from))
			return vector_move;
		return is_vector(to) ? vector_run_load : vector_run_store;
	case VECTOR_MOVE_ELEMENT:
		return pick_element(i, to, from, three);
	case VECTOR_COMPARE:
		return vector_run_compare;
	case VECTOR_FROM_GPR:
		d->element = (uint8_t)(from->size / 8);
		return is_vector(to) ? vector_run_from_gpr : NULL;
	case VECTOR_TO_GPR:
		d->element = (uint8_t)(to->size / 8);
		return is_gpr(to) ? vector_run_to_gpr : NULL;
	case VECTOR_SHUFFLE:
		return vector_run_shuffle;
	case VECTOR_EXTRACT:
		return vector_run_extract;
	case VECTOR_MASK:
		return is_vector(from) ? vector_run_mask : NULL;
	case VECTOR_BROADCAST:
		return pick_broadcast(i, from);
	}
	return NULL;
}

/* All operands are vectors of at most 256 bits, general registers, memory or an immediate. */
static bool operands_known(const struct emu_insn *emu)
{
	for (unsigned n = 0; n < emu->info.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (op->type == ZYDIS_OPERAND_TYPE_REGISTER && !is_vector(op) && !is_gpr(op))
			return false;
	}
	return emu->info.operand_count_visible >= 2;
}

static bool is_whole(const struct emu_insn *emu)
{
	return class_of(&emu->operands[0]) == ZYDIS_REGCLASS_YMM || class_of(&emu->operands[1]) == ZYDIS_REGCLASS_YMM;
}

/* A vector of at most 256 bits in a register that AVX has, or as a whole in memory. */
static bool is_short(const struct emu_insn *emu, unsigned n)
{
	const ZydisDecodedOperand *op = &emu->operands[n];
	return op->type == ZYDIS_OPERAND_TYPE_MEMORY || (is_vector(op) && number(op) < 16);
}

#define CPUID_7_AVX512VL R3_BIT(31) /* of EBX */

/* Not by the compiler's builtin: that brings a constructor which asks CPUID a dozen times at each start. */
static bool has_avx512vl(void)
{
	return (host_state_components() & X86_XCR0_AVX512) == X86_XCR0_AVX512 &&
	       host_cpuid(7, 0).ebx & CPUID_7_AVX512VL;
}

/* What hashes in kernels take of AVX-512: rotations and permutations of doublewords, without a mask. */
static insn_function *pick_evex(struct insn *i)
{
	struct insn_detail *d = i->detail;
	const struct emu_insn *emu = &d->emu;
	bool plain = emu->info.operand_count_visible == 4 && emu->info.avx.mask.reg == ZYDIS_REGISTER_K0 &&
		     emu->info.avx.broadcast.mode == ZYDIS_BROADCAST_MODE_INVALID;
	if (!plain || !is_short(emu, 0) || !is_short(emu, 2) || !has_avx512vl())
		return NULL;
	const ZydisDecodedOperand *last = &emu->operands[3];
	d->width = class_of(&emu->operands[0]) == ZYDIS_REGCLASS_YMM ? WHOLE : HALF;
	i->dst = d->first = number(&emu->operands[0]);
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_VPROLD:
	case ZYDIS_MNEMONIC_VPRORD:
		i->imm = (int64_t)(last->imm.value.u & 31);
		i->src = place(&emu->operands[2]);
		return vector_run_rotate;
	case ZYDIS_MNEMONIC_VPERMI2D:
		d->first = number(&emu->operands[2]);
		i->src = place(last);
		return is_short(emu, 3) ? vector_run_permute : NULL;
	default:
		return NULL;
	}
}

/* What belongs to no kind. */
static insn_function *pick_alone(struct insn *i)
{
	struct insn_detail *d = i->detail;
	switch (d->emu.info.mnemonic) {
	case ZYDIS_MNEMONIC_VZEROUPPER:
		d->width = WHOLE;
		return vector_run_zeroupper;
	case ZYDIS_MNEMONIC_LDMXCSR:
		return vector_run_ldmxcsr;
	default:
		return d->emu.info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ? pick_evex(i) : NULL;
	}
}

insn_function *vector_pick(struct insn *i)
{
	struct insn_detail *d = i->detail;
	const struct emu_insn *emu = &d->emu;
	insn_function *alone = pick_alone(i);
	if (alone)
		return alone;
	bool vex = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
	unsigned sources = emu->info.operand_count_visible;
	if ((!vex && emu->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) || !operands_known(emu))
		return NULL;
	d->vector = find(emu);
	if (!d->vector)
		return NULL;
	/* Not by the length that is encoded: instructions on one element ignore it. */
	d->width = vex ? (is_whole(emu) ? WHOLE : HALF) : 0;
	if (d->width == WHOLE && d->vector->kind >= VECTOR_INTEGER && d->vector->kind != VECTOR_MOVE &&
	    !CPU_FEATURE_ACTIVE(AVX2))
		return NULL;
	if (d->vector->kind == VECTOR_SSSE3 && !CPU_FEATURE_ACTIVE(SSSE3))
		return NULL;
	bool immediate = emu->operands[sources - 1].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	if (immediate) {
		i->imm = (int64_t)(emu->operands[sources - 1].imm.value.u & 0xff);
		sources -= d->vector->kind >= VECTOR_SHUFFLE;
	}
	const ZydisDecodedOperand *to = &emu->operands[0], *from = &emu->operands[sources - 1];
	bool three = vex && sources == 3;
	i->dst = place(to);
	i->src = place(from);
	d->first = three || (vex && immediate && d->vector->kind == VECTOR_SHIFT) ? place(&emu->operands[1]) : i->dst;
	return pick(i, to, from, three);
}

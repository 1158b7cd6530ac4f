/*
 * From what Zydis decoded to struct insn: which function executes it.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/engine/interpret/decode.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/vm/vm.h"

static enum width operand_width(const struct emu_insn *emu, unsigned n)
{
	return decode_width(emu->operands[n].size);
}

static enum form form_of(const struct emu_insn *emu)
{
	bool immediate_last = OPERAND(emu, 1, IMMEDIATE);
	if (OPERAND(emu, 0, MEMORY))
		return immediate_last ? FORM_MI : FORM_MR;
	return immediate_last ? FORM_RI : OPERAND(emu, 1, MEMORY) ? FORM_RM : FORM_RR;
}

static insn_function *pick_alu(struct insn *i, const struct emu_insn *emu, enum alu op)
{
	enum form form = form_of(emu);
	/* TEST is the same both ways round. */
	if (form == FORM_RM && op == ALU_TEST)
		i->src = i->dst;
	return alu_table[op][operand_width(emu, 0)][form];
}

static insn_function *pick_unary(const struct emu_insn *emu, enum unary op)
{
	return unary_table[op][operand_width(emu, 0)][OPERAND(emu, 0, MEMORY)];
}

/* Of memory: natively. */
static insn_function *pick_shift(struct insn *i, const struct emu_insn *emu, enum shift op)
{
	if (!OPERAND(emu, 0, REGISTER))
		return NULL;
	if (OPERAND(emu, 1, IMMEDIATE))
		i->imm = (int64_t)emu->operands[1].imm.value.u;
	return shift_table[op][operand_width(emu, 0)][!OPERAND(emu, 1, IMMEDIATE)];
}

static insn_function *pick_imul(const struct emu_insn *emu)
{
	if (emu->info.operand_count_visible < 2)
		return NULL;
	unsigned three = emu->info.operand_count_visible == 3 ? 2 : 0;
	return imul_table[operand_width(emu, 0)][three + OPERAND(emu, 1, MEMORY)];
}

static insn_function *pick_extend(const struct emu_insn *emu, insn_function *const table[WIDTH_COUNT][3][2])
{
	enum width from = operand_width(emu, 1);
	return from == WIDTH_64 ? NULL : table[operand_width(emu, 0)][from][OPERAND(emu, 1, MEMORY)];
}

static insn_function *pick_xchg(struct insn *i, const struct emu_insn *emu)
{
	bool memory = OPERAND(emu, 0, MEMORY) || OPERAND(emu, 1, MEMORY);
	if (OPERAND(emu, 1, MEMORY))
		i->src = i->dst;
	return xchg_table[operand_width(emu, 0)][memory];
}

static enum stack_op stack_op(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
		return OPERAND(emu, 0, IMMEDIATE) ? STACK_PUSH_IMM
		       : OPERAND(emu, 0, MEMORY)  ? STACK_PUSH_MEM
						  : STACK_PUSH;
	case ZYDIS_MNEMONIC_POP:
		return OPERAND(emu, 0, MEMORY) ? STACK_POP_MEM : STACK_POP;
	case ZYDIS_MNEMONIC_LEAVE:
		return STACK_LEAVE;
	case ZYDIS_MNEMONIC_ENTER:
		return STACK_ENTER;
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
		return STACK_PUSHA;
	default:
		return STACK_POPA;
	}
}

static insn_function *pick_stack(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	enum stack_op op = stack_op(emu);
	if (op == STACK_ENTER) {
		i->imm = (int64_t)emu->operands[0].imm.value.u;
		i->src = emu->operands[1].imm.value.u & 31;
	}
	return stack_table[stack_kind(c)][decode_width(emu->info.operand_width)][op];
}

/* With a bit offset in a register it is anywhere in memory; else natively. */
static insn_function *pick_bit(struct insn *i, const struct emu_insn *emu, int op)
{
	if (!OPERAND(emu, 0, MEMORY) || !OPERAND(emu, 1, REGISTER))
		return NULL;
	i->imm = op;
	return bit_table[operand_width(emu, 0)];
}

/* The segment of the source; the destination's is always ES. */
static unsigned string_source(const struct emu_insn *emu)
{
	for (unsigned n = 0; n < emu->info.operand_count; n++)
		if (OPERAND(emu, n, MEMORY) && ZydisRegisterGetId(emu->operands[n].mem.base) == RSI)
			return (unsigned)ZydisRegisterGetId(emu->operands[n].mem.segment);
	return SREG_DS;
}

static insn_function *pick_string(struct insn *i, const struct emu_insn *emu, insn_function *run, unsigned size)
{
	i->imm = size;
	if (emu->info.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE))
		i->imm |= STRING_REPE;
	else if (emu->info.attributes & ZYDIS_ATTRIB_HAS_REPNE)
		i->imm |= STRING_REPNE;
	if (emu->info.address_width == 32)
		i->imm |= STRING_A32;
	else if (emu->info.address_width == 16)
		i->imm |= STRING_A16;
	i->imm |= string_source(emu) << STRING_SREG_SHIFT;
	/* By its last bytes op_movs and its like see whether the instruction is still there. */
	unsigned len = emu->info.length, kept = len < sizeof(i->disp) ? len : sizeof(i->disp);
	memcpy(&i->disp, emu->bytes + len - kept, kept);
	return run;
}

/* Where the mnemonic stands in the list; -1: nowhere. */
static int index_of(ZydisMnemonic m, const ZydisMnemonic *names, int count)
{
	for (int n = 0; n < count; n++)
		if (names[n] == m)
			return n;
	return -1;
}

/* In the order of the encoding. */
#define CONDITIONS(p)                                                                                                  \
	{                                                                                                              \
		ZYDIS_MNEMONIC_##p##O, ZYDIS_MNEMONIC_##p##NO, ZYDIS_MNEMONIC_##p##B, ZYDIS_MNEMONIC_##p##NB,          \
			ZYDIS_MNEMONIC_##p##Z, ZYDIS_MNEMONIC_##p##NZ, ZYDIS_MNEMONIC_##p##BE,                         \
			ZYDIS_MNEMONIC_##p##NBE, ZYDIS_MNEMONIC_##p##S, ZYDIS_MNEMONIC_##p##NS, ZYDIS_MNEMONIC_##p##P, \
			ZYDIS_MNEMONIC_##p##NP, ZYDIS_MNEMONIC_##p##L, ZYDIS_MNEMONIC_##p##NL, ZYDIS_MNEMONIC_##p##LE, \
			ZYDIS_MNEMONIC_##p##NLE                                                                        \
	}

static insn_function *pick_conditional(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	static const ZydisMnemonic jcc[16] = CONDITIONS(J), set[16] = CONDITIONS(SET), cmov[16] = CONDITIONS(CMOV);
	int cc = index_of(emu->info.mnemonic, jcc, 16);
	if (cc >= 0)
		return decode_jcc(c, i, emu, (unsigned)cc);
	cc = index_of(emu->info.mnemonic, set, 16);
	if (cc >= 0)
		return setcc_table[cc][OPERAND(emu, 0, MEMORY)];
	cc = index_of(emu->info.mnemonic, cmov, 16);
	return cc < 0 ? NULL : cmov_table[cc][operand_width(emu, 0)][OPERAND(emu, 1, MEMORY)];
}

static insn_function *pick_string_op(struct insn *i, const struct emu_insn *emu)
{
#define SIZES(name, run)                                                                                               \
	case ZYDIS_MNEMONIC_##name##B:                                                                                 \
		return pick_string(i, emu, run, 1);                                                                    \
	case ZYDIS_MNEMONIC_##name##W:                                                                                 \
		return pick_string(i, emu, run, 2);                                                                    \
	case ZYDIS_MNEMONIC_##name##Q:                                                                                 \
		return pick_string(i, emu, run, 8);
	/* MOVSD and CMPSD are SSE's names as well. */
	if (emu->info.meta.category != ZYDIS_CATEGORY_STRINGOP)
		return NULL;
	switch (emu->info.mnemonic) {
		SIZES(MOVS, op_movs)
		SIZES(STOS, op_stos)
		SIZES(LODS, op_lods)
		SIZES(SCAS, op_scas)
		SIZES(CMPS, op_cmps)
	case ZYDIS_MNEMONIC_MOVSD:
		return pick_string(i, emu, op_movs, 4);
	case ZYDIS_MNEMONIC_STOSD:
		return pick_string(i, emu, op_stos, 4);
	case ZYDIS_MNEMONIC_LODSD:
		return pick_string(i, emu, op_lods, 4);
	case ZYDIS_MNEMONIC_SCASD:
		return pick_string(i, emu, op_scas, 4);
	case ZYDIS_MNEMONIC_CMPSD:
		return pick_string(i, emu, op_cmps, 4);
	default:
		return NULL;
	}
}

static insn_function *pick_arithmetic(struct insn *i, const struct emu_insn *emu)
{
	static const ZydisMnemonic alu[ALU_COUNT] = {
		[ALU_ADD] = ZYDIS_MNEMONIC_ADD, [ALU_OR] = ZYDIS_MNEMONIC_OR,	[ALU_ADC] = ZYDIS_MNEMONIC_ADC,
		[ALU_SBB] = ZYDIS_MNEMONIC_SBB, [ALU_AND] = ZYDIS_MNEMONIC_AND, [ALU_SUB] = ZYDIS_MNEMONIC_SUB,
		[ALU_XOR] = ZYDIS_MNEMONIC_XOR, [ALU_CMP] = ZYDIS_MNEMONIC_CMP, [ALU_TEST] = ZYDIS_MNEMONIC_TEST,
	};
	static const ZydisMnemonic shift[SHIFT_COUNT] = {
		[SHIFT_SHL] = ZYDIS_MNEMONIC_SHL, [SHIFT_SHR] = ZYDIS_MNEMONIC_SHR, [SHIFT_SAR] = ZYDIS_MNEMONIC_SAR,
		[SHIFT_ROL] = ZYDIS_MNEMONIC_ROL, [SHIFT_ROR] = ZYDIS_MNEMONIC_ROR,
	};
	static const ZydisMnemonic unary[UNARY_COUNT] = {
		[UNARY_INC] = ZYDIS_MNEMONIC_INC,
		[UNARY_DEC] = ZYDIS_MNEMONIC_DEC,
		[UNARY_NEG] = ZYDIS_MNEMONIC_NEG,
		[UNARY_NOT] = ZYDIS_MNEMONIC_NOT,
	};
	static const ZydisMnemonic bit[] = {ZYDIS_MNEMONIC_BT, ZYDIS_MNEMONIC_BTS, ZYDIS_MNEMONIC_BTR,
					    ZYDIS_MNEMONIC_BTC};
	ZydisMnemonic m = emu->info.mnemonic;
	int n;
	if ((n = index_of(m, alu, ALU_COUNT)) >= 0)
		return pick_alu(i, emu, (enum alu)n);
	if ((n = index_of(m, shift, SHIFT_COUNT)) >= 0)
		return pick_shift(i, emu, (enum shift)n);
	if ((n = index_of(m, unary, UNARY_COUNT)) >= 0)
		return pick_unary(emu, (enum unary)n);
	if ((n = index_of(m, bit, 4)) >= 0)
		return pick_bit(i, emu, n);
	return m == ZYDIS_MNEMONIC_IMUL ? pick_imul(emu) : NULL;
}

static const ZydisDecodedOperand *xlat_operand(const struct emu_insn *emu)
{
	return &emu->operands[OPERAND(emu, 0, MEMORY) ? 0 : 1];
}

static insn_function *pick_transfer(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_MOV:
		return mov_table[operand_width(emu, 0)][form_of(emu)];
	case ZYDIS_MNEMONIC_MOVZX:
		return pick_extend(emu, movzx_table);
	case ZYDIS_MNEMONIC_MOVSX:
	case ZYDIS_MNEMONIC_MOVSXD:
		return pick_extend(emu, movsx_table);
	case ZYDIS_MNEMONIC_LEA:
		return lea_table[operand_width(emu, 0)];
	case ZYDIS_MNEMONIC_XCHG:
		return pick_xchg(i, emu);
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_PUSHA:
	case ZYDIS_MNEMONIC_PUSHAD:
	case ZYDIS_MNEMONIC_POPA:
	case ZYDIS_MNEMONIC_POPAD:
		return pick_stack(c, i, emu);
		DECODE_PLAIN(CBW, op_cbw)
		DECODE_PLAIN(CWDE, op_cwde)
		DECODE_PLAIN(CDQE, op_cdqe)
		DECODE_PLAIN(CWD, op_cwd)
		DECODE_PLAIN(CDQ, op_cdq)
		DECODE_PLAIN(CQO, op_cqo)
	case ZYDIS_MNEMONIC_XLAT:
		decode_memory(c, i, emu, xlat_operand(emu));
		i->index = GPR_ZERO; /* AL, which op_xlat adds */
		return op_xlat;
	default:
		return NULL;
	}
}

/* What 64-bit mode lacks. */
static insn_function *pick_legacy(struct insn *i, const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
		DECODE_PLAIN(AAA, op_aaa)
		DECODE_PLAIN(AAS, op_aas)
		DECODE_PLAIN(DAA, op_daa)
		DECODE_PLAIN(DAS, op_das)
		DECODE_PLAIN(SALC, op_salc)
	case ZYDIS_MNEMONIC_AAM:
		i->imm &= 0xff;
		return op_aam;
	case ZYDIS_MNEMONIC_AAD:
		i->imm &= 0xff;
		return op_aad;
	case ZYDIS_MNEMONIC_BOUND:
		return emu->info.operand_width == 16 ? op_bound16 : op_bound32;
	default:
		return NULL;
	}
}

static insn_function *pick_plain(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	insn_function *run = pick_string_op(i, emu);
	if (run || emu->info.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return run;
	bool known = decode_operands(c, i, emu);
	run = decode_system(emu);
	if (run || !known)
		return run;
	run = pick_arithmetic(i, emu);
	if (!run)
		run = pick_transfer(c, i, emu);
	return run || decode_is_long(emu) ? run : pick_legacy(i, emu);
}

static bool add_detail(struct insn *i, const struct emu_insn *emu)
{
	i->detail = calloc(1, sizeof(*i->detail));
	if (i->detail)
		i->detail->emu = *emu;
	return i->detail;
}

static bool no_memory(struct engine_vcpu *c, struct insn *i)
{
	vm_refused(c->vm, "no memory left for decoded code: end other programs first");
	i->run = op_end;
	return true;
}

/* Each has a copy for the task as well, which judges the corners. */
static insn_function *pick_native(struct engine_vcpu *c, struct insn *i, bool single)
{
	struct insn_detail *d = i->detail;
	insn_function *run;
	if (vector_is_indexed(&d->emu))
		return d->emu.operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY ? vector_scatter : vector_gather;
	if (!native_prepare(c, d, single))
		return op_undefined;
	/* Both forms have no corners: the copy, which has the prefix, is not executed. */
	if (emu_ignores_prefix(&c->vm->cpu, &d->emu))
		d->emu.info.mnemonic =
			d->emu.info.mnemonic == ZYDIS_MNEMONIC_LZCNT ? ZYDIS_MNEMONIC_BSR : ZYDIS_MNEMONIC_BSF;
	run = native_is_x87(&d->emu) ? x87_pick(i) : d->fpu ? vector_pick(i) : integer_pick(i);
	return run ? run : native_run_insn;
}

bool decode_insn(struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, bool single)
{
	if (emu_is_absent(&c->vm->cpu, emu)) {
		i->run = op_undefined;
		return true;
	}
	/* The interpreter reads the counter itself: no exit. */
	bool counter = emu->info.mnemonic == ZYDIS_MNEMONIC_RDTSC || emu->info.mnemonic == ZYDIS_MNEMONIC_RDTSCP;
	bool sensitive = !counter && emu_is_sensitive(emu);
	if (!sensitive || emu->info.mnemonic == ZYDIS_MNEMONIC_INT) {
		decode_operands(c, i, emu);
		i->run = decode_flow(c, i, emu);
		if (!i->run && !sensitive)
			i->run = pick_conditional(c, i, emu);
		if (i->run && emu_is_narrow_branch(emu)) {
			if (!add_detail(i, emu))
				return no_memory(c, i);
			i->run = decode_narrow(i, emu);
		}
		if (i->run)
			return emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || i->run == op_syscall ||
			       i->run == op_int80 || i->run == op_popf;
	}
	*i = (struct insn){.base = GPR_ZERO, .index = GPR_ZERO};
	i->run = sensitive ? op_sensitive : pick_plain(c, i, emu);
	bool by_table = i->run && !sensitive && i->run != op_base && i->run != op_pushf;
	if (by_table)
		return i->run == op_undefined;
	if (!add_detail(i, emu))
		return no_memory(c, i);
	if (!i->run) {
		for (unsigned n = 0; n < emu->info.operand_count; n++)
			if (OPERAND(emu, n, MEMORY))
				decode_memory(c, i, emu, &emu->operands[n]);
		i->run = pick_native(c, i, single);
	}
	return sensitive || i->run == op_undefined;
}

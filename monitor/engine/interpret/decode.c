/*
 * From what Zydis decoded to struct insn: which function executes it, and where its operands lie.
 */
#include <stdlib.h>
#include <string.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/native.h"
#include "monitor/vm/cpu.h"
#include "monitor/vm/vm.h"

#define NARROW_TARGETS (INT64_C(1) << 16)

#define OPERAND(emu, n, kind) ((emu)->operands[n].type == ZYDIS_OPERAND_TYPE_##kind)

/* Byte offset of a general register in the register file. */
static uint8_t reg_offset(ZydisRegister reg)
{
	if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH)
		return (uint8_t)((reg - ZYDIS_REGISTER_AH) * 8 + 1);
	if (reg >= ZYDIS_REGISTER_AL && reg <= ZYDIS_REGISTER_BL)
		return (uint8_t)((reg - ZYDIS_REGISTER_AL) * 8);
	if (reg >= ZYDIS_REGISTER_SPL && reg <= ZYDIS_REGISTER_R15B)
		return (uint8_t)((reg - ZYDIS_REGISTER_SPL + RSP) * 8);
	return (uint8_t)(ZydisRegisterGetId(reg) * 8);
}

static bool is_gpr(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	default:
		return false;
	}
}

static void set_memory(struct insn *i, const struct emu_insn *emu, const ZydisDecodedOperandMem *mem)
{
	i->disp = mem->disp.value;
	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		i->ea |= EA_RIP;
	else if (mem->base != ZYDIS_REGISTER_NONE)
		i->base = (uint8_t)ZydisRegisterGetId(mem->base);
	/* An index in a vector register is vector.c's. */
	if (mem->index != ZYDIS_REGISTER_NONE && mem->type != ZYDIS_MEMOP_TYPE_VSIB) {
		i->index = (uint8_t)ZydisRegisterGetId(mem->index);
		i->scale = (uint8_t)__builtin_ctz(mem->scale ? mem->scale : 1);
	}
	if (emu->info.address_width == 32)
		i->ea |= EA_32;
	if (mem->segment == ZYDIS_REGISTER_FS)
		i->ea |= EA_FS;
	else if (mem->segment == ZYDIS_REGISTER_GS)
		i->ea |= EA_GS;
	else if (mem->segment == ZYDIS_REGISTER_SS)
		i->ea |= EA_STACK;
}

/* An immediate, sign-extended from the width it is encoded with. */
static int64_t immediate(const struct emu_insn *emu)
{
	unsigned shift = 64 - emu->info.raw.imm[0].size;
	return (int64_t)(emu->info.raw.imm[0].value.u << shift) >> shift;
}

/* Registers to dst and src, memory to the address. False: an operand that is neither general register nor these. */
static bool set_operands(struct insn *i, const struct emu_insn *emu)
{
	for (unsigned n = 0; n < 2 && n < emu->info.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (is_gpr(op))
			*(n ? &i->src : &i->dst) = reg_offset(op->reg.value);
		else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			set_memory(i, emu, &op->mem);
		else if (op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return false;
	}
	if (emu->info.raw.imm[0].size)
		i->imm = immediate(emu);
	return true;
}

static enum width width_of(unsigned bits)
{
	return bits == 8 ? WIDTH_8 : bits == 16 ? WIDTH_16 : bits == 32 ? WIDTH_32 : WIDTH_64;
}

static enum width operand_width(const struct emu_insn *emu, unsigned n)
{
	return width_of(emu->operands[n].size);
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

static insn_function *pick_push(const struct emu_insn *emu)
{
	bool narrow = emu->info.operand_width == 16;
	if (OPERAND(emu, 0, IMMEDIATE))
		return narrow ? op_push_imm16 : op_push_imm64;
	if (OPERAND(emu, 0, MEMORY))
		return narrow ? op_push_mem16 : op_push_mem64;
	return narrow ? op_push16 : op_push64;
}

static insn_function *pick_pop(struct insn *i, const struct emu_insn *emu)
{
	bool narrow = emu->info.operand_width == 16;
	if (!OPERAND(emu, 0, MEMORY))
		return narrow ? op_pop16 : op_pop64;
	return narrow ? op_pop_mem16 : op_pop_mem64;
}

static insn_function *pick_branch(const struct emu_insn *emu, insn_function *near, insn_function *reg,
				  insn_function *mem)
{
	return OPERAND(emu, 0, IMMEDIATE) ? near : OPERAND(emu, 0, MEMORY) ? mem : reg;
}

/* With a bit offset in a register it is anywhere in memory; else natively. */
static insn_function *pick_bit(struct insn *i, const struct emu_insn *emu, int op)
{
	if (!OPERAND(emu, 0, MEMORY) || !OPERAND(emu, 1, REGISTER))
		return NULL;
	i->imm = op;
	return bit_table[operand_width(emu, 0)];
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
	/* The source may lie in FS or GS; the destination never does. */
	if (emu->info.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_FS)
		i->ea = EA_FS;
	else if (emu->info.attributes & ZYDIS_ATTRIB_HAS_SEGMENT_GS)
		i->ea = EA_GS;
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

static insn_function *pick_conditional(const struct emu_insn *emu)
{
	static const ZydisMnemonic jcc[16] = CONDITIONS(J), set[16] = CONDITIONS(SET), cmov[16] = CONDITIONS(CMOV);
	int cc = index_of(emu->info.mnemonic, jcc, 16);
	if (cc >= 0)
		return jcc_table[cc];
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

static insn_function *pick_transfer(struct insn *i, const struct emu_insn *emu)
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
		i->ea &= (uint8_t) ~(EA_FS | EA_GS);
		return lea_table[operand_width(emu, 0)];
	case ZYDIS_MNEMONIC_XCHG:
		return pick_xchg(i, emu);
	case ZYDIS_MNEMONIC_PUSH:
		return pick_push(emu);
	case ZYDIS_MNEMONIC_POP:
		return pick_pop(i, emu);
	case ZYDIS_MNEMONIC_LEAVE:
		return emu->info.operand_width == 64 ? op_leave64 : op_leave16;
	case ZYDIS_MNEMONIC_ENTER:
		i->imm = (int64_t)emu->operands[0].imm.value.u;
		i->src = emu->operands[1].imm.value.u & 31;
		return emu->info.operand_width == 64 ? op_enter64 : op_enter16;
		DECODE_PLAIN(CBW, op_cbw)
		DECODE_PLAIN(CWDE, op_cwde)
		DECODE_PLAIN(CDQE, op_cdqe)
		DECODE_PLAIN(CWD, op_cwd)
		DECODE_PLAIN(CDQ, op_cdq)
		DECODE_PLAIN(CQO, op_cqo)
	case ZYDIS_MNEMONIC_XLAT:
		set_memory(i, emu, &emu->operands[1].mem);
		return op_xlat;
	default:
		return NULL;
	}
}

/* 0: the count alone, 1: LOOPE, 2: LOOPNE. On AMD's processors a repeat prefix decides which of these two it is. */
static uint8_t loop_condition(const struct emu_insn *emu)
{
	uint8_t condition = emu->info.mnemonic == ZYDIS_MNEMONIC_LOOPE	  ? 1
			    : emu->info.mnemonic == ZYDIS_MNEMONIC_LOOPNE ? 2
									  : 0;
	for (unsigned n = 0; condition && cpu_host_is_amd() && n < emu->info.raw.prefix_count; n++) {
		if (emu->info.raw.prefixes[n].value == X86_PREFIX_REP)
			condition = 1;
		else if (emu->info.raw.prefixes[n].value == X86_PREFIX_REPNE)
			condition = 2;
	}
	return condition;
}

/* Transfers of control; all end the block. */
static insn_function *pick_flow(struct insn *i, const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return pick_branch(emu, op_jmp, op_jmp_reg, op_jmp_mem);
	case ZYDIS_MNEMONIC_CALL:
		return pick_branch(emu, op_call, op_call_reg, op_call_mem);
	case ZYDIS_MNEMONIC_RET:
		i->imm = (int64_t)(emu->info.raw.imm[0].size ? emu->info.raw.imm[0].value.u & 0xffff : 0);
		return op_ret;
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
		i->src = loop_condition(emu);
		i->ea = emu->info.address_width == 32 ? EA_32 : 0;
		return op_loop;
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
		i->ea = emu->info.mnemonic == ZYDIS_MNEMONIC_JECXZ ? EA_32 : 0;
		return op_jrcxz;
		DECODE_PLAIN(SYSCALL, op_syscall)
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFQ:
		i->imm = emu->info.operand_width == 16;
		return op_popf;
	case ZYDIS_MNEMONIC_INT:
		return emu->operands[0].imm.value.u == 0x80 ? op_int80 : NULL;
	default:
		return NULL;
	}
}

static insn_function *pick_plain(struct insn *i, const struct emu_insn *emu)
{
	insn_function *run = pick_string_op(i, emu);
	if (run || emu->info.meta.category == ZYDIS_CATEGORY_STRINGOP)
		return run;
	bool known = set_operands(i, emu);
	run = decode_system(emu);
	if (run || !known)
		return run;
	run = pick_arithmetic(i, emu);
	if (!run)
		run = pick_transfer(i, emu);
	return run;
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

static insn_function *pick_narrow(struct insn *i, const struct emu_insn *emu)
{
	i->detail->without_prefix = i->run;
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return op_jmp16;
	case ZYDIS_MNEMONIC_CALL:
		return op_call16;
	case ZYDIS_MNEMONIC_RET:
		return op_ret16;
	default:
		/* So that a branch to the very next instruction is told from one not taken. */
		i->imm += NARROW_TARGETS;
		return op_branch16;
	}
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
	run = d->fpu ? vector_pick(i) : integer_pick(i);
	return run ? run : native_run_insn;
}

bool decode_insn(struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, bool single)
{
	/* The interpreter reads the counter itself: no exit. */
	bool counter = emu->info.mnemonic == ZYDIS_MNEMONIC_RDTSC || emu->info.mnemonic == ZYDIS_MNEMONIC_RDTSCP;
	bool sensitive = !counter && emu_is_sensitive(emu);
	if (!sensitive || emu->info.mnemonic == ZYDIS_MNEMONIC_INT) {
		set_operands(i, emu);
		i->run = pick_flow(i, emu);
		if (!i->run && !sensitive)
			i->run = pick_conditional(emu);
		if (i->run && emu_is_narrow_branch(emu)) {
			if (!add_detail(i, emu))
				return no_memory(c, i);
			i->run = pick_narrow(i, emu);
		}
		if (i->run)
			return emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || i->run == op_syscall ||
			       i->run == op_int80 || i->run == op_popf;
	}
	*i = (struct insn){.base = GPR_ZERO, .index = GPR_ZERO};
	i->run = sensitive ? op_sensitive : pick_plain(i, emu);
	bool by_table = i->run && !sensitive && i->run != op_base && i->run != op_pushf;
	if (by_table)
		return i->run == op_undefined;
	if (!add_detail(i, emu))
		return no_memory(c, i);
	if (!i->run) {
		for (unsigned n = 0; n < emu->info.operand_count; n++)
			if (OPERAND(emu, n, MEMORY))
				set_memory(i, emu, &emu->operands[n].mem);
		i->run = pick_native(c, i, single);
	}
	return sensitive || i->run == op_undefined;
}

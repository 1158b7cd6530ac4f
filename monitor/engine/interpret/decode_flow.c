/*
 * Which function executes a transfer of control.
 */
#include "monitor/engine/interpret/decode.h"
#include "monitor/vm/cpu.h"

#define NARROW_TARGETS (INT64_C(1) << 16)

static insn_function *pick_branch(const struct emu_insn *emu, insn_function *near, insn_function *reg,
				  insn_function *mem)
{
	return OPERAND(emu, 0, IMMEDIATE) ? near : OPERAND(emu, 0, MEMORY) ? mem : reg;
}

static insn_function *pick_near(const struct engine_vcpu *c, const struct emu_insn *emu, enum near_op near,
				enum near_op reg, enum near_op mem)
{
	insn_function *const *row = near_table[stack_kind(c)][decode_width(emu->info.operand_width)];
	return pick_branch(emu, row[near], row[reg], row[mem]);
}

/* Where all targets lie within CS, running on at 4 GiB is all that is different outside 64-bit mode. */
static bool is_near(const struct engine_vcpu *c, const struct emu_insn *emu)
{
	return !decode_is_long(emu) && (!c->flat || emu->info.operand_width == 16);
}

insn_function *decode_jcc(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu, unsigned cc)
{
	if (!is_near(c, emu))
		return jcc_table[cc];
	i->dst = emu->info.operand_width;
	i->src = (uint8_t)cc;
	return op_near_jcc;
}

/* 0: the count alone, 1: LOOPE, 2: LOOPNE. On AMD's processors a repeat prefix decides which of these two it is. */
static uint8_t loop_condition(const struct emu_insn *emu)
{
	uint8_t condition = emu->info.mnemonic == ZYDIS_MNEMONIC_LOOPE	  ? 1
			    : emu->info.mnemonic == ZYDIS_MNEMONIC_LOOPNE ? 2
									  : 0;
	for (unsigned n = 0; condition && cpu_decodes_as_amd() && n < emu->info.raw.prefix_count; n++) {
		if (emu->info.raw.prefixes[n].value == X86_PREFIX_REP)
			condition = 1;
		else if (emu->info.raw.prefixes[n].value == X86_PREFIX_REPNE)
			condition = 2;
	}
	return condition;
}

static insn_function *pick_loop(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	bool counts = emu->info.mnemonic != ZYDIS_MNEMONIC_JRCXZ && emu->info.mnemonic != ZYDIS_MNEMONIC_JECXZ &&
		      emu->info.mnemonic != ZYDIS_MNEMONIC_JCXZ;
	i->src = loop_condition(emu);
	i->ea = emu->info.address_width == 32 ? EA_32 : emu->info.address_width == 16 ? EA_16 : 0;
	if (!is_near(c, emu) && !(i->ea & EA_16))
		return counts ? op_loop : op_jrcxz;
	i->dst = emu->info.operand_width;
	return counts ? op_near_loop : op_near_jcxz;
}

static uint64_t parameters(const struct emu_insn *emu)
{
	return emu->info.raw.imm[0].size ? emu->info.raw.imm[0].value.u & 0xffff : 0;
}

insn_function *decode_flow(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	bool wide = decode_is_long(emu);
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return wide || (OPERAND(emu, 0, IMMEDIATE) && !is_near(c, emu))
			       ? pick_branch(emu, op_jmp, op_jmp_reg, op_jmp_mem)
			       : pick_near(c, emu, NEAR_JMP, NEAR_JMP_REG, NEAR_JMP_MEM);
	case ZYDIS_MNEMONIC_CALL:
		return wide ? pick_branch(emu, op_call, op_call_reg, op_call_mem)
			    : pick_near(c, emu, NEAR_CALL, NEAR_CALL_REG, NEAR_CALL_MEM);
	case ZYDIS_MNEMONIC_RET:
		i->imm = (int64_t)parameters(emu);
		return wide ? op_ret : pick_near(c, emu, NEAR_RET, NEAR_RET, NEAR_RET);
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
	case ZYDIS_MNEMONIC_JCXZ:
		return pick_loop(c, i, emu);
		DECODE_PLAIN(SYSCALL, op_syscall)
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		i->imm = emu->info.operand_width;
		return op_popf;
	case ZYDIS_MNEMONIC_INT:
		return wide && emu->operands[0].imm.value.u == 0x80 ? op_int80 : NULL;
	default:
		return NULL;
	}
}

insn_function *decode_narrow(struct insn *i, const struct emu_insn *emu)
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

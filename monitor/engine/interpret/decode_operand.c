/*
 * Where the operands of a decoded instruction lie: registers, immediates, memory and the segment it is in.
 */
#include "monitor/engine/interpret/decode.h"
#include "monitor/engine/interpret/native.h"

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

bool decode_is_long(const struct emu_insn *emu)
{
	return emu->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

/* Bytes that are accessed: of a vector of addresses, at each; of a state image, what every one has. */
static uint16_t accessed(const struct emu_insn *emu, const ZydisDecodedOperand *op)
{
	if (native_is_state(emu))
		return X86_FPU_EXTENDED;
	unsigned bits = op->mem.type == ZYDIS_MEMOP_TYPE_VSIB ? op->element_size : op->size;
	return bits >= 8 ? (uint16_t)(bits / 8) : 1;
}

/* Outside 64-bit mode FS and GS always have their say, the others if they differ from what they mostly are. */
static void set_segment(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu,
			const ZydisDecodedOperand *op)
{
	enum vcpu_sreg sreg = (enum vcpu_sreg)ZydisRegisterGetId(op->mem.segment);
	if (sreg == SREG_SS)
		i->ea |= EA_STACK;
	if (!decode_is_long(emu) && (!c->flat || sreg == SREG_CS || sreg == SREG_FS || sreg == SREG_GS)) {
		i->ea |= EA_SEG;
		i->within.disp = (int32_t)op->mem.disp.value;
		i->within.len = accessed(emu, op);
		i->within.sreg = (uint8_t)sreg;
		i->within.write = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	} else if (decode_is_long(emu) && (sreg == SREG_FS || sreg == SREG_GS)) {
		bool fs = sreg == SREG_FS, plain = !(i->ea & EA_OTHER) && i->index == GPR_ZERO;
		if (plain && op->mem.type != ZYDIS_MEMOP_TYPE_VSIB)
			i->index = fs ? GPR_FS : GPR_GS;
		else
			i->ea |= fs ? EA_FS : EA_GS;
	}
}

void decode_memory(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu,
		   const ZydisDecodedOperand *op)
{
	const ZydisDecodedOperandMem *mem = &op->mem;
	i->disp = mem->disp.value;
	/* Of the same operand, decoded before. */
	if (i->index > GPR_ZERO)
		i->index = GPR_ZERO;
	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		i->base = GPR_RIP;
	else if (mem->base != ZYDIS_REGISTER_NONE)
		i->base = (uint8_t)ZydisRegisterGetId(mem->base);
	/* An index in a vector register is vector.c's. */
	if (mem->index != ZYDIS_REGISTER_NONE && mem->type != ZYDIS_MEMOP_TYPE_VSIB) {
		i->index = (uint8_t)ZydisRegisterGetId(mem->index);
		i->scale = (uint8_t)__builtin_ctz(mem->scale ? mem->scale : 1);
	}
	if (emu->info.address_width == 32 && decode_is_long(emu))
		i->ea |= EA_32;
	else if (emu->info.address_width == 16)
		i->ea |= EA_16;
	if (mem->type != ZYDIS_MEMOP_TYPE_AGEN)
		set_segment(c, i, emu, op);
}

/* An immediate, sign-extended from the width it is encoded with. */
static int64_t immediate(const struct emu_insn *emu)
{
	unsigned shift = 64 - emu->info.raw.imm[0].size;
	return (int64_t)(emu->info.raw.imm[0].value.u << shift) >> shift;
}

bool decode_operands(const struct engine_vcpu *c, struct insn *i, const struct emu_insn *emu)
{
	for (unsigned n = 0; n < 2 && n < emu->info.operand_count_visible; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (is_gpr(op))
			*(n ? &i->src : &i->dst) = reg_offset(op->reg.value);
		else if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
			decode_memory(c, i, emu, op);
		else if (op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE)
			return false;
	}
	if (emu->info.raw.imm[0].size)
		i->imm = immediate(emu);
	return true;
}

enum width decode_width(unsigned bits)
{
	return bits == 8 ? WIDTH_8 : bits == 16 ? WIDTH_16 : bits == 32 ? WIDTH_32 : WIDTH_64;
}

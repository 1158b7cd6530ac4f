/*
 * The operands of a decoded instruction: registers, effective addresses, memory, stack.
 */
#include <stdio.h>
#include <string.h>

#include "monitor/emulate/group.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

enum emu_step emu_raise(struct vcpu *vcpu, uint8_t vector)
{
	vcpu_raise(vcpu, vector);
	return STEP_FAULT;
}

enum emu_step emu_raise_gp(struct vcpu *vcpu, uint32_t error)
{
	vcpu_raise_error(vcpu, X86_VEC_GP, error);
	return STEP_FAULT;
}

enum emu_step emu_raise_fault(struct vcpu *vcpu, const struct gm_fault *fault)
{
	vcpu_raise_fault(vcpu, fault);
	return STEP_FAULT;
}

enum emu_step emu_shadow(struct vcpu *vcpu, int error)
{
	vm_settle(vcpu->vm);
	if (error && !vcpu->vm->ended) {
		fprintf(stderr,
			"ring3: the host refused a change of shadow page tables: %s; free memory or raise "
			"vm.max_map_count\n",
			strerror(-error));
		vm_end(vcpu->vm, VM_STATUS_HOST);
	}
	return STEP_NEXT;
}

uint64_t emu_gpr(const struct vcpu *vcpu, ZydisRegister reg)
{
	uint64_t value = vcpu->gpr[ZydisRegisterGetId(reg)];
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR16:
		return (uint16_t)value;
	case ZYDIS_REGCLASS_GPR32:
		return (uint32_t)value;
	default:
		return value;
	}
}

void emu_set_gpr(struct vcpu *vcpu, ZydisRegister reg, uint64_t value)
{
	uint64_t *gpr = &vcpu->gpr[ZydisRegisterGetId(reg)];
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR16:
		*gpr = (*gpr & ~R3_U64(0xffff)) | (uint16_t)value;
		break;
	case ZYDIS_REGCLASS_GPR32:
		*gpr = (uint32_t)value;
		break;
	default:
		*gpr = value;
	}
}

static bool is_long(const struct emu_insn *insn)
{
	return insn->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

static uint64_t effective(const struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand)
{
	const ZydisDecodedOperandMem *mem = &insn->operands[operand].mem;
	uint64_t address = (uint64_t)mem->disp.value;
	if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP)
		address += vcpu->rip + insn->info.length;
	else if (mem->base != ZYDIS_REGISTER_NONE)
		address += emu_gpr(vcpu, mem->base);
	if (mem->index != ZYDIS_REGISTER_NONE)
		address += emu_gpr(vcpu, mem->index) * mem->scale;
	if (insn->info.address_width == 16)
		return (uint16_t)address;
	return insn->info.address_width == 32 ? (uint32_t)address : address;
}

/* The segment that an operand lies in. */
static enum vcpu_sreg segment_of(const struct emu_insn *insn, unsigned operand)
{
	ZydisRegister segment = insn->operands[operand].mem.segment;
	return segment == ZYDIS_REGISTER_NONE ? SREG_DS : (enum vcpu_sreg)ZydisRegisterGetId(segment);
}

uint64_t emu_address(const struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand)
{
	uint64_t address = effective(vcpu, insn, operand);
	enum vcpu_sreg sreg = segment_of(insn, operand);
	if (!is_long(insn))
		return (uint32_t)(vcpu->sreg[sreg].base + address);
	/* The other segments have base 0 in 64-bit mode. */
	return sreg == SREG_FS || sreg == SREG_GS ? address + vcpu->sreg[sreg].base : address;
}

/* Queues what a failed access asks for: on the stack segment a non-canonical address is #SS(0), else #GP(0). */
static bool memory_fault(struct vcpu *vcpu, struct gm_fault *fault, bool stack)
{
	if (stack && fault->vector == X86_VEC_GP)
		fault->vector = X86_VEC_SS;
	vcpu_raise_fault(vcpu, fault);
	return false;
}

bool emu_linear(struct vcpu *vcpu, enum vcpu_sreg sreg, uint64_t offset, unsigned len, bool write, uint64_t *gva)
{
	const struct vcpu_segment *segment = &vcpu->sreg[sreg];
	uint32_t linear;
	if (vcpu_code_bits(vcpu) == 64) {
		*gva = sreg == SREG_FS || sreg == SREG_GS ? offset + segment->base : offset;
		return true;
	}
	if (!seg_linear(segment, (uint32_t)offset, len, write, &linear)) {
		vcpu_raise_error(vcpu, sreg == SREG_SS ? X86_VEC_SS : X86_VEC_GP, 0);
		return false;
	}
	*gva = linear;
	return true;
}

bool emu_load(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, void *to, unsigned len)
{
	struct gm_fault fault;
	enum vcpu_sreg sreg = segment_of(insn, operand);
	uint64_t gva;
	return emu_linear(vcpu, sreg, effective(vcpu, insn, operand), len, false, &gva) &&
	       (gm_read_gva(vcpu, gva, to, len, GM_CPL, &fault) || memory_fault(vcpu, &fault, sreg == SREG_SS));
}

bool emu_store(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, const void *from, unsigned len)
{
	struct gm_fault fault;
	enum vcpu_sreg sreg = segment_of(insn, operand);
	uint64_t gva;
	return emu_linear(vcpu, sreg, effective(vcpu, insn, operand), len, true, &gva) &&
	       (gm_write_gva(vcpu, gva, from, len, GM_CPL, &fault) || memory_fault(vcpu, &fault, sreg == SREG_SS));
}

bool emu_read_operand(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, uint64_t *value)
{
	const ZydisDecodedOperand *op = &insn->operands[operand];
	*value = 0;
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return emu_load(vcpu, insn, operand, value, op->size / 8);
	*value = emu_gpr(vcpu, op->reg.value);
	return true;
}

bool emu_write_operand(struct vcpu *vcpu, const struct emu_insn *insn, unsigned operand, uint64_t value)
{
	const ZydisDecodedOperand *op = &insn->operands[operand];
	if (op->type == ZYDIS_OPERAND_TYPE_MEMORY)
		return emu_store(vcpu, insn, operand, &value, op->size / 8);
	emu_set_gpr(vcpu, op->reg.value, value);
	return true;
}

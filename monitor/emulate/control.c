/*
 * Control registers: MOV to and from CR0 CR2 CR3 CR4 CR8, CLTS, LMSW, XSETBV (SDM 2B MOV-Control Registers, SDM
 * 3A 2.5).
 *
 * CR0.TS and CR0.EM are kept but do not make x87 or SSE instructions trap when code runs directly: the host owns the
 * real CR0.
 */
#include "monitor/emulate/group.h"
#include "monitor/vm/vm.h"

#define CR0_DEFINED                                                                                                    \
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |       \
	 X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)
#define CR0_MSW (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

#define CR4_PAGING (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | X86_CR4_SMAP)

#define CR8_TPR R3_U64(0xf)

/* May paging be switched so (SDM 3A 9.8.5)? Into long mode not from 64-bit code, out of it not from there. */
static bool may_switch_paging(const struct vcpu *vcpu, uint64_t value)
{
	bool on = value & X86_CR0_PG, was = vcpu->cr0 & X86_CR0_PG,
	     wide_code = vcpu->sreg[SREG_CS].descriptor & X86_DESC_L;
	if (on && !(value & X86_CR0_PE))
		return false;
	if (on == was)
		return true;
	if (!vcpu->vm->cpu.legacy_modes)
		return false;
	if (on && (vcpu->efer & X86_EFER_LME))
		return (vcpu->cr4 & X86_CR4_PAE) && !wide_code;
	return on || vcpu_code_bits(vcpu) != 64;
}

static enum emu_step write_cr0(struct vcpu *vcpu, uint64_t value)
{
	uint64_t old = vcpu->cr0, efer = vcpu->efer;
	if (value >> 32 || ((value & X86_CR0_NW) && !(value & X86_CR0_CD)) || !may_switch_paging(vcpu, value))
		return emu_raise_gp(vcpu, 0);
	vcpu->cr0 = (value & CR0_DEFINED) | X86_CR0_ET;
	if ((value & X86_CR0_PG) && (efer & X86_EFER_LME))
		vcpu->efer |= X86_EFER_LMA;
	else
		vcpu->efer &= ~X86_EFER_LMA;
	if (((old ^ value) & X86_CR0_PG) && !vcpu_load_pdptes(vcpu, vcpu->cr3)) {
		vcpu->cr0 = old;
		vcpu->efer = efer;
		return emu_raise_gp(vcpu, 0);
	}
	if ((old ^ vcpu->cr0) & (X86_CR0_WP | X86_CR0_PG))
		return emu_shadow(vcpu, spt_flush_all(vcpu->vm->spt));
	return STEP_NEXT;
}

bool vcpu_load_cr3(struct vcpu *vcpu, uint64_t value)
{
	if (value >> CPU_PHYSICAL_BITS || !vcpu_load_pdptes(vcpu, value))
		return false;
	vcpu->cr3 = value;
	struct spt_cpu paging = vcpu_paging(vcpu);
	emu_shadow(vcpu, spt_cr3_load(vcpu->vm->spt, &paging));
	return true;
}

static enum emu_step write_cr3(struct vcpu *vcpu, uint64_t value)
{
	return vcpu_load_cr3(vcpu, value) ? STEP_NEXT : emu_raise_gp(vcpu, 0);
}

static enum emu_step write_cr4(struct vcpu *vcpu, uint64_t value)
{
	uint64_t old = vcpu->cr4;
	if ((value & ~vcpu->vm->cpu.cr4) || (vcpu_is_long(vcpu) && !(value & X86_CR4_PAE)))
		return emu_raise_gp(vcpu, 0);
	vcpu->cr4 = value;
	if (((old ^ value) & CR4_PAGING) && !vcpu_load_pdptes(vcpu, vcpu->cr3)) {
		vcpu->cr4 = old;
		return emu_raise_gp(vcpu, 0);
	}
	if ((old ^ value) & CR4_PAGING)
		return emu_shadow(vcpu, spt_flush_all(vcpu->vm->spt));
	return STEP_NEXT;
}

static enum emu_step write_cr8(struct vcpu *vcpu, uint64_t value)
{
	if (value & ~CR8_TPR)
		return emu_raise_gp(vcpu, 0);
	vcpu->cr8 = value;
	return STEP_NEXT;
}

static enum emu_step write_cr(struct vcpu *vcpu, ZydisRegister cr, uint64_t value)
{
	switch (cr) {
	case ZYDIS_REGISTER_CR0:
		return write_cr0(vcpu, value);
	case ZYDIS_REGISTER_CR2:
		vcpu->cr2 = value;
		return STEP_NEXT;
	case ZYDIS_REGISTER_CR3:
		return write_cr3(vcpu, value);
	case ZYDIS_REGISTER_CR4:
		return write_cr4(vcpu, value);
	case ZYDIS_REGISTER_CR8:
		return write_cr8(vcpu, value);
	default:
		return emu_raise(vcpu, X86_VEC_UD);
	}
}

static const uint64_t *cr_of(const struct vcpu *vcpu, ZydisRegister cr)
{
	switch (cr) {
	case ZYDIS_REGISTER_CR0:
		return &vcpu->cr0;
	case ZYDIS_REGISTER_CR2:
		return &vcpu->cr2;
	case ZYDIS_REGISTER_CR3:
		return &vcpu->cr3;
	case ZYDIS_REGISTER_CR4:
		return &vcpu->cr4;
	case ZYDIS_REGISTER_CR8:
		return &vcpu->cr8;
	default:
		return NULL;
	}
}

enum emu_step emu_mov_cr(struct vcpu *vcpu, const struct emu_insn *insn)
{
	ZydisRegister to = insn->operands[0].reg.value, from = insn->operands[1].reg.value;
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (ZydisRegisterGetClass(to) == ZYDIS_REGCLASS_CONTROL)
		return write_cr(vcpu, to, emu_gpr(vcpu, from));
	const uint64_t *cr = cr_of(vcpu, from);
	if (!cr)
		return emu_raise(vcpu, X86_VEC_UD);
	emu_set_gpr(vcpu, to, *cr);
	return STEP_NEXT;
}

enum emu_step emu_clts(struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	vcpu->cr0 &= ~X86_CR0_TS;
	return STEP_NEXT;
}

/* Sets the low four bits of CR0; PE it cannot clear. Paging it does not reach. */
enum emu_step emu_lmsw(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value;
	if (vcpu->cpl != 0)
		return emu_raise_gp(vcpu, 0);
	if (!emu_read_operand(vcpu, insn, 0, &value))
		return STEP_FAULT;
	vcpu->cr0 = (vcpu->cr0 & ~CR0_MSW) | (value & CR0_MSW) | (vcpu->cr0 & X86_CR0_PE);
	return STEP_NEXT;
}

/* SDM 1 13.3: x87 always, AVX needs SSE, AVX-512 needs AVX and comes whole. */
static bool valid_xcr0(const struct vcpu *vcpu, uint64_t value)
{
	uint64_t avx512 = value & X86_XCR0_AVX512;
	if ((value & ~vcpu->vm->cpu.xcr0) || !(value & X86_XCR0_X87))
		return false;
	if ((value & X86_XCR0_AVX) && !(value & X86_XCR0_SSE))
		return false;
	return !avx512 || (avx512 == X86_XCR0_AVX512 && (value & X86_XCR0_AVX));
}

/* The value is remembered; code that runs directly has the host's XCR0 all the time. */
enum emu_step emu_xsetbv(struct vcpu *vcpu, const struct emu_insn *insn)
{
	uint64_t value = (uint64_t)(uint32_t)vcpu->gpr[RDX] << 32 | (uint32_t)vcpu->gpr[RAX];
	if (!(vcpu->cr4 & X86_CR4_OSXSAVE))
		return emu_raise(vcpu, X86_VEC_UD);
	if (vcpu->cpl != 0 || (uint32_t)vcpu->gpr[RCX] != 0 || !valid_xcr0(vcpu, value))
		return emu_raise_gp(vcpu, 0);
	vcpu->xcr0 = value;
	return STEP_NEXT;
}

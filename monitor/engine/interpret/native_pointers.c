/*
 * Where the x87's last instruction and its operand lay. In the confined task both lie elsewhere, and not every
 * processor keeps them across XSAVE: so they are told from what was executed, as the processor would have.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"
#include "monitor/vm/vm.h"

/* What an instruction does to the pointers: SDM 1 8.1.8, and by trial. */
enum effect {
	KEEPS,
	SETS,	/* it is the last one now */
	CLEARS, /* FNINIT and FNSAVE, which ends with it */
	LOADS_ENVIRONMENT,
	LOADS_FXSAVE,
	LOADS_XSAVE,
};

static enum effect effect_of(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_FNINIT:
	case ZYDIS_MNEMONIC_FNSAVE:
		return CLEARS;
	case ZYDIS_MNEMONIC_FLDENV:
	case ZYDIS_MNEMONIC_FRSTOR:
		return LOADS_ENVIRONMENT;
	case ZYDIS_MNEMONIC_FXRSTOR:
	case ZYDIS_MNEMONIC_FXRSTOR64:
		return LOADS_FXSAVE;
	case ZYDIS_MNEMONIC_XRSTOR:
	case ZYDIS_MNEMONIC_XRSTOR64:
		return LOADS_XSAVE;
	case ZYDIS_MNEMONIC_FNCLEX:
	case ZYDIS_MNEMONIC_FNSTCW:
	case ZYDIS_MNEMONIC_FNSTSW:
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FLDCW:
	case ZYDIS_MNEMONIC_FWAIT:
	case ZYDIS_MNEMONIC_FDISI8087_NOP:
	case ZYDIS_MNEMONIC_FENI8087_NOP:
	case ZYDIS_MNEMONIC_FSETPM287_NOP:
		return KEEPS;
	default:
		return native_class_of(emu) == NATIVE_CLASS_X87 ? SETS : KEEPS;
	}
}

/* The environment that FLDENV reads and FNSTENV writes in protected mode (SDM 1 figures 8-9, 8-11): words of it. */
struct layout {
	uint8_t size, fip, fcs, fop, fdp, fds; /* bytes of a pointer; offsets, fop 0: not there */
};

static const struct layout *layout_of(const struct emu_insn *emu)
{
	static const struct layout narrow = {2, 6, 8, 0, 10, 12}, wide = {4, 12, 16, 18, 20, 24};
	return emu->info.operand_width == 16 ? &narrow : &wide;
}

/*
 * In real and virtual 8086 mode pointers are linear addresses: the low 16 bits where a pointer would be, the others
 * above the opcode in what follows (SDM 1 figures 8-10, 8-12).
 */
#define REAL_HIGH_SHIFT 12

static uint32_t real_word(const uint8_t *operand, unsigned size, unsigned n)
{
	uint32_t value = 0;
	memcpy(&value, operand + n * size, size);
	return value;
}

static void real_environment_load(struct x87_pointers *p, const uint8_t *operand, unsigned size)
{
	uint32_t above_fip = real_word(operand, size, 4), above_fdp = real_word(operand, size, 6);
	*p = (struct x87_pointers){.fop = above_fip & X86_FPU_FOP_MASK,
				   .fip = (uint16_t)real_word(operand, size, 3),
				   .fdp = (uint16_t)real_word(operand, size, 5)};
	p->fip |= (uint64_t)(above_fip >> REAL_HIGH_SHIFT & UINT16_MAX) << 16;
	p->fdp |= (uint64_t)(above_fdp >> REAL_HIGH_SHIFT & UINT16_MAX) << 16;
}

static void real_environment_store(const struct engine_vcpu *c, const struct x87_pointers *p, uint8_t *operand,
				   unsigned size)
{
	uint32_t fip = (uint32_t)(p->fip + (p->fip ? c->cs_base : 0));
	uint32_t fdp = (uint32_t)(p->fdp + (p->fdp ? c->vcpu->sreg[SREG_DS].base : 0));
	const uint32_t words[] = {(uint16_t)fip, fip >> 16 << REAL_HIGH_SHIFT | p->fop, (uint16_t)fdp,
				  fdp >> 16 << REAL_HIGH_SHIFT};
	for (unsigned n = 0; n < sizeof(words) / sizeof(words[0]); n++)
		memcpy(operand + (3 + n) * size, &words[n], size);
}

static void load_environment(const struct engine_vcpu *c, struct x87_pointers *p, const struct emu_insn *emu,
			     const uint8_t *operand)
{
	const struct layout *at = layout_of(emu);
	if (vcpu_is_8086(c->vcpu)) {
		real_environment_load(p, operand, at->size);
		return;
	}
	*p = (struct x87_pointers){0};
	memcpy(&p->fip, operand + at->fip, at->size);
	memcpy(&p->fdp, operand + at->fdp, at->size);
	if (at->fop)
		memcpy(&p->fop, operand + at->fop, sizeof(p->fop));
	p->fop &= X86_FPU_FOP_MASK;
}

/* Of an image without REX.W the pointers have 32 bits, with selectors behind them. */
static void load_image(struct x87_pointers *p, const uint8_t *image, bool wide)
{
	const size_t size = wide ? sizeof(uint64_t) : sizeof(uint32_t);
	*p = (struct x87_pointers){0};
	memcpy(&p->fop, image + X86_FPU_FOP, sizeof(p->fop));
	memcpy(&p->fip, image + X86_FPU_FIP, size);
	memcpy(&p->fdp, image + X86_FPU_FDP, size);
	p->fop &= X86_FPU_FOP_MASK;
}

static void load_xsave(struct engine_vcpu *c, struct x87_pointers *p, const struct emu_insn *emu, const uint8_t *image)
{
	uint64_t present;
	if (!(c->gpr[RAX] & c->vcpu->xcr0 & X86_XCR0_X87))
		return;
	memcpy(&present, image + X86_FPU_HEADER, sizeof(present));
	if (present & X86_XCR0_X87)
		load_image(p, image, emu->info.raw.rex.W);
	else
		*p = (struct x87_pointers){0};
}

static void set(struct engine_vcpu *c, struct x87_pointers *p, const struct insn *i, uint64_t gva)
{
	const struct emu_insn *emu = &i->detail->emu;
	p->fip = c->wide ? c->base + i->start : (uint32_t)(c->base + i->start);
	p->last_fop = (uint16_t)((emu->info.opcode & 7) << 8 | emu->bytes[emu->info.raw.modrm.offset]);
	if (c->vcpu->vm->cpu.amd)
		p->fop = p->last_fop;
	if (i->detail->size)
		p->last_fdp = i->ea & EA_SEG ? (uint32_t)(gva - c->vcpu->sreg[i->within.sreg].base) : gva;
	if (!c->vcpu->vm->cpu.has[CPU_fdp_excptn_only])
		p->fdp = p->last_fdp;
}

/* Also of an x87 that is in its initial state but for them: FFREE of an empty register sets no more than the pointers,
 * XSAVE loses those, and FNSTENV, if it comes first, has them. */
void native_pointers_get(const struct engine_vcpu *c, struct x87_pointers *p)
{
	load_image(p, c->fpu, true);
	p->last_fdp = p->fdp;
}

/* Intel's processors keep the opcode of an unmasked exception only (SDM 1 8.1.9.1), and later ones the operand too. */
void native_pointers_put(struct engine_vcpu *c, const struct x87_pointers *p)
{
	const bool raised = p->last_fop && c->fpu[X86_FPU_FSW] & X86_FSW_ES;
	memcpy(c->fpu + X86_FPU_FOP, raised ? &p->last_fop : &p->fop, sizeof(p->fop));
	memcpy(c->fpu + X86_FPU_FIP, &p->fip, sizeof(p->fip));
	memcpy(c->fpu + X86_FPU_FDP, raised ? &p->last_fdp : &p->fdp, sizeof(p->fdp));
}

void native_pointers_after(struct engine_vcpu *c, struct x87_pointers *p, const struct insn *i, uint64_t gva)
{
	const struct emu_insn *emu = &i->detail->emu;
	switch (effect_of(emu)) {
	case KEEPS:
		break;
	case SETS:
		set(c, p, i, gva);
		break;
	case CLEARS:
		*p = (struct x87_pointers){0};
		break;
	case LOADS_ENVIRONMENT:
		load_environment(c, p, emu, c->native->buffer);
		break;
	case LOADS_FXSAVE:
		load_image(p, c->native->buffer, emu->info.raw.rex.W);
		break;
	case LOADS_XSAVE:
		load_xsave(c, p, emu, c->native->buffer);
		break;
	}
	if (!p->last_fop)
		p->last_fdp = p->fdp;
}

void native_pointers_store(const struct engine_vcpu *c, const struct x87_pointers *p, const struct emu_insn *emu,
			   uint8_t *operand)
{
	const struct layout *at = layout_of(emu);
	if (vcpu_is_8086(c->vcpu)) {
		real_environment_store(c, p, operand, at->size);
		return;
	}
	const bool selectors = !c->vcpu->vm->cpu.has[CPU_zero_fcs_fds];
	const uint16_t fcs = selectors && p->fip ? c->vcpu->sreg[SREG_CS].selector : 0;
	const uint16_t fds = selectors && p->fdp ? c->vcpu->sreg[SREG_DS].selector : 0;
	memcpy(operand + at->fip, &p->fip, at->size);
	memcpy(operand + at->fcs, &fcs, sizeof(fcs));
	if (at->fop)
		memcpy(operand + at->fop, &p->fop, sizeof(p->fop));
	memcpy(operand + at->fdp, &p->fdp, at->size);
	memcpy(operand + at->fds, &fds, sizeof(fds));
}

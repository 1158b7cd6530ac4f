/*
 * Flags as a whole, identification, clocks, segment bases, ways into the kernel; and what goes to the emulation that
 * all engines share.
 */
#include <string.h>

#include "monitor/engine/interpret/ops.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/vm/vm.h"

void op_nop(struct engine_vcpu *c, const struct insn *i)
{
	NEXT;
}

/* What has to do with a line of the cache faults as a read of it would. */
void op_touch(struct engine_vcpu *c, const struct insn *i)
{
	uint8_t v;
	if (!load8(c, address_of(c, i), i->ea, &v))
		FAULT;
	NEXT;
}

/* --------------------------------------------------------------------------------------------------------- flags */

void op_clc(struct engine_vcpu *c, const struct insn *i)
{
	c->flags &= ~FLAG_CF;
	NEXT;
}

void op_stc(struct engine_vcpu *c, const struct insn *i)
{
	c->flags |= FLAG_CF;
	NEXT;
}

void op_cmc(struct engine_vcpu *c, const struct insn *i)
{
	c->flags ^= FLAG_CF;
	NEXT;
}

void op_cld(struct engine_vcpu *c, const struct insn *i)
{
	c->vcpu->rflags &= ~X86_RFLAGS_DF;
	NEXT;
}

void op_std(struct engine_vcpu *c, const struct insn *i)
{
	c->vcpu->rflags |= X86_RFLAGS_DF;
	NEXT;
}

#define LAHF_FLAGS 0xd5u

void op_lahf(struct engine_vcpu *c, const struct insn *i)
{
	REG(8, 1) = (uint8_t)((c->flags >> 8 & LAHF_FLAGS) | X86_RFLAGS_FIXED);
	NEXT;
}

void op_sahf(struct engine_vcpu *c, const struct insn *i)
{
	c->flags = (c->flags & FLAG_OF) | (REG(8, 1) & LAHF_FLAGS) << 8;
	NEXT;
}

/* Virtual 8086 mode keeps flags, like all that has to do with IF, from who has not the privilege. */
static bool flags_denied(struct engine_vcpu *c, const struct insn *i)
{
	if (likely(!vcpu_is_v86(c->vcpu) || vcpu_iopl(c->vcpu) == 3))
		return false;
	interp_raise(c, i, X86_VEC_GP, 0);
	return true;
}

/* What a kernel's cell does to IF, and shows of it, is not what a processor does. */
static bool kernel_differs(struct engine_vcpu *c, const struct insn *i)
{
	return !c->user && interp_leaves_to_cell(c, i);
}

void op_pushf(struct engine_vcpu *c, const struct insn *i)
{
	unsigned width = i->detail->emu.info.operand_width / 8;
	if (kernel_differs(c, i) || flags_denied(c, i))
		return;
	interp_store(c);
	uint64_t image = vcpu_rflags(c->vcpu) & ~(X86_RFLAGS_RF | X86_RFLAGS_VM);
	uint64_t rsp = c->gpr[RSP] - width, gva = stack_address(c, rsp, width, true, stack_kind(c));
	if (!(width == 2   ? store16(c, gva, EA_STACK, (uint16_t)image)
	      : width == 4 ? store32(c, gva, EA_STACK, (uint32_t)image)
			   : store64(c, gva, EA_STACK, image)))
		FAULT;
	set_stack(c, rsp, stack_kind(c));
	NEXT_STORED;
}

/* What POPF changes at the present CPL and IOPL: SDM 2B POPF, table 4-16. */
static uint64_t popf_flags(const struct vcpu *vcpu, bool narrow)
{
	uint64_t changes = X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF |
			   X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_NT;
	if (!narrow)
		changes |= X86_RFLAGS_AC | X86_RFLAGS_ID | X86_RFLAGS_RF;
	if (vcpu->cpl <= vcpu_iopl(vcpu))
		changes |= X86_RFLAGS_IF;
	if (vcpu->cpl == 0)
		changes |= X86_RFLAGS_IOPL;
	return changes;
}

void op_popf(struct engine_vcpu *c, const struct insn *i)
{
	struct vcpu *vcpu = c->vcpu;
	unsigned width = (unsigned)i->imm / 8;
	bool narrow = width == 2;
	uint64_t image = 0, rsp = c->gpr[RSP], gva = stack_address(c, rsp, width, false, stack_kind(c));
	if (kernel_differs(c, i) || flags_denied(c, i))
		return;
	if (!(narrow	   ? load16(c, gva, EA_STACK, (uint16_t *)&image)
	      : width == 4 ? load32(c, gva, EA_STACK, (uint32_t *)&image)
			   : load64(c, gva, EA_STACK, &image)))
		FAULT;
	set_stack(c, rsp + width, stack_kind(c));
	interp_store(c);
	uint64_t changes = popf_flags(vcpu, narrow), old = vcpu_rflags(vcpu);
	vcpu_set_rflags(vcpu, (old & ~changes & ~X86_RFLAGS_RF) | (image & changes & ~X86_RFLAGS_RF));
	vcpu->rip = c->base + i->end;
	interp_load(c);
	/* Single step and alignment checks are set up on entry; an interrupt may now be let in. */
	c->yield = ((old ^ vcpu->rflags) & (X86_RFLAGS_TF | X86_RFLAGS_AC)) || (vcpu->interrupt_waits && vcpu_if(vcpu));
}

/* -------------------------------------------------------------------------------------------- into the monitor */

/* Somebody wants to see the guest before the instruction. */
static bool paused(struct engine_vcpu *c, const struct insn *i)
{
	struct vcpu *vcpu = c->vcpu;
	if (!vcpu->debug.pause || vcpu->debug.step || c->one)
		return false;
	c->rip = c->base + i->start;
	vcpu->debug.paused = c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_KICK};
	return true;
}

/* Moments around an exit: who waits for one sees each sensitive instruction as an exit. */
#define EXIT_MOMENTS                                                                                                   \
	(R3_BIT(OBSERVE_between) | R3_BIT(OBSERVE_enter) | R3_BIT(OBSERVE_leave) | R3_BIT(OBSERVE_interpreted))

/* The run loop would do nothing before the next instruction, and nobody looks on. */
static bool goes_on(const struct engine_vcpu *c, const struct emu_insn *emu, unsigned cpl)
{
	struct vcpu *vcpu = c->vcpu;
	const struct vm *vm = vcpu->vm;
	if (c->one || c->single || c->watching || vm->trace_kinds || (vm->observers.moments & EXIT_MOMENTS) ||
	    vcpu->debug.attached || vcpu->debug.pause || vcpu->pv.shared_gpa)
		return false;
	if (vcpu->event_pending || vcpu->halted || vm->ended || vcpu->cpl != cpl || vcpu->nmi == NMI_RELEASED)
		return false;
	if ((vcpu->rflags & X86_RFLAGS_TF) || (vcpu->dr[7] & X86_DR7_ALL_ENABLED))
		return false;
	return !(vcpu->interrupt_waits && vcpu_if(vcpu)) && !emu_reaches_devices(emu);
}

static bool is_simple_mov(const struct engine_vcpu *c, const struct emu_insn *emu)
{
	const ZydisDecodedOperand *to = &emu->operands[0];
	if (to->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return !c->wide;
	switch (ZydisRegisterGetClass(to->reg.value)) {
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return true;
	case ZYDIS_REGCLASS_SEGMENT:
		return !c->wide && to->reg.value != ZYDIS_REGISTER_SS;
	default:
		return c->wide && (to->reg.value == ZYDIS_REGISTER_CR2 || to->reg.value == ZYDIS_REGISTER_CR8);
	}
}

static bool is_simple_msr(uint32_t msr, bool written)
{
	switch (msr) {
	case X86_MSR_FS_BASE:
	case X86_MSR_GS_BASE:
	case X86_MSR_KERNEL_GS_BASE:
		return true;
	case X86_MSR_TSC_DEADLINE:
	case X86_MSR_X2APIC_EOI:
		return written;
	default:
		return false;
	}
}

/* What translated code mostly does itself: with flags, with what registers hold, within the kernel, and
 * of 32-bit code between it and its programs.
 */
static bool is_simple(const struct engine_vcpu *c, const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_CLI:
	case ZYDIS_MNEMONIC_STI:
	case ZYDIS_MNEMONIC_VERW:
		return true;
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_POP:
		return !c->wide;
	case ZYDIS_MNEMONIC_INT:
	case ZYDIS_MNEMONIC_IRETD:
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT:
		return !c->wide && !c->vm->config->two_cells;
	case ZYDIS_MNEMONIC_IRETQ:
		return c->vcpu->cpl == 0;
	case ZYDIS_MNEMONIC_SWAPGS:
	case ZYDIS_MNEMONIC_CLTS:
		return c->wide;
	case ZYDIS_MNEMONIC_RDMSR:
	case ZYDIS_MNEMONIC_WRMSR:
		return c->wide && is_simple_msr((uint32_t)c->gpr[RCX], emu->info.mnemonic == ZYDIS_MNEMONIC_WRMSR);
	case ZYDIS_MNEMONIC_MOV:
		return is_simple_mov(c, emu);
	default:
		return false;
	}
}

void op_sensitive(struct engine_vcpu *c, const struct insn *i)
{
	struct vcpu *vcpu = c->vcpu;
	if (interp_leaves_to_cell(c, i) || paused(c, i))
		return;
	c->rip = c->base + i->start;
	interp_store(c);
	OBSERVE(vcpu->vm, interpreted, vcpu, i->detail->emu.bytes, i->detail->emu.info.length);
	unsigned cpl = vcpu->cpl;
	enum emu_result result = emu_execute(vcpu, &i->detail->emu);
	stats_sensitive(&vcpu->vm->stats, emu_id(&i->detail->emu), STAT_WAY_interpreted, result != EMU_DONE);
	interp_load(c);
	if (!is_simple(c, &i->detail->emu))
		interp_met(c);
	if (result == EMU_DONE && goes_on(c, &i->detail->emu, cpl)) {
		memory_revalidate(c);
		return;
	}
	/* Devices, interrupts, events: whatever it changed is looked at anew. */
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_EMULATED};
	if (result == EMU_NOT_OURS)
		op_undefined(c, i);
}

static void leave(struct engine_vcpu *c, const struct insn *i, enum exit_reason reason)
{
	c->rip = c->base + i->end;
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = reason};
}

void op_syscall(struct engine_vcpu *c, const struct insn *i)
{
	leave(c, i, EXIT_SYSCALL);
}

void op_int80(struct engine_vcpu *c, const struct insn *i)
{
	leave(c, i, EXIT_INT80);
}

/* The first instruction of the hypercall page, whatever it is: the call is made, and the guest is back in its caller.
 */
void op_hypercall(struct engine_vcpu *c, const struct insn *i)
{
	uint64_t target;
	if (interp_leaves_to_cell(c, i))
		return;
	if (c->user) {
		interp_raise(c, i, X86_VEC_UD, 0);
		return;
	}
	if (!load64(c, c->gpr[RSP], EA_STACK, &target))
		FAULT;
	c->gpr[RSP] += 8;
	leave(c, i, EXIT_HYPERCALL);
	c->rip = target;
}

/* No instruction of this machine, or one that nothing here can execute. */
void op_undefined(struct engine_vcpu *c, const struct insn *i)
{
	interp_raise(c, i, X86_VEC_UD, 0);
}

/* Counters that this machine does not have. */
void op_protected(struct engine_vcpu *c, const struct insn *i)
{
	interp_raise(c, i, X86_VEC_GP, 0);
}

/* ----------------------------------------------------------------------------------------------- identification */

void op_cpuid(struct engine_vcpu *c, const struct insn *i)
{
	struct vcpu *vcpu = c->vcpu;
	uint32_t answer[4];
	/* Cells have the host's, unless it was asked to have the instruction fault. */
	if (c->visits && !host_cpuid_is_kept()) {
		host_cpuid_raw((uint32_t)c->gpr[RAX], (uint32_t)c->gpr[RCX], answer);
		c->gpr[RAX] = answer[0];
		c->gpr[RBX] = answer[1];
		c->gpr[RCX] = answer[2];
		c->gpr[RDX] = answer[3];
		NEXT;
	}
	memcpy(vcpu->gpr, c->gpr, sizeof(vcpu->gpr));
	vcpu_cpuid(vcpu);
	memcpy(c->gpr, vcpu->gpr, sizeof(vcpu->gpr));
	NEXT;
}

static void set_edx_eax(struct engine_vcpu *c, uint64_t value)
{
	c->gpr[RAX] = (uint32_t)value;
	c->gpr[RDX] = value >> 32;
}

static bool read_tsc(struct engine_vcpu *c, const struct insn *i)
{
	/* Cells have the host's counter. */
	bool moved = c->vcpu->tsc_offset || clock_frozen();
	if ((moved && interp_leaves_to_cell(c, i)) || paused(c, i))
		return false;
	if (c->user && (c->vcpu->cr4 & X86_CR4_TSD)) {
		interp_raise(c, i, X86_VEC_GP, 0);
		return false;
	}
	set_edx_eax(c, clock_guest_tsc() + c->vcpu->tsc_offset);
	return true;
}

void op_rdtsc(struct engine_vcpu *c, const struct insn *i)
{
	if (read_tsc(c, i))
		NEXT;
}

void op_rdtscp(struct engine_vcpu *c, const struct insn *i)
{
	if (!read_tsc(c, i))
		return;
	c->gpr[RCX] = c->vcpu->tsc_aux;
	NEXT;
}

void op_rdpid(struct engine_vcpu *c, const struct insn *i)
{
	c->gpr[i->dst / 8] = c->vcpu->tsc_aux;
	NEXT;
}

void op_xgetbv(struct engine_vcpu *c, const struct insn *i)
{
	uint32_t which = (uint32_t)c->gpr[RCX];
	uint64_t cells = c->visits ? host_xcr0() : 0;
	if (!which && cells) {
		set_edx_eax(c, cells);
		NEXT;
	}
	if (interp_leaves_to_cell(c, i))
		return;
	if (!(c->vcpu->cr4 & X86_CR4_OSXSAVE)) {
		interp_raise(c, i, X86_VEC_UD, 0);
		return;
	}
	if (which > 1) {
		interp_raise(c, i, X86_VEC_GP, 0);
		return;
	}
	/* Register 1: the components that are not in their initial state; saying all of them is always right. */
	set_edx_eax(c, c->vcpu->xcr0);
	NEXT;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE: SDM 2B. */
void op_base(struct engine_vcpu *c, const struct insn *i)
{
	const struct emu_insn *emu = &i->detail->emu;
	ZydisMnemonic m = emu->info.mnemonic;
	bool fs = m == ZYDIS_MNEMONIC_RDFSBASE || m == ZYDIS_MNEMONIC_WRFSBASE;
	bool writes = m == ZYDIS_MNEMONIC_WRFSBASE || m == ZYDIS_MNEMONIC_WRGSBASE;
	uint64_t *base = &c->vcpu->sreg[fs ? SREG_FS : SREG_GS].base;
	uint64_t *gpr = &c->gpr[ZydisRegisterGetId(emu->operands[0].reg.value)];
	bool narrow = emu->info.operand_width != 64;
	if (!(c->vcpu->cr4 & X86_CR4_FSGSBASE)) {
		interp_raise(c, i, X86_VEC_UD, 0);
		return;
	}
	if (!writes) {
		*gpr = narrow ? (uint32_t)*base : *base;
		NEXT;
	}
	uint64_t value = narrow ? (uint32_t)*gpr : *gpr;
	if (!vcpu_canonical(value)) {
		interp_raise(c, i, X86_VEC_GP, 0);
		return;
	}
	*base = *(fs ? &c->fs : &c->gs) = value;
	NEXT;
}

/*
 * The virtual state that translated code reads and changes without an exit.
 */
#include <stddef.h>

#include "monitor/device/machine.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/clock.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

/* What PUSHF shows of the virtual RFLAGS beside IF; POPF can change it. */
#define PUSHED (X86_RFLAGS_IOPL | X86_RFLAGS_NT | X86_RFLAGS_AC)

bool state_is_told(const struct vm *vm)
{
	return vm->observers.moments & 1u << OBSERVE_interpreted;
}

/* Who wants to hear of each sensitive instruction, or stop before it, does so where the monitor executes it. */
static unsigned mode_of(const struct translate *t, const struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;
	unsigned form = t->form == FORM_UPPER ? BT_UPPER : t->form == FORM_NARROW ? BT_NARROW : 0;
	if (state_is_told(vm) || vcpu->debug.pause)
		return form;
	/* A paravirtual guest's flag is in its own page. */
	const bool slot = form_has_gs_slot(t);
	bool bases = slot || (!t->bases_virtual && !direct_lends_bases(trap_of(t->vm), vcpu));
	return form | BT_READ | (vcpu->pv.shared_gpa ? 0 : BT_IF) |
	       (clock_frozen() || vcpu->tsc_offset ? 0 : BT_CLOCK) | (bases ? BT_BASES : 0) | (slot ? BT_GS_SLOT : 0) |
	       (!bases || (!slot && !bases_are_free(&trap_of(t->vm)->cells)) ? 0
		: vcpu->cr4 & X86_CR4_FSGSBASE				     ? BT_SWAPS | BT_LOADS
									     : BT_SWAPS);
}

void state_set_mode(struct translate *t, const struct vcpu *vcpu)
{
	/* A kernel that has such bases has them for good. */
	t->bases_virtual |= t->form == FORM_PLAIN && !bases_are_real(&trap_of(t->vm)->cells, vcpu);
	unsigned mode = mode_of(t, vcpu), changed = mode ^ t->mode;
	if (!changed)
		return;
	t->mode = mode;
	if (changed == BT_BASES && !(mode & BT_NARROW))
		blocks_turn_bases(t);
	else
		cache_empty(t);
}

/* Where the cell has memory of the kernel's; 0: nowhere. */
static uint64_t address_of(const struct translate *t, uint64_t gva)
{
	uint64_t host;
	if (t->form == FORM_NARROW)
		return BT_WINDOW_BASE + (uint32_t)gva;
	return vcpu_canonical(gva) && (t->form != FORM_UPPER || gva >= GVA_LOWER_END) && form_host(t, gva, &host) ? host
														  : 0;
}

/* A load that changes nothing, and where the cell sees the descriptor that says so. */
static void fill_match(const struct translate *t, struct bt_state *state, const struct vcpu *vcpu, unsigned n)
{
	const struct vcpu_segment *sreg = &vcpu->sreg[n];
	uint16_t selector = sreg->selector;
	uint32_t at = selector & X86_SEL_INDEX;
	bool local = selector & X86_SEL_TI;
	const uint32_t limit = local ? vcpu->ldtr.limit : vcpu->gdtr.limit;
	const uint64_t base = local ? vcpu->ldtr.base : vcpu->gdtr.base, host = address_of(t, base + at);
	state->match[n] = NO_SELECTOR;
	state->described_at[n] = GATE_CACHE_STATE + offsetof(struct bt_state, nothing);
	state->described[n] = 0;
	state->nothing = 0;
	if (seg_is_null(selector) && !sreg->present) {
		state->match[n] = selector;
	} else if (sreg->present && !seg_is_null(selector) && (!local || vcpu->ldtr.present) &&
		   at + X86_DESC_SIZE - 1 <= limit && host) {
		state->match[n] = selector;
		state->described_at[n] = host;
		state->described[n] = sreg->descriptor;
	}
}

/* A gate to a handler of the kernel's, on the stack that it has, by the code segment that it has. */
static bool is_plain_gate(const struct vcpu *vcpu, const uint64_t raw[2])
{
	const uint64_t ist = R3_U64(7) << 32, handler = raw[0] >> 48 << 16 | raw[1] << 32;
	unsigned type = seg_type(raw[0]);
	return (type == X86_GATE_INTERRUPT || type == X86_GATE_TRAP) && raw[0] & X86_DESC_P && !(raw[0] & ist) &&
	       (raw[0] >> 16 & 0xffff) == vcpu->sreg[SREG_CS].selector && vcpu_canonical(handler);
}

/* Who wants to see exceptions, or frames, has the monitor deliver them. */
static void fill_gate(struct translate *t, struct bt_state *state, struct vcpu *vcpu)
{
	const uint64_t gva = vcpu->idtr.base + X86_VEC_DE * X86_GATE_SIZE;
	uint64_t raw[2], host = address_of(t, gva);
	state->gate.at = GATE_CACHE_STATE + offsetof(struct bt_state, nothing);
	state->gate.low = 1;
	if (!t->divides || (vcpu->rflags & X86_RFLAGS_NT) || vcpu->vm->trace_kinds || vcpu->debug.attached ||
	    vcpu->pv.has_traps || !host || vcpu->idtr.limit < X86_GATE_SIZE - 1 ||
	    state->match[SREG_CS] == NO_SELECTOR || gm_peek(vcpu, gva, raw, sizeof(raw)) != sizeof(raw) ||
	    !is_plain_gate(vcpu, raw))
		return;
	state->gate.at = host;
	state->gate.low = raw[0];
	state->gate.high = raw[1];
	state->gate.handler = (raw[0] & 0xffff) | raw[0] >> 48 << 16 | raw[1] << 32;
	state->gate.keeps = seg_type(raw[0]) == X86_GATE_TRAP ? X86_RFLAGS_IF : 0;
}

/* What CPUID's answers depend on is not as it was: they are asked for anew. */
static void fill_identity(struct translate *t, const struct vcpu *vcpu)
{
	if (t->identified.cr4 == vcpu->cr4 && t->identified.xcr0 == vcpu->xcr0 && t->identified.efer == vcpu->efer &&
	    t->identified.apic_base == vcpu->apic_base && t->identified.misc_enable == vcpu->misc_enable)
		return;
	t->identified.cr4 = vcpu->cr4;
	t->identified.xcr0 = vcpu->xcr0;
	t->identified.efer = vcpu->efer;
	t->identified.apic_base = vcpu->apic_base;
	t->identified.misc_enable = vcpu->misc_enable;
	/* The negatives of questions that are looked for elsewhere: 0, and of the first all ones. */
	for (unsigned n = 0; n < BT_IDENTITIES; n++)
		t->identity[n].question = n ? 0 : 1;
}

void state_note_identity(struct translate *t, const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	struct bt_identity *answer = &t->identity[bt_identity_of(leaf)];
	answer->question = -(leaf | (uint64_t)subleaf << 32);
	answer->eax = (uint32_t)vcpu->gpr[RAX];
	answer->ebx = (uint32_t)vcpu->gpr[RBX];
	answer->ecx = (uint32_t)vcpu->gpr[RCX];
	answer->edx = (uint32_t)vcpu->gpr[RDX];
}

/* direct_arm knows where it is. */
static void fill_fpu(struct translate *t, struct bt_state *state, const struct vcpu *vcpu)
{
	struct trap *trap = trap_of(t->vm);
	const uint64_t components = trap->cells.xcr0;
	const bool may = trap->direct.lends && (vcpu->cr4 & X86_CR4_OSXSAVE) &&
			 !(vcpu->cr0 & (X86_CR0_TS | X86_CR0_EM)) && !(vcpu->xcr0 & ~components);
	state->fpu.at = 0;
	state->fpu.components = components;
	state->fpu.enabled = vcpu->xcr0;
	state->fpu.refused = ~(vcpu->xcr0 | X86_FPU_COMPACTED);
	trap->direct.fpu_at = may ? &state->fpu.at : NULL;
	trap->direct.fpu_slot = may ? GATE_CACHE_STATE + offsetof(struct bt_state, fpu.at) : 0;
}

void state_fill(struct translate *t, struct vcpu *vcpu)
{
	struct bt_state *state = t->state;
	uint64_t pushed = vcpu->rflags & PUSHED;
	state->iflag = vcpu_if(vcpu) ? X86_RFLAGS_IF : 0;
	state->pushed = pushed - X86_RFLAGS_IF;
	/* IRET ends what keeps NMIs waiting. */
	state->hold = vcpu->interrupt_waits || pushed || vcpu->nmi != NMI_OPEN ? X86_RFLAGS_IF : 0;
	state->hold |= pushed ? X86_RFLAGS_FIXED : 0;
	state->held = machine_irq_held(vcpu);
	state->upper = t->form == FORM_UPPER ? UPPER_BASE : 0;
	state->gs = vcpu->sreg[SREG_GS].base + state->upper;
	state->kernel_gs = vcpu->kernel_gs_base + state->upper;
	state->gate.delivered = 0;
	state->fs = vcpu->sreg[SREG_FS].base;
	state->efer = vcpu->efer;
	state->gdtr.limit = vcpu->gdtr.limit;
	state->gdtr.base = vcpu->gdtr.base;
	state->descriptors.at = address_of(t, vcpu->gdtr.base);
	state->descriptors.end =
		state->descriptors.at && vcpu->gdtr.limit >= X86_DESC_SIZE ? vcpu->gdtr.limit - (X86_DESC_SIZE - 2) : 0;
	state->idtr.limit = vcpu->idtr.limit;
	state->idtr.base = vcpu->idtr.base;
	for (unsigned n = 0; n < 8; n++)
		state->dr[n] = vcpu->dr[n];
	state->cr0 = vcpu->cr0;
	state->cr2 = vcpu->cr2;
	state->root.now = vcpu->cr3;
	state->cr4 = vcpu->cr4;
	state->cr8 = vcpu->cr8;
	state->tsc_aux = (uint32_t)vcpu->tsc_aux;
	state->ldtr = vcpu->ldtr.selector;
	state->tr = vcpu->tr.selector;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		state->selector[n] = vcpu->sreg[n].selector;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		fill_match(t, state, vcpu, n);
	fill_gate(t, state, vcpu);
	fill_fpu(t, state, vcpu);
	fill_identity(t, vcpu);
	apic_fill(t, vcpu);
	if (t->form == FORM_NARROW) {
		cross_fill(t, vcpu);
		learn_fill(t, vcpu);
	}
}

void state_expect_syscall(struct translate *t, const struct vcpu *vcpu)
{
	uint16_t cs = (uint16_t)(vcpu->star >> X86_STAR_SYSCALL_SHIFT) & (uint16_t)~X86_SEL_RPL;
	if (vcpu->sreg[SREG_CS].selector == cs && vcpu->sreg[SREG_SS].selector == cs + 8)
		return;
	t->state->match[SREG_CS] = t->state->match[SREG_SS] = NO_SELECTOR;
	t->state->gate.low = 1;
}

void state_take_kernel_gs(struct translate *t, struct vcpu *vcpu, uint64_t base)
{
	base -= t->form == FORM_UPPER ? UPPER_BASE : 0;
	if (vcpu_canonical(base))
		vcpu->kernel_gs_base = base;
}

void state_take(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	if (!(t->mode & BT_READ))
		return;
	apic_take(t, vcpu);
	vcpu->cr2 = state->cr2;
	vcpu->cr8 = state->cr8 & 15;
	for (unsigned n = 0; n < 4; n++)
		vcpu->dr[n] = state->dr[n];
	vcpu->vm->stats.vcpu[vcpu->id].injected += (uint32_t)state->gate.delivered;
	if (t->mode & BT_SWAPS)
		state_take_kernel_gs(t, vcpu, state->kernel_gs);
}

void state_take_if(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	if (t->mode & BT_IF)
		vcpu_set_if(vcpu, state->iflag & X86_RFLAGS_IF);
}

/*
 * The virtual state that translated code reads and changes without an exit.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/clock.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

#define NO_SELECTOR (UINT16_MAX + 1)

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
	return form | BT_READ | (vcpu->pv.shared_gpa ? 0 : BT_IF) |
	       (clock_frozen() || vcpu->tsc_offset ? 0 : BT_CLOCK) |
	       (t->bases_virtual || direct_lends_bases(trap_of(t->vm), vcpu) ? 0 : BT_BASES);
}

void state_set_mode(struct translate *t, const struct vcpu *vcpu)
{
	/* A kernel that has such bases has them for good. */
	t->bases_virtual |= t->form == FORM_PLAIN && !bases_are_real(&trap_of(t->vm)->cells, vcpu);
	unsigned mode = mode_of(t, vcpu);
	if (mode == t->mode)
		return;
	t->mode = mode;
	cache_empty(t);
}

/* A load that changes nothing, and where the cell sees the descriptor that says so. */
static void fill_match(struct bt_state *state, const struct vcpu *vcpu, unsigned n)
{
	const struct vcpu_segment *sreg = &vcpu->sreg[n];
	uint16_t selector = sreg->selector;
	uint32_t at = selector & X86_SEL_INDEX;
	bool local = selector & X86_SEL_TI;
	uint32_t limit = local ? vcpu->ldtr.limit : vcpu->gdtr.limit;
	uint32_t base = (uint32_t)(local ? vcpu->ldtr.base : vcpu->gdtr.base);
	state->match[n] = NO_SELECTOR;
	state->described_at[n] = GATE_CACHE_STATE + offsetof(struct bt_state, nothing);
	state->described[n] = 0;
	state->nothing = 0;
	if (seg_is_null(selector) && !sreg->present) {
		state->match[n] = selector;
	} else if (sreg->present && !seg_is_null(selector) && (!local || vcpu->ldtr.present) &&
		   at + X86_DESC_SIZE - 1 <= limit) {
		state->match[n] = selector;
		state->described_at[n] = BT_WINDOW_BASE + (uint32_t)(base + at);
		state->described[n] = sreg->descriptor;
	}
}

void state_fill(struct translate *t, struct vcpu *vcpu)
{
	struct bt_state *state = t->state;
	uint64_t pushed = vcpu->rflags & PUSHED;
	state->iflag = vcpu_if(vcpu) ? X86_RFLAGS_IF : 0;
	state->pushed = pushed - X86_RFLAGS_IF;
	state->hold = vcpu->interrupt_waits || pushed;
	state->cr0 = vcpu->cr0;
	state->cr2 = vcpu->cr2;
	state->cr3 = vcpu->cr3;
	state->cr4 = vcpu->cr4;
	state->cr8 = vcpu->cr8;
	state->tsc_aux = (uint32_t)vcpu->tsc_aux;
	state->ldtr = vcpu->ldtr.selector;
	state->tr = vcpu->tr.selector;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		state->selector[n] = vcpu->sreg[n].selector;
	for (unsigned n = 0; n < SREG_COUNT && t->form == FORM_NARROW; n++)
		fill_match(state, vcpu, n);
}

void state_take(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	if (t->mode & BT_IF)
		vcpu_set_if(vcpu, state->iflag & X86_RFLAGS_IF);
}

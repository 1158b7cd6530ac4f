/*
 * The virtual state that translated code reads and changes without an exit.
 */
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/clock.h"
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
	unsigned form = t->form == FORM_UPPER ? BT_UPPER : 0;
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
	state->ldtr = vcpu->ldtr.selector;
	state->tr = vcpu->tr.selector;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		state->selector[n] = vcpu->sreg[n].selector;
}

void state_take(struct translate *t, struct vcpu *vcpu)
{
	const volatile struct bt_state *state = t->state;
	if (t->mode & BT_IF)
		vcpu_set_if(vcpu, state->iflag & X86_RFLAGS_IF);
}

/*
 * Stays in user mode that are short. A program that has come to a page fault comes to the next one, or calls its
 * kernel, within some hundred instructions more often than not: one that touches new memory, a process just forked or
 * begun. In its cell that is a signal, changes of process and orders to the mapper; the interpreter needs none of
 * these, and what was never mapped nobody has to unmap. So after a page fault of the guest's user mode is interpreted
 * first, for as long as that ends in time, and goes on in its cell where it does not.
 */
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

/* Instructions that cost less than a visit to the cell. */
#define PATIENCE 1000
/* Stays that are interpreted after a page fault, unless there is another. */
#define STAYS 32
/* After the n-th in vain in a row so many faults go by: 2^n - 1, at most. */
#define VAIN_MAX 6

/* Nobody looks on, and nothing needs single steps. */
static bool is_plain(const struct vcpu *vcpu)
{
	bool watched = vcpu->debug.attached || vcpu->debug.pause || vcpu->debug.step || state_is_told(vcpu->vm);
	return !watched && !vcpu->window_wanted && !(vcpu->rflags & (X86_RFLAGS_TF | X86_RFLAGS_AC));
}

void stay_note_fault(struct translate *t, struct vcpu *vcpu)
{
	if (!vcpu->refill.wanted || t->form == FORM_NARROW || !(t->mode & BT_IF))
		return;
	if (t->stay.skip) {
		t->stay.skip--;
		return;
	}
	/* If it comes to its cell after all, what it faulted at is mapped then. */
	t->stay.left = STAYS;
	t->stay.gva = vcpu->refill.gva;
	vcpu->refill.wanted = false;
}

bool stay_expected(const struct translate *t)
{
	return t->stay.left;
}

/* The page of the last fault, as the guest's kernel has it now, with those around it. */
static void prefill(struct translate *t, struct vcpu *vcpu)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space = spt_space_find(t->vm->spt, &paging, SPT_USER);
	int error = space && *spt_space_owner(space) ? spt_prefill(space, &paging, t->stay.gva) : 0;
	if (error)
		t->vm->engine_ops->space_lost(t->vm, space, error);
}

bool stay_run(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!t->stay.left || !is_plain(vcpu))
		return false;
	t->stay.left--;
	if (interpret_visit(vcpu, exit, PATIENCE)) {
		if (exit->reason == EXIT_EXCEPTION)
			t->stay.vain = 0;
		return true;
	}
	t->stay.left = 0;
	t->stay.vain += t->stay.vain < VAIN_MAX;
	t->stay.skip = (1u << t->stay.vain) - 1;
	prefill(t, vcpu);
	return false;
}

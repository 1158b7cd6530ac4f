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

/* Instructions that cost less than a visit to the cell: one that shows the code, and one that has a fault for each
 * page. */
#define PATIENCE_WARM 1000
#define PATIENCE_COLD 16000
/* Of the kernel, from where it met memory of such a program. */
#define PATIENCE_KERNEL 200
/* Stays that are interpreted after a page fault, unless there is another. */
#define STAYS 32
/* After the n-th in vain in a row so many faults go by: 2^n - 1, at most. */
#define VAIN_MAX 6

/* No page. */
#define NOWHERE UINT64_MAX

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

static struct spt_space *user_space(const struct translate *t, const struct vcpu *vcpu)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space = spt_space_find(t->vm->spt, &paging, SPT_USER);
	return space && *spt_space_owner(space) ? space : NULL;
}

/* The page of the last fault, as the guest's kernel has it now, with those around it. */
static void prefill(struct translate *t, struct vcpu *vcpu)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space = user_space(t, vcpu);
	int error = space ? spt_prefill(space, &paging, t->stay.gva) : 0;
	if (error)
		t->vm->engine_ops->space_lost(t->vm, space, error);
}

bool stay_run(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!is_plain(vcpu))
		t->stay.left = 0;
	if (!t->stay.left)
		return false;
	t->stay.left--;
	struct spt_space *space = user_space(t, vcpu);
	bool warm = space && spt_maps(space, vcpu->rip, SPT_EXEC);
	if (interpret_visit(vcpu, exit, warm ? PATIENCE_WARM : PATIENCE_COLD)) {
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

bool stay_reach(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	uint64_t page = exit->gva & ~X86_PAGE_MASK;
	bool fault = exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF;
	if (!t->stay.left || t->form != FORM_UPPER || !fault || vcpu->cpl != 0 || page >= GVA_LOWER_END ||
	    page == t->stay.reached || !is_plain(vcpu))
		return false;
	t->stay.reached = page;
	interpret_on(vcpu, exit, PATIENCE_KERNEL);
	/* It has not been met if the guest's kernel has to see to it first. */
	if (exit->reason == EXIT_EXCEPTION)
		t->stay.reached = NOWHERE;
	return true;
}

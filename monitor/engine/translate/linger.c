/*
 * When the interpreter goes on after an exit, and for how long.
 */
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

/* Instructions that cost less than an exit, with the monitor on the same CPU and on another. */
#define PATIENCE_TOGETHER 400
#define PATIENCE_APART	  60
/* Where each access to memory may be an exit. */
#define PATIENCE_BEYOND 10000
/* One success makes up for so many times in vain; after VAIN_MAX the address is left alone. */
#define MAKES_UP 2
#define VAIN_MAX 8

static uint8_t *site(struct translate *t, const struct vcpu *vcpu)
{
	return &t->vain[(vcpu->rip ^ vcpu->rip >> 12 ^ t->salt * 61) % LINGER_SITES];
}

void linger_begin(struct translate *t, const struct vcpu *vcpu, const struct vm_exit *exit)
{
	bool told = state_is_told(t->vm) || vcpu->debug.attached || vcpu->debug.pause;
	t->lingers = (t->mode & BT_IF) && !told;
	t->beyond = false;
	/* Most kernels have the number of a system call there. */
	t->salt = exit->reason == EXIT_SYSCALL ? vcpu->gpr[RAX] : 0;
}

void linger_beyond(struct translate *t, const struct vcpu *vcpu, const struct vm_exit *exit)
{
	linger_begin(t, vcpu, exit);
	t->beyond = t->lingers;
}

static unsigned patience(struct translate *t)
{
	if (t->beyond)
		return PATIENCE_BEYOND;
	return trap_of(t->vm)->placement.monitor[true].spins ? PATIENCE_APART : PATIENCE_TOGETHER;
}

bool linger(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	uint8_t unused = 0, *vain = t->beyond ? &unused : site(t, vcpu);
	if (!t->lingers || *vain >= VAIN_MAX)
		return false;
	bool returns = entry_returns(t, vcpu);
	unsigned saved = interpret_on(vcpu, exit, patience(t));
	t->beyond = false;
	/* The return to user mode would have been no exit. */
	if (saved && returns && vcpu->cpl == 3)
		saved--;
	if (saved)
		*vain = *vain > MAKES_UP ? *vain - MAKES_UP : 0;
	else if (exit->reason == EXIT_KICK || exit->reason == EXIT_EMULATED)
		++*vain;
	t->lingers = false;
	if (exit->reason == EXIT_EMULATED)
		linger_begin(t, vcpu, exit);
	/* A store to a device is looked after by the run loop, and more of them come. */
	if (saved && exit->reason == EXIT_KICK && t->form == FORM_NARROW) {
		linger_begin(t, vcpu, exit);
		return true;
	}
	bool goes_on =
		exit->reason == EXIT_KICK && (form_is_narrow(vcpu) || (vcpu->cpl == 0 && vcpu_code_bits(vcpu) == 64));
	return !goes_on || vcpu->event_pending;
}

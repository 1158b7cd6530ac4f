/*
 * The run loop: what happens between one exit of the vCPU and the next entry.
 */
#include "monitor/run/run.h"

#include <string.h>

#include "hypercalls/host/hc.h"
#include "monitor/device/machine.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/run/exits.h"
#include "monitor/run/inject.h"
#include "monitor/vm/vm.h"

void vm_poll(struct vm *vm, uint64_t now)
{
	if (machine_poll(vm, now))
		hc_raise_virq(vm, R3_VIRQ_CONSOLE);
}

void vm_arm(struct vm *vm, uint64_t deadline)
{
	int err = events_arm(deadline);

	if (err)
		vm_refused(vm, "no timer: %s; raise 'ulimit -i'", strerror(-err));
}

void vm_attend(struct vm *vm)
{
	atomic_store(&vm->attention, false);
	if (events_quit_signal()) {
		vm_end(vm, 128 + events_quit_signal());
		return;
	}
	OBSERVE(vm, attend, vm);
	vm_poll(vm, clock_machine_ns());
}

bool vm_interrupt_waits(struct vcpu *vcpu)
{
	return machine_irq_pending(vcpu) || hc_event_pending(vcpu);
}

/* Takes the interrupt of highest priority: the controller's before an event. */
static void run_interrupt(struct vcpu *vcpu)
{
	bool device = machine_irq_pending(vcpu);
	uint8_t vector = device ? machine_irq_ack(vcpu) : hc_event_ack(vcpu);
	uint8_t line = device ? (uint8_t)machine_irq_line(vcpu->vm, vector) : VCPU_NO_LINE;
	vcpu->event = (struct vcpu_event){.vector = vector, .kind = EVENT_INTERRUPT, .line = line};
	vcpu->event_pending = true;
	vcpu->halted = false;
}

/* Blocked until IRET once one is taken (SDM 3A 6.7.1). */
static void run_nmi(struct vcpu *vcpu)
{
	if (vcpu->nmi == NMI_BLOCKED)
		return;
	vcpu->nmi = NMI_OPEN;
	if (vcpu->event_pending || vcpu->interrupt_shadow || vcpu->debug.hold || !machine_take_nmi(vcpu))
		return;
	vcpu->event = (struct vcpu_event){.vector = X86_VEC_NMI, .kind = EVENT_INTERRUPT, .line = VCPU_NO_LINE};
	vcpu->event_pending = true;
	vcpu->nmi = NMI_BLOCKED;
	vcpu->halted = false;
}

bool vm_prepare(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	run_nmi(vcpu);
	bool waits = vm_interrupt_waits(vcpu);
	OBSERVE(vm, waits, vcpu, waits);
	if (waits && !vcpu->debug.hold && inject_window_open(vcpu)) {
		run_interrupt(vcpu);
		waits = vm_interrupt_waits(vcpu);
	}
	while (vcpu->event_pending && !vm->ended) {
		inject_event(vcpu);
		vm->stats.vcpu[vcpu->id].injected++;
	}
	hc_sync_shared(vcpu, waits);
	vcpu->interrupt_waits = waits;
	vcpu->window_wanted = waits && vcpu->interrupt_shadow;
	return !vcpu->halted && !vm->ended;
}

/* Nothing to run: console output goes out, and the host may do something else. */
static void run_halted(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	machine_flush(vm);
	OBSERVE(vm, rest, vcpu);
	if (!vcpu_if(vcpu) && !vcpu->wakes) {
		vm_kill(vm, "halted with interrupts disabled: nothing can wake the processor again");
		return;
	}
	uint64_t since = clock_tsc();
	stats_exit_note(&vm->stats, vcpu->id, STAT_halt, vcpu->rip, vcpu->cpl, 0);
	events_sleep(&vm->attention, machine_deadline(vm));
	OBSERVE(vm, woke, vcpu, since);
	vm_poll(vm, clock_machine_ns());
}

void vm_run(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];
	struct vm_exit exit;

	while (!vm->ended) {
		if (atomic_load(&vm->attention))
			vm_attend(vm);
		OBSERVE(vm, between, vcpu);
		if (vm->ended)
			break;
		if (vcpu->call.unfinished) {
			vm_arm(vm, machine_deadline(vm));
			exit_hypercall(vcpu);
			continue;
		}
		if (!vm_prepare(vcpu)) {
			if (!vm->ended)
				run_halted(vcpu);
			continue;
		}
		vm_arm(vm, machine_deadline(vm));
		OBSERVE(vm, enter, vcpu);
		if (vm->ended)
			break;
		vm->engine_ops->enter(vcpu, &exit);
		bool taken = false;
		OBSERVE(vm, leave, vcpu, &exit, &taken);
		if (!taken)
			exit_handle(vcpu, &exit);
	}
	OBSERVE(vm, rest, vcpu);
	machine_flush(vm);
}

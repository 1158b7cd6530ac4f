/*
 * The run loop, and its steps for those who lead a machine by the hand.
 */
#ifndef MONITOR_RUN_RUN_H
#define MONITOR_RUN_RUN_H

#include <stdbool.h>
#include <stdint.h>

struct vm;
struct vcpu;

/* Runs the machine until it has ended. */
void vm_run(struct vm *vm);
/*
 * Brings the vCPU to where its next guest instruction is the one to run: takes an interrupt, delivers what is queued.
 * False: it has none now (halted, or ended).
 */
bool vm_prepare(struct vcpu *vcpu);
/* An interrupt or event is to be delivered as soon as the guest lets one in (inject_window_open). */
bool vm_interrupt_waits(struct vcpu *vcpu);
/* Looks at signals, deadlines and console input: whatever asked for attention. vCPU stopped. */
void vm_attend(struct vm *vm);
/* Runs what is due at `now`, clock_machine_ns() time, in devices and timers. vCPU stopped. */
void vm_poll(struct vm *vm, uint64_t now);
/* Has vm->attention set at clock_machine_ns() time `deadline`, or never. A host that cannot ends the guest. */
void vm_arm(struct vm *vm, uint64_t deadline);

#endif

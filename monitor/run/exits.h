/*
 * What the monitor does about an exit; one function for each reason.
 */
#ifndef MONITOR_VM_EXITS_H
#define MONITOR_VM_EXITS_H

struct vcpu;
struct vm_exit;

/* Answers the exit: afterwards the vCPU can be entered again, has an event queued, is halted, or the guest has ended.
 */
void exit_handle(struct vcpu *vcpu, const struct vm_exit *exit);
/* Goes on with a hypercall that gave way (vcpu->call.unfinished); it may do so again. */
void exit_hypercall(struct vcpu *vcpu);

#endif

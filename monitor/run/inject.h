/*
 * Delivery of exceptions and interrupts as the processor does it (SDM 3A chapter 6): through the guest's IDT, or
 * through the paravirtual trap table when one is installed. The way back is emu_return.
 */
#ifndef MONITOR_VM_INJECT_H
#define MONITOR_VM_INJECT_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;

/*
 * Delivers vcpu->event: gate and DPL checks, stack switch (RSP0 or IST), frame, flags, CS:RIP. A fault on the way
 * becomes what SDM 6.15 table 6-5 says, up to the triple fault, which kills the guest. On return the event is consumed
 * and the vCPU stands at the handler's first instruction, or the guest is dead.
 */
void inject_event(struct vcpu *vcpu);

/* An interrupt could be taken at this boundary: IF set, no shadow, no exception queued. */
bool inject_window_open(struct vcpu *vcpu);

#endif

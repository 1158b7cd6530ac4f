/*
 * `ring3 run --narrate`: slow motion. Each exit is told in sentences: what the guest tried, why it came to the monitor,
 * and what the monitor changed, found by comparing the virtual processor before and after.
 */
#ifndef MONITOR_DEBUG_NARRATE_H
#define MONITOR_DEBUG_NARRATE_H

#include "monitor/vm/vm.h"

struct emu_insn;

/*
 * Starts if vm->config->narrate: on stderr, waiting for Enter after each exit if stdin is a terminal, which is then not
 * the guest's. 0 or negative errno with a message printed.
 */
int narrate_up(struct vm *vm);
void narrate_down(struct vm *vm);

/* Guest code has stopped. */
void narrate_leave(struct vcpu *vcpu, const struct vm_exit *exit);
/* It goes on, or waits, or has ended: what changed since was the monitor's doing. False: the guest has ended. */
bool narrate_enter(struct vcpu *vcpu);
/* The interpreter is about to execute a sensitive instruction: what comes out of it is the exit that follows. */
void narrate_interpreted(struct vcpu *vcpu, const struct emu_insn *insn);

#endif

/*
 * Single steps that the monitor makes with the processor's trap flag, unseen by the guest.
 */
#ifndef MONITOR_ENGINE_TRAP_STEP_H
#define MONITOR_ENGINE_TRAP_STEP_H

#include <stdbool.h>
#include <stdint.h>

struct vcpu;
struct vm_exit;

struct step {
	bool ours;	/* the trap flag is set for the monitor alone */
	uint8_t opcode; /* PUSHF and POPF meet the flag; 0 for all else */
};

/* To be called right before entry: sets the trap flag if an interrupt shadow is to end, or a debugger steps. */
struct step step_begin(struct vcpu *vcpu);
/* Takes it off again; a step that is through without another exit becomes EXIT_KICK, and vcpu->debug.step is cleared.
 */
void step_end(struct step step, struct vcpu *vcpu, struct vm_exit *exit);

#endif

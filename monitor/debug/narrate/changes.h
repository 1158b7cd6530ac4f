/*
 * What the monitor changed between two moments at which guest code stood still.
 */
#ifndef MONITOR_DEBUG_NARRATE_CHANGES_H
#define MONITOR_DEBUG_NARRATE_CHANGES_H

#include <stdio.h>

#include "monitor/vm/vm.h"

/* As much of the virtual processor and of the shadow as people care to read about. */
struct narrate_state {
	uint64_t gpr[GPR_COUNT], rip, rflags;
	bool interrupts; /* the virtual interrupt flag */
	unsigned cpl;
	uint64_t cr0, cr2, cr3, cr4, efer, user_root;
	struct vcpu_segment sreg[SREG_COUNT], ldtr, tr;
	struct vcpu_table gdtr, idtr;
	bool halted;
	uint64_t exits[STAT_COUNT], injected;
	struct spt_stats shadow;
};

void narrate_state_take(struct vcpu *vcpu, struct narrate_state *state);
/* The differences, in a line or a few. */
void narrate_changes(const struct narrate_state *before, struct vcpu *vcpu, FILE *out);

#endif

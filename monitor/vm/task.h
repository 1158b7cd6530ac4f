/*
 * Hardware task switches (SDM 3A chapter 7), which long mode does not have, and the stacks in task-state segments.
 */
#ifndef MONITOR_VM_TASK_H
#define MONITOR_VM_TASK_H

#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vcpu.h"

enum task_cause {
	TASK_JUMP,
	TASK_CALL,
	TASK_EVENT, /* an exception or interrupt, through a task gate */
	TASK_RETURN /* IRET with NT set */
};

struct task_switch {
	uint16_t selector; /* of the new task's TSS */
	enum task_cause cause;
	uint64_t rip;	/* where the old task goes on */
	bool has_error; /* an error code is pushed on the new task's stack */
	uint32_t error;
	uint32_t ext; /* X86_SELERR_EXT or 0, for the switch's own error codes */
};

/*
 * Switches; privilege of the selector is checked, JMP's and CALL's by the caller. False with *fault set: if *switched
 * is false nothing has changed and the fault is the old task's, else the new one's, which could not be loaded whole.
 * A debug trap of the new task is queued.
 */
bool task_switch(struct vcpu *vcpu, const struct task_switch *to, bool *switched, struct gm_fault *fault);

/* The stack of privilege cpl that the present task's TSS, of 16 or 32 bits, names. #TS(TR | ext) beyond its limit. */
bool task_stack(struct vcpu *vcpu, unsigned cpl, uint32_t ext, uint16_t *ss, uint64_t *sp, struct gm_fault *fault);

/* The stack pointer at `offset` of long mode's TSS (SDM 3A 7.7): X86_TSS_RSP0 or X86_TSS_IST1 and on. As task_stack. */
bool task_stack_64(struct vcpu *vcpu, unsigned offset, uint32_t ext, uint64_t *rsp, struct gm_fault *fault);

#endif

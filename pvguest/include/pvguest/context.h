/*
 * Kernel contexts: switching from one kernel stack to another.
 */
#ifndef PVGUEST_CONTEXT_H
#define PVGUEST_CONTEXT_H

#include <stdint.h>

struct pvg_context {
	uint64_t rsp; /* callee-saved registers and the return address lie there */
};

/* A context that will run start(arg), which never returns, on the stack below stack_top (aligned to 16). */
void pvg_context_make(struct pvg_context *context, void *stack_top, void (*start)(void *arg), void *arg);
/* Returns when somebody switches back to `from`. Interrupts masked. */
void pvg_context_switch(struct pvg_context *from, const struct pvg_context *to);

#endif

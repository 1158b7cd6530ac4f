/*
 * Kernel contexts: switching from one kernel stack to another.
 */
#ifndef PVGUEST_CONTEXT_H
#define PVGUEST_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>

PVG_BEGIN

struct pvg_context {
	uint64_t rsp; /* callee-saved registers and the return address lie there */
};

/*
 * The top of a stack of that many pages, zeroed, with a guard page below it that is not present (pvg_guarded); NULL
 * when memory is out. As pvg_page_alloc, not for use in interrupt handlers.
 */
void *pvg_stack_alloc(size_t pages);
/* Not the stack that one runs on. */
void pvg_stack_free(void *top, size_t pages);

/* A context that will run start(arg), which never returns, on the stack below stack_top (aligned to 16). */
void pvg_context_make(struct pvg_context *context, void *stack_top, void (*start)(void *arg), void *arg);
/*
 * Returns when somebody switches back to `from`. Call it with interrupts masked; they are when it returns, and when a
 * new context begins. May be called in interrupt handlers: what was interrupted goes on when its context does.
 */
void pvg_context_switch(struct pvg_context *from, const struct pvg_context *to);

PVG_END

#endif

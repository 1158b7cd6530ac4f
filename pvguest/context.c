/*
 * New kernel contexts: a stack that looks as if pvg_context_switch had left it.
 */
#include "pvguest/internal.h"

/* As context.S pops it. */
struct switch_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx, rip;
	uint64_t padding; /* RSP is a multiple of 16 at the call */
};

extern const char pvg_context_begin[];

void pvg_context_make(struct pvg_context *context, void *stack_top, void (*start)(void *arg), void *arg)
{
	struct switch_frame *frame = (struct switch_frame *)stack_top - 1;

	*frame =
		(struct switch_frame){.rbx = (uint64_t)start, .r12 = (uint64_t)arg, .rip = (uint64_t)pvg_context_begin};
	context->rsp = (uint64_t)frame;
}

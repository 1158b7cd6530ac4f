/*
 * pvg_catch: remembers where to go on when a function traps, and sends the trap there.
 */
#include "pvguest/internal.h"

struct catch_point {
	uint64_t rsp; /* first: catch.S stores it */
	struct pvg_caught *caught;
	struct catch_point *outer;
};

bool pvg_catch_call(struct catch_point *point, void (*function)(void *arg), void *arg);
extern const char pvg_catch_land[];

static struct catch_point *innermost;

bool pvg_catch(void (*function)(void *arg), void *arg, struct pvg_caught *caught)
{
	struct catch_point point = {.caught = caught, .outer = innermost};
	bool trapped;

	innermost = &point;
	trapped = pvg_catch_call(&point, function, arg);
	innermost = point.outer;
	return trapped;
}

bool pvg_catch_trap(struct pvg_frame *frame)
{
	struct catch_point *point = innermost;

	if (!point)
		return false;
	*point->caught = (struct pvg_caught){
		.vector = (unsigned)frame->vector,
		.error = frame->error,
		.rip = frame->rip,
		.cs = frame->cs,
		.rflags = frame->rflags,
		.rsp = frame->rsp,
		.cr2 = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0,
	};
	/* A user-mode trap comes back to the kernel as well. */
	frame->cs = PVG_SEL_KERNEL_CODE;
	frame->ss = PVG_SEL_KERNEL_DATA;
	frame->rip = (uint64_t)pvg_catch_land;
	frame->rsp = point->rsp;
	frame->rflags &= ~(X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_AC | X86_RFLAGS_NT);
	return true;
}

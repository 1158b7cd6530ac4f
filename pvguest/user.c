/*
 * User contexts: the parts that do not depend on how the machine runs.
 */
#include "pvguest/internal.h"

static void (*return_hook)(struct pvg_frame *frame);

void pvg_user_switch(struct pvg_user *from, struct pvg_user *to)
{
	if (from != to)
		pvg_ops->user_switch(from, to);
}

void pvg_user_save(struct pvg_user *user)
{
	pvg_ops->user_switch(user, user);
}

void pvg_user_load(struct pvg_user *user)
{
	pvg_ops->user_switch(NULL, user);
}

void pvg_user_save_fpu(struct pvg_user *user)
{
	pvg_ops->fpu_switch(user->fpu, NULL);
}

void pvg_user_load_fpu(struct pvg_user *user)
{
	pvg_ops->fpu_switch(NULL, user->fpu);
}

void pvg_user_unload(void)
{
	pvg_ops->user_switch(NULL, NULL);
}

void pvg_user_return_register(void (*hook)(struct pvg_frame *frame))
{
	return_hook = hook;
}

void pvg_user_return(struct pvg_frame *frame)
{
	if (return_hook && frame->cs & X86_SEL_RPL)
		return_hook(frame);
}

_Noreturn void pvg_user_enter(struct pvg_frame *frame)
{
	pvg_user_return(frame);
	pvg_ops->trap_leave(frame);
	pvg_trap_leave(frame);
}

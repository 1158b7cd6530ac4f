/*
 * User mode: contexts to switch between, the way in by SYSCALL, and the way out.
 *
 * Traps from user mode, SYSCALL among them, arrive on the context's kernel stack with struct pvg_frame at its very top
 * (pvg_user_frame). They return by returning from the handler; a context that never ran yet begins with pvg_user_enter.
 */
#ifndef PVGUEST_USER_H
#define PVGUEST_USER_H

#include <stdint.h>

#include <pvguest/language.h>
#include <pvguest/map.h>
#include <pvguest/trap.h>

PVG_BEGIN

/* What user mode has beside the registers in the frame. */
struct pvg_user {
	uint64_t stack_top; /* of the kernel stack, aligned to 16 */
	struct pvg_space *space;
	uint64_t fs_base, gs_base; /* as of the last switch away from it, or pvg_user_save */
	void *fpu;		   /* pvg_fpu_size() bytes, see fpu.h; likewise */
};

/*
 * Makes `to` the context that user mode runs in next, and saves what belongs to `from` (NULL: nobody's), the one
 * before. Cheap if they are the same. The kernel itself keeps running where it is.
 */
void pvg_user_switch(struct pvg_user *from, struct pvg_user *to);

/* Brings fs_base, gs_base and *fpu up to date, for the context that is loaded; and loads them anew from there. */
void pvg_user_save(struct pvg_user *user);
void pvg_user_load(struct pvg_user *user);
/* The same for *fpu alone, of the context that is loaded. An image to load must be safe: pvg_fpu_sanitize. */
void pvg_user_save_fpu(struct pvg_user *user);
void pvg_user_load_fpu(struct pvg_user *user);
/* No context is loaded any more, and nothing is saved: the space of the one that was may be destroyed. */
void pvg_user_unload(void);

static inline struct pvg_frame *pvg_user_frame(const struct pvg_user *user)
{
	return (struct pvg_frame *)user->stack_top - 1;
}

/* Stands for the vector in the frame of a SYSCALL. */
#define PVG_TRAP_SYSCALL 256

/* SYSCALL in user mode calls handler(frame, arg), interrupts masked; RCX and R11 of the frame are as SYSCALL sets them.
 */
void pvg_syscall_register(pvg_trap_handler handler, void *arg);

/* Called last before every return to user mode, interrupts masked: for signals, scheduling and the like. */
void pvg_user_return_register(void (*hook)(struct pvg_frame *frame));

/* Leaves for user mode, as at the end of a trap that came with this frame, the hook included. */
PVG_NORETURN void pvg_user_enter(struct pvg_frame *frame);

PVG_END

#endif

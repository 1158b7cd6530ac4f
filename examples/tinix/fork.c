/*
 * New processes: fork, vfork, and clone as far as one thread to a process goes.
 */
#include "examples/tinix/core.h"

/* What clone may ask for; threads share too much. */
#define CLONE_KNOWN                                                                                                    \
	(CSIGNAL | CLONE_VM | CLONE_VFORK | CLONE_FS | CLONE_FILES | CLONE_SETTLS | CLONE_PARENT_SETTID |              \
	 CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | CLONE_SYSVSEM | CLONE_DETACHED | CLONE_IO)

struct fork_request {
	uint64_t flags, stack, parent_tid, child_tid, tls;
};

static void child_start(void *arg)
{
	struct proc *p = arg;
	struct pvg_frame *frame = pvg_user_frame(&p->core->user);

	p->core->entered = now();
	frame->rax = 0;
	frame->vector = 0; /* no call to restart */
	pvg_user_enter(frame);
}

static void inherit(struct proc *child, const struct fork_request *request)
{
	child->pgid = current->pgid;
	child->sid = current->sid;
	memcpy(child->name, current->name, sizeof(child->name));
	memcpy(child->limits, current->limits, sizeof(child->limits));
	child->exe = current->exe ? inode_get(current->exe) : NULL;
	child->parent = current;
	list_add(&current->core->children, &child->core->sibling);
	signal_fork(child, current);
	child->core->exit_signal = (int)(request->flags & CSIGNAL);
}

/* Registers, FPU and segment bases as the parent's are now. */
static void copy_context(struct proc *child, const struct fork_request *request)
{
	struct pvg_user *to = &child->core->user, *from = &current->core->user;

	save_user();
	memcpy(to->fpu, from->fpu, pvg_fpu_size());
	to->fs_base = request->flags & CLONE_SETTLS ? request->tls : from->fs_base;
	to->gs_base = from->gs_base;
	to->space = &child->mm->space;
	*pvg_user_frame(to) = *pvg_user_frame(from);
	if (request->stack)
		pvg_user_frame(to)->rsp = request->stack;
}

static bool copy_resources(struct proc *child, const struct fork_request *request)
{
	child->mm = request->flags & CLONE_VM ? mm_get(current->mm) : mm_fork(current->mm);
	child->files = request->flags & CLONE_FILES ? files_get(current->files) : files_copy(current->files);
	if (child->mm && child->files)
		return true;
	if (child->mm)
		mm_put(child->mm);
	if (child->files)
		files_put(child->files);
	return false;
}

static void store_tids(struct proc *child, const struct fork_request *request)
{
	if (request->flags & CLONE_PARENT_SETTID)
		copy_to_user(request->parent_tid, &child->pid, sizeof(child->pid));
	if (request->flags & CLONE_CHILD_SETTID)
		copy_to_mm(child->mm, request->child_tid, &child->pid, sizeof(child->pid));
	if (request->flags & CLONE_CHILD_CLEARTID)
		child->core->clear_tid = request->child_tid;
}

static int64_t fork_process(const struct fork_request *request)
{
	struct proc *child;
	int pid;

	if (proc_count() >= current->limits[RLIMIT_NPROC].rlim_cur)
		return -EAGAIN;
	child = proc_new(child_start);
	if (!child)
		return -EAGAIN;
	if (!copy_resources(child, request)) {
		proc_free(child);
		return -ENOMEM;
	}
	inherit(child, request);
	copy_context(child, request);
	store_tids(child, request);
	child->core->borrows_mm = request->flags & CLONE_VFORK;
	pid = child->pid;
	make_runnable(child);
	/* The child cannot be freed meanwhile: only we wait for it. */
	while (request->flags & CLONE_VFORK && proc_find(pid) == child && child->core->borrows_mm)
		sleep_uninterruptible(&child->core->vfork_queue);
	return pid;
}

void vfork_done(struct proc *p)
{
	p->core->borrows_mm = false;
	wake_all(&p->core->vfork_queue);
}

int64_t sys_clone(const uint64_t arg[6])
{
	const struct fork_request request = {arg[0], arg[1], arg[2], arg[3], arg[4]};

	/* Two in one address space take turns, or are threads, of which there are none. */
	if (request.flags & (CLONE_THREAD | CLONE_SIGHAND) || (request.flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM)
		return -EAGAIN;
	if (request.flags & ~(uint64_t)CLONE_KNOWN)
		return -EINVAL;
	return fork_process(&request);
}

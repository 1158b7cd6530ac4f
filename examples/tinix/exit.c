/*
 * The end of a process, and waiting for it.
 */
#include "examples/tinix/core.h"

#define WAIT_STOPPED(signal) ((signal) << 8 | 0x7f)
#define WAIT_CONTINUED	     0xffff

static struct proc *child_of(struct list *node)
{
	return list_entry(node, struct proc_core, sibling)->self;
}

static void add_usage(struct usage *to, const struct usage *from)
{
	to->user_ns += from->user_ns;
	to->system_ns += from->system_ns;
	to->minor_faults += from->minor_faults;
	to->switches += from->switches;
}

static void release_resources(struct proc *p)
{
	struct mm *mm = p->mm;
	struct files *files = p->files;

	timer_stop(&p->core->alarm);
	if (p->core->clear_tid && !p->core->borrows_mm && !zero_user(p->core->clear_tid, sizeof(int)))
		futex_wake(p->core->clear_tid, 1);
	p->files = NULL;
	files_put(files);
	if (p->exe)
		inode_put(p->exe);
	p->exe = NULL;
	forget_user(p);
	p->mm = NULL;
	mm_put(mm);
	vfork_done(p);
}

static void adopt_children(struct proc *p)
{
	struct proc *init = proc_find(1);

	list_each(node, &p->core->children)
	{
		struct proc *child = child_of(node);

		child->parent = init;
		list_remove(&child->core->sibling);
		list_add(&init->core->children, &child->core->sibling);
		if (child->state == PROC_ZOMBIE)
			wake_all(&init->core->wait_queue);
	}
}

/* Stopped processes that nobody is left to continue are told so. */
static void release_group(int pgid)
{
	bool stopped = false;

	list_each(node, &proc_all)
	{
		const struct proc *p = list_entry(node, struct proc, link);

		stopped |= p->pgid == pgid && p->state == PROC_STOPPED;
	}
	if (!stopped || !group_is_orphaned(pgid))
		return;
	signal_group(pgid, SIGHUP);
	signal_group(pgid, SIGCONT);
}

static void leave_groups(struct proc *p)
{
	if (p->pid == p->sid)
		tty_leave(p);
	/* A group is kept from being orphaned by a parent in another group of its session. */
	if (p->parent && p->parent->pgid != p->pgid && p->parent->sid == p->sid)
		release_group(p->pgid);
	list_each(node, &p->core->children)
	{
		const struct proc *child = child_of(node);

		if (child->pgid != p->pgid && child->sid == p->sid)
			release_group(child->pgid);
	}
}

static bool parent_ignores(const struct proc *p)
{
	const struct signal_action *action = &p->parent->core->actions[SIGCHLD];

	return p->core->exit_signal == SIGCHLD &&
	       (action->handler == (uint64_t)SIG_IGN || action->flags & SA_NOCLDWAIT);
}

/* The machine's status is the program's, as far as that goes: the console tells the rest. */
static _Noreturn void end_with_first(int status)
{
	int signal = status & 0x7f;
	unsigned code = (unsigned)(signal ? 128 + signal : status >> 8);

	if (signal)
		log("%s was ended by signal %d, which is status %u\n", current->name, signal, code);
	else if (code > R3_EXIT_MAX)
		log("%s ended with status %u\n", current->name, code);
	power_off(code);
}

_Noreturn void proc_exit(int status)
{
	struct proc *p = current;

	if (p->pid == 1)
		end_with_first(status);
	account(false);
	release_resources(p);
	p->state = PROC_ZOMBIE;
	p->core->exit_status = status;
	leave_groups(p);
	adopt_children(p);
	notify_parent(p, status & 0x7f ? CLD_KILLED : CLD_EXITED, status & 0x7f ? status & 0x7f : status >> 8);
	if (parent_ignores(p))
		proc_free_later(p);
	schedule();
	pvg_panic("pid %d runs on after its end", p->pid);
}

int64_t sys_exit_group(const uint64_t arg[6])
{
	proc_exit((int)(arg[0] & 0xff) << 8);
}

static bool wanted(const struct proc *child, int pid)
{
	if (pid > 0)
		return child->pid == pid;
	return pid == -1 || child->pgid == (pid ? -pid : current->pgid);
}

/* What wait4 reports of a child that has news; false if it has none. The news is then old. */
static bool take_news(struct proc *child, int options, int *status)
{
	struct proc_core *core = child->core;

	if (child->state == PROC_ZOMBIE) {
		*status = core->exit_status;
		return true;
	}
	if (options & WUNTRACED && child->state == PROC_STOPPED && core->stop_signal) {
		*status = WAIT_STOPPED(core->stop_signal);
		core->stop_signal = 0;
		return true;
	}
	if (options & WCONTINUED && core->continued) {
		*status = WAIT_CONTINUED;
		core->continued = false;
		return true;
	}
	return false;
}

static int64_t reap(struct proc *child)
{
	int pid = child->pid;

	add_usage(&current->children_usage, &child->usage);
	add_usage(&current->children_usage, &child->children_usage);
	proc_free(child);
	return pid;
}

static int64_t report(struct proc *child, int status, uint64_t status_at, uint64_t usage_at)
{
	struct rusage usage;

	usage_report(&usage, &child->usage);
	if (status_at && copy_to_user(status_at, &status, sizeof(status)))
		return -EFAULT;
	if (usage_at && copy_to_user(usage_at, &usage, sizeof(usage)))
		return -EFAULT;
	return child->state == PROC_ZOMBIE ? reap(child) : child->pid;
}

int64_t sys_wait4(const uint64_t arg[6])
{
	int pid = (int)arg[0], options = (int)arg[2], status, err;

	if (options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WALL | __WCLONE | __WNOTHREAD))
		return -EINVAL;
	for (;;) {
		bool any = false;

		list_each(node, &current->core->children)
		{
			struct proc *child = child_of(node);

			if (!wanted(child, pid))
				continue;
			any = true;
			if (take_news(child, options, &status))
				return report(child, status, arg[1], arg[3]);
		}
		if (!any)
			return -ECHILD;
		if (options & WNOHANG)
			return 0;
		err = sleep_on(&current->core->wait_queue, NO_DEADLINE);
		if (err)
			return err;
	}
}

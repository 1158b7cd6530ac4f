/*
 * Signals: sending, what each does by default, and delivery. One of each number waits at most.
 */
#include "examples/tinix/core.h"

#define STOPPING (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define HARMLESS (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
/* What a fault of the program itself raises comes first. */
#define FAULTS (SIGBIT(SIGSEGV) | SIGBIT(SIGBUS) | SIGBIT(SIGILL) | SIGBIT(SIGTRAP) | SIGBIT(SIGFPE))

static bool is_default(const struct proc *p, int signal)
{
	return p->core->actions[signal].handler == (uint64_t)SIG_DFL;
}

/* Would come to nothing whenever it is delivered. */
static bool is_discarded(const struct proc *p, int signal)
{
	if (p->core->actions[signal].handler == (uint64_t)SIG_IGN)
		return true;
	/* The first process cannot be killed by accident. */
	return is_default(p, signal) && (p->pid == 1 || HARMLESS & SIGBIT(signal));
}

bool signal_is_ignored(int signal)
{
	return current->core->blocked & SIGBIT(signal) || current->core->actions[signal].handler == (uint64_t)SIG_IGN;
}

bool signal_is_pending(const struct proc *p)
{
	return p->core->pending & ~p->core->blocked;
}

static void go_on(struct proc *p)
{
	make_runnable(p);
	p->core->stop_signal = 0;
}

void signal_with(struct proc *p, const struct signal_info *info)
{
	struct proc_core *core = p->core;
	uint64_t bit = SIGBIT(info->signal);

	if (p->state == PROC_ZOMBIE)
		return;
	if (info->signal == SIGCONT) {
		core->pending &= ~STOPPING;
		if (p->state == PROC_STOPPED) {
			go_on(p);
			core->continued = true;
			notify_parent(p, CLD_CONTINUED, SIGCONT);
		}
	} else if (bit & STOPPING) {
		core->pending &= ~SIGBIT(SIGCONT);
	}
	if (is_discarded(p, info->signal) && !((core->blocked | core->waited) & bit))
		return;
	core->pending |= bit;
	core->infos[info->signal] = *info;
	if (core->blocked & bit)
		return;
	if (info->signal == SIGKILL && p->state == PROC_STOPPED)
		go_on(p);
	interrupt_sleep(p);
}

void signal_process(struct proc *p, int signal)
{
	const struct signal_info info = {.signal = signal, .code = SI_KERNEL};

	signal_with(p, &info);
}

void signal_force(int signal, int code, uint64_t address)
{
	struct proc_core *core = current->core;

	debug("%s (%d): signal %d at %lx, address %lx\n", current->name, current->pid, signal,
	      pvg_user_frame(&core->user)->rip, address);
	if (core->blocked & SIGBIT(signal) || is_discarded(current, signal))
		core->actions[signal].handler = (uint64_t)SIG_DFL;
	core->blocked &= ~SIGBIT(signal);
	core->infos[signal] = (struct signal_info){.signal = signal, .code = code, .address = address};
	core->pending |= SIGBIT(signal);
}

static int group_with(int pgid, const struct signal_info *info)
{
	int members = 0;

	list_each(node, &proc_all)
	{
		struct proc *p = list_entry(node, struct proc, link);

		if (p->pgid != pgid || p->state == PROC_ZOMBIE)
			continue;
		members++;
		if (info->signal)
			signal_with(p, info);
	}
	return members;
}

int signal_group(int pgid, int signal)
{
	const struct signal_info info = {.signal = signal, .code = SI_KERNEL};

	return group_with(pgid, &info);
}

bool group_is_orphaned(int pgid)
{
	list_each(node, &proc_all)
	{
		const struct proc *p = list_entry(node, struct proc, link), *parent = p->parent;

		if (p->pgid == pgid && p->state != PROC_ZOMBIE && parent && parent->state != PROC_ZOMBIE &&
		    parent->pgid != pgid && parent->sid == p->sid)
			return false;
	}
	return true;
}

void notify_parent(struct proc *p, int code, int status)
{
	const struct signal_info info = {.signal = p->core->exit_signal, .code = code, .pid = p->pid, .status = status};
	bool stopped = code == CLD_STOPPED || code == CLD_CONTINUED;

	if (!p->parent)
		return;
	if (info.signal && !(stopped && p->parent->core->actions[SIGCHLD].flags & SA_NOCLDSTOP))
		signal_with(p->parent, &info);
	wake_all(&p->parent->core->wait_queue);
}

void signal_fork(struct proc *child, const struct proc *parent)
{
	memcpy(child->core->actions, parent->core->actions, sizeof(child->core->actions));
	child->core->blocked = parent->core->blocked;
	child->core->altstack = parent->core->altstack;
}

void signal_exec(struct proc *p)
{
	for (int signal = 1; signal <= SIGNALS; signal++) {
		bool ignored = p->core->actions[signal].handler == (uint64_t)SIG_IGN;

		p->core->actions[signal] = (struct signal_action){.handler = (uint64_t)(ignored ? SIG_IGN : SIG_DFL)};
	}
	p->core->altstack = (stack_t){.ss_flags = SS_DISABLE};
}

/* ------------------------------------------------------------------------------------------------------ delivery */

static void stop(int signal)
{
	current->state = PROC_STOPPED;
	current->core->stop_signal = signal;
	notify_parent(current, CLD_STOPPED, signal);
	schedule();
}

static void act_by_default(int signal)
{
	if (current->pid == 1 && !(FAULTS & SIGBIT(signal)) && signal != SIGKILL)
		return;
	if (HARMLESS & SIGBIT(signal))
		return;
	if (!(STOPPING & SIGBIT(signal)))
		proc_exit(signal);
	if (signal == SIGSTOP || !group_is_orphaned(current->pgid))
		stop(signal);
}

/* Executes the SYSCALL again on return. */
static void restart_syscall(struct pvg_frame *frame)
{
	frame->rax = current->core->syscall;
	frame->rip -= 2;
	frame->vector = 0;
}

static bool wants_restart(const struct pvg_frame *frame, int64_t how)
{
	return frame->vector == PVG_TRAP_SYSCALL && (int64_t)frame->rax == -how;
}

static void run_handler(struct pvg_frame *frame, int signal)
{
	struct proc_core *core = current->core;
	struct signal_action action = core->actions[signal];
	uint64_t mask = core->restore_mask ? core->saved_mask : core->blocked;

	core->restore_mask = false;
	core->sleep_deadline = 0;
	if (wants_restart(frame, ERESTARTSYS) && action.flags & SA_RESTART)
		restart_syscall(frame);
	else if (wants_restart(frame, ERESTARTSYS) || wants_restart(frame, ERESTARTNOHAND))
		frame->rax = (uint64_t)-EINTR;
	frame->vector = 0;
	if (!sigframe_push(frame, &core->infos[signal], &action, mask)) {
		/* A handler of its own may have a stack where this one has none. */
		if (signal == SIGSEGV)
			core->actions[SIGSEGV].handler = (uint64_t)SIG_DFL;
		signal_force(SIGSEGV, SI_KERNEL, 0);
		return;
	}
	core->blocked |= action.mask & ~UNBLOCKABLE;
	if (!(action.flags & SA_NODEFER))
		core->blocked |= SIGBIT(signal);
	if (action.flags & SA_RESETHAND)
		core->actions[signal].handler = (uint64_t)SIG_DFL;
}

static int take_signal(uint64_t among)
{
	uint64_t ready = current->core->pending & among;
	int signal;

	if (ready & SIGBIT(SIGKILL))
		ready = SIGBIT(SIGKILL);
	else if (ready & FAULTS)
		ready &= FAULTS;
	signal = __builtin_ctzl(ready) + 1;
	current->core->pending &= ~SIGBIT(signal);
	return signal;
}

void signal_deliver(struct pvg_frame *frame)
{
	int signal = take_signal(~current->core->blocked);
	uint64_t handler = current->core->actions[signal].handler;

	if (handler == (uint64_t)SIG_IGN)
		return;
	if (handler == (uint64_t)SIG_DFL)
		act_by_default(signal);
	else
		run_handler(frame, signal);
}

void signal_settle(struct pvg_frame *frame)
{
	struct proc_core *core = current->core;

	if (wants_restart(frame, ERESTARTSYS) || wants_restart(frame, ERESTARTNOHAND))
		restart_syscall(frame);
	if (core->restore_mask) {
		core->restore_mask = false;
		core->blocked = core->saved_mask;
	}
}

/* -------------------------------------------------------------------------------------------------- system calls */

/*
 * So busybox asks the first process to halt, switch off and reboot; where that is no init, tinix listens. One that
 * blocks the signal, or waits for it, has plans of its own.
 */
static bool ends_machine(const struct proc *p, int signal)
{
	return p->pid == 1 && p != current && (signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGTERM) &&
	       !((p->core->blocked | p->core->waited) & SIGBIT(signal)) &&
	       (is_default(p, signal) || p->core->actions[signal].handler == (uint64_t)SIG_IGN);
}

static int64_t send(int pid, int signal, int code)
{
	const struct signal_info info = {.signal = signal, .code = code, .pid = current->pid};
	struct proc *p;
	int members = 0;

	if (signal < 0 || signal > SIGNALS)
		return -EINVAL;
	if (pid > 0) {
		p = proc_find(pid);
		if (p && ends_machine(p, signal))
			power_off(0);
		if (p && signal)
			signal_with(p, &info);
		return p ? 0 : -ESRCH;
	}
	if (pid != -1)
		return group_with(pid ? -pid : current->pgid, &info) ? 0 : -ESRCH;
	list_each(node, &proc_all)
	{
		p = list_entry(node, struct proc, link);
		if (p->pid == 1 || p == current)
			continue;
		members++;
		if (signal)
			signal_with(p, &info);
	}
	return members ? 0 : -ESRCH;
}

int64_t sys_kill(const uint64_t arg[6])
{
	return send((int)arg[0], (int)arg[1], SI_USER);
}

int64_t sys_tgkill(const uint64_t arg[6])
{
	int group = (int)arg[0], thread = (int)arg[1];

	if (group <= 0 || thread <= 0)
		return -EINVAL;
	/* Every process is one thread. */
	return group == thread ? send(thread, (int)arg[2], SI_TKILL) : -ESRCH;
}

int64_t sys_rt_sigaction(const uint64_t arg[6])
{
	int signal = (int)arg[0];
	struct signal_action new, *action;

	if (signal < 1 || signal > SIGNALS || arg[3] != sizeof(new.mask))
		return -EINVAL;
	if (arg[1] && (UNBLOCKABLE & SIGBIT(signal)))
		return -EINVAL;
	action = &current->core->actions[signal];
	if (arg[1] && copy_from_user(&new, arg[1], sizeof(new)))
		return -EFAULT;
	if (arg[2] && copy_to_user(arg[2], action, sizeof(*action)))
		return -EFAULT;
	if (arg[1])
		*action = new;
	if (is_discarded(current, signal))
		current->core->pending &= ~SIGBIT(signal);
	return 0;
}

int64_t sys_rt_sigprocmask(const uint64_t arg[6])
{
	uint64_t set, old = current->core->blocked;

	if (arg[3] != sizeof(set))
		return -EINVAL;
	if (arg[1]) {
		if (copy_from_user(&set, arg[1], sizeof(set)))
			return -EFAULT;
		set &= ~UNBLOCKABLE;
		if (arg[0] == SIG_BLOCK)
			current->core->blocked |= set;
		else if (arg[0] == SIG_UNBLOCK)
			current->core->blocked &= ~set;
		else if (arg[0] == SIG_SETMASK)
			current->core->blocked = set;
		else
			return -EINVAL;
	}
	return arg[2] ? copy_to_user(arg[2], &old, sizeof(old)) : 0;
}

int64_t sys_rt_sigpending(const uint64_t arg[6])
{
	uint64_t set = current->core->pending & current->core->blocked;

	return arg[1] <= sizeof(set) ? copy_to_user(arg[0], &set, arg[1]) : -EINVAL;
}

static int wait_for_signal(void)
{
	struct waitq nobody = WAITQ_INIT(nobody);
	int err;

	do
		err = sleep_on(&nobody, NO_DEADLINE);
	while (!err);
	return -ERESTARTNOHAND;
}

int64_t sys_pause(const uint64_t arg[6])
{
	return wait_for_signal();
}

int signal_mask_until_return(uint64_t set_at, uint64_t size)
{
	uint64_t set;

	if (size != sizeof(set))
		return -EINVAL;
	if (copy_from_user(&set, set_at, sizeof(set)))
		return -EFAULT;
	current->core->saved_mask = current->core->blocked;
	current->core->restore_mask = true;
	current->core->blocked = set & ~UNBLOCKABLE;
	return 0;
}

int64_t sys_rt_sigsuspend(const uint64_t arg[6])
{
	int err = signal_mask_until_return(arg[0], arg[1]);

	return err ? err : wait_for_signal();
}

int64_t sys_rt_sigtimedwait(const uint64_t arg[6])
{
	struct waitq nobody = WAITQ_INIT(nobody);
	uint64_t set, timeout, deadline = NO_DEADLINE, blocked = current->core->blocked;
	siginfo_t info;
	int err = 0, signal;

	if (arg[3] != sizeof(set) || copy_from_user(&set, arg[0], sizeof(set)))
		return arg[3] != sizeof(set) ? -EINVAL : -EFAULT;
	if (arg[2]) {
		err = timespec_from_user(arg[2], &timeout);
		if (err)
			return err;
		deadline = now() + timeout;
	}
	set &= ~UNBLOCKABLE;
	current->core->blocked &= ~set; /* or they would not end the sleep */
	current->core->waited = set;
	while (!err && !(current->core->pending & set))
		err = sleep_on(&nobody, deadline);
	current->core->blocked = blocked;
	current->core->waited = 0;
	if (!(current->core->pending & set))
		return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
	signal = take_signal(set);
	signal_info_report(&info, &current->core->infos[signal]);
	return arg[1] && copy_to_user(arg[1], &info, sizeof(info)) ? -EFAULT : signal;
}

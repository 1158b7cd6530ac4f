/*
 * System calls about who a process is and what it may use: numbers, groups, sessions, limits, names. All users are
 * root.
 */
#include "examples/tinix/core.h"

int64_t sys_getpid(const uint64_t arg[6])
{
	(void)arg;
	return current->pid;
}

int64_t sys_gettid(const uint64_t arg[6])
{
	(void)arg;
	return current->pid;
}

int64_t sys_getppid(const uint64_t arg[6])
{
	(void)arg;
	return current->parent ? current->parent->pid : 0;
}

/* ---------------------------------------------------------------------------------------- groups and sessions */

static struct proc *find_or_self(uint64_t pid)
{
	return pid ? proc_find((int)pid) : current;
}

int64_t sys_getpgid(const uint64_t arg[6])
{
	const struct proc *p = find_or_self(arg[0]);

	return p ? p->pgid : -ESRCH;
}

int64_t sys_getpgrp(const uint64_t arg[6])
{
	(void)arg;
	return current->pgid;
}

int64_t sys_getsid(const uint64_t arg[6])
{
	const struct proc *p = find_or_self(arg[0]);

	return p ? p->sid : -ESRCH;
}

static bool group_in_session(int pgid, int sid)
{
	list_each(node, &proc_all)
	{
		const struct proc *p = list_entry(node, struct proc, link);

		if (p->pgid == pgid && p->sid == sid)
			return true;
	}
	return false;
}

int64_t sys_setpgid(const uint64_t arg[6])
{
	struct proc *p = find_or_self(arg[0]);
	int pgid = arg[1] ? (int)arg[1] : p ? p->pid : 0;

	if (pgid < 0)
		return -EINVAL;
	if (!p || (p != current && p->parent != current))
		return -ESRCH;
	if (p != current && p->core->executed)
		return -EACCES;
	if (p->sid != current->sid || p->pid == p->sid || (pgid != p->pid && !group_in_session(pgid, p->sid)))
		return -EPERM;
	p->pgid = pgid;
	return 0;
}

int64_t sys_setsid(const uint64_t arg[6])
{
	(void)arg;
	if (group_in_session(current->pid, current->sid) && current->pgid == current->pid)
		return -EPERM;
	current->sid = current->pgid = current->pid;
	return current->sid;
}

/* ------------------------------------------------------------------------------------------------ users: all 0 */

#define RETURNS_ZERO(name)                                                                                             \
	int64_t sys_##name(const uint64_t arg[6])                                                                      \
	{                                                                                                              \
		(void)arg;                                                                                             \
		return 0;                                                                                              \
	}

RETURNS_ZERO(getuid)
RETURNS_ZERO(geteuid)
RETURNS_ZERO(getgid)
RETURNS_ZERO(getegid)
RETURNS_ZERO(setuid)
RETURNS_ZERO(setgid)
RETURNS_ZERO(setresuid)
RETURNS_ZERO(setresgid)
RETURNS_ZERO(setreuid)
RETURNS_ZERO(setregid)
RETURNS_ZERO(getgroups)
RETURNS_ZERO(setgroups)
RETURNS_ZERO(setpriority)
RETURNS_ZERO(set_robust_list)

int64_t sys_getresuid(const uint64_t arg[6])
{
	for (unsigned i = 0; i < 3; i++)
		if (zero_user(arg[i], sizeof(int)))
			return -EFAULT;
	return 0;
}

int64_t sys_getresgid(const uint64_t arg[6])
{
	return sys_getresuid(arg);
}

int64_t sys_getpriority(const uint64_t arg[6])
{
	(void)arg;
	return 20; /* nice 0, as the system call has it */
}

/* ------------------------------------------------------------------------------------------------------- limits */

static int64_t limit(struct proc *p, uint64_t which, uint64_t new_at, uint64_t old_at)
{
	struct rlimit new;

	if (which >= RLIM_NLIMITS)
		return -EINVAL;
	if (new_at && copy_from_user(&new, new_at, sizeof(new)))
		return -EFAULT;
	if (new_at && new.rlim_cur > new.rlim_max)
		return -EINVAL;
	if (old_at && copy_to_user(old_at, &p->limits[which], sizeof(new)))
		return -EFAULT;
	if (new_at)
		p->limits[which] = new;
	return 0;
}

int64_t sys_getrlimit(const uint64_t arg[6])
{
	return limit(current, arg[0], 0, arg[1]);
}

int64_t sys_setrlimit(const uint64_t arg[6])
{
	return limit(current, arg[0], arg[1], 0);
}

int64_t sys_prlimit64(const uint64_t arg[6])
{
	struct proc *p = find_or_self(arg[0]);

	return p ? limit(p, arg[1], arg[2], arg[3]) : -ESRCH;
}

/* --------------------------------------------------------------------------------------------------- the thread */

int64_t sys_set_tid_address(const uint64_t arg[6])
{
	current->core->clear_tid = arg[0];
	return current->pid;
}

int64_t sys_prctl(const uint64_t arg[6])
{
	switch (arg[0]) {
	case PR_SET_NAME:
		if (pvg_string_from_user(&current->mm->memory, current->name, arg[1], sizeof(current->name)) < 0)
			return -EFAULT;
		current->name[sizeof(current->name) - 1] = '\0';
		return 0;
	case PR_GET_NAME:
		return copy_to_user(arg[1], current->name, sizeof(current->name));
	case PR_SET_PDEATHSIG:
	case PR_SET_DUMPABLE:
	case PR_SET_NO_NEW_PRIVS:
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t sys_arch_prctl(const uint64_t arg[6])
{
	struct pvg_user *user = &current->core->user;

	if (arg[0] == ARCH_SET_FS || arg[0] == ARCH_SET_GS) {
		if (arg[1] >= R3_BIT(47))
			return -EPERM;
		/* The context is the loaded one: this is its system call. */
		if (arg[0] == ARCH_SET_FS)
			pvg_set_fs_base(user->fs_base = arg[1]);
		else
			pvg_set_gs_base(user->gs_base = arg[1]);
		return 0;
	}
	save_user();
	if (arg[0] == ARCH_GET_FS)
		return copy_to_user(arg[1], &user->fs_base, sizeof(user->fs_base));
	if (arg[0] == ARCH_GET_GS)
		return copy_to_user(arg[1], &user->gs_base, sizeof(user->gs_base));
	return -EINVAL;
}

int64_t sys_sched_yield(const uint64_t arg[6])
{
	(void)arg;
	yield();
	return 0;
}

int64_t sys_sched_getaffinity(const uint64_t arg[6])
{
	const uint64_t one_cpu = 1;

	if (arg[1] < sizeof(one_cpu))
		return -EINVAL;
	return copy_to_user(arg[2], &one_cpu, sizeof(one_cpu)) ? -EFAULT : (int64_t)sizeof(one_cpu);
}

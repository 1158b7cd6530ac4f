/*
 * System calls about who a process is and what it may use: groups, sessions, limits, names.
 */
#include "examples/tinix/core.h"

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
	if (group_in_session(current->pid, current->sid) && current->pgid == current->pid)
		return -EPERM;
	current->sid = current->pgid = current->pid;
	return current->sid;
}

/* ------------------------------------------------------------------------------------------------------- limits */

int64_t sys_prlimit64(const uint64_t arg[6])
{
	struct proc *p = find_or_self(arg[0]);
	uint64_t which = arg[1], new_at = arg[2], old_at = arg[3];
	struct rlimit new;

	if (!p)
		return -ESRCH;
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

int64_t sys_getcpu(const uint64_t arg[6])
{
	const unsigned zero = 0;

	if (arg[0] && copy_to_user(arg[0], &zero, sizeof(zero)))
		return -EFAULT;
	return arg[1] ? copy_to_user(arg[1], &zero, sizeof(zero)) : 0;
}

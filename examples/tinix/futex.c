/*
 * Futexes: sleeping on a word of user memory. Sleepers are found by the word's physical address, so that processes
 * which share the page meet.
 */
#include "examples/tinix/core.h"

static struct waitq sleepers = WAITQ_INIT(sleepers);

/* The word's physical address, 0 if it is not accessible. */
static uint64_t key_of(uint64_t address)
{
	const void *word = address % sizeof(int) ? NULL : pvg_user_ptr(&current->mm->memory, address, true);

	return word ? pvg_ptr_to_gpa(word) : 0;
}

static unsigned wake_key(uint64_t key, unsigned count)
{
	unsigned woken = 0;
	struct waitq chosen = WAITQ_INIT(chosen);

	list_each(node, &sleepers.sleepers)
	{
		if (woken == count)
			break;
		if (list_entry(node, struct proc_core, queue)->futex != key)
			continue;
		list_remove(node);
		list_add(&chosen.sleepers, node);
		woken++;
	}
	wake_all(&chosen);
	return woken;
}

int futex_wake(uint64_t address, unsigned count)
{
	uint64_t key = key_of(address);

	return key ? (int)wake_key(key, count) : -EFAULT;
}

static int64_t wait(uint64_t address, uint32_t expected, uint64_t deadline)
{
	uint64_t key = key_of(address);
	uint32_t value;
	int err;

	if (!key || copy_from_user(&value, address, sizeof(value)))
		return -EFAULT;
	if (value != expected)
		return -EAGAIN;
	current->core->futex = key;
	err = sleep_on(&sleepers, deadline);
	return err == -ERESTARTSYS && deadline != NO_DEADLINE ? -EINTR : err;
}

int64_t sys_futex(const uint64_t arg[6])
{
	unsigned operation = arg[1] & FUTEX_CMD_MASK;
	uint64_t deadline = NO_DEADLINE, timeout;
	int err = 0;

	switch (operation) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (arg[3])
			err = timespec_from_user(arg[3], &timeout);
		if (err)
			return err;
		if (arg[3] && operation == FUTEX_WAIT)
			deadline = now() + timeout;
		else if (arg[3])
			deadline = arg[1] & FUTEX_CLOCK_REALTIME ? max_u64(timeout, wall_offset()) - wall_offset()
								 : timeout;
		return wait(arg[0], (uint32_t)arg[2], deadline);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		return futex_wake(arg[0], (unsigned)arg[2]);
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE: /* all may look again for themselves */
		return futex_wake(arg[0], UINT32_MAX);
	default:
		return -ENOSYS;
	}
}

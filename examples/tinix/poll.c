/*
 * Waiting for several descriptors at once: poll, select and their kin. All who wait sleep on the one poll_queue and
 * look again when anything happened.
 */
#include "examples/tinix/fs.h"

#define SELECT_MAX 1024u /* FD_SETSIZE */
#define ALWAYS	   (POLLERR | POLLHUP | POLLNVAL)

/* Calls scan(arg) until it finds something ready, the time is over (0), or a signal comes (-EINTR). */
static int64_t wait_until(int64_t (*scan)(void *arg), void *arg, uint64_t deadline)
{
	for (;;) {
		int64_t ready = scan(arg);

		if (ready || deadline <= now())
			return ready;
		if (sleep_on(&poll_queue, deadline) == -ERESTARTSYS)
			return -EINTR;
	}
}

/* From now; relative times that overflow are for ever. */
static uint64_t deadline_after(int64_t seconds, int64_t ns)
{
	if (seconds > INT32_MAX)
		return NO_DEADLINE;
	return now() + (uint64_t)seconds * PVG_NS_PER_SEC + (uint64_t)ns;
}

/* A relative struct timespec in user memory; NULL is for ever. */
static int deadline_from_user(uint64_t pointer, uint64_t *deadline)
{
	struct timespec given;

	*deadline = NO_DEADLINE;
	if (!pointer)
		return 0;
	if (copy_from_user(&given, pointer, sizeof(given)))
		return -EFAULT;
	if (given.tv_sec < 0 || given.tv_nsec < 0 || given.tv_nsec >= (long)PVG_NS_PER_SEC)
		return -EINVAL;
	*deadline = deadline_after(given.tv_sec, given.tv_nsec);
	return 0;
}

/* -------------------------------------------------------------------------------------------------------- poll */

struct polled {
	struct pollfd *fds;
	unsigned count;
};

static int64_t scan_poll(void *arg)
{
	struct polled *polled = arg;
	int64_t ready = 0;

	for (unsigned i = 0; i < polled->count; i++) {
		struct pollfd *fd = &polled->fds[i];
		struct file *file = fd_file((uint64_t)fd->fd);

		fd->revents = 0;
		if (fd->fd < 0)
			continue;
		fd->revents = file ? (short)(file_poll(file) & ((unsigned)fd->events | ALWAYS)) : POLLNVAL;
		ready += fd->revents != 0;
	}
	return ready;
}

static int64_t do_poll(uint64_t user, uint64_t count, uint64_t deadline)
{
	size_t size = count * sizeof(struct pollfd);
	struct polled polled = {.count = (unsigned)count};
	int64_t result;

	if (count > 4096)
		return -EINVAL;
	polled.fds = kalloc(size + 1);
	if (!polled.fds)
		return -ENOMEM;
	result = copy_from_user(polled.fds, user, size);
	if (!result)
		result = wait_until(scan_poll, &polled, deadline);
	if (result >= 0 && copy_to_user(user, polled.fds, size))
		result = -EFAULT;
	kfree(polled.fds);
	return result;
}

int64_t sys_poll(const uint64_t arg[6])
{
	int timeout = (int)arg[2];

	return do_poll(arg[0], arg[1],
		       timeout < 0 ? NO_DEADLINE : deadline_after(timeout / 1000, timeout % 1000 * 1000000l));
}

int64_t sys_ppoll(const uint64_t arg[6])
{
	uint64_t deadline;
	int error = deadline_from_user(arg[2], &deadline);

	if (!error && arg[3])
		error = signal_mask_until_return(arg[3], arg[4]);
	return error ?: do_poll(arg[0], arg[1], deadline);
}

/* ------------------------------------------------------------------------------------------------------ select */

enum { READ, WRITE, EXCEPT, SETS };

struct selected {
	unsigned count;
	uint64_t want[SETS][SELECT_MAX / 64], got[SETS][SELECT_MAX / 64];
};

static int64_t scan_select(void *arg)
{
	static const unsigned events[SETS] = {POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI};
	struct selected *selected = arg;
	int64_t ready = 0;

	memset(selected->got, 0, sizeof(selected->got));
	for (unsigned fd = 0; fd < selected->count; fd++) {
		uint64_t bit = 1ull << fd % 64;
		struct file *file = fd_file(fd);

		for (unsigned set = 0; set < SETS; set++) {
			if (!(selected->want[set][fd / 64] & bit))
				continue;
			if (!file)
				return -EBADF;
			if (file_poll(file) & events[set]) {
				selected->got[set][fd / 64] |= bit;
				ready++;
			}
		}
	}
	return ready;
}

static int64_t do_select(const uint64_t arg[6], uint64_t deadline)
{
	unsigned count = (unsigned)arg[0] < SELECT_MAX ? (unsigned)arg[0] : SELECT_MAX;
	size_t size = (count + 63) / 64 * 8;
	struct selected *selected;
	int64_t result = 0;

	if ((int)arg[0] < 0)
		return -EINVAL;
	selected = kalloc(sizeof(*selected));
	if (!selected)
		return -ENOMEM;
	selected->count = count;
	for (unsigned set = 0; set < SETS && !result; set++)
		if (arg[1 + set])
			result = copy_from_user(selected->want[set], arg[1 + set], size);
	if (!result)
		result = wait_until(scan_select, selected, deadline);
	if (result == -EINTR)
		result = -ERESTARTNOHAND;
	for (unsigned set = 0; set < SETS && result >= 0; set++)
		if (arg[1 + set] && copy_to_user(arg[1 + set], selected->got[set], size))
			result = -EFAULT;
	kfree(selected);
	return result;
}

static uint64_t left_until(uint64_t deadline)
{
	uint64_t at = now();

	return deadline > at ? deadline - at : 0;
}

int64_t sys_select(const uint64_t arg[6])
{
	uint64_t deadline = NO_DEADLINE, left;
	struct timeval given;
	int64_t result;

	if (arg[4]) {
		if (copy_from_user(&given, arg[4], sizeof(given)))
			return -EFAULT;
		if (given.tv_sec < 0 || given.tv_usec < 0)
			return -EINVAL;
		deadline = deadline_after(given.tv_sec + given.tv_usec / 1000000, given.tv_usec % 1000000 * 1000);
	}
	result = do_select(arg, deadline);
	if (arg[4] && deadline != NO_DEADLINE) {
		left = left_until(deadline);
		given.tv_sec = (long)(left / PVG_NS_PER_SEC);
		given.tv_usec = (long)(left % PVG_NS_PER_SEC / PVG_NS_PER_US);
		if (copy_to_user(arg[4], &given, sizeof(given)) && result >= 0)
			return -EFAULT;
	}
	return result;
}

int64_t sys_pselect6(const uint64_t arg[6])
{
	uint64_t mask[2] = {0, 0}; /* pointer, size */
	uint64_t deadline;
	int error = deadline_from_user(arg[4], &deadline);

	if (!error && arg[5])
		error = copy_from_user(mask, arg[5], sizeof(mask));
	if (!error && mask[0])
		error = signal_mask_until_return(mask[0], mask[1]);
	return error ?: do_select(arg, deadline);
}

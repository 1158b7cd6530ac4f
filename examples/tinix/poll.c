/*
 * Waiting for several descriptors at once: poll, select and their kin. All who wait sleep on the one poll_queue and
 * look again when anything happened.
 */
#include "examples/tinix/fs.h"

#define SELECT_MAX 1024u	       /* FD_SETSIZE */
#define ALWAYS	   (POLLERR | POLLHUP) /* poll tells of them unasked; select does not */

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
	uint64_t ns;
	int error = pointer ? timespec_from_user(pointer, &ns) : 0;

	*deadline = pointer && !error ? now() + ns : NO_DEADLINE;
	return error;
}

/* How many of the descriptors are ready, each with what it is ready for in revents. */
static int64_t scan(struct pollfd *fds, unsigned count, unsigned always)
{
	int64_t ready = 0;

	for (unsigned i = 0; i < count; i++) {
		struct file *file = fds[i].fd < 0 ? NULL : fd_file((uint64_t)fds[i].fd);
		unsigned events = file ? file_poll(file) & ((unsigned)fds[i].events | always) : POLLNVAL;

		fds[i].revents = fds[i].fd < 0 ? 0 : (short)events;
		ready += fds[i].revents != 0;
	}
	return ready;
}

/* How many are ready, 0 when the time is over, -EINTR when a signal comes. */
static int64_t wait_for(struct pollfd *fds, unsigned count, unsigned always, uint64_t deadline)
{
	for (;;) {
		int64_t ready = scan(fds, count, always);

		if (ready || deadline <= now())
			return ready;
		if (sleep_on(&poll_queue, deadline) == -ERESTARTSYS)
			return -EINTR;
	}
}

/* -------------------------------------------------------------------------------------------------------- poll */

static int64_t do_poll(uint64_t user, uint64_t count, uint64_t deadline)
{
	size_t size = count * sizeof(struct pollfd);
	struct pollfd *fds;
	int64_t result;

	if (count > 4096)
		return -EINVAL;
	fds = kalloc(size + 1);
	if (!fds)
		return -ENOMEM;
	result = copy_from_user(fds, user, size);
	if (!result)
		result = wait_for(fds, (unsigned)count, ALWAYS, deadline);
	if (result >= 0 && copy_to_user(user, fds, size))
		result = -EFAULT;
	kfree(fds);
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

static const unsigned set_events[SETS] = {POLLIN | POLLHUP | POLLERR, POLLOUT | POLLERR, POLLPRI};

struct selected {
	uint64_t set[SETS][SELECT_MAX / 64];
	struct pollfd fds[SELECT_MAX]; /* those that are in some set */
};

static unsigned fds_of_sets(struct selected *s, unsigned limit)
{
	unsigned count = 0;

	for (unsigned fd = 0; fd < limit; fd++) {
		unsigned events = 0;

		for (unsigned set = 0; set < SETS; set++)
			if (s->set[set][fd / 64] >> fd % 64 & 1)
				events |= set_events[set];
		if (events)
			s->fds[count++] = (struct pollfd){.fd = (int)fd, .events = (short)events};
	}
	return count;
}

/* Leaves in the sets what is ready; how many bits those are, or -EBADF. */
static int64_t sets_of_fds(struct selected *s, unsigned count)
{
	int64_t bits = 0;

	for (unsigned i = 0; i < count; i++) {
		unsigned fd = (unsigned)s->fds[i].fd, events = (unsigned short)s->fds[i].revents;

		if (events & POLLNVAL)
			return -EBADF;
		for (unsigned set = 0; set < SETS; set++) {
			uint64_t *word = &s->set[set][fd / 64], bit = 1ull << fd % 64;

			if (!(events & set_events[set]))
				*word &= ~bit;
			bits += (*word & bit) != 0;
		}
	}
	return bits;
}

static int64_t do_select(const uint64_t arg[6], uint64_t deadline)
{
	unsigned limit = (unsigned)arg[0] < SELECT_MAX ? (unsigned)arg[0] : SELECT_MAX, count;
	size_t size = (limit + 63) / 64 * 8;
	struct selected *s;
	int64_t result = 0;

	if ((int)arg[0] < 0)
		return -EINVAL;
	s = kalloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (unsigned set = 0; set < SETS && !result; set++)
		if (arg[1 + set])
			result = copy_from_user(s->set[set], arg[1 + set], size);
	if (!result) {
		count = fds_of_sets(s, limit);
		result = wait_for(s->fds, count, 0, deadline);
		if (result >= 0)
			result = sets_of_fds(s, count);
	}
	if (result == -EINTR)
		result = -ERESTARTNOHAND;
	for (unsigned set = 0; set < SETS && result >= 0; set++)
		if (arg[1 + set] && copy_to_user(arg[1 + set], s->set[set], size))
			result = -EFAULT;
	kfree(s);
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

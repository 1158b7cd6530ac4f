/*
 * RLIMIT_CPU and RLIMIT_FSIZE: what a process may use, and the signals that say it was too much. setrlimit(2) has the
 * rules; the limits of memory are mmap.c's, that of descriptors descriptor.c's.
 */
#include "examples/tinix/core.h"
#include "examples/tinix/fs.h"

static uint64_t used_ns(void)
{
	return current->usage.user_ns + current->usage.system_ns;
}

static uint64_t limit_ns(uint64_t seconds)
{
	return seconds > UINT64_MAX / PVG_NS_PER_SEC ? UINT64_MAX : seconds * PVG_NS_PER_SEC;
}

/* The next time spent at which there is something to say: the soft limit, each second after it, the hard limit. */
static uint64_t next_ns(void)
{
	const struct rlimit *limit = &current->limits[RLIMIT_CPU];
	uint64_t told = current->core->cpu_told;

	return min_u64(limit_ns(limit->rlim_max), max_u64(limit_ns(limit->rlim_cur), told ? told + PVG_NS_PER_SEC : 0));
}

uint64_t limit_cpu_deadline(void)
{
	uint64_t next = next_ns(), used = used_ns();

	return next == UINT64_MAX ? NO_DEADLINE : now() + (next > used ? next - used : 0);
}

void limit_cpu_check(void)
{
	const struct rlimit *limit = &current->limits[RLIMIT_CPU];
	uint64_t used;

	if (limit->rlim_cur == RLIM_INFINITY && limit->rlim_max == RLIM_INFINITY)
		return;
	used = used_ns();
	if (used < next_ns())
		return;
	current->core->cpu_told = used;
	signal_process(current, used >= limit_ns(limit->rlim_max) ? SIGKILL : SIGXCPU);
}

int64_t limit_file_size(uint64_t offset, uint64_t len)
{
	uint64_t limit = current->limits[RLIMIT_FSIZE].rlim_cur;

	if (!len || limit == RLIM_INFINITY)
		return (int64_t)len;
	if (offset < limit)
		return (int64_t)min_u64(len, limit - offset);
	signal_process(current, SIGXFSZ);
	return -EFBIG;
}

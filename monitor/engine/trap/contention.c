#include "monitor/engine/trap/contention.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "monitor/host/clock.h"

/* Several slices of the host's scheduler. Tasks that take turns are looked at again in a later moment, but not for
 * ever. */
#define WINDOW_NS      15000000
#define WINDOW_MOST_NS 120000000
/* A neighbour that is always ready gets half; what the sides wait for each other is far less than this share. */
#define SHARE 4
/* To try two CPUs again costs a window at less speed: twice as long each time, up to this. */
#define PATIENCE_NS	 250000000
#define PATIENCE_MOST_NS 2000000000
/* Two CPUs have held for so long: the next neighbour is a new one. */
#define FORGET_NS 1000000000

static bool read_times(pid_t process, pid_t task, uint64_t *run_ns, uint64_t *delay_ns)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", process, task);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	int fields = fscanf(file, "%lu %lu", run_ns, delay_ns);
	fclose(file);
	return fields == 2;
}

static bool read_waiter(struct waiter *waiter)
{
	uint64_t unused;
	if (!waiter->task)
		return true;
	if (waiter->mapper && !read_times(waiter->process, waiter->mapper, &waiter->mapper_ns, &unused))
		return false;
	return read_times(waiter->process, waiter->task, &waiter->run_ns, &waiter->delay_ns);
}

static uint64_t cpu_ns(void)
{
	struct timespec used;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	return (uint64_t)used.tv_sec * CLOCK_NS_PER_SEC + (uint64_t)used.tv_nsec;
}

static void begin(struct contention *contention, struct waiter near, struct waiter beside, struct waiter far,
		  uint64_t now)
{
	contention->near = near;
	contention->beside = beside;
	contention->far = far;
	contention->monitor_ns = cpu_ns();
	bool told = read_waiter(&contention->near) && read_waiter(&contention->beside) && read_waiter(&contention->far);
	contention->since_ns = told ? now : 0;
}

/* Of two programs of the guest's that take turns, one waits for the other: then most of the CPU is theirs. */
static bool near_is_contended(const struct contention *since, const struct waiter *near, const struct waiter *beside,
			      uint64_t window)
{
	uint64_t ran = near->run_ns - since->near.run_ns + beside->run_ns - since->beside.run_ns;
	return near->delay_ns - since->near.delay_ns > window / SHARE && ran < window - window / SHARE;
}

static bool is_other(const struct waiter *waiter, const struct waiter *other)
{
	return waiter->task != other->task;
}

enum contended contention_look(struct contention *contention, struct waiter near, struct waiter beside,
			       struct waiter far)
{
	uint64_t now = clock_ns(), window = now - contention->since_ns;
	if (!contention->since_ns || window > WINDOW_MOST_NS) {
		begin(contention, near, beside, far, now);
		return CONTENDED_NOT;
	}
	if (window < WINDOW_NS || is_other(&near, &contention->near) || is_other(&beside, &contention->beside) ||
	    is_other(&far, &contention->far))
		return CONTENDED_NOT;
	uint64_t own = far.task == getpid() ? 0 : cpu_ns() - contention->monitor_ns;
	contention->since_ns = 0;
	if (!read_waiter(&near) || !read_waiter(&beside) || !read_waiter(&far))
		return CONTENDED_NOT;
	own += near.mapper_ns - contention->near.mapper_ns + beside.mapper_ns - contention->beside.mapper_ns +
	       far.mapper_ns - contention->far.mapper_ns;
	if (near_is_contended(contention, &near, &beside, window))
		return CONTENDED_NEAR;
	uint64_t far_ns = far.delay_ns - contention->far.delay_ns;
	return far_ns > window / SHARE + own ? CONTENDED_FAR : CONTENDED_NOT;
}

void contention_forget(struct contention *contention)
{
	contention->since_ns = 0;
}

void contention_begin(struct contention *contention)
{
	uint64_t now = clock_ns();
	bool again = contention->until_ns && now - contention->until_ns < FORGET_NS;
	uint64_t patience = again ? 2 * contention->patience_ns : PATIENCE_NS;
	contention->patience_ns = patience < PATIENCE_MOST_NS ? patience : PATIENCE_MOST_NS;
	contention->until_ns = now + contention->patience_ns;
	contention->begun++;
}

bool contention_lasts(const struct contention *contention)
{
	return contention->until_ns && clock_ns() < contention->until_ns;
}

/*
 * How busy the machine is and was: times of all processes, and the load averages.
 */
#include "examples/tinix/core.h"

#define SAMPLE_NS (5 * PVG_NS_PER_SEC)
#define ONE	  65536u /* sysinfo's fixed point */

static uint64_t load[3];
static struct usage gone; /* of processes that are no more */
static struct timer sampling;

static unsigned count_runnable(void)
{
	unsigned count = 0;

	list_each(node, &proc_all) count += list_entry(node, struct proc, link)->state == PROC_RUNNABLE;
	return count;
}

/* Averages decay exponentially: exp(-5 s / 1, 5 and 15 minutes), in 1/65536. */
static void sample(struct timer *timer)
{
	static const uint64_t decay[3] = {60296, 64453, 65173};
	uint64_t runnable = count_runnable() * (uint64_t)ONE;

	for (int i = 0; i < 3; i++)
		load[i] = (load[i] * decay[i] + runnable * (ONE - decay[i])) / ONE;
	timer_start(timer, timer->deadline + SAMPLE_NS, sample);
}

void load_init(void)
{
	timer_start(&sampling, now() + SAMPLE_NS, sample);
}

void load_remember(const struct usage *usage)
{
	gone.user_ns += usage->user_ns;
	gone.system_ns += usage->system_ns;
	gone.switches += usage->switches;
}

void sched_get_info(struct sched_info *out)
{
	struct usage sum = gone;

	list_each(node, &proc_all)
	{
		const struct usage *usage = &list_entry(node, struct proc, link)->usage;

		sum.user_ns += usage->user_ns;
		sum.system_ns += usage->system_ns;
		sum.switches += usage->switches;
	}
	*out = (struct sched_info){
		.user_ns = sum.user_ns,
		.system_ns = sum.system_ns,
		.idle_ns = idle_ns,
		.switches = sum.switches,
		.forks = proc_forks,
		.runnable = count_runnable(),
		.last_pid = proc_last_pid,
	};
	memcpy(out->load, load, sizeof(load));
}

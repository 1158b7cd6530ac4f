/*
 * /proc's texts about the machine: memory, time, processors, mounts.
 */
#include "examples/tinix/procfs.h"

#include <cpuid.h>

void text_meminfo(struct text *text, struct proc *p)
{
	uint64_t free = memory_free() / 1024, cached = tree_pages_of_all * (PAGE_SIZE / 1024);

	text_add(text, "MemTotal: %8lu kB\nMemFree: %8lu kB\nMemAvailable: %8lu kB\n", memory_total() / 1024, free,
		 free);
	text_add(text, "Buffers: 0 kB\nCached: %8lu kB\nShmem: %8lu kB\n", cached, cached);
	text_add(text, "SwapCached: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nSReclaimable: 0 kB\n");
}

/* Seconds with two digits behind the point. */
static void add_seconds(struct text *text, uint64_t ns, const char *after)
{
	uint64_t hundredths = ns / (PVG_NS_PER_SEC / 100);

	text_add(text, "%lu.%02lu%s", hundredths / 100, hundredths % 100, after);
}

void text_uptime(struct text *text, struct proc *p)
{
	struct sched_info info;

	sched_get_info(&info);
	add_seconds(text, now(), " ");
	add_seconds(text, info.idle_ns, "\n");
}

static unsigned count_processes(void)
{
	unsigned count = 0;

	list_each(node, &proc_all) count++;
	return count;
}

void text_loadavg(struct text *text, struct proc *p)
{
	struct sched_info info;

	sched_get_info(&info);
	for (int i = 0; i < 3; i++)
		text_add(text, "%lu.%02lu ", info.load[i] >> 16, ((info.load[i] & 0xffff) * 100) >> 16);
	text_add(text, "%u/%u %d\n", info.runnable, count_processes(), info.last_pid);
}

void text_stat(struct text *text, struct proc *p)
{
	static const char *const names[] = {"cpu ", "cpu0"};
	struct sched_info info;

	sched_get_info(&info);
	for (int i = 0; i < 2; i++)
		text_add(text, "%s %llu 0 %llu %llu 0 0 0 0 0 0\n", names[i], info.user_ns / NS_PER_TICK,
			 info.system_ns / NS_PER_TICK, info.idle_ns / NS_PER_TICK);
	text_add(text, "intr 0\nctxt %lu\nbtime %llu\n", info.switches, wall_offset() / PVG_NS_PER_SEC);
	text_add(text, "processes %lu\nprocs_running %u\nprocs_blocked 0\n", info.forks, info.runnable);
}

void text_cpuinfo(struct text *text, struct proc *p)
{
	unsigned leaf[12] = {0}, vendor[4] = {0}, top, unused;

	__cpuid(0, unused, vendor[0], vendor[2], vendor[1]);
	__cpuid(0x80000000, top, unused, unused, unused);
	for (unsigned i = 0; top >= 0x80000004 && i < 3; i++)
		__cpuid(0x80000002 + i, leaf[4 * i], leaf[4 * i + 1], leaf[4 * i + 2], leaf[4 * i + 3]);
	text_add(text, "processor\t: 0\nvendor_id\t: %.12s\n", (const char *)vendor);
	text_add(text, "model name\t: %.47s\n\n", (const char *)leaf);
}

void text_version(struct text *text, struct proc *p)
{
	text_add(text, "Linux version 6.1.0-tinix\n");
}

void text_cmdline(struct text *text, struct proc *p)
{
	text_add(text, "%s\n", pvg_cmdline());
}

void text_mounts(struct text *text, struct proc *p)
{
	text_add(text, "tmpfs / tmpfs rw,noatime 0 0\nproc /proc proc rw,noatime 0 0\n");
}

/*
 * Limits and settings of the host that decide how many guests fit, how fast they are and what they can reach.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "monitor/boot/image.h"
#include "monitor/cli/doctor/internal.h"
#include "monitor/engine/trap/gate.h"

#define NO_LIMIT ULONG_MAX

/* Areas that a well-filled cell may need, since each is a run of pages with one protection. */
#define MAPS_ENOUGH 16384
/* Cells for a guest with that many processes. */
#define CELLS_ENOUGH 256
/* A kernel cell, a user cell, and one to change to. */
#define CELLS_LEAST   3
#define MEMORY_ENOUGH (256ul << 20)

void doctor_line(const char *path, char *line, unsigned size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, line, size - 1);

	if (fd >= 0)
		close(fd);
	line[len < 0 ? 0 : len] = 0;
	line[strcspn(line, "\n")] = 0;
}

unsigned long doctor_number(const char *path, unsigned long missing)
{
	char line[64];

	doctor_line(path, line, sizeof(line));
	if (!strcmp(line, "max") || !strcmp(line, "unlimited"))
		return NO_LIMIT;
	return *line ? strtoul(line, NULL, 10) : missing;
}

/* ---------------------------------------------------------------------------------------------------------- memory */

static void check_mmap_min_addr(struct doctor_result *result)
{
	unsigned long lowest = doctor_number("/proc/sys/vm/mmap_min_addr", 0);

	if (lowest > BOOT_START)
		doctor_found(result, DOCTOR_MISSING, "sysctl vm.mmap_min_addr=65536",
			     "guests cannot use addresses below %#lx, and boot information lies there", lowest);
	else
		doctor_found(result, DOCTOR_OK, NULL, "guests can use addresses from %#lx up",
			     lowest > GATE_PAGE ? lowest : GATE_PAGE);
}

static void check_max_map_count(struct doctor_result *result)
{
	unsigned long maps = doctor_number("/proc/sys/vm/max_map_count", 65530);

	if (maps < MAPS_ENOUGH)
		doctor_found(result, DOCTOR_LIMITED, "sysctl vm.max_map_count=65530",
			     "%lu areas an address space: guests with scattered mappings will be slow", maps);
	else
		doctor_found(result, DOCTOR_OK, NULL, "%lu areas an address space", maps);
}

static void check_memory(struct doctor_result *result)
{
	struct sysinfo info;
	struct rlimit space;

	sysinfo(&info);
	getrlimit(RLIMIT_AS, &space);
	if (space.rlim_cur != RLIM_INFINITY)
		doctor_found(result, DOCTOR_LIMITED, "ulimit -v unlimited",
			     "this process may use %lu MiB of addresses, RAM of guests included", space.rlim_cur >> 20);
	else if (info.totalram * info.mem_unit < MEMORY_ENOUGH)
		doctor_found(result, DOCTOR_LIMITED, "give guests little RAM (--memory)", "the host has %lu MiB of RAM",
			     info.totalram * info.mem_unit >> 20);
	else
		doctor_found(result, DOCTOR_OK, NULL, "the host has %lu MiB of RAM, no limit on addresses",
			     info.totalram * info.mem_unit >> 20);
}

static void check_overcommit(struct doctor_result *result)
{
	static const char *const modes[] = {"heuristic", "always", "strict"};
	unsigned long mode = doctor_number("/proc/sys/vm/overcommit_memory", 0);

	doctor_found(result, DOCTOR_INFO, NULL, "%s; guest RAM is taken as it is touched, in any mode",
		     mode < 3 ? modes[mode] : "unknown");
}

static void check_huge_pages(struct doctor_result *result)
{
	char line[128];

	doctor_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", line, sizeof(line));
	doctor_found(result, DOCTOR_INFO, NULL, "%s; ring3 asks for none", *line ? line : "not offered");
}

/* ------------------------------------------------------------------------------------------------------- processes */

static unsigned long least(unsigned long a, unsigned long b)
{
	return a < b ? a : b;
}

/* pids.max of this process's control group and of all above it (cgroup v2). */
static unsigned long cgroup_tasks(void)
{
	char line[512], path[768];
	unsigned long limit = NO_LIMIT;

	doctor_line("/proc/self/cgroup", line, sizeof(line));
	if (strncmp(line, "0::", 3))
		return NO_LIMIT;
	for (char *end = line + strlen(line); end > line + 3; end = strrchr(line, '/')) {
		*end = 0;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/pids.max", line + 3);
		limit = least(limit, doctor_number(path, NO_LIMIT));
	}
	return limit;
}

static void check_cells(struct doctor_result *result)
{
	struct rlimit tasks, files;
	unsigned long limit, cells;

	getrlimit(RLIMIT_NPROC, &tasks);
	getrlimit(RLIMIT_NOFILE, &files);
	limit = least(geteuid() ? tasks.rlim_cur : NO_LIMIT, cgroup_tasks());
	limit = least(limit, doctor_number("/proc/sys/kernel/threads-max", NO_LIMIT));
	cells = least(least(limit / 2, files.rlim_max / 2), GATE_CELLS_MAX);
	if (cells < CELLS_ENOUGH)
		doctor_found(
			result, cells < CELLS_LEAST ? DOCTOR_MISSING : DOCTOR_LIMITED,
			"raise 'ulimit -u' and 'ulimit -n', and pids.max of the control group",
			"at most %lu cells (%lu tasks, %lu descriptors): address spaces beyond them are built anew "
			"each time",
			cells, limit, (unsigned long)files.rlim_max);
	else
		doctor_found(result, DOCTOR_OK, NULL, "at most %lu cells: two tasks and a descriptor each", cells);
}

static void check_cpus(struct doctor_result *result)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	if (CPU_COUNT(&cpus) < 2)
		doctor_found(result, DOCTOR_LIMITED, "allow a second CPU: taskset(1), or the container's cpuset",
			     "1 CPU: each exit costs about three times what it does with two");
	else
		doctor_found(result, DOCTOR_OK, NULL, "%d CPUs: guest and monitor may have one each", CPU_COUNT(&cpus));
}

/* A handler behind a pipe is started whatever RLIMIT_CORE is, unless that is 1 (core(5)). */
static void check_core_pattern(struct doctor_result *result)
{
	char line[128];

	doctor_line("/proc/sys/kernel/core_pattern", line, sizeof(line));
	if (*line == '|')
		doctor_found(result, DOCTOR_LIMITED,
			     "sysctl kernel.core_pattern=core, if guests that die make the handler work too much",
			     "%s is started when a cell dies of a signal, although its RLIMIT_CORE is 0", line);
	else
		doctor_found(result, DOCTOR_OK, NULL, "cells leave no core file: their RLIMIT_CORE is 0 (pattern '%s')",
			     line);
}

static void check_kvm(struct doctor_result *result)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	doctor_found(result, DOCTOR_INFO, NULL, "%s%s; ring3 does not need it", fd < 0 ? "not usable: " : "usable",
		     fd < 0 ? strerror(errno) : "");
	if (fd >= 0)
		close(fd);
}

const struct doctor_check doctor_host[] = {
	{"mmap_min_addr", "lowest address", check_mmap_min_addr},
	{"max_map_count", "scattered mappings", check_max_map_count},
	{"memory", "RAM", check_memory},
	{"cells", "processes for guest code", check_cells},
	{"cpus", "host processors", check_cpus},
	{"core_pattern", "cores of cells that die", check_core_pattern},
	{"overcommit", "memory overcommitment", check_overcommit},
	{"huge_pages", "huge pages for shared memory", check_huge_pages},
	{"kvm", "/dev/kvm", check_kvm},
};

const unsigned doctor_host_count = sizeof(doctor_host) / sizeof(doctor_host[0]);

#include "monitor/engine/trap/resist.h"

#include <stdio.h>
#include <time.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/host/clock.h"

/* Each of these kicks arrives at the latest when the runner next runs. */
#define KICKS_MAX	 50
#define KICK_PATIENCE_NS 500000000
/* Whoever ran for so long was kicked meanwhile, and has not come. */
#define CPU_PATIENCE_NS 100000000

static uint64_t cpu_ns(const struct cell *cell)
{
	clockid_t clock;
	struct timespec used;
	if (clock_getcpuclockid(cell->pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

/* proc(5), /proc/PID/task/TID/stat: it waits for a CPU (R) or for the host's own (D), and not for somebody to wake it.
 */
static bool would_run(const struct cell *cell)
{
	char path[64], state = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", cell->pid, cell->runner);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	int fields = fscanf(file, "%*d (%*[^)]) %c", &state);
	fclose(file);
	return fields == 1 && (state == 'R' || state == 'D');
}

bool resist_note(struct resist *resist, const struct cell *cell, const struct cell *peer)
{
	uint64_t now = clock_ns(), cpu;
	if (!resist->kicks++) { /* nearly always the only one */
		resist->first_ns = now;
		return false;
	}
	cpu = cpu_ns(cell) + (peer ? cpu_ns(peer) : 0);
	if (resist->kicks == 2)
		resist->first_cpu_ns = cpu;
	if (resist->kicks <= KICKS_MAX || now - resist->first_ns < KICK_PATIENCE_NS)
		return false;
	if (cpu - resist->first_cpu_ns > CPU_PATIENCE_NS)
		return true;
	return !would_run(cell) && !(peer && would_run(peer));
}

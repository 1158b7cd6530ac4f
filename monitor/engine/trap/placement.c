/*
 * Choosing host CPUs, and moving the monitor between together and apart as the rate of exits asks for it.
 */
#include "monitor/engine/trap/placement.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/host/clock.h"

/* Apart, both sides spin about this long: longer than an exit takes to handle, shorter than a scheduler's slice. */
#define SPIN_ROUNDS 4000
/*
 * Together, one yield finds the other side ready if it answers at once. More on both sides do harm: each yield in vain
 * moves the task back in the scheduler's order (EEVDF), so that later ones come in vain too.
 */
#define MONITOR_YIELDS 1
#define RUNNER_YIELDS  16

/* The rate of exits is judged over this many. */
#define WINDOW_EXITS 64
/* Move apart if exits come closer than this on average, together again if they are this much rarer. */
#define APART_BELOW_NS	  25000
#define TOGETHER_ABOVE_NS 100000

static void pin_self(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void placement_set(struct placement *placement, struct cells *cells, bool apart)
{
	placement->apart = apart;
	cells->mapper_cpu = apart ? placement->far : placement->near;
	cells->spins = apart ? SPIN_ROUNDS : 0;
	cells->yields = apart ? 0 : RUNNER_YIELDS;
	placement->spins = cells->spins;
	placement->yields = apart ? 0 : MONITOR_YIELDS;
	pin_self(cells->mapper_cpu);
	for (struct cell *cell = cells->all; cell; cell = cell->next) {
		cell->xchg->spins = cells->spins;
		cell->xchg->yields = cells->yields;
		cell_place(cell);
	}
}

int placement_init(struct placement *placement, struct cells *cells, unsigned cpus)
{
	cpu_set_t allowed;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	placement->near = sched_getcpu();
	placement->far = -1;
	for (int cpu = 0; cpu < CPU_SETSIZE && placement->far < 0; cpu++)
		if (CPU_ISSET(cpu, &allowed) && cpu != placement->near)
			placement->far = cpu;
	if (cpus == 2 && placement->far < 0) {
		fprintf(stderr, "ring3: --cpus=2, but only one host CPU is allowed here; use --cpus=1 or taskset\n");
		return -EINVAL;
	}
	placement->adaptive = cpus == 0 && placement->far >= 0;
	cells->runner_cpu = placement->near;
	placement_set(placement, cells, cpus == 2);
	placement->window_tsc = clock_tsc();
	return 0;
}

void placement_note(struct placement *placement, struct cells *cells, uint64_t tsc, uint64_t waited)
{
	if (!placement->adaptive || ++placement->exits < WINDOW_EXITS)
		return;
	uint64_t each = clock_tsc_to_ns(tsc - placement->window_tsc) / WINDOW_EXITS;
	placement->exits = 0;
	placement->window_tsc = tsc;
	if (!placement->apart && each < APART_BELOW_NS)
		placement_set(placement, cells, true);
	else if (placement->apart && each > TOGETHER_ABOVE_NS)
		placement_set(placement, cells, false);
}

void placement_exit(struct placement *placement)
{
}

/*
 * Choosing host CPUs, and changing between together, apart and loose as the rate of exits asks for it.
 */
#include "monitor/engine/trap/placement.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/handover.h"
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
/* Mean distance of exits: apart below the first; together again above the second; loose above the third. */
#define APART_NS    25000
#define TOGETHER_NS 100000
#define LOOSE_NS    5000000
/* A mode is kept at least this long: changing moves tasks, and a busy host makes exits look rarer than they are. */
#define HOLD_NS 50000000

/* A run so long was not worth a yield: whoever yields is not woken by what he waits for, but run after the others. */
#define COMPUTES_NS 1000000

/*
 * Where so many yields in a row took so long, others run in between, each for its slice. It is tried again after a
 * while.
 */
#define CROWD_NS       2000000
#define CROWD_YIELDS   3
#define CROWD_LASTS_NS 2000000000

/* For how long a mode is kept. */
static bool is_held(const struct placement *placement)
{
	return clock_tsc_to_ns(clock_tsc() - placement->since_tsc) < HOLD_NS;
}

static bool is_spread_mode(enum placement_mode mode)
{
	return mode == PLACEMENT_APART || mode == PLACEMENT_SPLIT;
}

static bool is_spread(const struct placement *placement)
{
	return is_spread_mode(placement->mode);
}

void placement_pin(const struct placement *placement, pid_t task, bool monitor_side)
{
	cpu_set_t set = placement->allowed;
	if (placement->mode != PLACEMENT_LOOSE) {
		CPU_ZERO(&set);
		CPU_SET(is_spread(placement) && monitor_side ? placement->far : placement->near, &set);
	}
	sched_setaffinity(task, sizeof(set), &set);
}

static void placement_set(struct placement *placement, enum placement_mode mode)
{
	bool crowded = placement->crowded;
	const struct patience spin = {SPIN_ROUNDS, 0}, yield = {0, crowded ? 0 : RUNNER_YIELDS},
			      yield_once = {0, crowded ? 0 : MONITOR_YIELDS};
	if (is_spread_mode(mode))
		mode = placement->passes ? PLACEMENT_SPLIT : PLACEMENT_APART;
	bool apart = mode == PLACEMENT_APART, split = mode == PLACEMENT_SPLIT;
	if (placement->mode != mode)
		contention_forget(&placement->contention);
	placement->mode = mode;
	/* Where user mode can be entered directly, its kernel may have to run on that CPU next. */
	placement->runner[false] = split || (apart && !placement->direct) ? spin : yield;
	placement->runner[true] = apart ? spin : yield;
	placement->monitor[false] = apart || split ? spin : yield_once;
	placement->monitor[true] = apart ? spin : yield_once;
	placement->peer = split ? spin : yield_once;
	placement->epoch++;
	placement->since_tsc = clock_tsc();
	placement_pin(placement, 0, true);
}

/* Some allowed CPU other than `near`, or -1. */
static int other_cpu(const struct placement *placement)
{
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &placement->allowed) && cpu != placement->near)
			return cpu;
	return -1;
}

int placement_init(struct placement *placement, unsigned cpus)
{
	sched_getaffinity(0, sizeof(placement->allowed), &placement->allowed);
	placement->near = sched_getcpu();
	placement->far = other_cpu(placement);
	if (cpus == 2 && placement->far < 0) {
		fprintf(stderr, "ring3: --cpus=2, but only one host CPU is allowed here; use --cpus=1 or taskset\n");
		return -EINVAL;
	}
	placement->two = cpus != 1 && placement->far >= 0;
	placement->adaptive = cpus == 0 && placement->far >= 0;
	placement->window_tsc = clock_tsc();
	placement_set(placement, cpus == 2 ? PLACEMENT_APART : PLACEMENT_TOGETHER);
	return 0;
}

void placement_direct(struct placement *placement)
{
	if (placement->direct)
		return;
	placement->direct = placement->passes = true;
	placement_set(placement, placement->mode);
}

/* Between APART and SPLIT: by what was more often of late. */
static void judge_passages(struct placement *placement, bool passes)
{
	if (!placement->direct || placement->passes == passes || is_held(placement))
		return;
	placement->passes = passes;
	if (is_spread(placement))
		placement_set(placement, placement->mode);
}

static struct waiter runner_of(const struct cell *cell)
{
	return (struct waiter){.process = cell->pid, .task = cell->runner, .mapper = cell->pid};
}

/* Who runs on either side now. False: nobody that could be looked at. */
static bool find_waiters(const struct placement *placement, const struct cells *cells, struct waiter *near,
			 struct waiter *beside, struct waiter *far)
{
	bool split = placement->mode == PLACEMENT_SPLIT;
	const struct cell *last = cells->last, *user = split ? cells->user : last,
			  *before = split ? cells->user_before : cells->before;
	if (!last || !user || last->dead || user->dead || (split && !last->kernel))
		return false;
	*near = runner_of(user);
	*beside = before && !before->dead ? runner_of(before) : (struct waiter){0};
	*far = split ? runner_of(last) : (struct waiter){.process = getpid(), .task = getpid()};
	return true;
}

/*
 * Together on the CPU that no other program keeps busy, for a while; then on two again. Both changes are as cheap as
 * any of mode, and nothing is judged by the rate of exits meanwhile.
 */
static bool placement_contended(struct placement *placement, struct cells *cells)
{
	struct waiter near, beside, far;
	if (!placement->two)
		return false;
	if (contention_lasts(&placement->contention))
		return true;
	if (!is_spread(placement)) {
		if (!placement->adaptive)
			placement_set(placement, PLACEMENT_APART);
		return false;
	}
	if (!find_waiters(placement, cells, &near, &beside, &far))
		return false;
	enum contended contended = contention_look(&placement->contention, near, beside, far);
	if (contended == CONTENDED_NOT)
		return false;
	contention_begin(&placement->contention);
	if (contended == CONTENDED_NEAR) {
		int busy = placement->near;
		placement->near = placement->far;
		placement->far = busy;
	}
	placement_set(placement, PLACEMENT_TOGETHER);
	return true;
}

/* The mode for exits that come every `each` ns. */
static void placement_judge(struct placement *placement, struct cells *cells, uint64_t each)
{
	bool two = is_spread(placement);
	enum placement_mode mode = placement->mode;
	if (placement_contended(placement, cells) || !placement->adaptive)
		return;
	if (each > LOOSE_NS)
		mode = PLACEMENT_LOOSE;
	else if (each > TOGETHER_NS || (each > APART_NS && !two))
		mode = PLACEMENT_TOGETHER;
	else if (!two)
		mode = PLACEMENT_APART;
	if (mode == placement->mode || is_held(placement))
		return;
	if (placement->mode == PLACEMENT_LOOSE) {
		placement->near = sched_getcpu();
		placement->far = other_cpu(placement);
	}
	placement_set(placement, mode);
}

bool placement_yielded(struct placement *placement, uint64_t from, uint64_t to)
{
	bool took_long = clock_tsc_to_ns(to - from) >= CROWD_NS;

	placement->long_yields = took_long ? placement->long_yields + 1 : 0;
	if (placement->long_yields < CROWD_YIELDS || placement->crowded)
		return placement->crowded;
	placement->crowded = true;
	placement->crowded_tsc = to;
	placement_set(placement, placement->mode);
	return true;
}

/* Perhaps the others are gone. */
static void try_yields(struct placement *placement)
{
	placement->crowded = false;
	placement->long_yields = 0;
	placement_set(placement, placement->mode);
}

static struct patience patience_of(const struct placement *placement, struct patience patience)
{
	if (placement->computes)
		patience.yields = 0;
	return patience;
}

struct patience placement_monitor(const struct placement *placement, bool kernel)
{
	return patience_of(placement, placement->monitor[kernel]);
}

struct patience placement_peer(const struct placement *placement)
{
	return patience_of(placement, placement->peer);
}

void placement_note(struct placement *placement, struct cells *cells, uint64_t entry, uint64_t tsc, unsigned direct)
{
	placement->computes = clock_tsc_to_ns(tsc - entry) > COMPUTES_NS;
	if (placement->crowded && clock_tsc_to_ns(tsc - placement->crowded_tsc) > CROWD_LASTS_NS)
		try_yields(placement);
	placement->exits += 1 + direct;
	placement->passages += direct;
	if (!placement->two || placement->exits < WINDOW_EXITS)
		return;
	uint64_t each = clock_tsc_to_ns(tsc - placement->window_tsc) / placement->exits;
	bool passes = placement->passages > placement->exits / 2;
	placement->exits = placement->passages = 0;
	placement->window_tsc = tsc;
	judge_passages(placement, passes);
	placement_judge(placement, cells, each);
}

bool placement_watches(const struct placement *placement)
{
	return placement->two && placement->mode != PLACEMENT_LOOSE;
}

void placement_quiet(struct placement *placement, struct cells *cells, unsigned direct)
{
	if (!placement->two)
		return;
	if (direct)
		judge_passages(placement, true);
	placement_judge(placement, cells, HANDOVER_QUIET_NS / (direct + 1));
}

void placement_exit(struct placement *placement)
{
	sched_setaffinity(0, sizeof(placement->allowed), &placement->allowed);
}

/*
 * The monitor's side of the hand-over; the runner's is the macro HANDOVER of gate_macros.S.
 */
#include "monitor/engine/trap/handover.h"

#include <errno.h>
#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "monitor/host/clock.h"

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, GATE_WAKE_ALL, NULL, NULL, 0);
}

/*
 * The runner that waits spinning stops, and wakes `cell` if that sleeps. It may just be going to sleep itself: it looks
 * at `wake` after it has said so, the monitor looks whether it has said so after `wake` is set, and one of both takes
 * it.
 */
static void handover_park(struct cell *place, struct cell *cell, bool asleep)
{
	struct gate_xchg *xchg = place->xchg;
	uint32_t spinning = GATE_EXITED;
	if (asleep)
		atomic_store(&xchg->wake, cell->slot * sizeof(uint32_t));
	atomic_compare_exchange_strong(&xchg->state, &spinning, GATE_PARK);
	if (asleep && atomic_load(&xchg->runner_waits) &&
	    atomic_exchange(&xchg->wake, GATE_WAKE_NONE) != GATE_WAKE_NONE)
		futex_wake(cell->turn);
}

void handover_resume(struct cell *cell, struct cell *place, bool same_cpu)
{
	struct gate_xchg *xchg = cell->xchg;
	/* Full barriers, for the same reason as in HANDOVER. */
	atomic_store(&xchg->state, GATE_RUN);
	atomic_fetch_add(cell->turn, 1);
	bool asleep = atomic_load(&xchg->runner_waits);
	bool awake_place = place && !atomic_load(&place->xchg->runner_waits);
	if (awake_place)
		handover_park(place, cell, asleep && same_cpu);
	cell->wake_left = asleep && awake_place && same_cpu;
	if (asleep && !cell->wake_left)
		futex_wake(cell->turn);
}

void handover_rest(struct cell *cell)
{
	handover_park(cell, cell, false);
}

void handover_nudge(struct cell *cell)
{
	uint32_t running = GATE_RUN;
	atomic_store(&cell->nudged, true);
	if (atomic_compare_exchange_strong(&cell->xchg->state, &running, GATE_NUDGE))
		futex_wake(&cell->xchg->state);
}

static bool handover_sleep(struct cell *cell, const struct timespec *timeout)
{
	struct gate_xchg *xchg = cell->xchg;
	atomic_exchange(&xchg->monitor_waits, 1);
	long result = 0;
	if (atomic_load(&xchg->state) == GATE_RUN)
		result = syscall(SYS_futex, &xchg->state, FUTEX_WAIT, GATE_RUN, timeout, NULL, 0);
	bool timed_out = result < 0 && errno == ETIMEDOUT;
	atomic_store(&xchg->monitor_waits, 0);
	return !timed_out;
}

/* Guest code can take back a nudge between two looks at the word: then the next look comes this much later. */
#define LOOK_NS	      100000000
#define WAKE_AFTER_NS 1000000

enum handover handover_wait(struct cell *cell, struct patience patience, unsigned quiet_ns)
{
	_Atomic uint32_t *state = &cell->xchg->state;
	uint32_t now;
	while ((now = atomic_load_explicit(state, memory_order_acquire)) == GATE_RUN && !atomic_load(&cell->nudged)) {
		if (patience.spins) {
			patience.spins--;
			_mm_pause();
		} else if (patience.yields) {
			uint64_t from = clock_tsc();
			sched_yield();
			patience.yields =
				placement_yielded(cell->owner->placement, from, clock_tsc()) ? 0 : patience.yields - 1;
		} else {
			const struct timespec limit = {.tv_nsec = cell->wake_left ? WAKE_AFTER_NS
								  : quiet_ns	  ? quiet_ns
										  : LOOK_NS};
			if (handover_sleep(cell, &limit))
				continue;
			if (cell->wake_left)
				futex_wake(cell->turn);
			else if (quiet_ns)
				return HANDOVER_QUIET;
			cell->wake_left = false;
		}
	}
	if (atomic_load(&cell->nudged))
		atomic_store(&cell->nudged, false);
	if (now != GATE_NUDGE && now != GATE_RUN)
		return HANDOVER_EXITED;
	/* Back to RUN, unless the runner has handed over meanwhile. */
	if (now == GATE_NUDGE)
		atomic_compare_exchange_strong(state, &now, GATE_RUN);
	return HANDOVER_NUDGED;
}

bool handover_runs(const struct cell *cell)
{
	return atomic_load(&cell->xchg->state) == GATE_RUN;
}

void handover_give_up(struct cell *peer)
{
	peer->xchg->kind = 0;
	atomic_store(&peer->xchg->state, GATE_EXITED);
	futex_wake(&peer->xchg->state);
}

bool handover_wait_boot(struct cell *cell)
{
	/* A child that dies before it can hand over wakes nobody. */
	const struct timespec look_again = {.tv_nsec = 20 * 1000 * 1000};
	while (atomic_load(&cell->xchg->state) != GATE_EXITED)
		if (!handover_sleep(cell, &look_again) && cell_is_dead(cell))
			return false;
	return true;
}

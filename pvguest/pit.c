/*
 * Channel 0 of the 8254 as a one-shot timer, and the time stamp counter as the clock, its rate measured against the
 * former on first use (pv=off).
 */
#include "pvguest/internal.h"
#include "pvguest/pc.h"

#define MEASURE_COUNTS 5966 /* 5 ms */
#define PRECISION      256  /* of the rate: what is known to one part in so many will do */
#define READINGS       3
#define TRIES	       8

struct moment {
	uint16_t count; /* of the 8254, counting down */
	uint64_t tsc, uncertainty;
};

static uint64_t start_tsc;
static uint64_t ns_per_tick; /* 32.32 fixed point; 0: not measured yet */

/* The reading that the least time passed around: exits take their time, and some take more. */
static struct moment read_moment(void)
{
	struct moment best = {.uncertainty = UINT64_MAX};

	for (unsigned i = 0; i < READINGS; i++) {
		uint64_t before = pvg_rdtsc(), after;
		uint16_t count;

		pvg_outb(X86_PORT_PIT + PIT_CONTROL, PIT_LATCH);
		after = pvg_rdtsc();
		count = pvg_inb(X86_PORT_PIT + PIT_CHANNEL0);
		count |= (uint16_t)(pvg_inb(X86_PORT_PIT + PIT_CHANNEL0) << 8);
		if (after - before < best.uncertainty)
			best = (struct moment){count, before + (after - before) / 2, after - before};
	}
	return best;
}

/* What the two readings and the counter's steps may be off is little of what lies between. */
static bool is_precise(const struct moment *first, const struct moment *last)
{
	uint64_t counts = (uint16_t)(first->count - last->count), ticks = last->tsc - first->tsc;

	return counts && ((first->uncertainty + last->uncertainty) / 2 + ticks / counts) * PRECISION <= ticks;
}

/*
 * Waits until MEASURE_COUNTS have gone by, or fewer will do. False: for most of the time the processor was away (a busy
 * host has others to run), perhaps for so long that the counter went round.
 */
static bool measure_between(struct moment *first, struct moment *last)
{
	uint64_t before, now, away = 0;

	*first = read_moment();
	before = first->tsc;
	do {
		__asm__ volatile("pause");
		*last = read_moment();
		now = last->tsc;
		if (now - before > away)
			away = now - before;
		before = now;
	} while ((uint16_t)(first->count - last->count) < MEASURE_COUNTS && !is_precise(first, last));
	return away < (last->tsc - first->tsc) / 2;
}

static void measure(void)
{
	struct moment first, last;
	uint64_t ns;

	pvg_outb(X86_PORT_PIT + PIT_CONTROL, PIT_RATE);
	pvg_outb(X86_PORT_PIT + PIT_CHANNEL0, 0); /* 65536 */
	pvg_outb(X86_PORT_PIT + PIT_CHANNEL0, 0);
	for (unsigned i = 0; i < TRIES && !measure_between(&first, &last); i++)
		;
	pvg_outb(X86_PORT_PIT + PIT_CONTROL, PIT_ONE_SHOT); /* silent until a count is written */

	ns = (uint16_t)(first.count - last.count) * PVG_NS_PER_SEC / PIT_HZ;
	ns_per_tick = (ns << 32) / (last.tsc - first.tsc);
	start_tsc = first.tsc;
	if (!ns_per_tick)
		pvg_panic("the 8254 does not count");
}

uint64_t pvg_pit_clock_ns(void)
{
	bool enabled;

	if (!ns_per_tick) {
		enabled = pvg_irq_save();
		measure();
		pvg_irq_restore(enabled);
	}
	return (uint64_t)((unsigned __int128)(pvg_rdtsc() - start_tsc) * ns_per_tick >> 32);
}

void pvg_pit_arm(uint64_t deadline_ns)
{
	uint64_t now, ns, count;

	if (deadline_ns == PVG_TIMER_OFF) {
		pvg_outb(X86_PORT_PIT + PIT_CONTROL, PIT_ONE_SHOT);
		return;
	}
	now = pvg_pit_clock_ns();
	ns = deadline_ns > now ? deadline_ns - now : 0;
	if (ns > PVG_NS_PER_SEC)
		ns = PVG_NS_PER_SEC;
	count = ns * PIT_HZ / PVG_NS_PER_SEC + 1;
	if (count > PIT_COUNT_MAX)
		count = PIT_COUNT_MAX;
	pvg_outb(X86_PORT_PIT + PIT_CONTROL, PIT_ONE_SHOT);
	pvg_outb(X86_PORT_PIT + PIT_CHANNEL0, (uint8_t)count);
	pvg_outb(X86_PORT_PIT + PIT_CHANNEL0, (uint8_t)(count >> 8));
}

/*
 * Host time. The rate of the time stamp counter is not read from anywhere: CPUID leaf 15h is empty on many hosts and
 * perf's conversion page on virtual ones. It is measured instead, against the clock everything else here uses, over
 * the whole life of the process: nothing waits for it, and it becomes better by itself.
 */
#include "monitor/host/clock.h"

#include <time.h>

#define SHORTEST_MEASUREMENT_NS 200000
#define MOMENT_TRIES		4

static struct clock_moment started;

static uint64_t read_clock(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * CLOCK_NS_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

/* An interrupt between the readings spoils a pair: the tightest of a few is kept. */
struct clock_moment clock_now(void)
{
	struct clock_moment best = {0};
	uint64_t tightest = UINT64_MAX;

	for (int i = 0; i < MOMENT_TRIES; i++) {
		uint64_t before = clock_tsc();
		uint64_t ns = clock_ns();
		uint64_t width = clock_tsc() - before;

		if (width < tightest) {
			tightest = width;
			best = (struct clock_moment){.tsc = before + width / 2, .ns = ns};
		}
	}
	return best;
}

struct clock_rate clock_rate_make(uint64_t ticks, uint64_t ns)
{
	struct clock_rate rate = {0};
	unsigned __int128 ratio = ((unsigned __int128)ns << 64) / ticks; /* ns per tick, 64 fraction bits */

	/* mul is a fraction of 32 bits with its top bit set, so that no precision is lost. */
	while (ratio >> 64) {
		ratio >>= 1;
		rate.shift++;
	}
	while (ratio && !(ratio >> 63)) {
		ratio <<= 1;
		rate.shift--;
	}
	rate.mul = (uint32_t)(ratio >> 32);
	return rate;
}

uint64_t clock_rate_ns(struct clock_rate rate, uint64_t ticks)
{
	unsigned __int128 shifted = ticks;

	if (rate.shift < 0)
		shifted >>= -rate.shift;
	else
		shifted <<= rate.shift;
	return (uint64_t)(shifted * rate.mul >> 32);
}

void clock_start(void)
{
	if (!started.ns)
		started = clock_now();
}

struct clock_rate clock_tsc_rate(void)
{
	struct clock_moment now;

	clock_start();
	do
		now = clock_now();
	while (now.ns - started.ns < SHORTEST_MEASUREMENT_NS || now.tsc <= started.tsc);
	return clock_rate_make(now.tsc - started.tsc, now.ns - started.ns);
}

uint64_t clock_tsc_to_ns(uint64_t ticks)
{
	static struct clock_rate rate;
	static uint64_t measured; /* ticks that it was measured over */
	uint64_t since = clock_tsc() - started.tsc;

	if (!measured || since / 2 > measured) {
		rate = clock_tsc_rate();
		measured = clock_tsc() - started.tsc;
	}
	return clock_rate_ns(rate, ticks);
}

/* -------------------------------------------------------------------------------------------------- machine's time */

static uint64_t lag_ns, held_since; /* held_since 0: not held */

uint64_t clock_machine_ns(void)
{
	return (held_since ? held_since : clock_ns()) - lag_ns;
}

uint64_t clock_host_of(uint64_t machine_ns)
{
	return machine_ns + lag_ns;
}

void clock_hold(void)
{
	held_since = clock_ns();
}

void clock_release(void)
{
	lag_ns += clock_ns() - held_since;
	held_since = 0;
}

/* --------------------------------------------------------------------------------------------------- guests' time */

/* Far from zero, which deadlines and offsets take for none. */
#define FROZEN_START_NS CLOCK_NS_PER_SEC
/* 2000-01-01, the same for every run. */
#define FROZEN_WALL_NS (946684800 * CLOCK_NS_PER_SEC)

static uint64_t frozen_ns; /* 0: guests see the host's time */

uint64_t clock_guest_ns(void)
{
	return frozen_ns ? frozen_ns : clock_machine_ns();
}

uint64_t clock_guest_tsc(void)
{
	return frozen_ns ? frozen_ns : clock_tsc();
}

uint64_t clock_guest_wall_ns(void)
{
	return frozen_ns ? FROZEN_WALL_NS + frozen_ns : clock_wall_ns();
}

struct clock_moment clock_guest_now(void)
{
	if (frozen_ns)
		return (struct clock_moment){.tsc = frozen_ns, .ns = frozen_ns};
	struct clock_moment now = clock_now();
	now.ns -= lag_ns;
	return now;
}

struct clock_rate clock_guest_rate(void)
{
	return frozen_ns ? clock_rate_make(1, 1) : clock_tsc_rate();
}

void clock_freeze(void)
{
	frozen_ns = FROZEN_START_NS;
}

bool clock_frozen(void)
{
	return frozen_ns;
}

void clock_advance(uint64_t ns)
{
	frozen_ns += ns;
}

/*
 * Host time: the monotonic clock in ns, and the time stamp counter with its rate in the form the shared page needs.
 */
#ifndef MONITOR_HOST_CLOCK_H
#define MONITOR_HOST_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <x86intrin.h>

#define CLOCK_NS_PER_SEC 1000000000ull

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_ns(void);
/* CLOCK_REALTIME in ns since 1970. */
uint64_t clock_wall_ns(void);

static inline uint64_t clock_tsc(void)
{
	return __rdtsc();
}

/* One moment on both clocks; their readings lie within some tens of ns of each other. */
struct clock_moment {
	uint64_t tsc, ns;
};
struct clock_moment clock_now(void);

/* ns = (ticks << shift) * mul >> 32, a negative shift meaning a shift to the right (struct r3_clock in abi.h). */
struct clock_rate {
	uint32_t mul;
	int8_t shift;
};

/* The rate of a counter that made `ticks` ticks in `ns` ns; both above 0. */
struct clock_rate clock_rate_make(uint64_t ticks, uint64_t ns);
uint64_t clock_rate_ns(struct clock_rate rate, uint64_t ticks);

/*
 * The best estimate so far of the counter's rate, measured against the monotonic clock since the first call of
 * clock_start: within 100 ppm once 200 us have passed, 1 ppm after 10 ms. A call before 200 us have passed spins until
 * then.
 */
struct clock_rate clock_tsc_rate(void);
/*
 * A duration, by a rate measured over at least half of the time since then: each exit asks, and a measurement costs as
 * much as a whole exit may. The main thread's.
 */
uint64_t clock_tsc_to_ns(uint64_t ticks);
/* Notes the moment that the rate is measured from; the first call counts. Costs about 200 ns. */
void clock_start(void);

/*
 * The machine's time: clock_ns() less all that a debugger held the machine for, during which it stands still. Deadlines
 * are of this time; host_of gives the clock_ns() at which one is due, if nothing holds it meanwhile.
 */
uint64_t clock_machine_ns(void);
uint64_t clock_host_of(uint64_t machine_ns);
void clock_hold(void);
void clock_release(void);

/*
 * Time as guests are to see it: the machine's; but from clock_freeze on it stands still, from the same start each time,
 * and only clock_advance moves it, the counter at one tick a ns. Then the same guest sees the same time when it runs
 * again; a cell made while time is frozen traps on RDTSC.
 */
uint64_t clock_guest_ns(void);
uint64_t clock_guest_tsc(void);
uint64_t clock_guest_wall_ns(void);
struct clock_moment clock_guest_now(void);
struct clock_rate clock_guest_rate(void);
void clock_freeze(void);
bool clock_frozen(void);
void clock_advance(uint64_t ns);

#endif

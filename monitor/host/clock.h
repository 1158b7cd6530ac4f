/*
 * Host time: the monotonic clock in ns, and the time stamp counter with its rate in the form the shared page needs.
 */
#ifndef MONITOR_HOST_CLOCK_H
#define MONITOR_HOST_CLOCK_H

#include <stdint.h>
#include <x86intrin.h>

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_ns(void);
/* CLOCK_REALTIME in ns since 1970. */
uint64_t clock_wall_ns(void);

static inline uint64_t clock_tsc(void)
{
	return __rdtsc();
}

/* ns = (ticks << shift) * mul >> 32; measured or read from the processor once, on first use. */
struct clock_rate {
	uint32_t mul;
	int8_t shift;
};
struct clock_rate clock_tsc_rate(void);
uint64_t clock_tsc_to_ns(uint64_t ticks);

#endif

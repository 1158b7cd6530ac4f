/*
 * What `ring3 bench` and its guest (tests/bench/bench_guest.c) agree on: how the guest reports, and the loop that both
 * run to compare their speed. Freestanding.
 *
 * The guest is told on its command line what to measure: bench=NAME count=N rounds=N. After one round that is not
 * reported it prints one line a round:  BENCH_LINE NAME TICKS OPERATIONS
 * with the ticks of the time stamp counter that so many operations took.
 * bench=idle makes it print BENCH_LINE idle, and wait for ever.
 */
#ifndef MONITOR_CLI_BENCH_SHARED_H
#define MONITOR_CLI_BENCH_SHARED_H

#include <stdint.h>

#define BENCH_LINE "bench:"

#define BENCH_TABLE_WORDS 2048

/* A xorshift generator that writes to a table at random: instruction by instruction the same wherever it is compiled.
 */
static inline void bench_compute(uint64_t *table, uint64_t count)
{
	uint64_t x = 88172645463325252ull, scratch;

	__asm__ volatile(".p2align 6\n"
			 "1:	mov %[x], %[scratch]\n"
			 "	shl $13, %[scratch]\n"
			 "	xor %[scratch], %[x]\n"
			 "	mov %[x], %[scratch]\n"
			 "	shr $7, %[scratch]\n"
			 "	xor %[scratch], %[x]\n"
			 "	mov %[x], %[scratch]\n"
			 "	shl $17, %[scratch]\n"
			 "	xor %[scratch], %[x]\n"
			 "	mov %[x], %[scratch]\n"
			 "	and %[mask], %[scratch]\n"
			 "	add %[x], (%[table],%[scratch],8)\n"
			 "	dec %[count]\n"
			 "	jnz 1b\n"
			 : [x] "+r"(x), [count] "+r"(count), [scratch] "=&r"(scratch)
			 : [table] "r"(table), [mask] "i"(BENCH_TABLE_WORDS - 1)
			 : "memory", "cc");
}

#endif

/*
 * The loops that processors in software are compared by (loops.S), and what is the same wherever they run: how often,
 * and on how much memory.
 */
#ifndef TESTS_BENCH_LOOPS_H
#define TESTS_BENCH_LOOPS_H

#define LOOPS_TURNS	   8000000
#define LOOPS_FLOAT_TURNS  1000000
#define LOOPS_ROUNDS	   3
#define LOOPS_WINDOW_WORDS (1 << 17)
#define LOOPS_TABLE_WORDS  (LOOPS_WINDOW_WORDS + 8)

/* Instructions of one turn. */
#define LOOPS_INTEGER_INSNS 15
#define LOOPS_MEMORY_INSNS  10
#define LOOPS_FLOAT_INSNS   14

/*
 * What a round prints: a line of LOOPS_BEGIN and the loop's letter (i, m or f), and when it is over one of LOOPS_END,
 * the letter and the result in hexadecimal. The reader takes the time between, unless a number of nanoseconds follows.
 */
#define LOOPS_BEGIN "@begin "
#define LOOPS_END   "@end "

#ifndef __ASSEMBLER__
#include <stdint.h>

/* The integer loop: shifts, logic, a branch that follows the data. Returns a value that depends on every turn. */
uint64_t loop_integer(uint64_t turns);

/* The memory loop: loads, stores and the stack, over table[LOOPS_TABLE_WORDS], which it changes. */
uint64_t loop_memory(uint64_t turns, uint64_t *table);

/* The floating-point loop: scalar doubles, with division, root, conversion, a comparison and memory; the bits of a sum.
 */
uint64_t loop_float(uint64_t turns, uint64_t *table);
#endif

#endif

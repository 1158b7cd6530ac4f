/*
 * Two instructions in one: where one of the commonest follows another of them, one function executes both, each as its
 * body says. Its only jump to an address from memory is the one to what comes after, and processors foretell that one
 * worse than all else an interpreter does. A pair of which one has to go the whole way is executed one by one.
 */
#define QUICK_BODIES
#include "monitor/engine/interpret/pairs.h"
#include "monitor/engine/interpret/alu.h"
#include "monitor/engine/interpret/move.h"
#include "monitor/engine/interpret/stack.h"

#define PAIR(second, first)                                                                                            \
	static void first##_##second(struct engine_vcpu *c, const struct insn *i)                                      \
	{                                                                                                              \
		if (unlikely(!first##_does(c, i, true)))                                                               \
			return first(c, i);                                                                            \
		i++;                                                                                                   \
		if (unlikely(!second##_does(c, i, true)))                                                              \
			return second(c, i);                                                                           \
		NEXT;                                                                                                  \
	}
#define PAIR_END(end, first)                                                                                           \
	static void first##_##end(struct engine_vcpu *c, const struct insn *i)                                         \
	{                                                                                                              \
		if (unlikely(!first##_does(c, i, true)))                                                               \
			return first(c, i);                                                                            \
		return end(c, i + 1);                                                                                  \
	}
#define PAIRS(first) SECONDS(PAIR, first) ENDS(PAIR_END, first)
FIRSTS(PAIRS)

#define NAME(second, first) second,
static insn_function *const seconds[] = {SECONDS(NAME, ) ENDS(NAME, )};
#define SECOND_COUNT (sizeof(seconds) / sizeof(seconds[0]))

#define CELL(second, first) first##_##second,
#define ROW(first)	    {first, {SECONDS(CELL, first) ENDS(CELL, first)}},
static const struct row {
	insn_function *first, *both[SECOND_COUNT];
} rows[] = {FIRSTS(ROW)};

static insn_function *pair_of(insn_function *first, insn_function *second)
{
	const struct row *row = rows, *end = rows + sizeof(rows) / sizeof(rows[0]);
	unsigned n = 0;
	while (row < end && row->first != first)
		row++;
	while (n < SECOND_COUNT && seconds[n] != second)
		n++;
	return row < end && n < SECOND_COUNT ? row->both[n] : NULL;
}

void pairs_make(struct insn *i, unsigned count)
{
	for (unsigned n = 0; n + 1 < count; n++) {
		insn_function *both = pair_of(i[n].run, i[n + 1].run);
		if (both)
			i[n++].run = both;
	}
}

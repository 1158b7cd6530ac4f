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

#define COUNTED(first) +1
#define ROW_COUNT      (0 FIRSTS(COUNTED))
static struct row {
	insn_function *first, *both[SECOND_COUNT];
} rows[ROW_COUNT];

/* Not by an initializer: the program is position-independent, and whatever starts would have these pages relocated. */
#define CELL(second, first) *both++ = first##_##second;
#define ROW(name)                                                                                                      \
	both = row->both;                                                                                              \
	row++->first = name;                                                                                           \
	SECONDS(CELL, name)                                                                                            \
	ENDS(CELL, name)
static void make_rows(void)
{
	struct row *row = rows;
	insn_function **both;

	FIRSTS(ROW)
}

/* Where a function stands in `rows` and in `seconds`, from 1; 0: nowhere. By its address, or as far behind as it takes.
 */
#define PLACES 512
static struct place {
	insn_function *run;
	uint8_t first, second;
} places[PLACES];
_Static_assert(ROW_COUNT + SECOND_COUNT < PLACES / 2 && ROW_COUNT < UINT8_MAX && SECOND_COUNT < UINT8_MAX, "room");

static struct place *place_of(insn_function *run)
{
	unsigned n = (unsigned)((uintptr_t)run >> 4) % PLACES;
	while (places[n].run && places[n].run != run)
		n = (n + 1) % PLACES;
	return &places[n];
}

static void make_places(void)
{
	make_rows();
	for (unsigned n = 0; n < ROW_COUNT; n++) {
		struct place *place = place_of(rows[n].first);
		*place = (struct place){rows[n].first, (uint8_t)(n + 1), place->second};
	}
	for (unsigned n = 0; n < SECOND_COUNT; n++) {
		struct place *place = place_of(seconds[n]);
		*place = (struct place){seconds[n], place->first, (uint8_t)(n + 1)};
	}
}

static insn_function *pair_of(insn_function *first, insn_function *second)
{
	unsigned row = place_of(first)->first, n = row ? place_of(second)->second : 0;
	return n ? rows[row - 1].both[n - 1] : NULL;
}

void pairs_make(struct insn *i, unsigned count)
{
	static bool made;
	if (!made)
		make_places();
	made = true;
	for (unsigned n = 0; n + 1 < count; n++) {
		insn_function *both = pair_of(i[n].run, i[n + 1].run);
		if (both)
			i[n++].run = both;
	}
}

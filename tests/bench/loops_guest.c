/*
 * The loops of loops.h as a guest of ring3, for its interpreting engines: `ring3 run --engine interpret`. The same
 * loops as a boot image for other emulators are in loops_boot.S.
 */
#include <pvguest/pvguest.h>

#include "tests/bench/loops.h"

bool pvg_guarded = false; /* as the boot image has it */

static uint64_t table[LOOPS_TABLE_WORDS];

static uint64_t integer(void)
{
	return loop_integer(LOOPS_TURNS);
}

static uint64_t memory(void)
{
	return loop_memory(LOOPS_TURNS, table);
}

static uint64_t floating(void)
{
	return loop_float(LOOPS_FLOAT_TURNS, table);
}

static void round(char letter, uint64_t (*loop)(void))
{
	uint64_t result, start;

	pvg_printf(LOOPS_BEGIN "%c\n", letter);
	start = pvg_clock_ns();
	result = loop();
	pvg_printf(LOOPS_END "%c %016lx %lu\n", letter, result, pvg_clock_ns() - start);
}

int main(const char *cmdline)
{
	(void)cmdline;
	for (unsigned i = 0; i < LOOPS_ROUNDS; i++) {
		round('i', integer);
		round('m', memory);
		round('f', floating);
	}
	return 0;
}

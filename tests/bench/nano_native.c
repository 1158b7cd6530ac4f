/*
 * What a process can do of the nanobenchmarks (nano.h), by the same instructions; reports as bench_user does, whose
 * other half this is linked with.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/bench/bench_user.h"
#include "tests/bench/loops.h"
#include "tests/bench/nano.h"

/* Of the host's kernel. */
static uint64_t null_call(uint64_t count)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	return now_ns() - start;
}

static uint64_t call_ret(uint64_t count)
{
	uint64_t start = now_ns();

	nano_call_ret(count);
	return now_ns() - start;
}

static uint64_t flags(uint64_t count)
{
	uint64_t start = now_ns();

	nano_flags(count);
	return now_ns() - start;
}

static uint64_t store(uint64_t count)
{
	static uint64_t entry;
	uint64_t start = now_ns();

	nano_store(count, &entry, 1);
	return now_ns() - start;
}

static uint64_t integer(uint64_t count)
{
	uint64_t start = now_ns();

	loop_integer(count);
	return now_ns() - start;
}

static uint64_t memory(uint64_t count)
{
	static uint64_t table[LOOPS_TABLE_WORDS];
	uint64_t start = now_ns();

	loop_memory(count, table);
	return now_ns() - start;
}

const struct measure measures[] = {
	{"syscall", null_call, NANO_STEP, 0}, {"callret", call_ret, NANO_STEP, 0}, {"ptemod", store, NANO_STEP, 0},
	{"flags", flags, NANO_STEP, 0},	      {"integer", integer, NANO_STEP, 0},  {"memory", memory, NANO_STEP, 0},
};
const unsigned measure_count = sizeof(measures) / sizeof(measures[0]);

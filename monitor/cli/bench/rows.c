/*
 * The rows of `ring3 bench`, with what each should reach, and the ways of running they are measured in.
 */
#include "monitor/cli/bench/internal.h"

const struct bench_way_info bench_ways[BENCH_WAYS] = {
	[BENCH_SIGNAL_1] = {"signal, 1 CPU", "signal", "1"},
	[BENCH_SIGNAL_2] = {"signal, 2 CPUs", "signal", "2"},
	[BENCH_PTRACE_1] = {"ptrace, 1 CPU", "ptrace", "1"},
};

const struct bench_native_info bench_natives[BENCH_NATIVES] = {
	[BENCH_NATIVE_TRAP] = {"native_trap", "CLI to a SIGSEGV handler and back, one process"},
	[BENCH_NATIVE_YIELD] = {"native_yield", "to another process and back, one CPU, by yielding"},
	[BENCH_NATIVE_LINE] = {"native_line", "the same, two CPUs, by a word that both watch"},
	[BENCH_NATIVE_FUTEX] = {"native_futex", "the same, one CPU, by sleeping and waking"},
	[BENCH_NATIVE_TOUCH] = {"native_touch", "first touch of a page of a shared mapping"},
	[BENCH_NATIVE_MAP] = {"native_map", "a page of a file in memory mapped in place of another"},
	[BENCH_NATIVE_COMPUTE] = {"native_compute", "one turn of the compute loop"},
	[BENCH_NATIVE_PROCESS] = {"native_process", "/bin/true, exec to exit"},
};

#define TRAP	BENCH_NATIVE_TRAP
#define AWAY	BENCH_NATIVE_YIELD
#define TOUCH	BENCH_NATIVE_TOUCH
#define MAP	BENCH_NATIVE_MAP
#define PAGES	4096
#define FILL_NS 1500
#define NS(n)                                                                                                          \
	{                                                                                                              \
		.ns = { n, n }                                                                                         \
	}

const struct bench_row bench_rows[] = {
	{"cli", "CLI trap, alone", TRAP, 4000, .reach = {.ratio = {2.4, 1.3}}},
	{"cli_run_16", "CLI, each of 16 in a row", TRAP, 16000, .reach = {.ratio = {1.0, 1.0}}},
	{"cli_run_64", "CLI, each of 64 in a row", TRAP, 32000, .reach = {.ratio = {1.0, 1.0}}},
	{"hypercall", "null hypercall", AWAY, 10000, .reach = {.ns = {3500, 300}}},
	{"multicall", "hypercall, each of 32 in a multicall", TRAP, 64000, .reach = {.ns = {0}}},
	{"mask", "mask and unmask interrupts, shared page", TRAP, 1000000, .reach = NS(5)},
	{"clock", "read the clock, shared page", TRAP, 1000000, .reach = NS(50)},
	{"fill_large", "page filled by the monitor: 2 MiB pages, in order", TOUCH, PAGES, .reach = NS(FILL_NS)},
	{"fill_large_random", "page filled by the monitor: 2 MiB pages, at random", TOUCH, PAGES, .reach = {.ns = {0}}},
	{"fill_small", "page filled by the monitor: 4 KiB pages, in order", TOUCH, PAGES, .reach = NS(FILL_NS)},
	{"fill_small_random", "page filled by the monitor: 4 KiB pages, at random", TOUCH, PAGES, .reach = {.ns = {0}}},
	{"fill_warm", "the same, in order, RAM in use already", TOUCH, PAGES, .reach = {.ns = {0}}},
	{"fill_alone", "page filled by the monitor: accessed bit clear", MAP, 512, .reach = {.ns = {0}}},
	{"demand_map", "page fault handled by the guest, page mapped", MAP, 512, .reach = {.ns = {0}}},
	{"switch_2", "CR3 switch among 2 spaces, a page touched", AWAY, 4000, .reach = {.ns = {0}}},
	{"switch_64", "CR3 switch among 64 spaces, a page touched", AWAY, 4000, .reach = {.ns = {0}}},
	{"syscall", "SYSCALL, user to kernel and back", TRAP, 4000, .reach = {.ns = {0}}},
	{"syscall_direct", "the same, not through the monitor", TRAP, 4000, .reach = {.ns = {0}}},
	{"syscall_neighbour",
	 "the same, another program keeps one CPU busy",
	 TRAP,
	 16000,
	 {.ns = {0}},
	 .guest = "syscall_direct",
	 .neighbour = true},
	{"compute", "one turn of the compute loop", BENCH_NATIVE_COMPUTE, 8000000, .reach = {.ratio = {1.01, 1.01}}},
	{"hello", "hello, exec to exit", BENCH_NATIVE_PROCESS, 0, .reach = NS(2e6)},
};

enum bench_native bench_native_of(unsigned row, enum bench_way way)
{
	enum bench_native native = bench_rows[row].native;

	return native == BENCH_NATIVE_YIELD && way == BENCH_SIGNAL_2 ? BENCH_NATIVE_LINE : native;
}

const unsigned bench_row_count = sizeof(bench_rows) / sizeof(bench_rows[0]);

_Static_assert(sizeof(bench_rows) / sizeof(bench_rows[0]) <= BENCH_ROWS_MAX, "samples have room for every row");

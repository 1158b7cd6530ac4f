/*
 * The measures of bench_user: each does one thing many times and says how long that took.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_user.h"

#define PAGE	     4096
#define FRESH_PAGES  512
#define MAP_LENGTH   (16 * PAGE)
#define TABLE_WORDS  (8ul << 20)
#define FILE_SIZE    (1ul << 20)
#define CHUNK	     (64ul << 10)
#define CROWD	     1000
#define COMPUTE_STEP 1000

static void *map_fresh(size_t length)
{
	void *map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		fail("mmap");
	return map;
}

/* The call that does least everywhere and that no library answers from memory. */
static uint64_t null_call(uint64_t count)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++)
		syscall(SYS_getppid);
	return now_ns() - start;
}

/* First write to pages of anonymous memory, in order; making and dropping the mapping is left out. */
static uint64_t touch(uint64_t count)
{
	uint64_t took = 0;

	for (uint64_t done = 0; done < count; done += FRESH_PAGES) {
		volatile char *map = map_fresh(FRESH_PAGES * PAGE);
		uint64_t start = now_ns();

		for (unsigned page = 0; page < FRESH_PAGES; page++)
			map[page * PAGE] = 1;
		took += now_ns() - start;
		if (munmap((void *)map, FRESH_PAGES * PAGE))
			fail("munmap");
	}
	return took;
}

/* ------------------------------------------------------------------------------------------------------- processes */

static void reap(pid_t child)
{
	int status;

	if (waitpid(child, &status, 0) != child)
		fail("waitpid");
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "bench_user: a child failed\n");
		_exit(1);
	}
}

static uint64_t fork_exit_wait(uint64_t count)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child)
			_exit(0);
		reap(child);
	}
	return now_ns() - start;
}

static uint64_t fork_exec_wait(uint64_t count)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child) {
			execl(bench_self, bench_self, "--nothing", NULL);
			_exit(1);
		}
		reap(child);
	}
	return now_ns() - start;
}

/* Processes that do nothing, made at the first call; they end with this one. */
static void make_crowd(void)
{
	static int gate[2];

	if (gate[1])
		return;
	if (pipe(gate))
		fail("pipe");
	for (unsigned i = 0; i < CROWD; i++) {
		pid_t child = fork();

		if (child < 0)
			fail("fork");
		if (!child) {
			close(gate[1]);
			_exit(read(gate[0], &(char){0}, 1) ? 1 : 0);
		}
	}
}

/* The same, with many other processes alive. */
static uint64_t fork_in_crowd(uint64_t count)
{
	make_crowd();
	return fork_exit_wait(count);
}

/* -------------------------------------------------------------------------------------------------------- switches */

static void pass(int in, int out)
{
	char token;

	if (read(in, &token, 1) != 1 || write(out, &token, 1) != 1)
		fail("a pipe");
}

/* One CPU for this process and its children, where the system has several and lets them choose. */
static void stay_here(cpu_set_t *before)
{
	cpu_set_t one;

	if (sched_getaffinity(0, sizeof(*before), before) || CPU_COUNT(before) < 2)
		return;
	CPU_ZERO(&one);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--)
		if (CPU_ISSET(cpu, before)) {
			CPU_SET(cpu, &one);
			break;
		}
	sched_setaffinity(0, sizeof(one), &one);
}

/* A token goes round by pipes: `rounds` times through all `members`, of which this process is one. */
static uint64_t ring(unsigned members, uint64_t rounds)
{
	int pipes[16][2];
	pid_t children[16];
	uint64_t start = 0, took;

	for (unsigned i = 0; i < members; i++)
		if (pipe(pipes[i]))
			fail("pipe");
	for (unsigned i = 1; i < members; i++) {
		children[i] = fork();
		if (children[i] < 0)
			fail("fork");
		if (!children[i]) {
			for (uint64_t r = 0; r < rounds + 1; r++)
				pass(pipes[i - 1][0], pipes[i][1]);
			_exit(0);
		}
	}
	/* One round so that all have started, then those that count. */
	for (uint64_t r = 0, first = 1; r < rounds + 1; r++, first = 0) {
		if (write(pipes[0][1], "", 1) != 1)
			fail("a pipe");
		if (read(pipes[members - 1][0], &(char){0}, 1) != 1)
			fail("a pipe");
		if (first)
			start = now_ns();
	}
	took = now_ns() - start;
	for (unsigned i = 1; i < members; i++)
		reap(children[i]);
	for (unsigned i = 0; i < members; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	return took;
}

/* There and back between two processes, wherever the system places them. */
static uint64_t pipe_round_trip(uint64_t count)
{
	return ring(2, count);
}

/* A token's way from one process to the next, all on one CPU: a write, a switch, a read. */
static uint64_t switch_among(unsigned members, uint64_t count)
{
	cpu_set_t before;
	uint64_t took;

	CPU_ZERO(&before);
	stay_here(&before);
	took = ring(members, count / members);
	if (CPU_COUNT(&before) > 1)
		sched_setaffinity(0, sizeof(before), &before);
	return took;
}

static uint64_t switch_2(uint64_t count)
{
	return switch_among(2, count);
}

static uint64_t switch_16(uint64_t count)
{
	return switch_among(16, count);
}

/* ------------------------------------------------------------------------------------------------ signals, mappings */

static volatile uint64_t caught;

static void on_signal(int number)
{
	(void)number;
	caught++;
}

/* A process signals itself, handles that, and returns. */
static uint64_t signal_handled(uint64_t count)
{
	struct sigaction action = {.sa_handler = on_signal};
	pid_t self = getpid();
	uint64_t start, took;

	if (sigaction(SIGUSR1, &action, NULL))
		fail("sigaction");
	caught = 0;
	start = now_ns();
	for (uint64_t i = 0; i < count; i++)
		kill(self, SIGUSR1);
	took = now_ns() - start;
	if (caught != count) {
		fprintf(stderr, "bench_user: %lu signals of %lu were delivered\n", caught, count);
		_exit(1);
	}
	return took;
}

/* A mapping of 64 KiB made, one page of it written, and dropped. */
static uint64_t map_unmap(uint64_t count)
{
	uint64_t start = now_ns();

	for (uint64_t i = 0; i < count; i++) {
		volatile char *map = map_fresh(MAP_LENGTH);

		map[0] = 1;
		if (munmap((void *)map, MAP_LENGTH))
			fail("munmap");
	}
	return now_ns() - start;
}

/* ------------------------------------------------------------------------------------------------------- computing */

static volatile uint64_t sink;

static inline uint64_t xorshift(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

static uint64_t compute(uint64_t count)
{
	uint64_t x = 88172645463325252, start = now_ns();

	for (uint64_t i = 0; i < count; i++)
		x = xorshift(x);
	sink = x;
	return now_ns() - start;
}

/* Reads at random places of 64 MiB, each place following from what was read before; never the same places again. */
static uint64_t random_reads(uint64_t count)
{
	static uint64_t *table, last_x = 88172645463325252, last_sum;
	uint64_t x = last_x, sum = last_sum, start;

	if (!table) {
		table = map_fresh(TABLE_WORDS * sizeof(*table));
		for (uint64_t i = 0; i < TABLE_WORDS; i++)
			table[i] = i;
	}
	start = now_ns();
	for (uint64_t i = 0; i < count; i++) {
		x = xorshift(x);
		sum += table[(x + sum) % TABLE_WORDS];
	}
	last_x = x;
	last_sum = sum;
	return now_ns() - start;
}

/* 64 KiB of a file in memory, read by one call. */
static uint64_t file_read(uint64_t count)
{
	static char buffer[CHUNK];
	static int file = -1;
	uint64_t start;

	if (file < 0) {
		char path[256];

		snprintf(path, sizeof(path), "%s/bench_user.XXXXXX", bench_dir);
		file = mkstemp(path);
		if (file < 0)
			fail(path);
		unlink(path);
		for (uint64_t i = 0; i < CHUNK; i++)
			buffer[i] = (char)i;
		for (uint64_t done = 0; done < FILE_SIZE; done += CHUNK)
			if (write(file, buffer, CHUNK) != CHUNK)
				fail("writing a file");
	}
	start = now_ns();
	for (uint64_t i = 0; i < count; i++)
		if (pread(file, buffer, CHUNK, (off_t)(i * CHUNK % FILE_SIZE)) != CHUNK)
			fail("reading a file");
	return now_ns() - start;
}

const struct measure measures[] = {
	{"syscall", null_call, 1, 0},
	{"touch", touch, FRESH_PAGES, 64 * FRESH_PAGES},
	{"fork", fork_exit_wait, 1, 0},
	{"exec", fork_exec_wait, 1, 0},
	{"pipe", pipe_round_trip, 1, 0},
	{"switch_2", switch_2, 2, 0},
	{"switch_16", switch_16, 16, 0},
	{"signal", signal_handled, 1, 0},
	{"mmap", map_unmap, 1, 0},
	{"compute", compute, COMPUTE_STEP, 0},
	{"memory", random_reads, COMPUTE_STEP, 0},
	{"file", file_read, 1, 0},
	{"crowd", fork_in_crowd, 1, 0}, /* last: the crowd stays */
};
const unsigned measure_count = sizeof(measures) / sizeof(measures[0]);

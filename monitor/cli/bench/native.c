/*
 * What the host itself takes for what the guest asks of ring3, measured in this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/cli/bench/internal.h"
#include "monitor/cli/bench/shared.h"
#include "monitor/host/clock.h"

#define TRAPS	20000
#define TRIPS	10000
#define PAGES	4096
#define COMPUTE 8000000
/* Processes a sample; the median of all is what counts. */
#define PROCESSES 3

extern char **environ;

static void skip_cli(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	uc->uc_mcontext.gregs[REG_RIP]++; /* CLI is one byte */
}

static double trap_ns(unsigned traps)
{
	struct sigaction action = {.sa_sigaction = skip_cli, .sa_flags = SA_SIGINFO}, old;
	uint64_t start;

	sigaction(SIGSEGV, &action, &old);
	start = clock_ns();
	for (unsigned i = 0; i < traps; i++)
		__asm__ volatile("cli" : : : "memory");
	start = clock_ns() - start;
	sigaction(SIGSEGV, &old, NULL);
	return (double)start / traps;
}

static double touch_ns(unsigned pages)
{
	size_t size = pages * X86_PAGE_SIZE;
	volatile uint8_t *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t start;

	if (memory == MAP_FAILED)
		return -1;
	start = clock_ns();
	for (size_t at = 0; at < size; at += X86_PAGE_SIZE)
		memory[at] = 1;
	start = clock_ns() - start;
	munmap((void *)memory, size);
	return (double)start / pages;
}

static double map_ns(unsigned pages)
{
	int flags = MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd = memfd_create("bench", MFD_CLOEXEC);
	size_t size = pages * X86_PAGE_SIZE;
	uint8_t *memory = MAP_FAILED;
	uint64_t start = 0;

	if (fd >= 0 && !ftruncate(fd, (off_t)size))
		memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
	if (memory != MAP_FAILED) {
		/* Last to first, and every other one: no two become one mapping. */
		start = clock_ns();
		for (size_t at = 0; at < size; at += 2 * X86_PAGE_SIZE)
			mmap(memory + at, X86_PAGE_SIZE, PROT_READ | PROT_WRITE, flags, fd,
			     (off_t)(size - at) - X86_PAGE_SIZE);
		start = clock_ns() - start;
		munmap(memory, size);
	}
	if (fd >= 0)
		close(fd);
	return memory == MAP_FAILED ? -1 : (double)start / (pages / 2);
}

static double compute_ns(uint64_t turns)
{
	static uint64_t table[BENCH_TABLE_WORDS];
	uint64_t start = clock_ns();

	bench_compute(table, turns);
	return (double)(clock_ns() - start) / (double)turns;
}

double bench_process(char *const argv[])
{
	posix_spawn_file_actions_t actions;
	uint64_t start, end;
	int status = 0, err;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	start = clock_ns();
	err = posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	if (!err && waitpid(pid, &status, 0) < 0)
		err = errno;
	end = clock_ns();
	posix_spawn_file_actions_destroy(&actions);
	if (!err && !status)
		return (double)(end - start);
	fprintf(stderr, "ring3: bench: %s: %s; see 'ring3 doctor'\n", argv[0], err ? strerror(err) : "it failed");
	return -1;
}

static double process_ns(void)
{
	static char *const argv[] = {"/bin/true", NULL};

	return bench_process(argv);
}

/* One sample, on whatever CPU of `allowed` the caller is bound to. */
static double native_ns(const struct bench *bench, enum bench_native native, const cpu_set_t *allowed)
{
	switch (native) {
	case BENCH_NATIVE_TRAP:
		return trap_ns(TRAPS / bench->divisor);
	case BENCH_NATIVE_YIELD:
	case BENCH_NATIVE_LINE:
	case BENCH_NATIVE_FUTEX:
		return bench_peer_ns(native, TRIPS / bench->divisor, allowed);
	case BENCH_NATIVE_MAP:
		return map_ns(PAGES / bench->divisor);
	case BENCH_NATIVE_TOUCH:
		return touch_ns(PAGES / bench->divisor);
	case BENCH_NATIVE_COMPUTE:
		return compute_ns(COMPUTE / bench->divisor);
	default:
		return process_ns();
	}
}

int bench_measure_native(const struct bench *bench, enum bench_native native, struct bench_samples *samples)
{
	unsigned rounds = native == BENCH_NATIVE_PROCESS ? PROCESSES * bench->rounds : bench->rounds;
	cpu_set_t all, one;
	double ns = 0;

	sched_getaffinity(0, sizeof(all), &all);
	if (native == BENCH_NATIVE_LINE && CPU_COUNT(&all) < 2)
		return 0;
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (native != BENCH_NATIVE_PROCESS)
		sched_setaffinity(0, sizeof(one), &one);
	for (unsigned round = 0; round < rounds && ns >= 0; round++) {
		ns = native_ns(bench, native, &all);
		if (ns >= 0)
			bench_add(samples, ns);
	}
	sched_setaffinity(0, sizeof(all), &all);
	return ns < 0 ? -EIO : 0;
}

/*
 * What the host takes to hand over to another process and back: what every crossing between two of the monitor's
 * processes is made of. The two watch one word of memory, and pass it to each other.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/cli/bench/internal.h"
#include "monitor/host/clock.h"

/* Whose turn it is. */
enum side { FIRST, SECOND };

/* One way of waiting for one's turn, for a while (false: it has not come), and of giving it away. */
struct handover {
	bool (*wait)(uint32_t *turn, uint32_t mine);
	void (*pass)(uint32_t *turn, uint32_t next);
	bool apart; /* the two run on two CPUs */
};

static void store_turn(uint32_t *turn, uint32_t next)
{
	__atomic_store_n(turn, next, __ATOMIC_RELEASE);
}

static bool has_turn(uint32_t *turn, uint32_t mine)
{
	return __atomic_load_n(turn, __ATOMIC_ACQUIRE) == mine;
}

#define LOOKS	 1000000
#define LOOK_SEC 1

static bool wait_yielding(uint32_t *turn, uint32_t mine)
{
	for (unsigned n = 0; n < LOOKS; n++) {
		if (has_turn(turn, mine))
			return true;
		sched_yield();
	}
	return false;
}

static bool wait_spinning(uint32_t *turn, uint32_t mine)
{
	for (unsigned n = 0; n < LOOKS; n++) {
		if (has_turn(turn, mine))
			return true;
		__builtin_ia32_pause();
	}
	return false;
}

static bool wait_asleep(uint32_t *turn, uint32_t mine)
{
	const struct timespec patience = {.tv_sec = LOOK_SEC};
	if (!has_turn(turn, mine))
		syscall(SYS_futex, turn, FUTEX_WAIT, !mine, &patience, NULL, 0);
	return has_turn(turn, mine);
}

static void pass_waking(uint32_t *turn, uint32_t next)
{
	store_turn(turn, next);
	syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static const struct handover by_yield = {wait_yielding, store_turn, false}, by_line = {wait_spinning, store_turn, true},
			     by_futex = {wait_asleep, pass_waking, false};

/* The last CPU of those that this program may use, the first that is not that of its caller. */
static void go_elsewhere(const cpu_set_t *allowed, int here)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && !CPU_COUNT(&one); cpu--)
		if (CPU_ISSET(cpu, allowed) && cpu != here)
			CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void second(const struct handover *by, uint32_t *turn, unsigned trips)
{
	for (unsigned i = 0; i < trips; i++) {
		while (!by->wait(turn, SECOND))
			;
		by->pass(turn, FIRST);
	}
}

/* There and back. False: the other is gone, without having given the turn back. */
static bool trip(const struct handover *by, uint32_t *turn, pid_t other)
{
	by->pass(turn, SECOND);
	while (!by->wait(turn, FIRST)) {
		pid_t gone = waitpid(other, NULL, WNOHANG);
		if (gone == other || (gone < 0 && errno != EINTR))
			return has_turn(turn, FIRST);
	}
	return true;
}

/* ns of a trip, negative if the other went away. */
static double time_trips(const struct handover *by, uint32_t *turn, unsigned trips, pid_t other)
{
	/* The first trip waits for the other to have begun. */
	bool there = trip(by, turn, other);
	uint64_t start = clock_ns();

	for (unsigned i = 0; i < trips && there; i++)
		there = trip(by, turn, other);
	start = clock_ns() - start;
	if (!there)
		return -1;
	while (waitpid(other, NULL, 0) < 0 && errno == EINTR)
		;
	return (double)start / trips;
}

/* The same of a process made for it; negative, too, if the host refuses it or memory. The caller is bound to one CPU.
 */
static double trip_ns(const struct handover *by, unsigned trips, const cpu_set_t *allowed)
{
	uint32_t *turn = mmap(NULL, X86_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int here = sched_getcpu();

	if (turn == MAP_FAILED)
		return -1;
	pid_t pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (by->apart)
			go_elsewhere(allowed, here);
		second(by, turn, trips + 1);
		_exit(0);
	}
	double ns = pid > 0 ? time_trips(by, turn, trips, pid) : -1;
	munmap(turn, X86_PAGE_SIZE);
	return ns;
}

double bench_peer_ns(enum bench_native native, unsigned trips, const cpu_set_t *allowed)
{
	const struct handover *by = native == BENCH_NATIVE_YIELD  ? &by_yield
				    : native == BENCH_NATIVE_LINE ? &by_line
								  : &by_futex;

	return trip_ns(by, trips, allowed);
}

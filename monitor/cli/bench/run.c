/*
 * A row of `ring3 bench` in one way: `ring3 run` as anybody would start it, with the guest that measures, or `hello`.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/bench/internal.h"
#include "monitor/cli/bench/shared.h"
#include "monitor/host/clock.h"
#include "monitor/host/refusal.h"

/* Enough for every round to touch memory of its own. */
#define MEMORY	  "1G"
#define TIMEOUT_S "60"
/* No neighbour outlives that. */
#define NEIGHBOUR_S 70
/* Starts of `hello` a sample asked for: it is the noisiest figure and the quickest to take. */
#define STARTS 3

extern char **environ;

static char self[] = "/proc/self/exe", verb[] = "run", dashdash_cpus[] = "--cpus", dashdash_transport[] = "--transport",
	    dashdash_append[] = "--append", dashdash_memory[] = "--memory", dashdash_timeout[] = "--timeout",
	    memory[] = MEMORY, timeout[] = TIMEOUT_S;

/* Starts the measuring guest; its console comes through the descriptor returned. Negative errno on failure. */
static int start_guest(const struct bench *bench, const char *cmdline, enum bench_way way, pid_t *pid)
{
	char *const argv[] = {self,
			      verb,
			      dashdash_transport,
			      (char *)bench_ways[way].transport,
			      dashdash_cpus,
			      (char *)bench_ways[way].cpus,
			      dashdash_memory,
			      memory,
			      dashdash_timeout,
			      timeout,
			      dashdash_append,
			      (char *)cmdline,
			      (char *)bench->guest,
			      NULL};
	posix_spawn_file_actions_t actions;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	err = posix_spawn(pid, self, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	if (err)
		close(ends[0]);
	return err ? -err : ends[0];
}

/* Reads the guest's lines, and returns how many samples they held. */
static unsigned take_samples(FILE *console, const char *name, struct bench_samples *samples)
{
	char line[128], word[32];
	unsigned long ticks, count;
	unsigned taken = 0;

	while (fgets(line, sizeof(line), console)) {
		if (sscanf(line, BENCH_LINE " %31s %lu %lu", word, &ticks, &count) != 3 || strcmp(word, name) || !count)
			continue;
		bench_add(samples, (double)clock_tsc_to_ns(ticks) / (double)count);
		taken++;
	}
	return taken;
}

/* A program that only computes, on the last CPU that this one may use. It ends with this one, or by itself. */
static pid_t start_neighbour(void)
{
	cpu_set_t allowed, last;
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(NEIGHBOUR_S);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	CPU_ZERO(&last);
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && !CPU_COUNT(&last); cpu--)
		if (CPU_ISSET(cpu, &allowed))
			CPU_SET(cpu, &last);
	sched_setaffinity(0, sizeof(last), &last);
	for (volatile unsigned turns = 0;; turns++)
		;
}

static void end_neighbour(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int measure_inside(struct bench *bench, const struct bench_row *row, enum bench_way way,
			  struct bench_samples *samples)
{
	uint64_t count = row->count / bench->divisor;
	char cmdline[128];
	int fd, status = 0;
	unsigned taken;
	FILE *console;
	pid_t pid;

	const char *name = row->guest ? row->guest : row->name;
	pid_t neighbour = row->neighbour ? start_neighbour() : 0;

	snprintf(cmdline, sizeof(cmdline), "pv=on bench=%s count=%ju rounds=%u", name, (uintmax_t)count, bench->rounds);
	fd = start_guest(bench, cmdline, way, &pid);
	if (fd < 0) {
		fprintf(stderr, "ring3: bench: cannot start a guest: %s; %s\n", strerror(-fd), refusal_remedy(fd));
		end_neighbour(neighbour);
		return fd;
	}
	console = fdopen(fd, "r");
	taken = console ? take_samples(console, name, samples) : 0;
	if (console)
		fclose(console);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end_neighbour(neighbour);
	if (!status && taken == bench->rounds)
		return 0;
	fprintf(stderr, "ring3: bench: row %s (%s) failed: %u of %u rounds; leave it out with --rows\n", row->name,
		bench_ways[way].title, taken, bench->rounds);
	return -EIO;
}

static int measure_hello(struct bench *bench, enum bench_way way, struct bench_samples *samples)
{
	char *const argv[] = {self,
			      verb,
			      dashdash_transport,
			      (char *)bench_ways[way].transport,
			      dashdash_cpus,
			      (char *)bench_ways[way].cpus,
			      (char *)bench->hello,
			      NULL};

	for (unsigned i = 0; i < STARTS * bench->rounds; i++) {
		double ns = bench_process(argv);

		if (ns < 0)
			return -EIO;
		bench_add(samples, ns);
	}
	return 0;
}

int bench_measure_row(struct bench *bench, unsigned row, enum bench_way way)
{
	struct bench_samples *samples = &bench->row[row][way];

	if (!bench_rows[row].count)
		return measure_hello(bench, way, samples);
	return measure_inside(bench, &bench_rows[row], way, samples);
}

/*
 * A static program that measures what a system costs the programs on it: calls, faults, processes, switches, signals,
 * computing. The same file runs natively, in tinix and under other systems. This file chooses how often each measure
 * is repeated, and reports; the measures are in bench_user_measures.c.
 *
 *   bench_user [--init] [--dir DIRECTORY] [--budget MILLISECONDS] [NAME...]
 *
 * Without names it makes all measures, within the budget each (300; a single run of one may exceed it on a slow
 * system). DIRECTORY (/tmp) is for files in memory. With --init it is process 1 of a Linux kernel: it mounts what it
 * needs and powers off at its end. For each measure it prints one line, times in nanoseconds an operation:
 *
 *   bench: NAME median MEDIAN p10 TENTH p90 NINETIETH samples N count OPERATIONS_IN_A_SAMPLE all OPERATIONS_EVER
 *
 * framed by "bench: start" and "bench: end NANOSECONDS_BETWEEN", by which a reader can tell whether this system's clock
 * goes as its own.
 */
#include "tests/bench/bench_user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MOST 41
/* Samples aimed at, and the shortest that the clock is trusted with. */
#define SAMPLES	  21
#define SAMPLE_NS 500000

const char *bench_dir = "/tmp", *bench_self;

uint64_t now_ns(void)
{
	struct timespec now;

	if (clock_gettime(CLOCK_MONOTONIC, &now))
		fail("clock_gettime");
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

_Noreturn void fail(const char *what)
{
	fprintf(stderr, "bench_user: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/* --------------------------------------------------------------------------------------------------- one measure */

static uint64_t operations;

static uint64_t run(const struct measure *measure, uint64_t count)
{
	operations += count;
	return measure->run(count);
}

static uint64_t whole_steps(const struct measure *measure, double count)
{
	if (measure->most && count > (double)measure->most)
		count = (double)measure->most;
	return count < measure->step ? measure->step : (uint64_t)count / measure->step * measure->step;
}

/* Operations that fill a sample: doubles them until twice running they take long enough to go by. */
static uint64_t calibrate(const struct measure *measure, uint64_t sample_ns)
{
	uint64_t count = measure->step;

	for (;;) {
		uint64_t took = run(measure, count), again = took < sample_ns / 4 ? took : run(measure, count);
		uint64_t next = whole_steps(measure, (double)count * 2);

		if (again < took)
			took = again;
		if (took >= sample_ns / 4)
			return whole_steps(measure, (double)count * (double)sample_ns / (double)took);
		if (next == count)
			return count;
		count = next;
	}
}

static int compare(const void *left, const void *right)
{
	const double *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

static void take(const struct measure *measure, uint64_t budget_ns)
{
	double samples[SAMPLES_MOST];
	operations = 0;
	uint64_t sample_ns = budget_ns / SAMPLES > SAMPLE_NS ? budget_ns / SAMPLES : SAMPLE_NS;
	uint64_t count = calibrate(measure, sample_ns), start = now_ns();
	unsigned n = 0;

	while (n < SAMPLES_MOST && (n < 3 || now_ns() - start < budget_ns))
		samples[n++] = (double)run(measure, count) / (double)count;
	qsort(samples, n, sizeof(samples[0]), compare);
	printf("bench: %s median %.3f p10 %.3f p90 %.3f samples %u count %lu all %lu\n", measure->name, samples[n / 2],
	       samples[n / 10], samples[n - 1 - n / 10], n, count, operations);
	fflush(stdout);
}

/* ------------------------------------------------------------------------------------------------------- process 1 */

#define KLOG_CONSOLE_OFF 6 /* syslog(2) */

static void init_prepare(void)
{
	int console;

	mkdir("/dev", 0755);
	mkdir("/tmp", 0777);
	if (mount("devtmpfs", "/dev", "devtmpfs", 0, NULL) && errno != EBUSY)
		fail("mounting /dev");
	console = open("/dev/console", O_RDWR);
	if (console < 0)
		fail("/dev/console");
	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	/* What the kernel says would stand in the middle of our lines. */
	klogctl(KLOG_CONSOLE_OFF, NULL, 0);
	if (mount("tmpfs", "/tmp", "tmpfs", 0, NULL))
		fail("mounting /tmp");
}

static bool wanted(const char *name, char **names)
{
	bool any = *names;

	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return !any;
}

static bool known(const char *name)
{
	for (unsigned i = 0; i < measure_count; i++)
		if (!strcmp(measures[i].name, name))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	uint64_t budget_ns = 300000000, start;
	bool init = false;

	bench_self = argv[0];
	if (argc == 2 && !strcmp(argv[1], "--nothing"))
		return 0;
	for (argv++; *argv && !strncmp(*argv, "--", 2); argv++) {
		if (!strcmp(*argv, "--init"))
			init = true;
		else if (!strcmp(*argv, "--dir") && argv[1])
			bench_dir = *++argv;
		else if (!strcmp(*argv, "--budget") && argv[1] && atoi(argv[1]) > 0)
			budget_ns = (uint64_t)atoi(*++argv) * 1000000;
		else
			break;
	}
	for (char **name = argv; *name; name++) {
		if (!known(*name)) {
			fprintf(stderr, "bench_user: there is no measure '%s'; measures:", *name);
			for (unsigned i = 0; i < measure_count; i++)
				fprintf(stderr, " %s", measures[i].name);
			fprintf(stderr, "\n");
			return 2;
		}
	}
	if (init)
		init_prepare();

	printf("bench: start\n");
	fflush(stdout);
	start = now_ns();
	for (unsigned i = 0; i < measure_count; i++)
		if (wanted(measures[i].name, argv))
			take(&measures[i], budget_ns);
	printf("bench: end %lu\n", now_ns() - start);
	fflush(stdout);
	if (init) {
		sync();
		reboot(RB_POWER_OFF);
		fail("powering off");
	}
	return 0;
}

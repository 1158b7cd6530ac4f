/*
 * Judging how the command ended: status, output, terminal, statistics, and that nothing is left of it.
 */
#include "tests/lifecycle/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_LOOK_MS 20
#define GONE_MS	       1000 /* what the kernel ends by itself is gone by then */

static bool matches(const struct stream *stream, const char *pattern)
{
	regex_t regex;
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB | REG_NEWLINE))
		fail("bad pattern: %s", pattern);
	bool found = !regexec(&regex, stream->text ? stream->text : "", 0, NULL, 0);
	regfree(&regex);
	return found;
}

static bool is_status(const char *text)
{
	if (!strncmp(text, "sig", 3))
		return WIFSIGNALED(run.status) && WTERMSIG(run.status) == atoi(text + 3);
	return WIFEXITED(run.status) && WEXITSTATUS(run.status) == atoi(text);
}

static void judge_status(void)
{
	char list[64];
	snprintf(list, sizeof(list), "%s", want.status);
	for (char *one = strtok(list, ","); one; one = strtok(NULL, ","))
		if (is_status(one))
			return;
	if (WIFSIGNALED(run.status))
		fail("killed by signal %d, expected status %s", WTERMSIG(run.status), want.status);
	fail("exit status %d, expected %s", WEXITSTATUS(run.status), want.status);
}

static int lines(const struct stream *stream)
{
	int count = 0;
	for (size_t i = 0; i < stream->len; i++)
		count += stream->text[i] == '\n';
	return count;
}

static void judge_output(void)
{
	for (unsigned i = 0; i < want.err.count; i++)
		if (!matches(&run.err, want.err.text[i]))
			fail("stderr does not match: %s", want.err.text[i]);
	for (unsigned i = 0; i < want.out.count; i++)
		if (!matches(&run.out, want.out.text[i]))
			fail("stdout does not match: %s", want.out.text[i]);
	for (unsigned i = 0; i < want.not_out.count; i++)
		if (matches(&run.out, want.not_out.text[i]))
			fail("stdout matches: %s", want.not_out.text[i]);
	if (want.err_empty && run.err.len)
		fail("stderr is not empty");
	if (want.out_empty && run.out.len)
		fail("stdout is not empty");
	if (want.err_lines >= 0 && lines(&run.err) != want.err_lines)
		fail("%d lines on stderr, expected %d", lines(&run.err), want.err_lines);
}

static void judge_terminal(void)
{
	struct termios after;
	if (run.terminal < 0 || run.input < 0)
		return;
	if (tcgetattr(run.terminal, &after))
		fail("the terminal is gone: %s", strerror(errno));
	if (after.c_iflag != run.before.c_iflag || after.c_oflag != run.before.c_oflag ||
	    after.c_cflag != run.before.c_cflag || after.c_lflag != run.before.c_lflag ||
	    memcmp(after.c_cc, run.before.c_cc, sizeof(after.c_cc)))
		fail("the terminal was not restored");
}

static void judge_stats(void)
{
	json_error_t error;
	if (!want.stats)
		return;
	json_t *stats = json_load_file(stats_file, 0, &error);
	unlink(stats_file);
	if (!stats)
		fail("statistics: %s at line %d", error.text, error.line);
	json_t *status = json_object_get(json_object_get(stats, "exit"), "status");
	if (!json_is_string(json_object_get(stats, "schema")) || !json_is_integer(json_object_get(stats, "version")))
		fail("statistics: no schema or version");
	if (!json_is_integer(status) || json_integer_value(status) != WEXITSTATUS(run.status))
		fail("statistics: status is not %d", WEXITSTATUS(run.status));
	json_decref(stats);
}

/* KiB of memory that is no file's, guest RAM among these. */
static unsigned long own_memory(void)
{
	char path[64], line[256];
	unsigned long kib = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", run.pid);
	FILE *status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (!strncmp(line, "RssAnon:", 8))
			kib = strtoul(line + 8, NULL, 10);
	if (status)
		fclose(status);
	return kib;
}

int64_t memory_look(void)
{
	unsigned long kib = own_memory();
	if (!run.memory)
		run.memory = kib;
	if (kib > run.memory_most)
		run.memory_most = kib;
	return MEMORY_LOOK_MS;
}

static void judge_memory(void)
{
	if (want.growth && !run.memory)
		fail("its memory was not seen");
	if (want.growth && run.memory_most > run.memory + want.growth)
		fail("its own memory has grown from %lu to %lu KiB", run.memory, run.memory_most);
}

static void on_alarm(int signal)
{
}

/* A child that is not the neighbour, which is still there and not meant; 0 if there is none. */
static pid_t other_child(void)
{
	char path[64], line[4096] = "";
	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	FILE *children = fopen(path, "r");
	if (!children)
		fail("%s: %s", path, strerror(errno));
	if (!fgets(line, sizeof(line), children))
		line[0] = 0;
	fclose(children);
	for (char *at = strtok(line, " \n"); at; at = strtok(NULL, " \n"))
		if (atoi(at) != neighbour.pid)
			return atoi(at);
	return 0;
}

/* A command that ended by itself has reaped its processes; one that was killed has them killed by the kernel, soon. */
static void left_over(void)
{
	const struct itimerval limit = {.it_value = {GONE_MS / 1000, GONE_MS % 1000 * 1000}};
	const struct sigaction action = {.sa_handler = on_alarm};
	bool killed = WIFSIGNALED(run.status);
	siginfo_t info;
	pid_t left;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &limit, NULL);
	while ((left = other_child())) {
		if (!killed)
			fail("left over: process %d", left);
		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT))
			fail("left over %d ms after the end: process %d", GONE_MS, left);
		if (info.si_pid == neighbour.pid)
			fail("the neighbour ended");
		waitpid(info.si_pid, NULL, 0);
	}
	setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
}

void judge(void)
{
	judge_status();
	left_over();
	judge_output();
	judge_terminal();
	judge_stats();
	judge_memory();
}

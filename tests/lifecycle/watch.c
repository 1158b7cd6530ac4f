/*
 * r3_watch: runs one command, does something to it at a chosen moment, and judges how it ended: exit status, output,
 * statistics, the terminal, and that no process of it is left. Every process below it becomes a child of this one when
 * its own parent goes (it is a subreaper), so nothing that is left over can hide.
 */
#include "tests/lifecycle/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUTPUT_MAX (1 << 20)
#define LIMIT_MS   90000 /* no command takes longer */
#define NS_PER_MS  1000000ll

static const char usage[] =
	"r3_watch [options] -- COMMAND...\n"
	"  -s STATUS  exit status it must have (default 0), or signal as sigN; 0,120 is either\n"
	"  -e REGEX   stderr must match (repeatable)      -E  stderr must be empty\n"
	"  -l N       stderr must have N lines\n"
	"  -o REGEX   stdout must match (repeatable)      -O  stdout must be empty\n"
	"  -n REGEX   stdout must not match (repeatable)\n"
	"  -a TEXT    wait for TEXT on stdout, then ...   (without: at once)\n"
	"  -k SIGNAL  send this signal (number)\n"
	"  -y TEXT    type TEXT into the command's standard input (^A is Ctrl-A)\n"
	"  -c         close the command's standard input\n"
	"  -m KIB     from then on its own memory may grow by that\n"
	"  -w MS      it must have ended that long after  (default 90000)\n"
	"  -i MODE    standard input: null (default), closed, pipe, pty\n"
	"  -f MODE    standard output: pipe (default), closed, full, broken\n"
	"  -j         the argument STATS stands for a file: statistics, valid JSON, with the exit status in it\n"
	"  -N KERNEL  a neighbour: runs by COMMAND[0] meanwhile, and must finish unharmed\n"
	"  -R NAME=N  resource limit: nproc, nofile, fsize, sigpending or as\n"
	"  -u         as an unprivileged user, if this one is root\n";

struct watch_want want = {.status = "0", .input = "null", .output = "pipe", .within = LIMIT_MS, .err_lines = -1};
struct watch_run run = {.input = -1, .terminal = -1};
struct watch_neighbour neighbour = {.input = -1};

char stats_file[256];

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000ll + now.tv_nsec / NS_PER_MS;
}

static void end_all(void)
{
	if (run.pid > 0 && !run.done)
		kill(run.pid, SIGKILL);
	if (neighbour.pid > 0)
		kill(neighbour.pid, SIGKILL);
}

_Noreturn void fail(const char *format, ...)
{
	va_list args;
	printf("FAIL: ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n--- stdout\n%s\n--- stderr\n%s\n", run.out.text ? run.out.text : "",
	       run.err.text ? run.err.text : "");
	end_all();
	exit(1);
}

/* ------------------------------------------------------------------------------------------------------- options */

static void add_pattern(struct patterns *patterns, const char *text)
{
	if (patterns->count == PATTERNS_MAX)
		fail("too many patterns");
	patterns->text[patterns->count++] = text;
}

static void add_limit(const char *text)
{
	static const struct {
		const char *name;
		int resource;
	} names[] = {{"nproc", RLIMIT_NPROC},
		     {"nofile", RLIMIT_NOFILE},
		     {"fsize", RLIMIT_FSIZE},
		     {"sigpending", RLIMIT_SIGPENDING},
		     {"as", RLIMIT_AS}};
	size_t len = strcspn(text, "=");
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(text, names[i].name, len) && text[len] && want.limits < 3) {
			want.limit[want.limits].resource = names[i].resource;
			want.limit[want.limits++].value = strtoul(text + len + 1, NULL, 10);
			return;
		}
	fail("no such limit: %s", text);
}

static void parse(int argc, char **argv)
{
	int option;
	while ((option = getopt(argc, argv, "+s:e:El:o:On:a:k:y:cm:w:i:f:jN:R:u")) != -1) {
		switch (option) {
		case 's':
			want.status = optarg;
			break;
		case 'e':
			add_pattern(&want.err, optarg);
			break;
		case 'o':
			add_pattern(&want.out, optarg);
			break;
		case 'n':
			add_pattern(&want.not_out, optarg);
			break;
		case 'E':
			want.err_empty = true;
			break;
		case 'O':
			want.out_empty = true;
			break;
		case 'l':
			want.err_lines = atoi(optarg);
			break;
		case 'a':
			want.after = optarg;
			break;
		case 'k':
			want.signal = atoi(optarg);
			break;
		case 'y':
			want.typed = optarg;
			break;
		case 'c':
			want.close_input = true;
			break;
		case 'm':
			want.growth = strtoul(optarg, NULL, 10);
			break;
		case 'w':
			want.within = atoi(optarg);
			break;
		case 'i':
			want.input = optarg;
			break;
		case 'f':
			want.output = optarg;
			break;
		case 'j':
			want.stats = true;
			break;
		case 'N':
			want.neighbour = optarg;
			break;
		case 'R':
			add_limit(optarg);
			break;
		case 'u':
			want.unprivileged = true;
			break;
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	want.command = argv + optind;
	if (!*want.command) {
		fputs(usage, stderr);
		exit(2);
	}
}

/* A name that is free: the command makes the file. */
static void name_stats(void)
{
	const char *directory = getenv("TMPDIR");
	snprintf(stats_file, sizeof(stats_file), "%s/r3_watch.%d.json", directory ? directory : "/tmp", getpid());
	unlink(stats_file);
	for (char **argument = want.command; *argument; argument++)
		if (!strcmp(*argument, "STATS"))
			*argument = stats_file;
}

/* ------------------------------------------------------------------------------------------------------ starting */

static void make_pipe(int ends[2])
{
	if (pipe2(ends, O_CLOEXEC))
		fail("pipe: %s", strerror(errno));
}

/* In the child: what is to be descriptor `to`; -1 leaves it closed. */
static void become(int fd, int to)
{
	if (fd < 0)
		close(to);
	else if (dup2(fd, to) < 0)
		_exit(99);
}

static void child_limits(void)
{
	const uid_t nobody = 65534;
	for (unsigned i = 0; i < want.limits; i++) {
		struct rlimit limit = {want.limit[i].value, want.limit[i].value};
		if (setrlimit(want.limit[i].resource, &limit))
			_exit(98);
	}
	/* Root is exempt from the limit of processes. */
	if (want.unprivileged && geteuid() == 0 && (setgid(nobody) || setuid(nobody)))
		_exit(97);
}

static pid_t spawn(char **command, int in, int out, int err, bool limits)
{
	pid_t pid = fork();
	if (pid < 0)
		fail("fork: %s", strerror(errno));
	if (pid)
		return pid;
	if (in >= 0 && isatty(in)) {
		setsid();
		ioctl(in, TIOCSCTTY, 0);
	}
	become(err, 2);
	become(out, 1);
	become(in, 0);
	if (limits)
		child_limits();
	execv(command[0], command);
	_exit(96);
}

static int open_input(void)
{
	int ends[2], terminal;
	if (!strcmp(want.input, "closed"))
		return -1;
	if (!strcmp(want.input, "null"))
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (!strcmp(want.input, "pipe")) {
		make_pipe(ends);
		run.input = ends[1];
		return ends[0];
	}
	if (strcmp(want.input, "pty") || openpty(&run.input, &terminal, NULL, NULL, NULL))
		fail("cannot give it this input: %s", want.input);
	fcntl(run.input, F_SETFD, FD_CLOEXEC);
	run.terminal = terminal;
	tcgetattr(terminal, &run.before);
	return fcntl(terminal, F_DUPFD_CLOEXEC, 3);
}

static int open_output(void)
{
	int ends[2];
	if (!strcmp(want.output, "closed"))
		return -1;
	if (!strcmp(want.output, "full"))
		return open("/dev/full", O_WRONLY | O_CLOEXEC);
	make_pipe(ends);
	if (!strcmp(want.output, "broken"))
		close(ends[0]);
	else
		run.out.fd = ends[0];
	return ends[1];
}

static void start(void)
{
	int err[2], in = open_input(), out;
	run.out.fd = run.err.fd = -1;
	out = open_output();
	make_pipe(err);
	run.err.fd = err[0];
	run.pid = spawn(want.command, in, out, err[1], true);
	run.pidfd = (int)syscall(SYS_pidfd_open, run.pid, 0);
	if (run.pidfd < 0)
		fail("pidfd_open: %s", strerror(errno));
	fcntl(run.pidfd, F_SETFD, FD_CLOEXEC);
	close(err[1]);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
}

/* ------------------------------------------------------------------------------------------------------ watching */

static void take(struct stream *stream)
{
	char chunk[4096];
	ssize_t n = read(stream->fd, chunk, sizeof(chunk));
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(stream->fd);
		stream->fd = -1;
		return;
	}
	if (stream->len + n > OUTPUT_MAX) /* a flood is not kept, but drained */
		return;
	stream->text = realloc(stream->text, stream->len + n + 1);
	if (!stream->text)
		abort();
	for (ssize_t i = 0; i < n; i++)
		stream->text[stream->len++] = chunk[i] ? chunk[i] : '?';
	stream->text[stream->len] = 0;
}

static bool has(const struct stream *stream, const char *text)
{
	return stream->text && strstr(stream->text, text);
}

static void type(const char *text)
{
	for (; *text; text++) {
		char byte = text[0] == '^' && text[1] ? *++text & 0x1f : *text;
		if (write(run.input, &byte, 1) != 1)
			fail("cannot type: %s", strerror(errno));
	}
}

static void act(void)
{
	run.acted = true;
	run.acted_at = now_ms();
	if (want.signal)
		kill(run.pid, want.signal);
	if (want.typed)
		type(want.typed);
	if (want.close_input && run.input >= 0) {
		close(run.input);
		run.input = -1;
	}
}

static void watch(int64_t started)
{
	while (!run.done) {
		if (!run.acted && (!want.after || has(&run.out, want.after)))
			act();
		int64_t from = run.acted ? run.acted_at : started;
		int64_t left = from + (run.acted ? want.within : LIMIT_MS) - now_ms();
		struct pollfd fds[] = {{run.pidfd, POLLIN, 0}, {run.out.fd, POLLIN, 0}, {run.err.fd, POLLIN, 0}};
		if (left <= 0)
			fail(run.acted ? "still running %lld ms after it was to end"
				       : "did not print what was waited for in %lld ms",
			     (long long)(now_ms() - from));
		if (run.acted && want.growth)
			left = memory_look();
		if (poll(fds, 3, (int)left) < 0 && errno != EINTR)
			fail("poll: %s", strerror(errno));
		if (fds[1].revents)
			take(&run.out);
		if (fds[2].revents)
			take(&run.err);
		if (fds[0].revents) {
			run.done = true;
			if (waitpid(run.pid, &run.status, 0) != run.pid)
				fail("waitpid: %s", strerror(errno));
		}
	}
}

/* What it wrote last is in the pipes still. Whoever keeps one open is found by left_over. */
static void drain(struct stream *stream)
{
	struct pollfd fd = {stream->fd, POLLIN, 0};
	while (stream->fd >= 0 && poll(&fd, 1, 0) > 0)
		take(stream);
}

/* ----------------------------------------------------------------------------------------------------- neighbour */

static void neighbour_wait(const char *text)
{
	int64_t end = now_ms() + LIMIT_MS;
	while (!has(&neighbour.out, text)) {
		struct pollfd fd = {neighbour.out.fd, POLLIN, 0};
		if (neighbour.out.fd < 0 || now_ms() > end)
			fail("the neighbour did not say \"%s\" but: %s", text,
			     neighbour.out.text ? neighbour.out.text : "nothing");
		if (poll(&fd, 1, 100) > 0)
			take(&neighbour.out);
	}
}

static void neighbour_start(void)
{
	int in[2], out[2];
	if (!want.neighbour)
		return;
	char *command[] = {want.command[0], "run", "--timeout", "100", (char *)want.neighbour, NULL};
	make_pipe(in);
	make_pipe(out);
	neighbour.pid = spawn(command, in[0], out[1], 2, false);
	close(in[0]);
	close(out[1]);
	neighbour.input = in[1];
	neighbour.out.fd = out[0];
	neighbour_wait("ready");
}

static void neighbour_end(void)
{
	int status;
	if (!want.neighbour)
		return;
	if (write(neighbour.input, "q", 1) != 1)
		fail("the neighbour is gone");
	neighbour_wait("unharmed");
	if (waitpid(neighbour.pid, &status, 0) != neighbour.pid || status)
		fail("the neighbour ended with wait status %#x", status);
	neighbour.pid = 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	parse(argc, argv);
	signal(SIGPIPE, SIG_DFL);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		fail("PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
	if (want.stats)
		name_stats();
	neighbour_start();
	int64_t started = now_ms();
	start();
	watch(started);
	drain(&run.out);
	drain(&run.err);
	judge();
	neighbour_end();
	return 0;
}

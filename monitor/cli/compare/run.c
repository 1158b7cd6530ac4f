/*
 * One run of `ring3 compare`: a child `ring3 run`, its console and its statistics caught.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/compare/internal.h"
#include "monitor/host/clock.h"
#include "monitor/host/refusal.h"

/* --------------------------------------------------------------------------------------------------------- signals */

static const int quit_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define QUIT_SIGNALS (sizeof(quit_signals) / sizeof(quit_signals[0]))

static volatile sig_atomic_t quit;
static volatile pid_t child;

static void on_quit(int signal)
{
	quit = signal;
	if (child > 0)
		kill(child, SIGTERM);
}

void compare_signals_up(void)
{
	struct sigaction action = {.sa_handler = on_quit}, found;
	for (size_t n = 0; n < QUIT_SIGNALS; n++) {
		/* What the caller had ignored (nohup) stays ignored. */
		sigaction(quit_signals[n], NULL, &found);
		if (found.sa_handler != SIG_IGN)
			sigaction(quit_signals[n], &action, NULL);
	}
}

int compare_signal(void)
{
	return quit;
}

/* --------------------------------------------------------------------------------------------------------- the child
 */

#define ARGUMENTS_MAX (32 + 2 * VM_MODULES_MAX)
/* The descriptor that the child finds its statistics file at. */
#define STATS_FD   3
#define STATS_PATH "/proc/self/fd/3"

struct arguments {
	const char *word[ARGUMENTS_MAX];
	unsigned count;
	char memory[24], timeout[32];
	char *append;
};

static void add(struct arguments *arguments, const char *option, const char *value)
{
	arguments->word[arguments->count++] = option;
	arguments->word[arguments->count++] = value;
}

/* False: no memory. */
static bool make_arguments(struct arguments *a, const struct vm_config *config, const struct compare_run *run)
{
	*a = (struct arguments){.word = {"ring3", "run"}, .count = 2};
	snprintf(a->memory, sizeof(a->memory), "%juK", (uintmax_t)(config->memory >> 10));
	snprintf(a->timeout, sizeof(a->timeout), "%.9g", config->timeout);
	if (asprintf(&a->append, "%s%s%s%s", run->pv ? "pv=" : "", run->pv ? run->pv : "",
		     run->pv && config->cmdline[0] ? " " : "", config->cmdline) < 0)
		return false;
	add(a, "--engine", run->engine->name);
	if (run->transport)
		add(a, "--transport", run->transport);
	add(a, "--memory", a->memory);
	add(a, "--append", a->append);
	add(a, "--timeout", a->timeout);
	if (config->cpus)
		add(a, "--cpus", config->cpus == 1 ? "1" : "2");
	for (unsigned n = 0; n < config->module_count; n++)
		add(a, "--module", config->module_texts[n]);
	add(a, "--stats", STATS_PATH);
	add(a, "--", config->kernel);
	return true;
}

/* A file as standard input is there for each run from its start; anything else could be read only once. */
static int open_input(void)
{
	int fd = open("/proc/self/fd/0", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd >= 0 && lseek(fd, 0, SEEK_CUR) >= 0 && !isatty(fd))
		return fd;
	if (fd >= 0)
		close(fd);
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct catcher {
	int output, errors, stats, input;
};

static void uncatch(struct catcher *catcher)
{
	int fds[] = {catcher->output, catcher->errors, catcher->stats, catcher->input};
	for (size_t n = 0; n < sizeof(fds) / sizeof(fds[0]); n++)
		if (fds[n] >= 0)
			close(fds[n]);
}

static bool make_catcher(struct catcher *catcher)
{
	*catcher =
		(struct catcher){memfd_create("ring3 output", MFD_CLOEXEC), memfd_create("ring3 errors", MFD_CLOEXEC),
				 memfd_create("ring3 stats", MFD_CLOEXEC), open_input()};
	return catcher->output >= 0 && catcher->errors >= 0 && catcher->stats >= 0 && catcher->input >= 0;
}

/* The last goes to STATS_FD, which may be what one of the others is: nothing is read from it after its turn. */
static _Noreturn void be_child(const struct catcher *from, const struct arguments *arguments, const sigset_t *mask)
{
	struct catcher up = {fcntl(from->output, F_DUPFD, 10), fcntl(from->errors, F_DUPFD, 10),
			     fcntl(from->stats, F_DUPFD, 10), fcntl(from->input, F_DUPFD, 10)};
	dup2(up.input, STDIN_FILENO);
	dup2(up.output, STDOUT_FILENO);
	dup2(up.errors, STDERR_FILENO);
	dup2(up.stats, STATS_FD);
	uncatch(&up);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execv("/proc/self/exe", (char *const *)arguments->word);
	_exit(VM_STATUS_HOST);
}

/* The status as a shell has it; negative errno if there was no child. */
static int run_child(const struct catcher *catcher, const struct arguments *arguments)
{
	sigset_t all, mask;
	int status = 0;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask); /* whom a signal is passed on to is known before one comes */
	pid_t pid = fork();
	int error = errno;
	if (pid == 0)
		be_child(catcher, arguments, &mask);
	child = pid;
	if (quit && pid > 0)
		kill(pid, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pid < 0)
		return -error;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	child = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ----------------------------------------------------------------------------------------------------- what it left */

/* All of the file and a zero; NULL when memory is out. */
static char *contents(int fd, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);
	char *text = malloc((size_t)(size < 0 ? 0 : size) + 1);
	ssize_t n;
	*len = 0;
	while (text && (n = pread(fd, text + *len, (size_t)size - *len, (off_t)*len)) > 0)
		*len += (size_t)n;
	if (text)
		text[*len] = '\0';
	return text;
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void take_stats(struct compare_run *run, int fd)
{
	size_t len;
	char *text = contents(fd, &len);
	json_t *stats = text ? json_loadb(text, len, 0, NULL) : NULL;
	json_t *vcpu = json_array_get(json_object_get(stats, "vcpus"), 0);
	json_t *exits = json_object_get(vcpu, "exits");
	run->has_stats = exits;
	for (unsigned kind = 0; kind < STAT_COUNT; kind++)
		run->exits[kind] = number(exits, stats_exit_names[kind]);
	run->exits_total = number(vcpu, "exits_total");
	run->interpreted = number(vcpu, "interpreted");
	json_decref(stats);
	free(text);
}

static int refuse(int error)
{
	fprintf(stderr, "ring3: compare: cannot start a run: %s; %s\n", strerror(-error), refusal_remedy(error));
	return error;
}

int compare_run_guest(const struct compare *compare, struct compare_run *run)
{
	struct arguments arguments;
	struct catcher catcher;
	size_t errors_len;
	if (!make_catcher(&catcher) || !make_arguments(&arguments, compare->config, run)) {
		int error = errno ? -errno : -ENOMEM;
		uncatch(&catcher);
		return refuse(error);
	}
	uint64_t start = clock_ns();
	run->status = run_child(&catcher, &arguments);
	run->wall_ns = clock_ns() - start;
	/* A guest may end with that status as well. */
	run->timed_out =
		run->status == VM_STATUS_TIMEOUT && (double)run->wall_ns >= compare->config->timeout * CLOCK_NS_PER_SEC;
	free(arguments.append);
	run->output = contents(catcher.output, &run->output_len);
	run->errors = contents(catcher.errors, &errors_len);
	take_stats(run, catcher.stats);
	uncatch(&catcher);
	run->done = run->status >= 0;
	if (!run->output || !run->errors)
		return refuse(-ENOMEM);
	return run->done ? 0 : refuse(run->status);
}

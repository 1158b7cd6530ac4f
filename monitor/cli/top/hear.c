/*
 * Hearing what guests answer. Their monitors write it, and one of those may be its guest's by now: so it is read and
 * understood in a child behind walls, which leaves numbers and names in shared memory.
 */
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/cli/top/internal.h"
#include "monitor/host/clock.h"
#include "monitor/host/walls/walls.h"

#define ANSWER_MAX 262144
/* A guest that runs answers in well under a millisecond. */
#define PATIENCE_MS 300
#define LIMIT_MS    5000

/* -------------------------------------------------------------------------------------------------------- answers */

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* The path's last part. */
static void copy_name(const json_t *value, char *to, size_t size)
{
	const char *text = json_string_value(value), *slash = text ? strrchr(text, '/') : NULL;

	snprintf(to, size, "%s", slash ? slash + 1 : text ? text : "?");
}

static bool read_answer(struct top_guest *guest, const char *text, size_t len)
{
	json_t *document = json_loadb(text, len, 0, NULL), *vcpu, *memory = json_object_get(document, "memory");
	const char *schema = json_string_value(json_object_get(document, "schema"));
	bool good = schema && !strcmp(schema, "ring3-stats");
	size_t i;

	if (good) {
		copy_name(json_object_get(document, "image"), guest->image, sizeof(guest->image));
		copy_name(json_object_get(document, "engine"), guest->engine, sizeof(guest->engine));
		guest->wall_ns = number(document, "wall_ns");
		guest->ram = number(memory, "ram_bytes");
		guest->touched = number(memory, "touched_bytes");
		guest->shadowed = number(json_object_get(document, "shadow"), "mapped_bytes");
		guest->kept = number(json_object_get(document, "shadow"), "memory_bytes") +
			      number(json_object_get(document, "code"), "bytes") +
			      number(json_object_get(document, "cache"), "bytes");
	}
	json_array_foreach(json_object_get(document, "vcpus"), i, vcpu)
	{
		const json_t *exits = json_object_get(vcpu, "exits");

		guest->guest_ns += number(vcpu, "guest_ns");
		guest->monitor_ns += number(vcpu, "monitor_ns");
		guest->exits_total += number(vcpu, "exits_total");
		for (unsigned kind = 0; kind < STAT_COUNT; kind++)
			guest->exits[kind] += number(exits, stats_exit_names[kind]);
	}
	json_decref(document);
	return good;
}

/* Reads until the guest hangs up, or its time is over. */
static void hear(struct top_guest *guest, int fd, uint64_t end)
{
	char *text = malloc(ANSWER_MAX);
	size_t len = 0;
	ssize_t n = -1;

	while (text && len < ANSWER_MAX) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_ns();

		if (poll(&wait, 1, now < end ? (int)((end - now) / 1000000) + 1 : 0) <= 0)
			break;
		n = recv(fd, text + len, ANSWER_MAX - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	guest->asked_ns = clock_ns();
	guest->answered = n == 0 && len && read_answer(guest, text, len);
	free(text);
}

/* ------------------------------------------------------------------------------------------------------- the child */

/* The terminal would obey whoever takes the child over by an answer. */
static bool leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool left = null >= 0;

	for (int n = STDIN_FILENO; n <= STDERR_FILENO && left; n++)
		left = dup2(null, n) >= 0;
	return left;
}

/* What it holds is the answers; it can do no more than read them and leave what they say in `heard`. */
static _Noreturn void child(struct top_view *heard, const int *fd)
{
	uint64_t end = clock_ns() + PATIENCE_MS * 1000000ull;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!leave_terminal() || walls_up(WALLS_TOP, NULL))
		_exit(EXIT_FAILURE);
	for (unsigned i = 0; i < heard->count; i++)
		hear(&heard->guest[i], fd[i], end);
	_exit(EXIT_SUCCESS);
}

/* False: the child could not do without what it must not have. */
static bool await_end(pid_t pid)
{
	int status = 0;
	struct pollfd wait = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

	if (wait.fd < 0 || poll(&wait, 1, LIMIT_MS) <= 0)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(wait.fd);
	return !WIFEXITED(status) || WEXITSTATUS(status) == EXIT_SUCCESS;
}

/* For the terminal: without control characters. */
static void take_name(char *to, const char *from, size_t size)
{
	size_t i;

	for (i = 0; i < size - 1 && from[i]; i++)
		to[i] = from[i] < ' ' || from[i] > '~' ? '?' : from[i];
	to[i] = '\0';
}

static void take(struct top_guest *guest, const struct top_guest *heard)
{
	const pid_t pid = guest->pid;

	*guest = *heard;
	guest->pid = pid;
	guest->cpu_ns = 0;
	take_name(guest->image, heard->image, sizeof(guest->image));
	take_name(guest->engine, heard->engine, sizeof(guest->engine));
}

void top_hear(struct top_view *view, const int *fd)
{
	struct top_view *heard = mmap(NULL, sizeof(*heard), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = -1;

	if (heard == MAP_FAILED)
		return;
	heard->count = view->count;
	json_object_seed(0); /* by /dev/urandom, while it can be had */
	if (view->count)
		pid = fork();
	if (!pid)
		child(heard, fd);
	if (pid > 0) {
		if (!await_end(pid))
			fprintf(stderr, "ring3: top: guests cannot be heard behind walls; see 'ring3 doctor'\n");
		for (unsigned i = 0; i < view->count; i++)
			take(&view->guest[i], &heard->guest[i]);
	}
	munmap(heard, sizeof(*heard));
}

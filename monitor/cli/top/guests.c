/*
 * Finding the guests that run, and asking each for its statistics.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/cli/top/internal.h"
#include "monitor/debug/stats/socket.h"
#include "monitor/host/clock.h"

#define ANSWER_MAX 262144
/* A guest that runs answers in well under a millisecond. */
#define PATIENCE_MS 300

/* --------------------------------------------------------------------------------------------------- host's side */

/* Adds the CPU time of each process to the guest whose monitor or cell it is. */
static void add_cpu(struct top_view *view, const char *pid_text)
{
	char path[64], text[1024], *fields;
	unsigned long long user, system;
	uint64_t tick_ns = CLOCK_NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	int parent, pid = atoi(pid_text);
	FILE *stat;
	size_t len;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = fopen(path, "re");
	len = stat ? fread(text, 1, sizeof(text) - 1, stat) : 0;
	if (stat)
		fclose(stat);
	text[len] = '\0';
	fields = strrchr(text, ')'); /* the command's name may hold anything */
	if (!fields ||
	    sscanf(fields, ") %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &parent, &user, &system) != 3)
		return;
	for (unsigned i = 0; i < view->count; i++)
		if (view->guest[i].pid == pid || view->guest[i].pid == parent)
			view->guest[i].cpu_ns += (user + system) * tick_ns;
}

static void look_at_processes(struct top_view *view)
{
	DIR *proc = opendir("/proc");

	if (!proc)
		return;
	for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc))
		if (isdigit((unsigned char)*entry->d_name))
			add_cpu(view, entry->d_name);
	closedir(proc);
}

/* -------------------------------------------------------------------------------------------------------- answers */

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

/* A name for the terminal: the path's last part, without control characters. */
static void copy_name(const json_t *value, char *to, size_t size)
{
	const char *text = json_string_value(value), *slash = text ? strrchr(text, '/') : NULL;

	snprintf(to, size, "%s", slash ? slash + 1 : text ? text : "?");
	for (char *c = to; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
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
			      number(json_object_get(document, "code"), "bytes");
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

/* Reads until the guest hangs up, or has had time enough. */
static void hear(struct top_guest *guest, int fd)
{
	char *text = malloc(ANSWER_MAX);
	uint64_t end = clock_ns() + PATIENCE_MS * 1000000ull;
	size_t len = 0;
	ssize_t n = -1;

	while (text && len < ANSWER_MAX) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};
		uint64_t now = clock_ns();

		if (now >= end || poll(&wait, 1, (int)((end - now) / 1000000) + 1) <= 0)
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

/* Connects to all before hearing any: then those that do not answer are waited for together. */
static int call(const char *directory, const char *name, pid_t *pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name) >=
	    (int)sizeof(address.sun_path)) {
		close(fd);
		return -1;
	}
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len)) {
		if (errno == ECONNREFUSED) /* its monitor was killed */
			unlink(address.sun_path);
		close(fd);
		return -1;
	}
	*pid = peer.pid;
	return fd;
}

static int by_pid(const void *a, const void *b)
{
	const struct top_guest *left = a, *right = b;

	return (left->pid > right->pid) - (left->pid < right->pid);
}

bool top_look(struct top_view *view)
{
	char directory[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	int fd[TOP_GUESTS];
	DIR *list;

	memset(view, 0, sizeof(*view));
	list = stats_directory(directory, sizeof(directory)) ? opendir(directory) : NULL;
	if (!list) {
		fprintf(stderr, "ring3: top: %s is no directory of this user alone: set XDG_RUNTIME_DIR to one\n",
			directory);
		return false;
	}
	for (struct dirent *entry = readdir(list); entry && view->count < TOP_GUESTS; entry = readdir(list)) {
		if (!isdigit((unsigned char)*entry->d_name))
			continue;
		fd[view->count] = call(directory, entry->d_name, &view->guest[view->count].pid);
		view->count += fd[view->count] >= 0;
	}
	closedir(list);
	for (unsigned i = 0; i < view->count; i++) {
		hear(&view->guest[i], fd[i]);
		close(fd[i]);
	}
	look_at_processes(view);
	qsort(view->guest, view->count, sizeof(view->guest[0]), by_pid);
	return true;
}

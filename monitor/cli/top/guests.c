/*
 * Finding the guests that run, and asking each for its statistics.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/cli/top/internal.h"
#include "monitor/debug/stats/socket.h"
#include "monitor/host/clock.h"

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

/* ------------------------------------------------------------------------------------------------------- asking */

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
	top_hear(view, fd);
	for (unsigned i = 0; i < view->count; i++)
		close(fd[i]);
	look_at_processes(view);
	qsort(view->guest, view->count, sizeof(view->guest[0]), by_pid);
	return true;
}

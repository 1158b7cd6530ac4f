/*
 * The socket that a running guest's statistics are had from.
 */
#include "monitor/debug/stats/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/host/events.h"
#include "monitor/host/walls/names.h"
#include "monitor/vm/vm.h"

#define BACKLOG 16
/* Answered at a time: more than may wait. */
#define ANSWERS (2 * BACKLOG)

static struct {
	struct vm *vm; /* NULL: nothing is published */
	int fd;
	struct sockaddr_un address;
} served;

static bool is_private(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

bool stats_directory(char *path, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (runtime && *runtime == '/' && is_private(runtime) &&
	    snprintf(path, size, "%s/ring3", runtime) < (int)size) {
		mkdir(path, 0700);
		if (is_private(path))
			return true;
	}
	if (snprintf(path, size, "/tmp/ring3-%u", (unsigned)geteuid()) >= (int)size)
		return false;
	mkdir(path, 0700);
	return is_private(path);
}

/* Signals this process, whatever thread takes it, when somebody connects. */
static bool signal_connections(int fd)
{
	return fcntl(fd, F_SETOWN, getpid()) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC) == 0;
}

/* What does not fit the socket's buffer is lost: it is many times larger than the document. */
static void answer(int fd, const char *text, size_t len)
{
	send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
}

/* Answers who is waiting. Never waits. */
static void attend(struct observer *self, struct vm *vm)
{
	json_t *document = NULL;
	char *text = NULL;

	if (!events_take(SIGIO))
		return;
	for (unsigned i = 0; i < ANSWERS; i++) {
		int fd = accept4(served.fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (!text) {
			document = stats_json(vm);
			text = document ? json_dumps(document, JSON_COMPACT) : NULL;
		}
		answer(fd, text ? text : "", text ? strlen(text) : 0);
	}
	free(text);
	json_decref(document);
}

static struct observer observer = {&(const struct observer_ops){.attend = attend}};

/* A file that is there is one of a process that had this number before, and was killed. */
static int bind_to(int fd, const struct sockaddr_un *address)
{
	int failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));

	if (failed && errno == EADDRINUSE && !unlink(address->sun_path))
		failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	return failed;
}

/* The socket, which its file names to whoever asks; -1: there is none, and nobody asks. */
static int open_socket(struct sockaddr_un *address)
{
	char directory[sizeof(address->sun_path)];
	int fd;

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (!stats_directory(directory, sizeof(directory)) ||
	    (size_t)snprintf(address->sun_path, sizeof(address->sun_path), "%.*s/%d", (int)sizeof(directory), directory,
			     getpid()) >= sizeof(address->sun_path))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (!bind_to(fd, address)) {
		if (signal_connections(fd) && !listen(fd, BACKLOG))
			return fd;
		unlink(address->sun_path);
	}
	close(fd);
	return -1;
}

void stats_publish(struct vm *vm)
{
	if (!served.vm) {
		served.fd = open_socket(&served.address);
		if (served.fd < 0)
			return;
		names_keep_to_write(served.address.sun_path);
	}
	served.vm = vm;
	observer_add(vm, &observer);
}

void stats_unpublish(void)
{
	if (!served.vm)
		return;
	observer_remove(served.vm, &observer);
	unlink(names_find(served.address.sun_path));
	close(served.fd);
	served.vm = NULL;
}

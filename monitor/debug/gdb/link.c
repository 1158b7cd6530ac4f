/*
 * Connections of the debugger: TCP, a unix socket, or the standard files; one at a time.
 */
#include "monitor/debug/gdb/link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "monitor/debug/stats/socket.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/walls/names.h"

#define WRITE_PATIENCE_NS (5 * CLOCK_NS_PER_SEC)
#define WRITE_SLICE_MS	  20
/* What a pipe takes at once when it is writable. */
#define WRITE_CHUNK 4096
/* Nobody tells when a descriptor is free again. */
#define CROWDED_MS  1000
#define UNIX_PREFIX "unix:"
#define TCP_PREFIX  "tcp:"
#define PRIVATE	    "private"

static int refuse(const char *address, const char *why, const char *remedy)
{
	int error = errno ? -errno : -EINVAL;

	fprintf(stderr, "ring3: --gdb %s: %s; %s\n", address, why, remedy);
	return error;
}

/* --------------------------------------------------------------------------------------------------- the watcher */

static void *watch(void *arg)
{
	struct gdb_link *link = arg;

	while (!atomic_load(&link->stop)) {
		bool crowded = atomic_exchange(&link->crowded, false);
		bool resting = crowded || atomic_load(&link->ready);
		struct pollfd fds[] = {
			{.fd = link->wake_fd, .events = POLLIN},
			{.fd = resting ? -1 : atomic_load(&link->watched), .events = POLLIN},
		};
		if (poll(fds, 2, crowded ? CROWDED_MS : -1) < 0)
			continue;
		if (fds[0].revents) {
			eventfd_t drained;
			eventfd_read(link->wake_fd, &drained);
		} else if (fds[1].revents) {
			atomic_store(&link->ready, true);
			events_wake();
		}
	}
	return NULL;
}

/* ----------------------------------------------------------------------------------------------------- addresses */

/* "[tcp:][HOST]:PORT" in two; HOST may be in brackets. False if it is none. */
static bool split_tcp(const char *address, char *host, size_t size, const char **port)
{
	if (!strncmp(address, TCP_PREFIX, strlen(TCP_PREFIX)))
		address += strlen(TCP_PREFIX);
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;

	if (!colon || len >= size || !colon[1] || strlen(colon + 1) > 5 ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
		address++;
		len -= 2;
	}
	memcpy(host, address, len);
	host[len] = '\0';
	*port = colon + 1;
	return strtol(*port, NULL, 10) <= UINT16_MAX;
}

static bool is_unix(const char *address)
{
	return !strncmp(address, UNIX_PREFIX, strlen(UNIX_PREFIX));
}

bool link_address_valid(const char *address)
{
	char host[256];
	const char *port;

	if (!strcmp(address, "stdio") || !strcmp(address, PRIVATE))
		return true;
	if (is_unix(address)) {
		size_t len = strlen(address) - strlen(UNIX_PREFIX);
		return len > 0 && len < sizeof(((struct gdb_link *)0)->path);
	}
	return split_tcp(address, host, sizeof(host), &port);
}

/* The path of a unix socket that an address names; false if it has none. */
static bool path_of(const char *address, char *path, size_t size)
{
	char directory[sizeof(((struct gdb_link *)0)->path)];
	int len;

	if (is_unix(address)) {
		len = snprintf(path, size, "%s", address + strlen(UNIX_PREFIX));
	} else {
		if (strcmp(address, PRIVATE) || !stats_directory(directory, sizeof(directory)))
			return false;
		len = snprintf(path, size, "%s/gdb-%d", directory, (int)getpid());
	}
	return len > 0 && len < (int)size;
}

static int open_unix(struct gdb_link *link, const char *address)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char path[sizeof(link->path)];

	if (!path_of(address, path, sizeof(path)))
		return refuse(address,
			      "there is no directory for this user alone, as XDG_RUNTIME_DIR or /tmp/ring3-UID",
			      "give unix:PATH or :PORT");
	if (!strcmp(address, PRIVATE))
		unlink(path); /* of a process that had this number before, and was killed */
	strcpy(at.sun_path, path);
	link->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (link->listen_fd < 0 || bind(link->listen_fd, (struct sockaddr *)&at, sizeof(at)) ||
	    listen(link->listen_fd, 1))
		return refuse(address, strerror(errno), "give a path that can be made and is not there yet");
	strcpy(link->path, path);
	names_keep_to_write(path);
	fprintf(stderr, "ring3: gdb may connect: target remote %s\n", path);
	return 0;
}

static int bind_one(struct gdb_link *link, const struct addrinfo *at)
{
	const int yes = 1;

	link->listen_fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
	if (link->listen_fd < 0)
		return -errno;
	setsockopt(link->listen_fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (!bind(link->listen_fd, at->ai_addr, at->ai_addrlen) && !listen(link->listen_fd, 1))
		return 0;
	int error = -errno;
	close(link->listen_fd);
	link->listen_fd = -1;
	return error;
}

static int open_tcp(struct gdb_link *link, const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	struct sockaddr_storage bound;
	socklen_t size = sizeof(bound);
	struct addrinfo *list, *at;
	char host[256], name[256], number[16];
	const char *port;

	if (!split_tcp(address, host, sizeof(host), &port))
		return refuse(address, "is no address", "give private, unix:PATH, :PORT, HOST:PORT or stdio");
	int failure = getaddrinfo(host[0] ? host : "127.0.0.1", port, &hints, &list);
	if (failure)
		return refuse(address, gai_strerror(failure), "give :PORT for this host alone");
	errno = 0;
	for (at = list; at; at = at->ai_next) {
		errno = -bind_one(link, at);
		if (!errno)
			break;
	}
	freeaddrinfo(list);
	if (link->listen_fd < 0)
		return refuse(address, strerror(errno), "give another port, 0 for any");
	getsockname(link->listen_fd, (struct sockaddr *)&bound, &size);
	getnameinfo((struct sockaddr *)&bound, size, name, sizeof(name), number, sizeof(number),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	fprintf(stderr, "ring3: gdb may connect: target remote %s:%s\n", name, number);
	return 0;
}

/* The debugger gets the standard files; the guest's console reads nothing and writes to stderr. */
static int open_stdio(struct gdb_link *link)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	link->in_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	link->out_fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (null < 0 || link->in_fd < 0 || link->out_fd < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return refuse("stdio", strerror(errno), "raise 'ulimit -n'");
	close(null);
	return 0;
}

static void begin(struct gdb_link *link)
{
	/* A peer that hangs up while it is written to is an error return, not the end of the monitor. */
	signal(SIGPIPE, SIG_IGN);
	atomic_store(&link->watched, link->in_fd >= 0 ? link->in_fd : link->listen_fd);
	if (link->listen_fd < 0 || link->spare_fd >= 0)
		return;
	if (!link->path[0])
		peer_open_tables(link->tables);
	link->spare_fd = fcntl(link->listen_fd, F_DUPFD_CLOEXEC, 0);
}

int link_open(struct gdb_link *link, const char *address)
{
	int error;

	*link = (struct gdb_link){.listen_fd = -1, .in_fd = -1, .out_fd = -1, .wake_fd = -1, .spare_fd = -1};
	link->tables[0] = link->tables[1] = -1;
	errno = 0;
	if (!strcmp(address, "stdio"))
		error = open_stdio(link);
	else if (is_unix(address) || !strcmp(address, PRIVATE))
		error = open_unix(link, address);
	else
		error = open_tcp(link, address);
	if (error)
		return error;
	begin(link);
	return 0;
}

void link_adopt(struct gdb_link *link, const struct gdb_link *from)
{
	*link = (struct gdb_link){.listen_fd = from->listen_fd,
				  .in_fd = from->in_fd,
				  .out_fd = from->out_fd,
				  .wake_fd = -1,
				  .spare_fd = from->spare_fd};
	memcpy(link->path, from->path, sizeof(link->path));
	memcpy(link->tables, from->tables, sizeof(link->tables));
	begin(link);
}

/* Every signal is for the vCPU's thread. */
int link_start(struct gdb_link *link)
{
	sigset_t all, before;

	link->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->wake_fd < 0)
		return refuse("", strerror(errno), "raise 'ulimit -n'");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&link->watcher, NULL, watch, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errno)
		return refuse("", strerror(errno), "raise 'ulimit -u'");
	link->running = true;
	return 0;
}

void link_stop(struct gdb_link *link)
{
	if (!link->running)
		return;
	atomic_store(&link->stop, true);
	eventfd_write(link->wake_fd, 1);
	pthread_join(link->watcher, NULL);
	link->running = false;
}

void link_close(struct gdb_link *link)
{
	link_stop(link);
	link_hang_up(link);
	if (link->listen_fd >= 0)
		close(link->listen_fd);
	if (link->wake_fd >= 0)
		close(link->wake_fd);
	if (link->spare_fd >= 0)
		close(link->spare_fd);
	peer_close_tables(link->tables);
	if (link->path[0])
		unlink(names_find(link->path));
	link->listen_fd = link->wake_fd = link->spare_fd = -1;
	link->path[0] = '\0';
}

/* ----------------------------------------------------------------------------------------------- the connection */

bool link_ready(const struct gdb_link *link)
{
	return atomic_load(&link->ready);
}

bool link_connected(const struct gdb_link *link)
{
	return link->in_fd >= 0;
}

static bool readable(int fd)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	return poll(&poller, 1, 0) > 0;
}

/*
 * No descriptor is left for a connection: as long as it waits, the watcher would call for it without end. The spare one
 * makes room to take it, and to hang up; where the limit was lowered below that, the watcher looks again after a while.
 */
static void turn_away(struct gdb_link *link)
{
	int fd;

	if (link->spare_fd >= 0)
		close(link->spare_fd);
	fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		fprintf(stderr, "ring3: --gdb: a debugger was turned away: no descriptor is left; raise 'ulimit -n'\n");
	}
	link->spare_fd = fcntl(link->listen_fd, F_DUPFD_CLOEXEC, 0);
	atomic_store(&link->crowded, fd < 0);
}

/* Once is enough: others could fill the terminal. */
static void refuse_peer(struct gdb_link *link, int fd)
{
	close(fd);
	if (!link->told_refusal)
		fprintf(stderr, "ring3: --gdb: a connection was refused: it is none of this user's processes on this "
				"host; from elsewhere, forward a port by ssh\n");
	link->told_refusal = true;
}

bool link_accept(struct gdb_link *link)
{
	const int yes = 1;
	int fd;

	if (link->in_fd >= 0 || link->listen_fd < 0 || !readable(link->listen_fd))
		return false;
	fd = accept4(link->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			turn_away(link);
		return false;
	}
	if (!peer_is_ours(fd, link->tables)) {
		refuse_peer(link, fd);
		return false;
	}
	link->in_fd = link->out_fd = fd;
	setsockopt(link->in_fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)); /* no effect on a unix socket */
	atomic_store(&link->watched, link->in_fd);
	return true;
}

ssize_t link_read(struct gdb_link *link, void *data, size_t len)
{
	if (link->in_fd < 0)
		return -ENOTCONN;
	if (!readable(link->in_fd))
		return 0;
	ssize_t n = read(link->in_fd, data, len);
	if (n > 0)
		return n;
	return n < 0 && (errno == EINTR || errno == EAGAIN) ? 0 : -ECONNRESET;
}

/* False: the peer is gone, takes too long, or the monitor is to end. */
static bool wait_writable(const struct gdb_link *link, uint64_t end)
{
	struct pollfd poller = {.fd = link->out_fd, .events = POLLOUT};

	while (poll(&poller, 1, WRITE_SLICE_MS) <= 0)
		if (clock_ns() >= end || events_quit_signal())
			return false;
	return poller.revents & POLLOUT;
}

static bool write_all(struct gdb_link *link, const char *from, size_t len)
{
	uint64_t end = clock_ns() + WRITE_PATIENCE_NS;

	while (len) {
		if (!wait_writable(link, end))
			return false;
		size_t part = len < WRITE_CHUNK ? len : WRITE_CHUNK;
		ssize_t n = link->listen_fd >= 0 ? send(link->out_fd, from, part, MSG_DONTWAIT)
						 : write(link->out_fd, from, part);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return false;
		if (n > 0) {
			from += n;
			len -= (size_t)n;
		}
	}
	return true;
}

void link_write(struct gdb_link *link, const void *data, size_t len)
{
	if (link->out_fd >= 0 && !write_all(link, data, len))
		link_hang_up(link);
}

void link_hang_up(struct gdb_link *link)
{
	if (link->in_fd < 0)
		return;
	atomic_store(&link->watched, link->listen_fd);
	if (link->out_fd != link->in_fd)
		close(link->out_fd);
	close(link->in_fd);
	link->in_fd = link->out_fd = -1;
}

void link_rearm(struct gdb_link *link)
{
	atomic_store(&link->ready, false);
	eventfd_write(link->wake_fd, 1);
}

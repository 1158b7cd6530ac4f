/*
 * Writing with patience, in slices: the signal that ends the wait may come just before it begins.
 */
#include "monitor/host/patience.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_MS  20
#define MOMENT_MS 50
/* A pipe that is writable at all takes this much without blocking (PIPE_BUF). */
#define CHUNK 4096

struct sink {
	int fd;
	bool terminal;
	patience_over *over;
	const struct vm *vm;
};

bool patience_wait(int fd, short events, patience_over *over, const struct vm *vm)
{
	struct pollfd poller = {.fd = fd, .events = events};

	while (poll(&poller, 1, 0) <= 0) {
		if (over(vm))
			return false;
		poll(&poller, 1, SLICE_MS);
	}
	return true;
}

/* Last words are longer than what a terminal takes at once: who reads them gets a moment, who does not no second one.
 */
static bool wait_writable(const struct sink *sink)
{
	static atomic_bool deaf;
	struct pollfd poller = {.fd = sink->fd, .events = POLLOUT};

	if (patience_wait(sink->fd, POLLOUT, sink->over, sink->vm))
		return true;
	if (atomic_load(&deaf))
		return false;
	if (poll(&poller, 1, MOMENT_MS) > 0)
		return true;
	atomic_store(&deaf, true);
	return false;
}

static atomic_bool raw;

void patience_terminal_raw(bool is)
{
	atomic_store(&raw, is);
}

/* The bytes that were taken. */
static size_t write_plain(const struct sink *sink, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && wait_writable(sink)) {
		ssize_t n = write(sink->fd, data + done, len - done < CHUNK ? len - done : CHUNK);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			break;
		done += n > 0 ? (size_t)n : 0;
	}
	return done;
}

static ssize_t sink_write(void *cookie, const char *data, size_t len)
{
	static const char line_end[] = "\r\n";
	const struct sink *sink = cookie;
	size_t done = 0, line, taken;

	if (!sink->terminal || !atomic_load(&raw))
		return (ssize_t)write_plain(sink, data, len);
	for (; done < len; done += taken) {
		const char *end = memchr(data + done, '\n', len - done);
		line = end ? (size_t)(end - data) - done : len - done;
		taken = write_plain(sink, data + done, line);
		if (taken < line)
			return (ssize_t)(done + taken);
		if (end && write_plain(sink, line_end, strlen(line_end)) < strlen(line_end))
			return (ssize_t)(done + taken);
		taken += end ? 1 : 0;
	}
	return (ssize_t)done;
}

static int sink_close(void *cookie)
{
	struct sink *sink = cookie;
	int result = close(sink->fd);

	free(sink);
	return result;
}

static FILE *stream_of(struct sink *sink, cookie_close_function_t *end)
{
	return fopencookie(sink, "w", (cookie_io_functions_t){.write = sink_write, .close = end});
}

FILE *patience_stream(int fd, patience_over *over, const struct vm *vm)
{
	struct sink *sink = malloc(sizeof(*sink));
	FILE *stream;

	if (!sink)
		return NULL;
	*sink = (struct sink){.fd = fd, .terminal = isatty(fd), .over = over, .vm = vm};
	stream = stream_of(sink, sink_close);
	if (!stream)
		free(sink);
	return stream;
}

/* It lives as long as the process. */
void patience_stderr(patience_over *over, const struct vm *vm)
{
	static struct sink sink;
	FILE *stream;

	sink = (struct sink){.fd = STDERR_FILENO, .terminal = isatty(STDERR_FILENO), .over = over, .vm = vm};
	stream = stream_of(&sink, NULL);
	if (!stream)
		return;
	setvbuf(stream, NULL, _IONBF, 0);
	stderr = stream;
}

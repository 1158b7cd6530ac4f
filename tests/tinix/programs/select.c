/*
 * select and poll on both ends of a pipe: empty, filled, closed, and until the time is over.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/select.h>
#include <unistd.h>

static int ends[2];

/* Bits: 1 the reading end is ready to be read, 2 the writing end to be written; -1: select failed. */
static int try_select(int microseconds)
{
	struct timeval timeout = {0, microseconds};
	fd_set readable, writable;

	FD_ZERO(&readable);
	FD_ZERO(&writable);
	FD_SET(ends[0], &readable);
	FD_SET(ends[1], &writable);
	if (select(ends[1] + 1, &readable, &writable, NULL, &timeout) < 0)
		return -1;
	return (FD_ISSET(ends[0], &readable) ? 1 : 0) | (FD_ISSET(ends[1], &writable) ? 2 : 0);
}

static int select_one(int fd, int microseconds)
{
	struct timeval timeout = {0, microseconds};
	fd_set readable;

	FD_ZERO(&readable);
	FD_SET(fd, &readable);
	return select(fd + 1, &readable, NULL, NULL, &timeout);
}

static int try_poll(int timeout_ms)
{
	struct pollfd fd = {.fd = ends[0], .events = POLLIN};

	return poll(&fd, 1, timeout_ms) < 0 ? -1 : fd.revents;
}

int main(void)
{
	char c = 0;

	if (pipe(ends))
		return 1;
	printf("empty %d, in time %d, poll %d\n", try_select(0), select_one(ends[0], 20000), try_poll(20));
	if (write(ends[1], "x", 1) != 1)
		return 1;
	printf("filled %d, poll %d\n", try_select(1000000), try_poll(-1));
	if (read(ends[0], &c, 1) != 1)
		return 1;
	printf("read %c, %d\n", c, try_select(0));
	close(ends[1]);
	printf("closed %d, poll %s\n", select_one(ends[0], 1000000), try_poll(-1) & POLLHUP ? "hung up" : "?");
	printf("bad descriptor %s\n", select_one(ends[1], 0) < 0 && errno == EBADF ? "EBADF" : "?");
	return 0;
}

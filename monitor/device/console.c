/*
 * The guest's console. This file gathers output and writes it in blocks: when the buffer is full, some milliseconds
 * after its first byte, when the guest waits, and when it ends. Input is console_input.c, the terminal terminal.c.
 */
#include "monitor/device/console.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "monitor/device/console_input.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/host/timer.h"
#include "monitor/vm/vm.h"

#define BUFFER_SIZE (16 * 1024)
#define LINGER_NS   2000000
/* A pipe that is writable at all takes this much without blocking (PIPE_BUF). */
#define WRITE_CHUNK 4096
#define WAIT_MS	    20

struct console {
	struct vm *vm;
	int out_fd;
	bool broken;	   /* the host takes no more: output is dropped */
	uint64_t deadline; /* of the oldest byte in the buffer */
	size_t used;
	void (*watch)(void *arg, const void *data, size_t len); /* NULL: nobody */
	void *watch_arg;
	uint8_t buffer[BUFFER_SIZE];
	struct console_input input;
};

struct console *console_open(struct vm *vm, int in_fd, int out_fd)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return NULL;
	console->vm = vm;
	console->out_fd = out_fd;
	console->broken = out_fd < 0;
	console->deadline = TIMER_NEVER;
	input_init(&console->input, in_fd);
	/* A closed pipe is reported, not died of. */
	signal(SIGPIPE, SIG_IGN);
	return console;
}

void console_close(struct console *console)
{
	if (!console)
		return;
	console_flush(console);
	console_restore_terminal();
	if (input_stop(&console->input))
		free(console);
}

/* -------------------------------------------------------------------------------------------------------- output */

/* Nobody waits any longer for the host to take output: a signal came, or the guest's time is over. */
static bool out_of_patience(const struct console *console)
{
	return atomic_load(&console->input.quit) || vm_is_over(console->vm);
}

/* Waits until the host takes output. Sliced, since a signal may come just before poll. */
static bool wait_writable(struct console *console)
{
	struct pollfd fd = {.fd = console->out_fd, .events = POLLOUT};

	while (poll(&fd, 1, 0) <= 0) {
		if (out_of_patience(console))
			return false;
		poll(&fd, 1, WAIT_MS);
	}
	return true;
}

static void write_failed(struct console *console, int error)
{
	console->broken = true;
	fprintf(stderr, "ring3: cannot write the guest's console to standard output: %s; the guest is ended\n",
		strerror(error));
	vm_output_lost(console->vm);
}

/* Writes what the host takes at once of len bytes; 0 when no more can be written. */
static size_t write_some(struct console *console, const uint8_t *data, size_t len)
{
	for (;;) {
		if (!wait_writable(console)) {
			console->broken = true;
			return 0;
		}
		ssize_t n = write(console->out_fd, data, len < WRITE_CHUNK ? len : WRITE_CHUNK);
		if (n >= 0)
			return (size_t)n;
		if (errno != EINTR && errno != EAGAIN) {
			write_failed(console, errno);
			return 0;
		}
	}
}

void console_flush(struct console *console)
{
	size_t done = 0;

	while (done < console->used && !console->broken)
		done += write_some(console, console->buffer + done, console->used - done);
	console->used = 0;
	console->deadline = TIMER_NEVER;
}

void console_watch(struct console *console, void (*watch)(void *arg, const void *data, size_t len), void *arg)
{
	console->watch = watch;
	console->watch_arg = arg;
}

void console_write(struct console *console, const void *data, size_t len)
{
	const uint8_t *from = data;

	if (console->watch)
		console->watch(console->watch_arg, data, len);
	while (len && !console->broken) {
		size_t n = BUFFER_SIZE - console->used;

		if (n > len)
			n = len;
		if (console->used == 0)
			console->deadline = clock_machine_ns() + LINGER_NS;
		memcpy(console->buffer + console->used, from, n);
		console->used += n;
		from += n;
		len -= n;
		if (console->used == BUFFER_SIZE)
			console_flush(console);
	}
}

uint64_t console_deadline(const struct console *console)
{
	return console->deadline;
}

/* --------------------------------------------------------------------------------------------------------- input */

void console_listen(struct console *console)
{
	input_listen(&console->input);
}

bool console_poll(struct console *console)
{
	bool resized = events_take(SIGWINCH);

	if (atomic_load(&console->input.quit))
		vm_end(console->vm, CONSOLE_STATUS_QUIT);
	return atomic_exchange(&console->input.arrived, false) || resized;
}

uint16_t console_rows(const struct console *console, uint16_t *columns)
{
	struct winsize size = {0};

	if (ioctl(console->out_fd, TIOCGWINSZ, &size))
		ioctl(console->input.fd, TIOCGWINSZ, &size);
	*columns = size.ws_row ? size.ws_col : 0;
	return size.ws_col ? size.ws_row : 0;
}

size_t console_input_pending(struct console *console)
{
	return input_pending(&console->input);
}

bool console_input_ended(struct console *console)
{
	return input_ended(&console->input);
}

size_t console_read(struct console *console, void *data, size_t len)
{
	return input_read(&console->input, data, len);
}

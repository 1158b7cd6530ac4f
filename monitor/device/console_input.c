/*
 * Console input. The reader is a thread because the vCPU's own is in the guest when a key is pressed; it does nothing
 * but move bytes into the ring and wake the monitor. It ends at the end of input, which it tells the monitor.
 */
#include "monitor/device/console_input.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "monitor/device/terminal.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"

#define READER_STACK  (64 * 1024)
#define LARGEST_STACK (8 * 1024 * 1024)
#define READ_CHUNK    512
#define STOP_PATIENCE 200000000 /* ns */
#define CTRL_A	      1

/* ------------------------------------------------------------------------------------------- the reader's thread */

static size_t room(const struct console_input *input)
{
	return CONSOLE_RING - input_pending(input);
}

/* Takes out what the user says to the monitor; the rest is for the guest. Returns the bytes left in data. */
static size_t take_commands(struct console_input *input, uint8_t *data, size_t len)
{
	size_t kept = 0;

	for (size_t i = 0; i < len; i++) {
		if (!input->escape) {
			if (data[i] == CTRL_A)
				input->escape = true;
			else
				data[kept++] = data[i];
			continue;
		}
		input->escape = false;
		if (data[i] == CTRL_A)
			data[kept++] = CTRL_A;
		else if (data[i] == 'x' || data[i] == 'X')
			atomic_store(&input->quit, true);
		else if (data[i] == 'h' || data[i] == 'H')
			fprintf(stderr,
				"ring3: Ctrl-A X ends the guest, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H is this\n");
	}
	return kept;
}

static void put(struct console_input *input, const uint8_t *data, size_t len)
{
	size_t at = atomic_load_explicit(&input->put, memory_order_relaxed);

	for (size_t i = 0; i < len; i++)
		input->ring[(at + i) % CONSOLE_RING] = data[i];
	atomic_store(&input->put, at + len);
	if (len)
		atomic_store(&input->arrived, true);
	events_wake();
}

static void end_input(struct console_input *input)
{
	atomic_store(&input->ended, true);
	atomic_store(&input->arrived, true);
	events_wake();
}

/* False at the end of input. */
static bool read_some(struct console_input *input)
{
	uint8_t data[READ_CHUNK];
	size_t space = room(input);
	ssize_t n = read(input->fd, data, space < sizeof(data) ? space : sizeof(data));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	put(input, data, input->terminal ? take_commands(input, data, (size_t)n) : (size_t)n);
	return true;
}

static void *reader(void *arg)
{
	struct console_input *input = arg;

	while (!atomic_load(&input->stop)) {
		/* Announced before looking: whoever makes room in between sees it and wakes us. */
		atomic_store(&input->full, true);
		bool wait_for_room = room(input) == 0;
		if (!wait_for_room)
			atomic_store(&input->full, false);

		struct pollfd fds[] = {
			{.fd = input->wake_fd, .events = POLLIN},
			{.fd = wait_for_room ? -1 : input->fd, .events = POLLIN},
		};
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents) {
			eventfd_t drained;
			eventfd_read(input->wake_fd, &drained);
		} else if (!read_some(input)) {
			end_input(input);
			break;
		}
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------- the vCPU's thread */

void input_init(struct console_input *input, int fd)
{
	input->fd = fd;
	input->wake_fd = -1;
}

/* The library takes thread-local data out of the stack, and refuses one that has no room for it. */
static int create_thread(struct console_input *input)
{
	pthread_attr_t attributes;
	int error = EINVAL;

	pthread_attr_init(&attributes);
	for (size_t size = READER_STACK; error == EINVAL && size <= LARGEST_STACK; size *= 2) {
		pthread_attr_setstacksize(&attributes, size);
		error = pthread_create(&input->reader, &attributes, reader, input);
	}
	pthread_attr_destroy(&attributes);
	return error;
}

/* Every signal is for the vCPU's thread. */
static int start_reader(struct console_input *input)
{
	sigset_t all, before;
	int error;

	input->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (input->wake_fd < 0)
		return errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = create_thread(input);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

void input_listen(struct console_input *input)
{
	int error;

	if (input->listening)
		return;
	input->listening = true;
	if (input->fd < 0) {
		end_input(input);
		return;
	}
	if (terminal_in_background(input->fd))
		return;
	/* Nothing else on the keyboard ends a guest that does not listen to it. */
	if (isatty(input->fd) && isatty(STDERR_FILENO))
		fputs("ring3: Ctrl-A X ends the guest, whatever it does; Ctrl-A H lists the keys\n", stderr);
	input->terminal = terminal_raw(input->fd);
	error = start_reader(input);
	if (error) {
		end_input(input);
		fprintf(stderr, "ring3: the guest gets no console input: %s; raise 'ulimit -u' or 'ulimit -n'\n",
			strerror(error));
	}
	input->running = !error;
}

bool input_stop(struct console_input *input)
{
	struct timespec limit;
	bool stopped = true;

	if (input->running) {
		atomic_store(&input->stop, true);
		eventfd_write(input->wake_fd, 1);
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_nsec += STOP_PATIENCE;
		limit.tv_sec += limit.tv_nsec / (long)CLOCK_NS_PER_SEC;
		limit.tv_nsec %= (long)CLOCK_NS_PER_SEC;
		stopped = pthread_timedjoin_np(input->reader, NULL, &limit) == 0;
		input->running = false;
	}
	if (stopped && input->wake_fd >= 0)
		close(input->wake_fd);
	return stopped;
}

size_t input_pending(const struct console_input *input)
{
	return atomic_load(&input->put) - atomic_load(&input->taken);
}

bool input_ended(const struct console_input *input)
{
	return atomic_load(&input->ended) && !input_pending(input);
}

size_t input_read(struct console_input *input, void *data, size_t len)
{
	uint8_t *to = data;
	size_t at = atomic_load_explicit(&input->taken, memory_order_relaxed);
	size_t waiting = input_pending(input);

	if (len > waiting)
		len = waiting;
	for (size_t i = 0; i < len; i++)
		to[i] = input->ring[(at + i) % CONSOLE_RING];
	atomic_store(&input->taken, at + len);
	if (len && atomic_exchange(&input->full, false))
		eventfd_write(input->wake_fd, 1);
	return len;
}

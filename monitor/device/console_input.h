/*
 * The console's input: a reader thread fills a ring, the vCPU thread empties it.
 */
#ifndef MONITOR_DEVICE_CONSOLE_INPUT_H
#define MONITOR_DEVICE_CONSOLE_INPUT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_RING 4096 /* power of two */

struct console_input {
	int fd;
	bool listening; /* input_listen was called */
	bool running;	/* the reader has to be stopped */
	pthread_t reader;
	int wake_fd; /* eventfd: the ring has room again, or stop is set */

	/* Counts of bytes ever put in and taken out; the difference is what waits. */
	atomic_size_t put, taken;
	uint8_t ring[CONSOLE_RING];

	atomic_bool full;    /* the reader waits for room */
	atomic_bool arrived; /* input came, or its end, since console_poll looked */
	atomic_bool ended;   /* what is in the ring is the last */
	atomic_bool quit;    /* Ctrl-A X */
	atomic_bool stop;

	bool terminal; /* reader: Ctrl-A is ours */
	bool escape;   /* reader: Ctrl-A was typed */
};

void input_init(struct console_input *input, int fd);
/* Starts the reader. Idempotent. A host that refuses leaves the guest without input, with a message printed. */
void input_listen(struct console_input *input);
/* False: the reader is stuck in a read that another process emptied, and still owns *input. */
bool input_stop(struct console_input *input);
size_t input_pending(const struct console_input *input);
/* Nothing waits, and nothing will come. */
bool input_ended(const struct console_input *input);
size_t input_read(struct console_input *input, void *data, size_t len);

#endif

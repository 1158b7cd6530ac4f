/*
 * Writing to a peer that may not read: a pipe, a terminal, a socket. Nobody waits for it longer than for the guest.
 */
#ifndef MONITOR_HOST_PATIENCE_H
#define MONITOR_HOST_PATIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct vm;

/* Whether the guest is to end: vm_is_over (monitor/vm/vm.h), which lies above this folder. */
typedef bool patience_over(const struct vm *vm);

/* Waits until fd is ready for `events` (poll(2)). False: it is over first. */
bool patience_wait(int fd, short events, patience_over *over, const struct vm *vm);
/*
 * A stream that writes to fd, which is its own from now on, with patience: once it is over, what the peer does not
 * take at once is lost, and the stream is in error. NULL with errno set; then fd is still the caller's.
 */
FILE *patience_stream(int fd, patience_over *over, const struct vm *vm);
/* Has stderr be such a stream from now on; vm lives as long as the process. */
void patience_stderr(patience_over *over, const struct vm *vm);

/*
 * A terminal of this process is raw, and does not go to the start of a line by itself: streams to terminals write what
 * takes it there with each end of line. Async-signal-safe.
 */
void patience_terminal_raw(bool raw);

#endif

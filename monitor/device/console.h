/*
 * The guest's console on the host: output is gathered and written in blocks, input comes from a reader thread that
 * starts when the guest first listens. Terminals are put in raw mode only then, and restored however the monitor ends.
 */
#ifndef MONITOR_DEVICE_CONSOLE_H
#define MONITOR_DEVICE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console;
struct vm;

/* The user ended the guest from the keyboard: the status a shell gives a program that Ctrl-C ended. */
#define CONSOLE_STATUS_QUIT 130

/* out_fd and in_fd stay the caller's; -1: there is none. NULL when memory is out. */
struct console *console_open(struct vm *vm, int in_fd, int out_fd);
/* Flushes, stops the reader, restores the terminal. */
void console_close(struct console *console);

/*
 * Takes all bytes; waits for a host that is slow to take them until a signal asks the monitor to end or the guest's
 * time is up. A host that takes no output (closed pipe) ends the guest with VM_STATUS_HOST, once.
 */
void console_write(struct console *console, const void *data, size_t len);
/* Has `watch` see all that the guest writes from now on, before the host takes it. */
void console_watch(struct console *console, void (*watch)(void *arg, const void *data, size_t len), void *arg);
void console_flush(struct console *console);
/* When gathered output must go out, clock_machine_ns() time; TIMER_NEVER if there is none. */
uint64_t console_deadline(const struct console *console);

/* The guest listens: start reading. Idempotent. */
void console_listen(struct console *console);
/* The terminal's size, of output or of input; both 0 if neither is one or it has no size. */
uint16_t console_rows(const struct console *console, uint16_t *columns);
/*
 * True if input came, or its end, or the terminal has another size, since the last call. Ends the guest with
 * CONSOLE_STATUS_QUIT if the user typed Ctrl-A X. Called by the run loop with the vCPU stopped.
 */
bool console_poll(struct console *console);
/* Input waiting, without taking it. */
size_t console_input_pending(struct console *console);
/* No input waits, and none will come: the host's side is at its end. Only after console_listen. */
bool console_input_ended(struct console *console);
/* Takes up to len bytes; how many. */
size_t console_read(struct console *console, void *data, size_t len);

/* Puts the terminal back as it was found. Async-signal-safe, for the handlers of deadly signals. */
void console_restore_terminal(void);

#endif

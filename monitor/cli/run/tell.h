/*
 * What is said of a guest on stderr, in one piece each time: where it is when somebody asks, and how it ended.
 */
#ifndef MONITOR_CLI_RUN_TELL_H
#define MONITOR_CLI_RUN_TELL_H

#include <stdbool.h>

struct vm;

/* From here on, until tell_down, SIGUSR1 has figures and the whole report printed, and the core written. */
void tell_up(struct vm *vm);
void tell_down(struct vm *vm);

/*
 * Says how the guest ended, unless it ended itself, and writes the core. ran: its machine was complete, so that there
 * is something to see.
 */
void tell_end(struct vm *vm, bool ran);

#endif

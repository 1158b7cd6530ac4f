/*
 * The terminal on the console's input: raw while a guest listens, and put back however the monitor ends
 * (console_restore_terminal in console.h).
 */
#ifndef MONITOR_DEVICE_TERMINAL_H
#define MONITOR_DEVICE_TERMINAL_H

#include <stdbool.h>

/* A terminal that belongs to another job's foreground: reading it would stop this process. */
bool terminal_in_background(int fd);
/* Every key goes to the guest; output processing stays. False if fd is no terminal: nothing was done. */
bool terminal_raw(int fd);
/* A picture of `rows` rows is painted on the terminal fd: in the end its cursor goes below it. -1: none is. */
void terminal_painted(int fd, unsigned rows);

#endif

/*
 * The guests that verbs of ring3 run for themselves, to measure or to ask.
 */
#ifndef MONITOR_CLI_OWN_GUEST_H
#define MONITOR_CLI_OWN_GUEST_H

/*
 * Path of a guest: `built` below the directory of this program, or its last part where guests are installed. NULL with
 * a message if it is in neither; `remedy` says what to do besides building it. Freed by the caller.
 */
char *own_guest(const char *built, const char *remedy);

#endif

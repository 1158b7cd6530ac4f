/*
 * A verb's own options, taken out of a command line whose rest is for `ring3 run`.
 */
#ifndef MONITOR_CLI_ARGUMENTS_H
#define MONITOR_CLI_ARGUMENTS_H

#include <stdbool.h>

/*
 * Takes every --NAME VALUE and --NAME=VALUE out of argv; the last value goes to *value, which is left alone if there is
 * none. False, with a message printed: the value is missing.
 */
bool arguments_take(int *argc, char **argv, const char *name, const char **value);
/* Takes every --NAME out; true if there was one. */
bool arguments_take_flag(int *argc, char **argv, const char *name);

#endif

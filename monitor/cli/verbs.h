/*
 * The list of verbs, and what is made of it.
 */
#ifndef MONITOR_CLI_VERBS_H
#define MONITOR_CLI_VERBS_H

#include <stdbool.h>
#include <stdio.h>

#include "monitor/cli/common/verb.h"

/* Ends with NULL. */
extern const struct verb *const verbs[];

/* manual.c: the manual page of a verb as roff, or of the program (NULL). */
void manual_print(const struct verb *verb, FILE *out);
/* completion.c: a script for that shell; false if it is none of bash, zsh. */
bool completion_print(const char *shell, FILE *out);

#endif

/*
 * A running guest in a few lines, for who asks by SIGUSR1.
 */
#ifndef MONITOR_DEBUG_SUMMARY_H
#define MONITOR_DEBUG_SUMMARY_H

#include <stdio.h>

struct vm;

/* Up since when, exits and their rates since it was last asked, where the time went, memory. vCPUs stopped. */
void summary_print(struct vm *vm, FILE *out);

#endif

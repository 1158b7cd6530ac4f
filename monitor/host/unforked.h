/*
 * Memory that the monitor's children do not get: cells are forked from it and have no use for what is in it, and a page
 * that they share is copied when the monitor writes to it next.
 */
#ifndef MONITOR_HOST_UNFORKED_H
#define MONITOR_HOST_UNFORKED_H

#include <stddef.h>

/* Zeroed, in whole pages. NULL: the host has none left. */
void *unforked_alloc(size_t size);
/* NULL: nothing. */
void unforked_free(void *at, size_t size);

#endif

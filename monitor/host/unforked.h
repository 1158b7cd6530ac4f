/*
 * Memory that the monitor's children do not get: cells are forked from it and have no use for what is in it, and a page
 * that they share is copied when the monitor writes to it next.
 */
#ifndef MONITOR_HOST_UNFORKED_H
#define MONITOR_HOST_UNFORKED_H

#include <stdbool.h>
#include <stddef.h>

/* Zeroed, in whole pages. NULL: the host has none left. */
void *unforked_alloc(size_t size);
/* NULL: nothing. */
void unforked_free(void *at, size_t size);

/* Where the heap begins, of which `first` is the first block; so long as nobody says, children get it. */
void unforked_heap(void *first);
/* Whether a child that is forked now does without the monitor's variables and its heap. */
void unforked_own(bool unforked);

#endif

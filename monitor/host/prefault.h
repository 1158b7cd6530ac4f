/*
 * Memory had from the host at one call, where each page by itself would take a fault: an order of magnitude dearer.
 */
#ifndef MONITOR_HOST_PREFAULT_H
#define MONITOR_HOST_PREFAULT_H

#include <stddef.h>

/* The pages that [at, at+size) touches, about to be written. Only a hint: what the host refuses is taken as ever. */
void prefault(void *at, size_t size);
/* What the heap needs for a small guest. Once, before there are threads. */
void prefault_heap(void);
/* The rest of it, which is for what a guest takes as it runs: once, behind the first fork, which would have it copied.
 */
void prefault_heap_rest(void);

#endif

#include "monitor/host/prefault.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/host/unforked.h"

/* Linux 5.14; newer than the C library's headers may be. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/*
 * What the monitor of a small guest takes from the heap. The devices of its machine are not to fit into what is left
 * when they are made: then malloc maps them, and the pages of those that are never touched cost nothing.
 */
#define HEAP (176 * 1024)
/* Of that, what it stores to whatever its guest is. */
#define TOUCHED (96 * 1024)
/* Freed memory goes back in pieces as large as that: with less than HEAP each page would be a call. */
#define TRIM (16 * HEAP)

void prefault(void *at, size_t size)
{
	uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1, first = (uintptr_t)at & ~mask;
	if (size)
		madvise((void *)first, (uintptr_t)at + size - first, MADV_POPULATE_WRITE);
}

static char *heap; /* NULL: it is not known where that lies, or all of it was touched */

void prefault_heap(void)
{
	mallopt(M_TOP_PAD, HEAP);
	mallopt(M_TRIM_THRESHOLD, TRIM);
	char *first = malloc(1), *end = sbrk(0);
	/* Another allocator's heap may lie anywhere. */
	if (first && first < end && end - first <= 2 * HEAP)
		heap = first;
	if (heap) {
		prefault(heap, TOUCHED);
		unforked_heap(heap);
	}
	free(first);
}

void prefault_heap_rest(void)
{
	if (heap)
		prefault(heap + TOUCHED, HEAP - TOUCHED);
	heap = NULL;
}

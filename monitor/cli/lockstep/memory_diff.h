/*
 * What differs between the RAM of two machines.
 */
#ifndef MONITOR_DEBUG_MEMORY_DIFF_H
#define MONITOR_DEBUG_MEMORY_DIFF_H

#include <stdbool.h>
#include <stdint.h>

struct guest_mem;

/*
 * Compares all that either machine has touched, but for the page at `skip` (0: none). Fills at most `max` addresses of
 * pages that differ, ascending, and returns how many. Both RAMs are of one size.
 */
unsigned memory_diff(const struct guest_mem *a, const struct guest_mem *b, uint64_t skip, uint64_t *pages,
		     unsigned max);

/* The first eight bytes of the page at gpa that differ; false if none do. */
bool memory_diff_page(const struct guest_mem *a, const struct guest_mem *b, uint64_t gpa, uint64_t *at);

#endif

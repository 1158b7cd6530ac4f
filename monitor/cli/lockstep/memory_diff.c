/*
 * Comparing RAM. It is sparse: a hole in the memory file reads as zeroes, and is not filled by being looked at.
 */
#include "monitor/cli/lockstep/memory_diff.h"

#include <string.h>
#include <unistd.h>

#include "hypercalls/x86.h"
#include "monitor/vm/guest_mem.h"

struct run {
	uint64_t start, end;
};

/* The next run of touched pages at or after gpa; start at the end of RAM if there is none. */
static struct run touched(const struct guest_mem *mem, uint64_t gpa)
{
	off_t start = lseek(mem->fd, (off_t)gpa, SEEK_DATA);
	if (start < 0)
		return (struct run){mem->size, mem->size};
	off_t end = lseek(mem->fd, start, SEEK_HOLE);
	return (struct run){(uint64_t)start, end < 0 ? mem->size : (uint64_t)end};
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

unsigned memory_diff(const struct guest_mem *a, const struct guest_mem *b, uint64_t skip, uint64_t *pages, unsigned max)
{
	unsigned found = 0;
	for (uint64_t gpa = 0; gpa < a->size;) {
		struct run in_a = touched(a, gpa), in_b = touched(b, gpa);
		gpa = least(in_a.start, in_b.start);
		/* Where one has a hole, the other's run is compared with the zeroes there. */
		uint64_t end = in_a.start < in_b.start	 ? least(in_a.end, in_b.start)
			       : in_b.start < in_a.start ? least(in_b.end, in_a.start)
							 : least(in_a.end, in_b.end);
		for (; gpa < end; gpa += X86_PAGE_SIZE) {
			if ((skip && gpa == skip) || !memcmp(a->base + gpa, b->base + gpa, X86_PAGE_SIZE))
				continue;
			if (found == max)
				return found;
			pages[found++] = gpa;
		}
	}
	return found;
}

bool memory_diff_page(const struct guest_mem *a, const struct guest_mem *b, uint64_t gpa, uint64_t *at)
{
	for (*at = gpa; *at < gpa + X86_PAGE_SIZE; *at += sizeof(uint64_t))
		if (memcmp(a->base + *at, b->base + *at, sizeof(uint64_t)))
			return true;
	return false;
}

#include "monitor/host/unforked.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* By the C library's start files and the linker: the variables. What only relocation writes lies before. */
extern char __data_start[], _end[];

static char *heap; /* where it begins; NULL: that is not known */

void *unforked_alloc(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return NULL;
	madvise(at, size, MADV_DONTFORK);
	return at;
}

void unforked_free(void *at, size_t size)
{
	if (at)
		munmap(at, size);
}

static uintptr_t page_up(uintptr_t address)
{
	uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;

	return (address + mask) & ~mask;
}

static void advise(const char *from, const char *to, int advice)
{
	uintptr_t first = page_up((uintptr_t)from), end = page_up((uintptr_t)to);

	if (first < end)
		madvise((void *)first, end - first, advice);
}

void unforked_heap(void *first)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	heap = (char *)((uintptr_t)first & ~(page - 1));
}

/* Sanitizers have variables among the monitor's, which what they check reads in a child, too. */
#ifdef R3_SANITIZED
#define KEEPS_VARIABLES true
#else
#define KEEPS_VARIABLES false
#endif

void unforked_own(bool unforked)
{
	int advice = unforked ? MADV_DONTFORK : MADV_DOFORK;

	if (KEEPS_VARIABLES)
		return;
	advise(__data_start, _end, advice);
	if (heap)
		advise(heap, sbrk(0), advice);
}

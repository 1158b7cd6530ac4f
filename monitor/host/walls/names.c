/*
 * Keeping names.
 */
#include "monitor/host/walls/names.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#define SYS_MSEAL 462

static struct {
	bool mapped, frozen, sealed;
	unsigned reads, writes; /* slots taken */
} names;

/* Reserved for the gate already, or free. */
static bool map(void)
{
	const size_t size = NAMES_END - NAMES_READ;

	if (!names.mapped)
		names.mapped = mmap((void *)NAMES_READ, size, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)NAMES_READ &&
			       madvise((void *)NAMES_READ, size, MADV_WIPEONFORK) == 0;
	return names.mapped;
}

static char *slot(unsigned long region, unsigned index)
{
	return (char *)(region + index * NAMES_SLOT);
}

static const char *find(unsigned long region, unsigned count, const char *path)
{
	for (unsigned i = 0; i < count; i++)
		if (!strcmp(slot(region, i), path))
			return slot(region, i);
	return NULL;
}

static const char *keep(unsigned long region, unsigned *count, const char *path)
{
	const char *kept = find(region, *count, path);

	if (kept || names.frozen || *count == NAMES_SLOTS || strlen(path) >= NAMES_SLOT || !map())
		return kept;
	return strcpy(slot(region, (*count)++), path);
}

const char *names_keep_to_read(const char *path)
{
	return keep(NAMES_READ, &names.reads, path);
}

const char *names_keep_to_write(const char *path)
{
	return keep(NAMES_WRITE, &names.writes, path);
}

const char *names_find(const char *path)
{
	const char *kept = find(NAMES_WRITE, names.writes, path);

	if (!kept)
		kept = find(NAMES_READ, names.reads, path);
	return kept ? kept : path;
}

bool names_out_of_reach(const char *path)
{
	return names.frozen && !find(NAMES_WRITE, names.writes, path);
}

const char *names_each_to_read(unsigned index)
{
	return index < names.reads ? slot(NAMES_READ, index) : NULL;
}

const char *names_each_to_write(unsigned index)
{
	return index < names.writes ? slot(NAMES_WRITE, index) : NULL;
}

/* Mapped even if there is none: nothing else may come to lie there. */
int names_freeze(void)
{
	const size_t size = NAMES_END - NAMES_READ;

	if (!map() || mprotect((void *)NAMES_READ, size, PROT_READ))
		return -errno;
	names.sealed = syscall(SYS_MSEAL, NAMES_READ, size, 0) == 0;
	names.frozen = true;
	return 0;
}

bool names_sealed(void)
{
	return names.sealed;
}

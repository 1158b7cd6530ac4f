/*
 * Address spaces and page tables. Every space shares the kernel's slot of the PML4, where RAM is mapped: slot 0 with
 * pvguest.lds, and then [PVG_SPACE_BASE, PVG_SPACE_END) is the space's own; slot 254 with pvguest-high.lds, and then
 * [0, PVG_SPACE_HIGH_END) is; one of the upper half with UPPER, likewise. So is what else there is from PVG_SPACE_UPPER
 * on, but not for what runs directly. The slots from PVG_SPACE_END on belong to the monitor.
 *
 * Entries may be looked at directly at any time (accessed and dirty bits), and changed only by these functions.
 */
#ifndef PVGUEST_MAP_H
#define PVGUEST_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/x86.h"

PVG_BEGIN

#define PVG_SPACE_BASE	   R3_BIT(39)
#define PVG_SPACE_END	   (R3_U64(255) << 39)
#define PVG_SPACE_HIGH_END (R3_U64(254) << 39)
#define PVG_SPACE_UPPER	   0xffff800000000000

struct pvg_space {
	uint64_t root; /* gpa of the PML4 */
	bool used;     /* was switched to: from then on entries may not be stored to behind the processor's back */
};

/* The space that the guest was entered with; it is the current one until the first switch. */
struct pvg_space *pvg_space_boot(void);
/* The space that was switched to last. */
struct pvg_space *pvg_space_current(void);

/* A new space with nothing but the kernel in it; 0 or -R3_ENOSPC. */
int pvg_space_create(struct pvg_space *space);
/* Frees the tables (not the pages they map). Not for the current space, nor for that of the user mode loaded last. */
void pvg_space_destroy(struct pvg_space *space);
/* The same, but calls release for each table of 4 KiB pages instead of freeing it. */
void pvg_space_release(struct pvg_space *space, void (*release)(uint64_t *table));
void pvg_space_switch(struct pvg_space *space);

/*
 * Maps `count` pages of 4 KiB (pvg_map) or 2 MiB (pvg_map_large) from gva to gpa, replacing what was there. prot:
 * X86_PTE_W, _U, _G, _NX and the like; P comes by itself. Addresses are aligned to the page. 0, -R3_EINVAL for bad
 * alignment, a range outside the space's own part or inside a page of another size, -R3_ENOSPC when memory is out.
 */
int pvg_map(struct pvg_space *space, uint64_t gva, uint64_t gpa, size_t count, uint64_t prot);
int pvg_map_large(struct pvg_space *space, uint64_t gva, uint64_t gpa, size_t count, uint64_t prot);
/* Makes `count` 4 KiB pages from gva not present; holes are fine. */
int pvg_unmap(struct pvg_space *space, uint64_t gva, size_t count);
/* Gives `count` mapped 4 KiB pages from gva a new prot; accessed and dirty bits are cleared. Holes stay holes. */
int pvg_protect(struct pvg_space *space, uint64_t gva, size_t count, uint64_t prot);

/*
 * The entry for gva at `level` (1: of 4 KiB pages, to 3), with the tables above it made; NULL, and -R3_ENOSPC in *err
 * when memory is out or -R3_EINVAL when a larger page is there.
 */
uint64_t *pvg_entry_make(struct pvg_space *space, uint64_t gva, unsigned level, int *err);

/* Stores an entry of the space, in force after pvg_entry_sync; whoever replaces a present one also flushes it. */
void pvg_entry_store(struct pvg_space *space, uint64_t *entry, uint64_t value);
void pvg_entry_sync(void);
/* After replacing present entries for [gva, gva + pages) of the current or the loaded user space. */
void pvg_entry_flush(uint64_t gva, size_t pages);

/* The entry that maps gva, and in *level 1, 2 or 3 for a page of 4 KiB, 2 MiB or 1 GiB; NULL if gva is not mapped. */
uint64_t *pvg_lookup(struct pvg_space *space, uint64_t gva, unsigned *level);

/* Stores an entry that pvg_lookup gave, for gva of that space, and drops what the processor remembers of it. */
void pvg_entry_set(struct pvg_space *space, uint64_t gva, uint64_t *entry, uint64_t value);

PVG_END

#endif

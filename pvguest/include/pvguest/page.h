/*
 * Physical pages: all RAM of the memory map that neither the image, the modules nor the first MiB occupy. Not for use
 * in interrupt handlers; exception handlers may.
 */
#ifndef PVGUEST_PAGE_H
#define PVGUEST_PAGE_H

#include <stddef.h>
#include <stdint.h>

#include <pvguest/language.h>

#include "hypercalls/x86.h"

PVG_BEGIN

/* All RAM is mapped from here: the linker script says where; 0 in pvguest.lds. */
extern char pvg_direct_base[];

static inline void *pvg_gpa_to_ptr(uint64_t gpa)
{
	return (void *)(gpa + (uint64_t)pvg_direct_base);
}

/* Of memory in the direct mapping, to which the image belongs. */
static inline uint64_t pvg_ptr_to_gpa(const void *pointer)
{
	return (uint64_t)pointer - (uint64_t)pvg_direct_base;
}

/* One zeroed page, or NULL when memory is out. */
void *pvg_page_alloc(void);
void pvg_page_free(void *page);
/* count zeroed pages in a row, the first aligned to `align` pages (a power of two); NULL if there is no such run. */
void *pvg_pages_alloc(size_t count, size_t align);
void pvg_pages_free(void *pages, size_t count);

/* Pages free now. */
size_t pvg_pages_available(void);

PVG_END

#endif

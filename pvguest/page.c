/*
 * The allocator of physical pages: a bitmap just above the image, one bit a page, 1 = free.
 */
#include "pvguest/internal.h"

#define LOW_END	   0x100000ull /* below: boot information and the holes of a PC */
#define WORD_PAGES 64

static uint64_t *bitmap;
static size_t words;
static size_t lowest; /* no word below has a free page */
static size_t available;
/* Where the latest run ended, or was freed: below, free pages are few and far between. Of short ones and of long. */
static size_t run_hint[2];
static size_t freed, freed_count; /* the pages freed last, as far as they lie side by side */

#define RUN_SHORT 2
#define RUN_LONG  8

#define NO_PAGE SIZE_MAX

static size_t page_number(const void *page)
{
	return pvg_ptr_to_gpa(page) >> X86_PAGE_SHIFT;
}

static bool is_free(size_t page)
{
	return bitmap[page / WORD_PAGES] >> (page % WORD_PAGES) & 1;
}

static void set_free(size_t page, bool free)
{
	uint64_t bit = R3_BIT(page % WORD_PAGES);

	if (is_free(page) == free)
		return;
	bitmap[page / WORD_PAGES] ^= bit;
	available += free ? 1 : -1ul;
	if (free && page / WORD_PAGES < lowest)
		lowest = page / WORD_PAGES;
}

static void set_range(uint64_t start, uint64_t end, bool free)
{
	size_t first = (free ? start + X86_PAGE_MASK : start) >> X86_PAGE_SHIFT;
	size_t last = (free ? end : end + X86_PAGE_MASK) >> X86_PAGE_SHIFT;

	for (size_t page = first; page < last && page < words * WORD_PAGES; page++)
		set_free(page, free);
}

static uint64_t bitmap_end(void)
{
	return pvg_ptr_to_gpa(bitmap + words);
}

void pvg_page_init(const struct hvm_start_info *info)
{
	const struct hvm_memmap_entry *map = pvg_gpa_to_ptr(info->memmap_paddr);
	const struct hvm_modlist_entry *modules = pvg_gpa_to_ptr(info->modlist_paddr);
	uint64_t end = 0;

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].type == HVM_MEMMAP_RAM && map[i].addr + map[i].size > end)
			end = map[i].addr + map[i].size;
	words = (end / X86_PAGE_SIZE + WORD_PAGES - 1) / WORD_PAGES;
	bitmap = (uint64_t *)pvg_image_end;
	for (uint32_t i = 0; i < info->nr_modules; i++)
		pvg_assert(modules[i].paddr >= bitmap_end());
	if (bitmap_end() > end)
		pvg_panic("%lu bytes of RAM hold no more than the image", end);
	memset(bitmap, 0, words * sizeof(*bitmap));

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].type == HVM_MEMMAP_RAM)
			set_range(map[i].addr, map[i].addr + map[i].size, true);
	set_range(0, LOW_END, false);
	set_range(pvg_ptr_to_gpa(pvg_image_start), bitmap_end(), false);
	for (uint32_t i = 0; i < info->nr_modules; i++)
		set_range(modules[i].paddr, modules[i].paddr + modules[i].size, false);
}

void *pvg_page_alloc(void)
{
	while (lowest < words && !bitmap[lowest])
		lowest++;
	if (lowest == words)
		return NULL;
	return pvg_pages_alloc(1, 1);
}

static size_t free_run(size_t page, size_t count)
{
	size_t len = 0;

	while (len < count && page + len < words * WORD_PAGES && is_free(page + len))
		len++;
	return len;
}

/* The first run at or above `page`. */
static size_t find_run(size_t page, size_t count, size_t align)
{
	size_t run;

	if (page < lowest * WORD_PAGES)
		page = lowest * WORD_PAGES;
	for (;; page += run + 1) {
		page = (page + align - 1) & ~(align - 1);
		if (page + count > words * WORD_PAGES)
			return NO_PAGE;
		run = free_run(page, count);
		if (run == count)
			return page;
	}
}

void *pvg_pages_alloc(size_t count, size_t align)
{
	size_t *hint = &run_hint[count >= RUN_LONG];
	size_t page = find_run(count >= RUN_SHORT ? *hint : 0, count, align);
	void *pages;

	pvg_assert(count && align && !(align & (align - 1)));
	if (page == NO_PAGE)
		page = find_run(0, count, align);
	if (page == NO_PAGE)
		return NULL;
	if (count >= RUN_SHORT)
		*hint = page + count;
	for (size_t i = 0; i < count; i++)
		set_free(page + i, false);
	pages = pvg_gpa_to_ptr(page << X86_PAGE_SHIFT);
	return memset(pages, 0, count << X86_PAGE_SHIFT);
}

void pvg_page_free(void *page)
{
	pvg_pages_free(page, 1);
}

/* Memory that was never used the host has to provide first, which takes it longer than anything here. */
static void note_freed(size_t page, size_t count)
{
	if (page + count == freed) {
		freed = page;
		freed_count += count;
	} else if (page == freed + freed_count) {
		freed_count += count;
	} else {
		freed = page;
		freed_count = count;
	}
	if (freed_count >= RUN_SHORT && freed < run_hint[false])
		run_hint[false] = freed;
	if (freed_count >= RUN_LONG && freed < run_hint[true])
		run_hint[true] = freed;
}

void pvg_pages_free(void *pages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pvg_assert(!is_free(page_number(pages) + i));
		set_free(page_number(pages) + i, true);
	}
	note_freed(page_number(pages), count);
}

size_t pvg_pages_available(void)
{
	return available;
}

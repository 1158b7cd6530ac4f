/*
 * Kernel memory: pages with reference counts, and small pieces cut from pages, each page in pieces of one size.
 */
#include "examples/tinix/core.h"

#define PIECE_MIN   32
#define PIECE_SIZES 7 /* 32 to 2048 */
#define LARGE	    0xff

/* One for each page of RAM. */
struct page {
	uint32_t refs;
	uint16_t count; /* LARGE: pages in a row, from this one */
	uint16_t size;	/* index of the size of its pieces, or LARGE */
};

static struct page *pages;
static uint64_t page_total;
static struct piece {
	struct piece *next;
} * free_pieces[PIECE_SIZES];

void memory_init(void)
{
	const struct hvm_start_info *info = pvg_start_info();
	const struct hvm_memmap_entry *map = pvg_gpa_to_ptr(info->memmap_paddr);
	uint64_t end = 0;

	for (uint32_t i = 0; i < info->memmap_entries; i++)
		if (map[i].type == HVM_MEMMAP_RAM)
			end = max_u64(end, map[i].addr + map[i].size);
	page_total = end / PAGE_SIZE;
	pages = pvg_pages_alloc(page_up(page_total * sizeof(*pages)) / PAGE_SIZE, 1);
	if (!pages)
		pvg_panic("no memory for the table of pages");
}

static struct page *page_of(const void *memory)
{
	return &pages[pvg_ptr_to_gpa(memory) / PAGE_SIZE];
}

void *page_new(void)
{
	return pages_new(1);
}

void *pages_new(unsigned count)
{
	char *run = count == 1 ? pvg_page_alloc() : pvg_pages_alloc(count, 1);

	for (unsigned i = 0; run && i < count; i++)
		page_of(run + i * PAGE_SIZE)->refs = 1;
	return run;
}

void *page_get(void *page)
{
	pvg_assert(page_of(page)->refs && page_of(page)->refs < UINT32_MAX);
	page_of(page)->refs++;
	return page;
}

void page_put(void *page)
{
	pvg_assert(page_of(page)->refs);
	if (!--page_of(page)->refs)
		pvg_page_free(page);
}

unsigned page_refs(const void *page)
{
	return page_of(page)->refs;
}

uint64_t memory_total(void)
{
	return page_total * PAGE_SIZE;
}

uint64_t memory_free(void)
{
	return pvg_pages_available() * PAGE_SIZE;
}

bool memory_is_plenty(void)
{
	return memory_free() >= memory_total() / 2;
}

static void *large_alloc(size_t size)
{
	size_t count = page_up(size) / PAGE_SIZE;
	void *memory = pvg_pages_alloc(count, 1);

	if (memory)
		*page_of(memory) = (struct page){.refs = 1, .size = LARGE, .count = (uint16_t)count};
	return memory;
}

static bool pieces_refill(unsigned index)
{
	size_t size = (size_t)PIECE_MIN << index;
	char *page = page_new();

	if (!page)
		return false;
	page_of(page)->size = (uint16_t)index;
	for (size_t at = 0; at < PAGE_SIZE; at += size) {
		struct piece *piece = (struct piece *)(page + at);

		piece->next = free_pieces[index];
		free_pieces[index] = piece;
	}
	return true;
}

void *kalloc(size_t size)
{
	unsigned index = 0;
	struct piece *piece;

	if (size > PAGE_SIZE / 2)
		return large_alloc(size);
	while (((size_t)PIECE_MIN << index) < size)
		index++;
	if (!free_pieces[index] && !pieces_refill(index))
		return NULL;
	piece = free_pieces[index];
	free_pieces[index] = piece->next;
	return memset(piece, 0, (size_t)PIECE_MIN << index);
}

void kfree(void *memory)
{
	struct page *page;
	struct piece *piece = memory;

	if (!memory)
		return;
	page = page_of(memory);
	if (page->size == LARGE) {
		pvg_pages_free(memory, page->count);
		return;
	}
	piece->next = free_pieces[page->size];
	free_pieces[page->size] = piece;
}

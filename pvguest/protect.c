/*
 * The kernel against itself, where it wants that. The guest is entered with all RAM writable and executable; afterwards
 * page 0 and the guard pages under the library's stacks are absent, text cannot be written, and nothing but text can be
 * executed.
 */
#include "pvguest/internal.h"

#define PD	   2
#define PDPT	   3
#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define GIB	   R3_BIT(30)

/* An archive's weak definition gives way to the guest's own; were it constant, the compiler would take it for this. */
__attribute__((weak)) bool pvg_guarded = false;

static bool is_flat(void)
{
	char map[10];

	if (!pvg_option("map", map, sizeof(map)))
		return !pvg_guarded;
	return pvg_strcmp(map, "guarded") != 0;
}

static bool is_in(uint64_t gva, const char *start, const char *end)
{
	return gva >= (uint64_t)start && gva < (uint64_t)end;
}

static bool is_guard(uint64_t gva)
{
	return gva == (uint64_t)pvg_boot_stack_guard || gva == (uint64_t)pvg_double_fault_guard;
}

/* The entry of a 4 KiB page, from one that permits everything. */
static uint64_t restrict_page(uint64_t gva, uint64_t entry)
{
	if (gva == (uint64_t)pvg_direct_base || is_guard(gva))
		return 0;
	if (is_in(gva, pvg_image_start, pvg_rodata_start))
		return entry & ~X86_PTE_W;
	if (is_in(gva, pvg_rodata_start, pvg_data_start))
		return (entry & ~X86_PTE_W) | X86_PTE_NX;
	return entry | X86_PTE_NX;
}

/* 4 KiB pages in place of the large one that maps gva. */
static uint64_t split(uint64_t gva, uint64_t entry)
{
	uint64_t *table = pvg_page_alloc();

	pvg_assert(table);
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++) {
		uint64_t offset = i * X86_PAGE_SIZE;

		table[i] = restrict_page(gva + offset, (entry & ~X86_PTE_PS) + offset);
	}
	return pvg_ptr_to_gpa(table) | X86_PTE_P | X86_PTE_W;
}

/* The present entries of one table at that level, from gva on. The image lies below split_end. */
static void restrict_table(unsigned level, uint64_t gva, uint64_t size, unsigned first, uint64_t split_end)
{
	struct pvg_space *space = pvg_space_boot();

	for (unsigned i = first; i < X86_PT_ENTRIES; i++) {
		uint64_t at = gva + i * size;
		int err = 0;
		uint64_t *entry = pvg_entry_make(space, at, level, &err);

		if (entry && *entry & X86_PTE_P)
			pvg_entry_store(space, entry, at < split_end ? split(at, *entry) : *entry | X86_PTE_NX);
	}
}

void pvg_protect_init(void)
{
	uint64_t base = (uint64_t)pvg_direct_base;

	if (is_flat())
		return;
	restrict_table(PD, base, LARGE_SIZE, 0, (uint64_t)pvg_image_end);
	restrict_table(PDPT, base, GIB, 1, 0);
	pvg_entry_sync();
	pvg_ops->flush_tlb();
}

const char *pvg_protect_name(uint64_t gva, uint64_t error)
{
	uint64_t page = gva & ~X86_PAGE_MASK;

	if (page == (uint64_t)pvg_direct_base)
		return "page 0, by a null pointer";
	if (is_guard(page))
		return "the guard page below a stack, which has overflowed";
	if (error & X86_PF_I && !is_in(gva, pvg_image_start, pvg_rodata_start))
		return "data, which may not be executed";
	if (error & X86_PF_W && is_in(gva, pvg_image_start, pvg_rodata_start))
		return "text, which may not be written";
	if (error & X86_PF_W && is_in(gva, pvg_rodata_start, pvg_data_start))
		return "read-only data";
	return NULL;
}

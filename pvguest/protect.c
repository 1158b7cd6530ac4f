/*
 * The kernel against itself. The guest is entered with all RAM writable and executable; afterwards page 0 and the guard
 * pages under stacks are absent, text cannot be written, and nothing but text can be executed.
 */
#include "pvguest/internal.h"

#define PT	   1
#define PD	   2
#define PDPT	   3
#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define GIB	   R3_BIT(30)

/* An entry that is not present is software's but for bit 0: this one says that its page guards a stack. */
#define GUARD R3_BIT(9)

/* An archive's weak definition gives way to the guest's own; were it constant, the compiler would take it for this. */
__attribute__((weak)) bool pvg_guarded = true;

static bool guarding; /* pvg_protect_init did its work */

static bool is_flat(void)
{
	char map[10];

	if (!pvg_option("map", map, sizeof(map)))
		return !pvg_guarded;
	return !pvg_strcmp(map, "flat");
}

static bool is_in(uint64_t gva, const char *start, const char *end)
{
	return gva >= (uint64_t)start && gva < (uint64_t)end;
}

static bool is_library_guard(uint64_t gva)
{
	return gva == (uint64_t)pvg_boot_stack_guard || gva == (uint64_t)pvg_double_fault_guard;
}

/* The entry of a 4 KiB page, from one that permits everything. */
static uint64_t restrict_page(uint64_t gva, uint64_t entry)
{
	if (gva == (uint64_t)pvg_direct_base)
		return 0;
	if (is_library_guard(gva))
		return GUARD;
	if (is_in(gva, pvg_image_start, pvg_rodata_start))
		return entry & ~X86_PTE_W;
	if (is_in(gva, pvg_rodata_start, pvg_data_start))
		return (entry & ~X86_PTE_W) | X86_PTE_NX;
	return entry | X86_PTE_NX;
}

/* 4 KiB pages in place of the large one from gva on; 0: no memory for their table. */
static uint64_t split(uint64_t gva, uint64_t entry)
{
	uint64_t *table = pvg_page_alloc();

	if (!table)
		return 0;
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++) {
		uint64_t offset = i * X86_PAGE_SIZE;

		table[i] = restrict_page(gva + offset, (entry & ~X86_PTE_PS) + offset);
	}
	/* Accessed already, as what it replaces: old translations set no bit until they are flushed. */
	return pvg_ptr_to_gpa(table) | X86_PTE_P | X86_PTE_W | X86_PTE_A;
}

/* The present entries of one table at that level, from gva on. The image lies below split_end. */
static void restrict_table(unsigned level, uint64_t gva, uint64_t size, unsigned first, uint64_t split_end)
{
	struct pvg_space *space = pvg_space_boot();

	for (unsigned i = first; i < X86_PT_ENTRIES; i++) {
		uint64_t at = gva + i * size;
		uint64_t *entry = pvg_entry_find(space, at, level), value;

		if (!entry || !(*entry & X86_PTE_P))
			continue;
		value = at < split_end ? split(at, *entry) : *entry | X86_PTE_NX;
		pvg_assert(value);
		pvg_entry_store(space, entry, value);
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
	pvg_entry_flush(base, X86_PT_ENTRIES);
	guarding = true;
}

/* The entry of the 4 KiB page at gva in the direct mapping, made out of a larger one if need be; NULL: no memory. */
static uint64_t *small_entry(uint64_t gva)
{
	uint64_t start = gva & ~(LARGE_SIZE - 1), value;
	uint64_t *large = pvg_entry_find(pvg_space_boot(), gva, PD);

	if (large && *large & X86_PTE_PS) {
		value = split(start, *large);
		if (!value)
			return NULL;
		pvg_entry_store(pvg_space_boot(), large, value);
		pvg_entry_sync();
		pvg_entry_flush(start, X86_PT_ENTRIES);
	}
	return pvg_entry_find(pvg_space_boot(), gva, PT);
}

static void change(uint64_t *entry, uint64_t gva, uint64_t value)
{
	pvg_entry_store(pvg_space_boot(), entry, value);
	pvg_entry_sync();
	pvg_entry_flush(gva, 1);
}

int pvg_guard_set(void *page)
{
	uint64_t gva = (uint64_t)page;
	uint64_t *entry;

	/* Beyond 4 GiB there may be pages of 1 GiB: those stay whole. */
	if (!guarding || !pvg_entry_find(pvg_space_boot(), gva, PD))
		return 0;
	entry = small_entry(gva);
	if (!entry)
		return -R3_ENOSPC;
	change(entry, gva, GUARD);
	return 0;
}

void pvg_guard_clear(void *page)
{
	uint64_t gva = (uint64_t)page;
	uint64_t *entry = pvg_entry_find(pvg_space_boot(), gva, PT);

	if (entry && *entry == GUARD)
		change(entry, gva, restrict_page(gva, pvg_ptr_to_gpa(page) | X86_PTE_P | X86_PTE_W));
}

static bool is_guard(uint64_t gva)
{
	const uint64_t *entry = pvg_entry_find(pvg_space_boot(), gva, PT);

	return entry && *entry == GUARD;
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

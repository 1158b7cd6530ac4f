/*
 * Page-table construction (SDM 3A 4.5): 4 levels, leaves of 4 KiB and 2 MiB. All entries are written through
 * pvg_ops->pte_write, a run of leaves as one batch.
 */
#include "pvguest/internal.h"

#define LEVEL_BITS 9
#define PT	   1
#define PD	   2
#define PML4	   4
/* Tables permit everything; the leaf decides. Nobody asks which were walked, and to set it is a store of the walk's. */
#define TABLE_PROT (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A)

/* Flushing everything is cheaper than flushing more pages than these one by one. */
#define FLUSH_ALL_PAGES 32

static struct pvg_space boot_space = {.used = true};
static struct pvg_space *current = &boot_space;

void pvg_map_init(void)
{
	boot_space.root = pvg_read_cr3() & X86_PTE_ADDR;
}

struct pvg_space *pvg_space_boot(void)
{
	return &boot_space;
}

struct pvg_space *pvg_space_current(void)
{
	return current;
}

void pvg_space_switch(struct pvg_space *space)
{
	current = space;
	space->used = true;
	pvg_ops->load_cr3(space->root);
}

static uint64_t *table_of(uint64_t entry)
{
	return pvg_gpa_to_ptr(entry & X86_PTE_ADDR);
}

static unsigned shift_of(unsigned level)
{
	return X86_PAGE_SHIFT + (level - 1) * LEVEL_BITS;
}

static unsigned index_of(uint64_t gva, unsigned level)
{
	return gva >> shift_of(level) & (X86_PT_ENTRIES - 1);
}

static bool is_leaf(uint64_t entry, unsigned level)
{
	return level == PT || (level < PML4 && entry & X86_PTE_PS);
}

static unsigned kernel_slot(void)
{
	return index_of((uint64_t)pvg_direct_base, PML4);
}

int pvg_space_create(struct pvg_space *space)
{
	uint64_t *pml4 = pvg_page_alloc();

	if (!pml4)
		return -R3_ENOSPC;
	pml4[kernel_slot()] = ((uint64_t *)pvg_gpa_to_ptr(boot_space.root))[kernel_slot()];
	*space = (struct pvg_space){.root = pvg_ptr_to_gpa(pml4)};
	return 0;
}

static void free_tables(uint64_t *table, unsigned level, void (*release)(uint64_t *table))
{
	if (level == PT && release) {
		release(table);
		return;
	}
	for (unsigned i = 0; level > PT && i < X86_PT_ENTRIES; i++)
		if (table[i] & X86_PTE_P && !is_leaf(table[i], level) && !(level == PML4 && i == kernel_slot()))
			free_tables(table_of(table[i]), level - 1, release);
	pvg_page_free(table);
}

void pvg_space_destroy(struct pvg_space *space)
{
	pvg_space_release(space, NULL);
}

void pvg_space_release(struct pvg_space *space, void (*release)(uint64_t *table))
{
	pvg_assert(space != current && space != &boot_space);
	if (space->used)
		pvg_ops->drop_root(space->root);
	free_tables(pvg_gpa_to_ptr(space->root), PML4, release);
	space->root = 0;
}

uint64_t *pvg_lookup(struct pvg_space *space, uint64_t gva, unsigned *level)
{
	uint64_t *table = pvg_gpa_to_ptr(space->root);

	for (*level = PML4;; (*level)--) {
		uint64_t *entry = &table[index_of(gva, *level)];

		if (!(*entry & X86_PTE_P))
			return NULL;
		if (is_leaf(*entry, *level))
			return entry;
		table = table_of(*entry);
	}
}

void pvg_entry_store(struct pvg_space *space, uint64_t *entry, uint64_t value)
{
	if (space->used)
		pvg_ops->pte_write(entry, value);
	else
		*(volatile uint64_t *)entry = value;
}

void pvg_entry_sync(void)
{
	pvg_ops->pte_sync();
}

void pvg_entry_flush(uint64_t gva, size_t pages)
{
	if (pvg_is_paravirt()) /* the update itself did it */
		return;
	if (pages > FLUSH_ALL_PAGES) {
		pvg_ops->flush_tlb();
		return;
	}
	for (size_t i = 0; i < pages; i++)
		pvg_ops->pte_replaced(gva + i * X86_PAGE_SIZE);
}

void pvg_entry_set(struct pvg_space *space, uint64_t gva, uint64_t *entry, uint64_t value)
{
	bool replaced = *entry & X86_PTE_P;

	pvg_ops->pte_write(entry, value);
	pvg_ops->pte_sync();
	if (replaced && space == current)
		pvg_ops->pte_replaced(gva);
}

uint64_t *pvg_entry_make(struct pvg_space *space, uint64_t gva, unsigned level, int *err)
{
	uint64_t *table = pvg_gpa_to_ptr(space->root);

	for (unsigned at = PML4; at > level; at--) {
		uint64_t *entry = &table[index_of(gva, at)];

		if (!(*entry & X86_PTE_P)) {
			void *page = pvg_page_alloc();

			*err = -R3_ENOSPC;
			if (!page)
				return NULL;
			pvg_entry_store(space, entry, pvg_ptr_to_gpa(page) | TABLE_PROT);
			if (space->used)
				pvg_ops->pte_sync();
		} else if (is_leaf(*entry, at)) {
			*err = -R3_EINVAL;
			return NULL;
		}
		table = table_of(*entry);
	}
	return &table[index_of(gva, level)];
}

uint64_t *pvg_entry_find(struct pvg_space *space, uint64_t gva, unsigned level)
{
	uint64_t *table = pvg_gpa_to_ptr(space->root);

	for (unsigned at = PML4; at > level; at--) {
		uint64_t entry = table[index_of(gva, at)];

		if (!(entry & X86_PTE_P) || is_leaf(entry, at))
			return NULL;
		table = table_of(entry);
	}
	return &table[index_of(gva, level)];
}

/* All of it is the space's own but for the kernel's slot. */
static bool is_own_upper(uint64_t gva, uint64_t len)
{
	unsigned first = index_of(gva, PML4), last = index_of(gva + len - 1, PML4);

	return gva >= PVG_SPACE_UPPER && (first > kernel_slot() || last < kernel_slot());
}

/* True if [gva, gva + count pages) lies in the space's own part. */
static bool is_own(uint64_t gva, size_t count, uint64_t page_size)
{
	uint64_t start = kernel_slot() ? 0 : PVG_SPACE_BASE;
	uint64_t end = kernel_slot() ? PVG_SPACE_HIGH_END : PVG_SPACE_END;

	if (gva & (page_size - 1))
		return false;
	if (gva >> 63)
		return count && count <= (0 - gva) / page_size && is_own_upper(gva, count * page_size);
	return gva >= start && gva < end && count <= (end - gva) / page_size;
}

static int map_pages(struct pvg_space *space, uint64_t gva, uint64_t gpa, size_t count, uint64_t prot, unsigned level)
{
	uint64_t size = R3_BIT(shift_of(level));
	uint64_t leaf = X86_PTE_P | (level == PT ? 0 : X86_PTE_PS);
	int err = 0;

	if (!is_own(gva, count, size) || gpa & (size - 1))
		return -R3_EINVAL;
	for (; count; count--, gva += size, gpa += size) {
		uint64_t *entry = pvg_entry_make(space, gva, level, &err);

		if (entry && *entry & X86_PTE_P && !is_leaf(*entry, level)) {
			err = -R3_EINVAL;
			entry = NULL;
		}
		if (!entry)
			break;
		if (*entry & X86_PTE_P)
			pvg_entry_set(space, gva, entry, gpa | prot | leaf);
		else
			pvg_ops->pte_write(entry, gpa | prot | leaf);
	}
	pvg_ops->pte_sync();
	return count ? err : 0;
}

int pvg_map(struct pvg_space *space, uint64_t gva, uint64_t gpa, size_t count, uint64_t prot)
{
	return map_pages(space, gva, gpa, count, prot, PT);
}

int pvg_map_large(struct pvg_space *space, uint64_t gva, uint64_t gpa, size_t count, uint64_t prot)
{
	return map_pages(space, gva, gpa, count, prot, PD);
}

/* Gives every mapped 4 KiB page a new entry: its frame and prot, or nothing if !prot. */
static int change_pages(struct pvg_space *space, uint64_t gva, size_t count, uint64_t prot)
{
	if (!is_own(gva, count, X86_PAGE_SIZE))
		return -R3_EINVAL;
	for (size_t i = 0; i < count; i++) {
		uint64_t at = gva + i * X86_PAGE_SIZE;
		unsigned level;
		uint64_t *entry = pvg_lookup(space, at, &level);

		if (!entry)
			continue;
		if (level != PT) {
			pvg_ops->pte_sync();
			return -R3_EINVAL;
		}
		pvg_ops->pte_write(entry, prot ? (*entry & X86_PTE_ADDR) | prot : 0);
		if (space == current)
			pvg_ops->pte_replaced(at);
	}
	pvg_ops->pte_sync();
	return 0;
}

int pvg_unmap(struct pvg_space *space, uint64_t gva, size_t count)
{
	return change_pages(space, gva, count, 0);
}

int pvg_protect(struct pvg_space *space, uint64_t gva, size_t count, uint64_t prot)
{
	return change_pages(space, gva, count, prot | X86_PTE_P);
}

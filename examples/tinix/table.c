/*
 * Page tables. A table of 4 KiB pages counts references as pages do and may be shared by several processes: fork gives
 * the child the same table where copying it would cost more, and the entry above denies writing. Who is about to change
 * such a table takes a copy first. In a table that is or was shared the W bits of its entries mean nothing, until the
 * copy is made.
 */
#include "examples/tinix/core.h"

#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define LARGE_MASK (LARGE_SIZE - 1)
#define LEVEL_PT   1
#define LEVEL_PD   2
#define TABLE_BITS (X86_PTE_P | X86_PTE_U | X86_PTE_A)
/* With more writable pages than these a table is shared by fork. Taking away W costs the parent a fault for each. */
#define COPY_PAGES_MAX 64
/* Up to these are copied at once, if there is room: a fault, which parent and child may have, costs more than thirty.
 */
#define COPY_NOW_MAX 48

static uint64_t *table_of(uint64_t entry)
{
	return pvg_gpa_to_ptr(entry & X86_PTE_ADDR);
}

static unsigned index_of(uint64_t address)
{
	return address >> X86_PAGE_SHIFT & (X86_PT_ENTRIES - 1);
}

uint64_t table_bits(unsigned prot)
{
	uint64_t bits = X86_PTE_P | X86_PTE_A | X86_PTE_D;

	if (prot & (PROT_READ | PROT_WRITE | PROT_EXEC))
		bits |= X86_PTE_U;
	if (prot & PROT_WRITE)
		bits |= X86_PTE_W;
	if (!(prot & PROT_EXEC))
		bits |= X86_PTE_NX;
	return bits;
}

/* The entry above the lowest table of address; NULL if the tables above do not reach so far. */
static uint64_t *find_above(struct mm *mm, uint64_t address)
{
	uint64_t *table = pvg_gpa_to_ptr(mm->space.root);

	for (unsigned level = X86_PT_LEVELS;; level--) {
		uint64_t *entry = &table[address >> (X86_PAGE_SHIFT + 9 * (level - 1)) & (X86_PT_ENTRIES - 1)];

		if (level == LEVEL_PD || !(*entry & X86_PTE_P))
			return *entry & X86_PTE_P ? entry : NULL;
		table = table_of(*entry);
	}
}

/* Puts the mm's own copy of the table in place of one that is or was shared. */
static bool unshare(struct mm *mm, uint64_t *above)
{
	uint64_t *old = table_of(*above), *new = page_new();
	bool shared = page_refs(old) > 1;

	if (!new)
		return false;
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++) {
		uint64_t entry = old[i];

		if (!(entry & X86_PTE_P))
			continue;
		if (shared)
			page_get(table_of(entry));
		if (page_refs(table_of(entry)) > 1 && !(entry & PTE_KEEP))
			entry &= ~X86_PTE_W;
		new[i] = entry;
	}
	pvg_entry_store(&mm->space, above, pvg_ptr_to_gpa(new) | TABLE_BITS | X86_PTE_W);
	pvg_entry_sync();
	pvg_entry_flush(0, X86_PT_ENTRIES);
	page_put(old);
	return true;
}

static void put_pages(uint64_t *table)
{
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
		if (table[i] & X86_PTE_P)
			page_put(table_of(table[i]));
}

static void put_table(uint64_t *table)
{
	if (page_refs(table) == 1)
		put_pages(table);
	page_put(table);
}

uint64_t *table_lookup(struct mm *mm, uint64_t address)
{
	uint64_t *above = find_above(mm, address);

	return above ? &table_of(*above)[index_of(address)] : NULL;
}

uint64_t *table_entry(struct mm *mm, uint64_t address)
{
	int err;
	uint64_t *above = pvg_entry_make(&mm->space, address, LEVEL_PD, &err);

	if (!above)
		return NULL;
	if (!(*above & X86_PTE_P)) {
		void *table = page_new();

		if (!table)
			return NULL;
		pvg_entry_store(&mm->space, above, pvg_ptr_to_gpa(table) | TABLE_BITS | X86_PTE_W);
		pvg_entry_sync();
	} else if (!(*above & X86_PTE_W) && !unshare(mm, above)) {
		return NULL;
	}
	return &table_of(*above)[index_of(address)];
}

/* Calls change for each lowest table that there is in [start, end), with the part of the range that it maps. */
static int each_table(struct mm *mm, uint64_t start, uint64_t end, unsigned prot,
		      int (*change)(struct mm *mm, uint64_t *above, uint64_t start, uint64_t end, unsigned prot))
{
	int err = 0;

	for (uint64_t next; start < end && !err; start = next) {
		uint64_t *above = find_above(mm, start);

		next = min_u64((start | LARGE_MASK) + 1, end);
		if (above)
			err = change(mm, above, start, next, prot);
	}
	return err;
}

/* The pages go when no processor can reach them any more. */
static int clear_table(struct mm *mm, uint64_t *above, uint64_t start, uint64_t end, unsigned prot)
{
	static void *pages[X86_PT_ENTRIES];
	unsigned count = 0;
	uint64_t *table = table_of(*above);

	if (end - start == LARGE_SIZE) {
		for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
			mm->resident -= table[i] & X86_PTE_P;
		pvg_entry_store(&mm->space, above, 0);
		pvg_entry_sync();
		pvg_entry_flush(start, X86_PT_ENTRIES);
		put_table(table);
		return 0;
	}
	if (!(*above & X86_PTE_W) && !unshare(mm, above))
		return -ENOMEM;
	table = table_of(*above);
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		uint64_t *entry = &table[index_of(at)];

		if (!(*entry & X86_PTE_P))
			continue;
		pages[count++] = table_of(*entry);
		pvg_entry_store(&mm->space, entry, 0);
	}
	pvg_entry_sync();
	pvg_entry_flush(start, (end - start) / PAGE_SIZE);
	mm->resident -= count;
	while (count)
		page_put(pages[--count]);
	return 0;
}

int table_clear(struct mm *mm, uint64_t start, uint64_t end)
{
	return each_table(mm, start, end, 0, clear_table);
}

static int protect_table(struct mm *mm, uint64_t *above, uint64_t start, uint64_t end, unsigned prot)
{
	uint64_t *table, bits = table_bits(prot & ~(unsigned)PROT_WRITE);

	if (!(*above & X86_PTE_W) && !unshare(mm, above))
		return -ENOMEM;
	table = table_of(*above);
	for (uint64_t at = start; at < end; at += PAGE_SIZE) {
		uint64_t *entry = &table[index_of(at)];
		uint64_t keeps = X86_PTE_ADDR | PTE_KEEP | (prot & PROT_WRITE ? X86_PTE_W : 0);

		if (*entry & X86_PTE_P && ((*entry & keeps) | bits) != *entry)
			pvg_entry_store(&mm->space, entry, (*entry & keeps) | bits);
	}
	pvg_entry_sync();
	pvg_entry_flush(start, (end - start) / PAGE_SIZE);
	return 0;
}

int table_protect(struct mm *mm, uint64_t start, uint64_t end, unsigned prot)
{
	return each_table(mm, start, end, prot, protect_table);
}

static bool is_private(uint64_t entry)
{
	return (entry & (X86_PTE_W | PTE_KEEP)) == X86_PTE_W;
}

static unsigned count_writable(const uint64_t *table)
{
	unsigned count = 0;

	for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
		count += table[i] & X86_PTE_P && is_private(table[i]);
	return count;
}

/* Of pages that they could both write each has one: copied now if there are few, else by the first who writes. */
static uint64_t *copy_table(struct mm *parent, uint64_t *table, unsigned writable)
{
	uint64_t *copy = page_new();
	char *pages = writable && writable <= COPY_NOW_MAX && memory_is_plenty() ? pages_new(writable) : NULL;

	if (!copy && pages)
		pvg_pages_free(pages, writable);
	for (unsigned i = 0; copy && i < X86_PT_ENTRIES; i++) {
		uint64_t entry = table[i];

		if (!(entry & X86_PTE_P))
			continue;
		if (pages && is_private(entry)) {
			memcpy(pages, table_of(entry), PAGE_SIZE);
			copy[i] = pvg_ptr_to_gpa(pages) | (entry & ~X86_PTE_ADDR);
			pages += PAGE_SIZE;
			continue;
		}
		page_get(table_of(entry));
		copy[i] = is_private(entry) ? entry & ~X86_PTE_W : entry;
		if (copy[i] != entry)
			pvg_entry_store(&parent->space, &table[i], copy[i]);
	}
	return copy;
}

static int fork_table(struct mm *child, struct mm *parent, uint64_t *above, uint64_t address)
{
	uint64_t *table = table_of(*above), *copy, bits = TABLE_BITS;
	unsigned writable = count_writable(table);
	int err;
	uint64_t *entry = pvg_entry_make(&child->space, address, LEVEL_PD, &err);

	if (!entry)
		return -ENOMEM;
	if (!(*above & X86_PTE_W)) {
		copy = page_get(table);
	} else if (writable > COPY_PAGES_MAX) {
		copy = page_get(table);
		pvg_entry_store(&parent->space, above, *above & ~X86_PTE_W);
	} else {
		copy = copy_table(parent, table, writable);
		bits |= X86_PTE_W;
	}
	if (!copy)
		return -ENOMEM;
	pvg_entry_store(&child->space, entry, pvg_ptr_to_gpa(copy) | bits);
	return 0;
}

/* Every lowest table below `table`, which maps [address, ...) at `level`. */
static int fork_tables(struct mm *child, struct mm *parent, uint64_t *table, unsigned level, uint64_t address)
{
	uint64_t span = R3_BIT(X86_PAGE_SHIFT + 9 * (level - 1));
	int err = 0;

	for (unsigned i = 0; i < X86_PT_ENTRIES && address < USER_END && !err; i++, address += span) {
		if (!(table[i] & X86_PTE_P))
			continue;
		err = level == LEVEL_PD ? fork_table(child, parent, &table[i], address)
					: fork_tables(child, parent, table_of(table[i]), level - 1, address);
	}
	return err;
}

int table_fork(struct mm *child, struct mm *parent)
{
	int err = fork_tables(child, parent, pvg_gpa_to_ptr(parent->space.root), X86_PT_LEVELS, 0);

	pvg_entry_sync();
	pvg_entry_flush(0, X86_PT_ENTRIES);
	return err;
}

void table_destroy(struct mm *mm)
{
	pvg_space_release(&mm->space, put_table);
}

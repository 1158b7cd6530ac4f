/*
 * What the guest does to have translations forgotten: SDM 3A 4.10.4. Dropping more than asked is always allowed.
 */
#include "shadowpt/internal.h"

/* Tables that are written so often while other roots are loaded are none any more: who had them is gone. */
#define ASTRAY_MAX 8

/*
 * No table needs comparing: the next fill of gva confirms every entry it uses, and other pages may stay as they are
 * until they are invalidated themselves.
 */
int spt_invlpg(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva)
{
	spt->remaps++;
	spt->page[spt->pages++ % SPT_PAGES_KEPT] = gva;
	for (enum spt_mode mode = SPT_KERNEL; mode < SPT_MODES; mode++) {
		struct spt_space *space = spt_space_find(spt, cpu, mode);

		if (space)
			spt_space_drop_page(space, gva);
	}
	return spt_settle(spt, NULL);
}

/*
 * A bare kernel does not say that an address space is gone. Frames that were its tables and are written as something
 * else would be compared for good; if they are tables after all, the space is filled anew.
 */
static void sync_user(struct spt_space *space, const struct spt_cpu *cpu)
{
	space->astray += spt_space_sync(space);
	if (space->root == (cpu->cr3 & X86_PTE_ADDR))
		space->astray = 0;
	if (space->astray < ASTRAY_MAX)
		return;
	space->astray = 0;
	spt_space_drop_all(space);
	list_remove(&space->written);
}

/*
 * Of kernel mode what is in force now is brought up to date; of user mode all: its code may run on in a space that it
 * says it has left, and the processor would have forgotten that.
 */
int spt_cr3_load(struct spt *spt, const struct spt_cpu *cpu)
{
	spt->epoch++;
	spt->remaps++;
	for (enum spt_mode mode = SPT_KERNEL; mode <= SPT_USER; mode++) {
		struct spt_space *space = spt_space_find(spt, cpu, mode);

		if (space) {
			spt_space_follow(space, cpu);
			spt_space_sync(space);
		}
	}
	for (struct list *at = spt->written_users.next, *next; at != &spt->written_users; at = next) {
		next = at->next;
		sync_user(LIST_ITEM(at, struct spt_space, written), cpu);
	}
	spt_upper_load(spt, cpu);
	return spt_settle(spt, NULL);
}

int spt_flush_all(struct spt *spt)
{
	spt->remaps++;
	for (size_t i = 0; i < spt->bucket_count; i++)
		for (struct spt_space *space = spt->buckets[i]; space; space = space->hash_next)
			spt_space_drop_all(space);
	return spt_settle(spt, NULL);
}

int spt_set_view(struct spt *spt, enum spt_mode mode, const struct spt_view *view)
{
	int error = spt_flush_all(spt);

	if (view)
		spt->view[mode] = *view;
	else if (mode == SPT_UPPER)
		spt->view[mode].count = 0;
	else
		spt->view[mode] = spt->config.view;
	if (mode == SPT_UPPER)
		spt->upper_first = view ? level_index(view->range[0].start, LEVEL_TOP) : X86_PT_ENTRIES;
	return error;
}

int spt_entry_write(struct spt *spt, uint64_t entry_gpa, uint64_t value)
{
	uint64_t frame_gpa = entry_gpa & ~X86_PAGE_MASK;
	unsigned i = (entry_gpa & X86_PAGE_MASK) / sizeof(uint64_t);
	uint64_t *entries = spt->ops.frame(spt->ctx, frame_gpa);
	struct table *table = spt_frame(spt, frame_gpa)->table;

	__atomic_store_n(&entries[i], value, __ATOMIC_SEQ_CST);
	spt->remaps++;
	spt_frame_changed(spt, frame_gpa);
	if (table && table->narrow) {
		spt_table_set(table, 2 * i, (uint32_t)value);
		table = spt_frame(spt, frame_gpa)->table;
		if (table)
			spt_table_set(table, 2 * i + 1, value >> 32);
	} else if (table) {
		spt_table_set(table, i, value);
	}
	if (spt->upper && spt->upper->root == frame_gpa)
		spt_upper_confirm(spt->upper, i, value);
	return spt_settle(spt, NULL);
}

/*
 * Frames that hold guest page tables: tracked while some space shadows them, protected against unseen writes or
 * compared with a snapshot after them.
 */
#include <stdlib.h>
#include <string.h>

#include "shadowpt/internal.h"

/*
 * A written table is protected again after this many comparisons without a change, and in that frame after twice as
 * many the next time, up to a limit: what was protected in vain is the table of one process after the other. A
 * comparison costs a tenth of a microsecond, the write fault that protection provokes a hundred times that.
 */
#define CLEAN_COMPARISONS 8u
#define CLEAN_DOUBLINGS	  2

/* The bits of an entry that decide what is derived from it. Global, cache and software bits do not. */
#define ENTRY_BITS (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D | X86_PTE_PS | X86_PTE_ADDR | X86_PTE_NX)

/* Setting A or D takes nothing away: a page with D clear is mapped read-only and one with A clear not at all. */
bool spt_entry_revoked(uint64_t old, uint64_t value)
{
	uint64_t gained = ~old & value & (X86_PTE_A | X86_PTE_D);

	return (old & X86_PTE_P) && ((old ^ value) & ENTRY_BITS & ~gained);
}

static unsigned entries_of(const struct table *table)
{
	return table->narrow ? TABLE_ENTRIES_MAX : X86_PT_ENTRIES;
}

uint64_t spt_table_live(const struct table *table, unsigned entry)
{
	if (!table->narrow)
		return entry_load((const uint64_t *)table->live + entry);
	return __atomic_load_n((const uint32_t *)table->live + entry, __ATOMIC_RELAXED);
}

uint64_t spt_table_snapshot(const struct table *table, unsigned entry)
{
	return table->narrow ? table->narrow_snapshot[entry] : table->snapshot[entry];
}

void spt_table_note(struct table *table, unsigned entry, uint64_t value)
{
	if (table->narrow)
		table->narrow_snapshot[entry] = (uint32_t)value;
	else
		table->snapshot[entry] = value;
}

unsigned spt_slot_entry(const struct node *node, unsigned i)
{
	unsigned shift = level_shift(node->level);

	if (!node->table->narrow)
		return i;
	return ((node->gva >> shift) + i) / (node->level == LEVEL_BIG ? 2 : 1) % TABLE_ENTRIES_MAX;
}

struct table *spt_table_get(struct spt *spt, uint64_t gpa, bool narrow)
{
	struct frame *frame = spt_frame(spt, gpa);
	struct table *table = frame->table;

	/* With other entries it was another table. */
	while (table && table->narrow != narrow) {
		spt_node_cut(LIST_ITEM(table->uses.next, struct node, use));
		table = frame->table;
	}
	if (table)
		return table;
	table = malloc(sizeof(*table));
	if (!table)
		return NULL;
	spt->stats.memory += sizeof(*table);
	/* Whoever can write it is about to, or it is gone, before it has been compared often: protected it is after
	 * that. */
	*table = (struct table){.gpa = gpa,
				.live = spt->ops.frame(spt->ctx, gpa),
				.narrow = narrow,
				.unsync = spt_frame_is_writable(spt, gpa)};
	list_init(&table->uses);
	frame->table = table;
	if (!table->unsync)
		spt_frame_lock(spt, gpa);
	for (unsigned i = 0; i < entries_of(table); i++)
		spt_table_note(table, i, spt_table_live(table, i));
	return table;
}

static void drop_oldest_use(struct table *table, const struct spt_space *space, uint64_t gva)
{
	for (struct list *at = table->uses.next; at != &table->uses; at = at->next) {
		struct node *node = LIST_ITEM(at, struct node, use);

		if (node->space == space && gva - node->gva < level_size(node->level + 1))
			continue;
		spt_node_cut(node);
		return;
	}
}

static void add_unsync(struct node *node)
{
	struct spt_space *space = node->space;

	list_add(&space->unsync, &node->unsync);
	if (space->mode == SPT_USER && list_empty(&space->written))
		list_add(&space->spt->written_users, &space->written);
}

void spt_table_add_use(struct table *table, struct node *node, uint64_t gva)
{
	if (table->use_count >= TABLE_USES_MAX)
		drop_oldest_use(table, node->space, gva);
	node->table = table;
	list_add(&table->uses, &node->use);
	table->use_count++;
	if (table->unsync)
		add_unsync(node);
}

void spt_table_remove_use(struct table *table, struct node *node)
{
	struct spt *spt = node->space->spt;

	list_remove(&node->use);
	list_remove(&node->unsync);
	if (--table->use_count)
		return;
	if (!table->unsync)
		spt_frame_unlock(spt, table->gpa);
	spt_frame(spt, table->gpa)->table = NULL;
	spt->stats.memory -= sizeof(*table);
	free(table);
}

/*
 * Drops the stale slots of every use, whose entries lie in [from, to). In a table that points to itself one use lies
 * under another and goes with it, so uses are taken off the list one at a time; the one in hand never goes, nor does
 * the table.
 */
static void table_drop(struct table *table, unsigned from, unsigned to, const bool stale[TABLE_ENTRIES_MAX])
{
	/* Of a narrow table a node has a part, or two slots an entry. */
	unsigned first = table->narrow ? 0 : from, end = table->narrow ? X86_PT_ENTRIES : to;
	struct list done;

	list_init(&done);
	while (!list_empty(&table->uses)) {
		struct node *node = LIST_ITEM(table->uses.next, struct node, use);

		list_remove(&node->use);
		list_add(&done, &node->use);
		for (unsigned i = first, count; i < end; i += count + 1) {
			for (count = 0; i + count < end && stale[spt_slot_entry(node, i + count)]; count++)
				;
			if (count)
				spt_node_drop(node, i, count);
		}
	}
	list_move_all(&table->uses, &done);
}

void spt_table_set(struct table *table, unsigned i, uint64_t value)
{
	uint64_t old = spt_table_snapshot(table, i);
	bool stale[TABLE_ENTRIES_MAX] = {false};

	spt_table_note(table, i, value);
	if (!spt_entry_revoked(old, value))
		return;
	stale[i] = true;
	table_drop(table, i, i + 1, stale);
}

bool spt_table_confirm(struct spt *spt, struct table *table, unsigned i, uint64_t entry)
{
	uint64_t old = spt_table_snapshot(table, i), live;

	if (old == entry)
		return true;
	live = spt_table_live(table, i);
	spt_table_set(table, i, live);
	return live == entry && !spt_entry_revoked(old, live);
}

void spt_table_written(struct spt *spt, struct table *table)
{
	table->unsync = true;
	table->clean = 0;
	spt_frame_unlock(spt, table->gpa);
	for (struct list *at = table->uses.next; at != &table->uses; at = at->next) {
		struct node *node = LIST_ITEM(at, struct node, use);

		node->space->astray++;
		add_unsync(node);
	}
	spt->stats.table_writes++;
}

static void table_protect(struct spt *spt, struct table *table)
{
	struct frame *frame = spt_frame(spt, table->gpa);

	table->unsync = false;
	frame->protects += frame->protects < CLEAN_DOUBLINGS;
	for (struct list *at = table->uses.next; at != &table->uses; at = at->next)
		list_remove(&LIST_ITEM(at, struct node, use)->unsync);
	spt_frame_lock(spt, table->gpa);
}

/* Brings the snapshot up to date; true if the guest wrote. memcmp only tells whether to look: it may read twice. */
static bool table_compare(struct spt *spt, struct table *table)
{
	bool stale[TABLE_ENTRIES_MAX] = {false}, revoked = false, written = false;

	spt->stats.resyncs++;
	if (!memcmp(table->snapshot, table->live, sizeof(table->snapshot)))
		return false;
	for (unsigned i = 0; i < entries_of(table); i++) {
		uint64_t old = spt_table_snapshot(table, i), live = spt_table_live(table, i);

		stale[i] = spt_entry_revoked(old, live);
		revoked |= stale[i];
		written |= stale[i] || ((old ^ live) & ~(X86_PTE_A | X86_PTE_D));
		spt_table_note(table, i, live);
	}
	if (revoked)
		table_drop(table, 0, entries_of(table), stale);
	return written;
}

/* Dropping a changed entry may free nodes of this very list, hence one at a time as in table_drop. */
bool spt_space_sync(struct spt_space *space)
{
	struct spt *spt = space->spt;
	bool written = false;
	struct list done;

	list_init(&done);
	while (!list_empty(&space->unsync)) {
		struct node *node = LIST_ITEM(space->unsync.next, struct node, unsync);
		struct table *table = node->table;

		list_remove(&node->unsync);
		list_add(&done, &node->unsync);
		if (table->epoch == spt->epoch)
			continue;
		table->epoch = spt->epoch;
		if (table_compare(spt, table)) {
			table->clean = 0;
			written = true;
		} else if (++table->clean >= CLEAN_COMPARISONS << spt_frame(spt, table->gpa)->protects) {
			table_protect(spt, table);
		}
	}
	list_move_all(&space->unsync, &done);
	if (list_empty(&space->unsync))
		list_remove(&space->written);
	return written;
}

/*
 * Upper spaces: what kernel mode has above its programs, once for all roots that have the same there. Roots are no
 * tables of such a space. It has a copy of each top-level entry that something was derived from; a root may have the
 * space if its own entries grant all of that, which is compared whenever it is loaded, and each entry again before it
 * is used. So a root's upper half need not be watched: until the next load, or INVLPG, a processor may go by old
 * entries.
 */
#include "shadowpt/internal.h"

enum spt_mode spt_kernel_mode(const struct spt *spt, const struct spt_cpu *cpu, uint64_t gva)
{
	bool upper = cpu->paging == SPT_4_LEVEL && level_index(gva, LEVEL_TOP) >= spt->upper_first;

	return upper ? SPT_UPPER : SPT_KERNEL;
}

struct spt_space *spt_upper_find(const struct spt *spt, const struct spt_cpu *cpu)
{
	uint64_t root;

	spt_root(cpu, &root);
	return spt->upper && cpu->paging == SPT_4_LEVEL && spt->upper->root == root ? spt->upper : NULL;
}

void spt_upper_bind(struct spt_space *space, uint64_t root)
{
	struct spt *spt = space->spt;

	space->root = root;
	spt->binds += spt->bound != space;
	spt->bound = space;
	spt->upper = space;
	list_remove(&space->upper);
	list_add(&spt->uppers, &space->upper);
}

/* Outside RAM there is nothing. */
static uint64_t entry_of(const uint64_t *entries, unsigned i)
{
	return entries ? entry_load(&entries[i]) : 0;
}

static bool is_used(const struct spt_space *space, unsigned i)
{
	return space->top && space->top->spte[i].kind != SPTE_NONE;
}

static bool agrees(const struct spt_space *space, const uint64_t *entries, unsigned i)
{
	return !is_used(space, i) || !spt_entry_revoked(space->entry[i], entry_of(entries, i));
}

static bool agrees_all(const struct spt_space *space, const uint64_t *entries)
{
	for (unsigned i = space->spt->upper_first; i < X86_PT_ENTRIES; i++)
		if (!agrees(space, entries, i))
			return false;
	return true;
}

/* The one loaded last that agrees. */
static struct spt_space *choose(struct spt *spt, const uint64_t *entries)
{
	for (struct list *at = spt->uppers.prev; at != &spt->uppers; at = at->prev)
		if (agrees_all(LIST_ITEM(at, struct spt_space, upper), entries))
			return LIST_ITEM(at, struct spt_space, upper);
	return NULL;
}

static void drop_others(struct spt_space *space, const uint64_t *entries)
{
	for (unsigned i = space->spt->upper_first; i < X86_PT_ENTRIES; i++)
		if (!agrees(space, entries, i))
			spt_node_drop(space->top, i, 1);
}

void spt_upper_load(struct spt *spt, const struct spt_cpu *cpu)
{
	struct spt_space *space;
	const uint64_t *entries;
	uint64_t root;

	if (cpu->paging != SPT_4_LEVEL || list_empty(&spt->uppers))
		return;
	spt_root(cpu, &root);
	entries = spt->ops.frame(spt->ctx, root);
	spt->upper = NULL;
	space = choose(spt, entries);
	if (!space && spt->stats.upper_spaces >= UPPERS_MAX) {
		space = LIST_ITEM(spt->uppers.next, struct spt_space, upper);
		drop_others(space, entries);
	}
	if (!space)
		return;
	spt_upper_bind(space, root);
	spt_space_sync(space);
}

/* Of the space's tables none is to be compared; no space has none. */
static bool is_synced(const struct spt_space *space)
{
	return !space || list_empty(&space->unsync);
}

/* As agrees_all, of the space in force, for many roots in a row. */
static bool agrees_used(struct spt *spt, const uint64_t *entries)
{
	uint64_t now = spt_agreements(spt);

	if (spt->used_at != now) {
		spt->used_at = now;
		spt->used_count = 0;
		for (unsigned i = spt->upper_first; i < X86_PT_ENTRIES; i++)
			if (is_used(spt->upper, i))
				spt->used[spt->used_count++] = (uint16_t)i;
	}
	for (unsigned n = 0; n < spt->used_count; n++)
		if (!agrees(spt->upper, entries, spt->used[n]))
			return false;
	return true;
}

bool spt_root_agrees(struct spt *spt, const struct spt_space *user)
{
	const struct spt_cpu cpu = {.cr3 = user->root, .paging = SPT_4_LEVEL};

	return user->paging == SPT_4_LEVEL && user->top && spt->upper && spt_users_are_synced(spt) &&
	       is_synced(spt->upper) && is_synced(spt_space_find(spt, &cpu, SPT_KERNEL)) &&
	       agrees_used(spt, spt->ops.frame(spt->ctx, user->root));
}

/* None of these ever falls. */
uint64_t spt_agreements(const struct spt *spt)
{
	return spt->stats.table_writes + spt->stats.resyncs + spt->stats.fills + spt->stats.drops + spt->remaps -
	       spt->epoch + spt->binds + 1;
}

bool spt_upper_confirm(struct spt_space *space, unsigned i, uint64_t entry)
{
	uint64_t old = space->entry[i];

	space->entry[i] = entry;
	if (!is_used(space, i) || !spt_entry_revoked(old, entry))
		return true;
	spt_node_drop(space->top, i, 1);
	return false;
}

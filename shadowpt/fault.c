/*
 * Filling a space on a fault: the way down to the guest's entry, and the neighbours of that entry that can be mapped
 * along with it.
 */
#include <stdlib.h>

#include "shadowpt/internal.h"

/* Walks made anew because the tables changed meanwhile; then the guest faults again. */
#define FILL_TRIES 16

struct fill {
	struct spt_space *space;
	const struct spt_cpu *cpu;
	uint64_t gva;
	uint32_t access;
	struct walk walk;
};

static bool is_narrow(const struct fill *fill)
{
	return fill->cpu->paging == SPT_32_BIT;
}

/* What stands at the top without a table: above tables of 32-bit addresses, and in upper spaces for the table of any
 * root. NULL when memory is out. */
static struct node *top_node(const struct fill *fill, unsigned level)
{
	struct spt_space *space = fill->space;

	if (!space->top)
		space->top = spt_node_create(space, level, 0);
	return space->top;
}

/* The node for one step of the walk, made and its table tracked if need be; NULL when memory is out. */
static struct node *step_node(const struct fill *fill, unsigned step, struct node *parent)
{
	unsigned level = (fill->cpu->paging == SPT_4_LEVEL ? LEVEL_TOP : LEVEL_BIG) - step;
	struct spte *slot = parent ? &parent->spte[level_index(fill->gva, level + 1)] : NULL;
	struct node *node = slot ? (slot->kind == SPTE_CHILD ? slot->child : NULL) : fill->space->top;
	struct table *table;

	if (fill->space->mode == SPT_UPPER && !step)
		return top_node(fill, LEVEL_TOP);
	if (node) {
		if (!node->table || node->table->gpa != fill->walk.step[step].table)
			abort(); /* the entry above was confirmed */
		return node;
	}
	if (slot && slot->kind == SPTE_LEAF)
		abort();
	node = spt_node_create(fill->space, level, fill->gva);
	if (!node)
		return NULL;
	table = spt_table_get(fill->space->spt, fill->walk.step[step].table, is_narrow(fill));
	if (!table) {
		spt_node_free(node);
		return NULL;
	}
	spt_table_add_use(table, node, fill->gva);
	if (slot) {
		slot->kind = SPTE_CHILD;
		slot->child = node;
	} else {
		fill->space->top = node;
	}
	return node;
}

/*
 * The node of the leaf entry. NULL if the walk is out of date, or the space refused. A table is protected before its
 * entry is confirmed, so no write between the two goes unseen; and after a drop nothing on the way down is trusted.
 */
static bool confirm_step(const struct fill *fill, unsigned step, const struct node *node)
{
	unsigned i = level_index(fill->gva, node->level);
	uint64_t entry = fill->walk.step[step].entry;

	if (!node->table)
		return spt_upper_confirm(fill->space, i, entry);
	return spt_table_confirm(fill->space->spt, node->table, spt_slot_entry(node, i), entry);
}

static struct node *leaf_node(const struct fill *fill)
{
	struct node *node = NULL;

	if (fill->cpu->paging != SPT_4_LEVEL) {
		node = top_node(fill, LEVEL_HUGE);
		if (!node) {
			spt_space_refuse(fill->space, -SPT_ENOMEM);
			return NULL;
		}
	}
	for (unsigned step = 0; step < fill->walk.steps; step++) {
		node = step_node(fill, step, node);
		if (!node)
			spt_space_refuse(fill->space, -SPT_ENOMEM);
		if (fill->space->error)
			return NULL;
		if (!confirm_step(fill, step, node))
			return NULL;
	}
	return node;
}

/* ------------------------------------------------------------------------------------------------- fill-around */

/* What a leaf may be mapped with: written only if dirty already, so that the first write is seen. */
static unsigned leaf_prot(const struct fill *fill, struct rights rights, uint64_t entry)
{
	unsigned prot = spt_rights_prot(rights, fill->cpu, fill->access);

	return entry & X86_PTE_D ? prot : prot & ~SPT_WRITE;
}

/* A 4 KiB page can be less than its entry allows; in a large page spt_node_put sorts that out. */
static unsigned effective_prot(const struct fill *fill, unsigned level, uint64_t page, unsigned prot)
{
	bool locked = level == LEVEL_PAGE && spt_frames_locked(fill->space->spt, level, page);

	return locked ? prot & ~SPT_WRITE : prot;
}

/* What entries around the faulting one map. */
struct around {
	uint64_t page[X86_PT_ENTRIES];
	uint8_t prot[X86_PT_ENTRIES];
};

/* Entry i goes on where its neighbour `next` ends or begins. */
static bool continues(unsigned level, const struct around *around, unsigned i, unsigned next)
{
	return around->prot[i] == around->prot[next] &&
	       around->page[i] - around->page[next] == (i - (uint64_t)next) * level_size(level);
}

/* Not mapped yet; or at a write's fault a page that was mapped read-only, as those are whose frames held tables. */
static bool is_open(const struct fill *fill, const struct node *node, unsigned i)
{
	const struct spte *spte = &node->spte[i];

	if (spte->kind == SPTE_LEAF)
		return node->level == LEVEL_PAGE && (fill->access & X86_PF_W) && !(spte->prot & SPT_WRITE);
	return spte->kind == SPTE_NONE;
}

/*
 * Entry i beside `next`, with less than it could have, may be mapped although nobody accessed it just now: where to and
 * how. Large pages may have to be split: only those that go on in line.
 */
static bool is_neighbour(const struct fill *fill, struct node *node, unsigned i, unsigned next, struct around *around)
{
	struct spt *spt = fill->space->spt;
	unsigned at = spt_slot_entry(node, i);
	uint64_t entry = spt_table_live(node->table, at);
	uint64_t page = spt_entry_page(fill->cpu, node->level, entry);
	struct rights rights;

	/* The other half of a page of 4 MiB. */
	if (is_narrow(fill) && node->level == LEVEL_BIG)
		page += i % 2 * level_size(LEVEL_BIG);
	if (!is_open(fill, node, i) || !spt_in_ram(spt, page) ||
	    !spt_entry_is_leaf(spt, fill->cpu, node->level, entry) || !(entry & X86_PTE_A))
		return false;
	rights = spt_rights_with(fill->walk.above, fill->cpu, entry);
	if (!spt_rights_readable(rights, fill->access) || spt_entry_revoked(spt_table_snapshot(node->table, at), entry))
		return false;
	around->page[i] = page;
	around->prot[i] = (uint8_t)effective_prot(fill, node->level, page, leaf_prot(fill, rights, entry));
	if (node->spte[i].kind == SPTE_LEAF && !(around->prot[i] & SPT_WRITE))
		return false;
	if (node->level > LEVEL_PAGE && !continues(node->level, around, i, next))
		return false;
	spt_table_note(node->table, at, entry);
	return true;
}

/* How many entries around a fault to look at: ever more while faults follow each other, up or down. */
static unsigned next_window(struct spt_space *space, uint64_t base, uint64_t size)
{
	if (base == space->last_hi || base + size == space->last_lo)
		space->window *= space->window < X86_PT_ENTRIES ? 2 : 1;
	else if (space->window > SPT_WINDOW_MIN)
		space->window /= 2;
	return space->window;
}

/*
 * Pages that lie in a row cost the host's one call however many they are: so a row goes on beyond the window, as far as
 * reading goes; what is written the host would make page by page.
 */
static bool in_row(const struct fill *fill, struct node *node, unsigned i, unsigned next, unsigned count,
		   struct around *around)
{
	return node->level == LEVEL_PAGE && (count < SPT_ROW_WRITTEN || !(around->prot[next] & SPT_WRITE)) &&
	       is_neighbour(fill, node, i, next, around) && continues(LEVEL_PAGE, around, i, next);
}

/* Maps the page of the fault, and with it what lies next to it in a window of that many entries, or in a row. */
static void fill_around(const struct fill *fill, struct node *node, unsigned window, struct run *filled)
{
	unsigned level = node->level, i = level_index(fill->gva, level), first = i, last = i;
	uint64_t size = level_size(level), base = fill->gva & ~(size - 1), page = fill->walk.gpa & ~(size - 1);
	unsigned low = i & ~(window - 1), high = low + window - 1;
	unsigned granted = leaf_prot(fill, fill->walk.rights, fill->walk.step[fill->walk.steps - 1].entry);
	struct around around;
	struct run run = {0};

	around.page[i] = page;
	around.prot[i] = (uint8_t)effective_prot(fill, level, page, granted);
	while (first > low && is_neighbour(fill, node, first - 1, first, &around))
		first--;
	while (last < high && is_neighbour(fill, node, last + 1, last, &around))
		last++;
	while (last + 1 < X86_PT_ENTRIES && in_row(fill, node, last + 1, last, last - first + 1, &around))
		last++;
	while (first > 0 && in_row(fill, node, first - 1, first, last - first + 1, &around))
		first--;
	for (unsigned at = first; at <= last; at++)
		spt_node_put(node, at, around.page[at], around.prot[at], fill->gva, &run);
	spt_node_flush(fill->space, &run);
	*filled = (struct run){.gva = base - (i - first) * size, .len = (last + 1 - first) * size};
}

/* Without paging nothing can change, and all there is in 1 GiB is mapped at once. */
static void fill_unpaged(const struct fill *fill, struct node *top)
{
	unsigned i = level_index(fill->gva, LEVEL_HUGE);
	struct run run = {0};

	spt_node_put(top, i, i * level_size(LEVEL_HUGE), SPT_WRITE | SPT_EXEC, fill->gva, &run);
	spt_node_flush(fill->space, &run);
}

static void fill_fault(const struct fill *fill, struct node *node)
{
	struct spt_space *space = fill->space;
	uint64_t size = level_size(node->level);
	struct run filled;

	if (fill->cpu->paging == SPT_NO_PAGING) {
		fill_unpaged(fill, node);
		return;
	}
	fill_around(fill, node, next_window(space, fill->gva & ~(size - 1), size), &filled);
	space->last_lo = filled.gva;
	space->last_hi = filled.gva + filled.len;
}

/* ----------------------------------------------------------------------------------------------------- the fault */

/* Walks and fills; true when that is settled one way or the other, false to walk again. */
static bool try_fill(struct fill *fill, enum spt_result *result)
{
	struct spt *spt = fill->space->spt;
	struct node *node;

	if (!spt_walk_access(spt, fill->cpu, fill->gva, fill->access, &fill->walk)) {
		/* A page fault takes its own address's stale translation with it: SDM 3A 4.10.4.1. */
		spt_space_drop_page(fill->space, fill->gva);
		*result = SPT_GUEST_FAULT;
	} else if (!spt_in_ram(spt, fill->walk.gpa)) {
		*result = SPT_NOT_RAM;
	} else if (!spt_reaches(fill->space, fill->gva)) {
		*result = SPT_UNREACHABLE;
	} else {
		*result = SPT_FILLED;
		node = leaf_node(fill);
		if (!node)
			return fill->space->error;
		if (fill->access & X86_PF_W)
			spt_frame_written(spt, fill->walk.gpa);
		fill_fault(fill, node);
	}
	return true;
}

enum spt_result spt_fault(struct spt_space *space, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
			  struct spt_outcome *out)
{
	struct fill fill = {.space = space, .cpu = cpu, .gva = gva, .access = access & ~X86_PF_U};
	enum spt_result result = SPT_FILLED;

	if (space->mode == SPT_USER)
		fill.access |= X86_PF_U;
	if (cpu->paging != SPT_4_LEVEL)
		fill.gva = (uint32_t)gva;
	spt_make_room(space);
	spt_space_follow(space, cpu);
	for (unsigned tries = 0; tries < FILL_TRIES; tries++)
		if (try_fill(&fill, &result))
			break;
	*out = (struct spt_outcome){.gpa = fill.walk.gpa, .error = fill.walk.error};
	out->host_error = spt_settle(space->spt, space);
	if (out->host_error)
		return SPT_HOST_REFUSED;
	space->spt->stats.fills += result == SPT_FILLED;
	space->spt->stats.guest_faults += result == SPT_GUEST_FAULT;
	return result;
}

/* ------------------------------------------------------------------------------------------------- ahead of it */

bool spt_maps(const struct spt_space *space, uint64_t gva, unsigned prot)
{
	for (const struct node *node = space->top; node;) {
		const struct spte *spte = &node->spte[level_index(gva, node->level)];

		if (spte->kind != SPTE_CHILD)
			return spte->kind == SPTE_LEAF && (spte->prot & prot) == prot;
		node = spte->child;
	}
	return false;
}

int spt_prefill(struct spt_space *space, const struct spt_cpu *cpu, uint64_t gva)
{
	struct spt *spt = space->spt;
	struct fill fill = {.space = space, .cpu = cpu, .gva = gva};
	struct run filled;
	struct node *node;

	fill.access = space->mode == SPT_USER ? X86_PF_U : 0;
	if (cpu->paging == SPT_NO_PAGING || !spt_reaches(space, gva) || spt_maps(space, gva, 0) || spt_is_full(spt) ||
	    !spt_walk_marked(spt, cpu, gva, fill.access, &fill.walk) || !spt_in_ram(spt, fill.walk.gpa))
		return 0;
	spt_space_follow(space, cpu);
	node = leaf_node(&fill);
	if (node)
		fill_around(&fill, node, SPT_WINDOW_MIN, &filled);
	return spt_settle(spt, space);
}

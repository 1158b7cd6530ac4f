/*
 * The tree of a space: nodes and sptes, the writers' lists that lead from a frame back to its sptes, and the runs in
 * which changes reach the host.
 */
#include <stdlib.h>

#include "shadowpt/internal.h"

static struct node *spte_node(struct spte *spte)
{
	return LIST_ITEM(spte - spte->index, struct node, spte);
}

static uint64_t spte_gpa(const struct spte *spte)
{
	return (uint64_t)spte->frame << X86_PAGE_SHIFT;
}

/* Canonical: the upper half of the slots of a space's top is the upper half of addresses. */
static uint64_t slot_gva(const struct node *node, unsigned i)
{
	return gva_canonical(node->gva + i * level_size(node->level));
}

/* What of the page at slot i, mapped to gpa, the host can map: inside RAM and the view. */
static struct run clip(const struct node *node, unsigned i, uint64_t gpa, unsigned prot)
{
	const struct spt_config *config = &node->space->spt->config;
	uint64_t gva = slot_gva(node, i), start = gpa, end = gpa + level_size(node->level);

	if (start >= config->hole_start && start < config->hole_end)
		start = config->hole_end;
	else if (start < config->hole_start && end > config->hole_start)
		end = config->hole_start;
	if (end > config->ram_size)
		end = config->ram_size;
	if (start >= end)
		return (struct run){0};
	struct spt_range range = spt_reachable(node->space, gva + (start - gpa), end - start);
	if (!range.end)
		return (struct run){0};
	return (struct run){range.start, gpa + (range.start - gva), range.end - range.start, prot};
}

static struct run leaf_run(struct spte *leaf)
{
	return clip(spte_node(leaf), leaf->index, spte_gpa(leaf), leaf->prot);
}

/* Adds piece to the run if it continues it; else false. */
static bool run_extend(struct run *run, const struct run *piece)
{
	if (!run->len || piece->gva != run->gva + run->len || piece->gpa != run->gpa + run->len ||
	    piece->prot != run->prot)
		return false;
	run->len += piece->len;
	return true;
}

/* ------------------------------------------------------------------------------------------------------- leaves */

static void leaf_unlink_writer(struct spte *leaf)
{
	const struct node *node = spte_node(leaf);

	*leaf->link = leaf->next;
	if (leaf->next)
		leaf->next->link = leaf->link;
	--*spt_frame_writer_count(node->space->spt, node->level, spte_gpa(leaf));
}

/* The leaf maps its memory writable from now on; if too many do, the one that came last is dropped for it. */
static void leaf_link_writer(struct spte *leaf)
{
	const struct node *node = spte_node(leaf);
	struct spte **head = spt_frame_writers(node->space->spt, node->level, spte_gpa(leaf));
	uint32_t *count = spt_frame_writer_count(node->space->spt, node->level, spte_gpa(leaf));

	if (*count >= WRITERS_MAX)
		spt_node_drop(spte_node(*head), (*head)->index, 1);
	leaf->next = *head;
	leaf->link = head;
	if (leaf->next)
		leaf->next->link = &leaf->next;
	*head = leaf;
	++*count;
}

/* The host's page tables for one large page, as far as it is mapped. */
static uint64_t leaf_memory(const struct node *node, uint64_t mapped)
{
	return node->level == LEVEL_PAGE ? 0 : (mapped >> level_shift(LEVEL_BIG)) * X86_PAGE_SIZE;
}

static void leaf_set(struct node *node, unsigned i, uint64_t gpa, unsigned prot)
{
	struct spt_stats *stats = &node->space->spt->stats;
	struct spte *leaf = &node->spte[i];
	uint64_t len;

	leaf->kind = SPTE_LEAF;
	leaf->index = i;
	leaf->frame = gpa >> X86_PAGE_SHIFT;
	leaf->prot = prot;
	len = leaf_run(leaf).len;
	stats->mapped_bytes += len;
	stats->memory += leaf_memory(node, len);
	if (prot & SPT_WRITE)
		leaf_link_writer(leaf);
}

static void leaf_clear(struct spte *leaf)
{
	const struct node *node = spte_node(leaf);
	struct spt_stats *stats = &node->space->spt->stats;
	uint64_t len = leaf_run(leaf).len;

	stats->mapped_bytes -= len;
	stats->memory -= leaf_memory(node, len);
	if (leaf->prot & SPT_WRITE)
		leaf_unlink_writer(leaf);
	leaf->kind = SPTE_NONE;
}

/* -------------------------------------------------------------------------------------------------------- nodes */

/* A node, and the host's page table that it comes to. */
#define NODE_MEMORY (sizeof(struct node) + X86_PAGE_SIZE)

struct node *spt_node_create(struct spt_space *space, unsigned level, uint64_t gva)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	space->spt->stats.memory += NODE_MEMORY;
	node->space = space;
	node->level = level;
	node->gva = level == LEVEL_TOP ? 0 : gva & ~(level_size(level + 1) - 1);
	list_init(&node->use);
	list_init(&node->unsync);
	return node;
}

static void node_release(struct node *node)
{
	if (node->table)
		spt_table_remove_use(node->table, node);
	node->space->spt->stats.memory -= NODE_MEMORY;
	free(node);
}

/* Clears a slot and widens gone, a run of addresses alone, to hold what it mapped. */
static void slot_clear(struct node *node, unsigned i, struct run *gone)
{
	struct spte *spte = &node->spte[i];

	if (spte->kind == SPTE_LEAF) {
		struct run run = leaf_run(spte);

		if (!gone->len)
			*gone = run;
		gone->len = run.gva + run.len - gone->gva;
		leaf_clear(spte);
		node->space->spt->stats.drops++;
	} else if (spte->kind == SPTE_CHILD) {
		struct node *child = spte->child;

		for (unsigned j = 0; j < X86_PT_ENTRIES; j++)
			slot_clear(child, j, gone);
		node_release(child);
		spte->kind = SPTE_NONE;
	}
}

void spt_node_free(struct node *node)
{
	struct run gone = {0};

	for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
		slot_clear(node, i, &gone);
	node_release(node);
}

/* One op from the first page that was mapped to the last: what lies between was mapped by these slots or not at all. */
void spt_node_drop(struct node *node, unsigned first, unsigned count)
{
	struct run gone = {0};

	for (unsigned i = first; i < first + count; i++)
		slot_clear(node, i, &gone);
	if (gone.len)
		spt_space_unmap(node->space, gone.gva, gone.len);
}

void spt_node_cut(struct node *node)
{
	struct node *parent = node->space->top;

	if (node == parent) {
		spt_space_drop_all(node->space);
		return;
	}
	while (parent->spte[level_index(node->gva, parent->level)].child != node)
		parent = parent->spte[level_index(node->gva, parent->level)].child;
	spt_node_drop(parent, level_index(node->gva, parent->level), 1);
}

/* Turns a large leaf into a child that maps the same; the host sees nothing. False when memory is out. */
static bool leaf_split(struct spte *leaf)
{
	struct node *node = spte_node(leaf), *child;
	unsigned i = leaf->index, prot = leaf->prot;
	uint64_t gpa = spte_gpa(leaf);

	child = spt_node_create(node->space, node->level - 1, slot_gva(node, i));
	if (!child)
		return false;
	leaf_clear(leaf);
	leaf->kind = SPTE_CHILD;
	leaf->child = child;
	for (unsigned j = 0; j < X86_PT_ENTRIES; j++, gpa += level_size(child->level))
		if (clip(child, j, gpa, prot).len)
			leaf_set(child, j, gpa, prot);
	return true;
}

void spt_frame_write_protect(struct spt *spt, uint64_t gpa)
{
	struct spte **head, *leaf;

	for (unsigned level = LEVEL_HUGE; level > LEVEL_PAGE; level--) {
		head = spt_frame_writers(spt, level, gpa);
		while ((leaf = *head))
			if (spt_is_full(spt) || !leaf_split(leaf))
				spt_node_drop(spte_node(leaf), leaf->index, 1);
	}
	head = spt_frame_writers(spt, LEVEL_PAGE, gpa);
	while ((leaf = *head)) {
		struct run run;

		leaf_unlink_writer(leaf);
		leaf->prot &= ~SPT_WRITE;
		run = leaf_run(leaf);
		spt_space_protect(spte_node(leaf)->space, run.gva, run.len, run.prot);
	}
}

/* ---------------------------------------------------------------------------------------------------- filling */

void spt_node_flush(struct spt_space *space, struct run *run)
{
	if (run->len) {
		spt_space_map(space, run->gva, run->gpa, run->len, run->prot);
		space->spt->stats.pages_mapped += run->len >> X86_PAGE_SHIFT;
	}
	run->len = 0;
}

static void leaf_put(struct node *node, unsigned i, const struct run *piece, uint64_t gpa, uint64_t fault,
		     struct run *run)
{
	struct spte *spte = &node->spte[i];
	bool faulting = fault - slot_gva(node, i) < level_size(node->level);

	if (spte->kind == SPTE_LEAF) {
		if (spte_gpa(spte) != gpa)
			abort(); /* confirmed, yet shadowed as something else */
		if (spte->prot == piece->prot && !faulting)
			return;
		leaf_clear(spte);
	}
	leaf_set(node, i, gpa, piece->prot);
	if (!run_extend(run, piece)) {
		spt_node_flush(node->space, run);
		*run = *piece;
	}
}

/* The child that a large page with locked frames needs; NULL when memory is out. */
static struct node *slot_split(struct node *node, unsigned i)
{
	struct spte *spte = &node->spte[i];

	if (spte->kind == SPTE_LEAF && !leaf_split(spte))
		return NULL;
	if (spte->kind == SPTE_NONE) {
		spte->child = spt_node_create(node->space, node->level - 1, slot_gva(node, i));
		if (!spte->child)
			return NULL;
		spte->kind = SPTE_CHILD;
	}
	return spte->child;
}

void spt_node_put(struct node *node, unsigned i, uint64_t gpa, unsigned prot, uint64_t fault, struct run *run)
{
	struct run piece = clip(node, i, gpa, prot);
	struct node *child;
	bool locked;

	if (!piece.len)
		return;
	locked = (prot & SPT_WRITE) && spt_frames_locked(node->space->spt, node->level, gpa);
	if (node->spte[i].kind != SPTE_CHILD && (!locked || node->level == LEVEL_PAGE)) {
		if (locked)
			piece.prot &= ~SPT_WRITE;
		leaf_put(node, i, &piece, gpa, fault, run);
		return;
	}
	child = slot_split(node, i);
	if (!child) {
		spt_space_refuse(node->space, -SPT_ENOMEM);
		return;
	}
	if (child->table)
		abort(); /* confirmed as a large page, yet shadowed as a table */
	for (unsigned j = 0; j < X86_PT_ENTRIES; j++)
		spt_node_put(child, j, gpa + j * level_size(child->level), prot, fault, run);
}

/* ------------------------------------------------------------------------------------------------- looking up */

void spt_space_drop_page(struct spt_space *space, uint64_t gva)
{
	struct node *node = space->top;

	if (space->paging != SPT_4_LEVEL)
		gva = (uint32_t)gva;
	if (gva != gva_canonical(gva))
		return;
	while (node) {
		unsigned i = level_index(gva, node->level);

		if (node->spte[i].kind != SPTE_CHILD || !node->spte[i].child->table) {
			/* A page of 4 MiB is two. */
			bool pair = node->level == LEVEL_BIG && node->table && node->table->narrow;

			spt_node_drop(node, pair ? i & ~1u : i, pair ? 2 : 1);
			return;
		}
		node = node->spte[i].child;
	}
}

struct visit {
	bool (*visit)(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot);
	void *arg;
	struct run run;
};

static bool visit_flush(struct visit *visit)
{
	const struct run *run = &visit->run;

	return !run->len || visit->visit(visit->arg, run->gva, run->gpa, run->len, run->prot);
}

static bool visit_node(struct node *node, struct visit *visit)
{
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++) {
		struct spte *spte = &node->spte[i];

		if (spte->kind == SPTE_CHILD) {
			if (!visit_node(spte->child, visit))
				return false;
		} else if (spte->kind == SPTE_LEAF) {
			struct run run = leaf_run(spte);

			if (run_extend(&visit->run, &run))
				continue;
			if (!visit_flush(visit))
				return false;
			visit->run = run;
		}
	}
	return true;
}

void spt_space_each(struct spt_space *space,
		    bool (*visit)(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot), void *arg)
{
	struct visit state = {.visit = visit, .arg = arg};

	if (space->top && visit_node(space->top, &state))
		visit_flush(&state);
}

/*
 * Life of the library's instance and of its spaces: the hash that finds a space, the ops on its host address space,
 * and what becomes of a space whose op the host refused.
 */
#include <stdlib.h>

#include "shadowpt/internal.h"

#define BUCKETS_FIRST 64

static uint64_t pages_of(uint64_t size, unsigned level)
{
	return (size + level_size(level) - 1) >> level_shift(level);
}

struct spt *spt_create(const struct spt_config *config, const struct spt_ops *ops, void *ctx)
{
	struct spt *spt = calloc(1, sizeof(*spt));

	if (!spt)
		return NULL;
	spt->config = *config;
	spt->view[SPT_KERNEL] = spt->view[SPT_USER] = config->view;
	spt->upper_first = X86_PT_ENTRIES;
	spt->stats.memory_max = config->memory_max;
	spt->ops = *ops;
	spt->ctx = ctx;
	spt->reserved = X86_PTE_ADDR & ~(R3_BIT(config->physical_bits) - 1);
	spt->bucket_count = BUCKETS_FIRST;
	list_init(&spt->refused);
	list_init(&spt->recent);
	list_init(&spt->uppers);
	list_init(&spt->written_users);
	spt->buckets = calloc(spt->bucket_count, sizeof(struct spt_space *));
	spt->frames = calloc(pages_of(config->ram_size, LEVEL_PAGE), sizeof(struct frame));
	spt->big = calloc(pages_of(config->ram_size, LEVEL_BIG), sizeof(struct region));
	spt->huge = calloc(pages_of(config->ram_size, LEVEL_HUGE), sizeof(struct region));
	if (!spt->buckets || !spt->frames || !spt->big || !spt->huge) {
		spt_destroy(spt);
		return NULL;
	}
	return spt;
}

void spt_destroy(struct spt *spt)
{
	if (!spt)
		return;
	for (size_t i = 0; spt->buckets && i < spt->bucket_count; i++)
		while (spt->buckets[i])
			spt_space_discard(spt->buckets[i]);
	free(spt->buckets);
	free(spt->frames);
	free(spt->big);
	free(spt->huge);
	free(spt);
}

void spt_get_stats(const struct spt *spt, struct spt_stats *out)
{
	*out = spt->stats;
}

/* ------------------------------------------------------------------------------------------------------- the hash */

/* Roots of PAE are finer than pages. Upper spaces change theirs. */
static struct spt_space **bucket(const struct spt *spt, uint64_t root, enum spt_mode mode)
{
	uint64_t hash = ((mode == SPT_UPPER ? 0 : root >> 4) | mode) * R3_U64(0x9e3779b97f4a7c15);

	return &spt->buckets[(hash >> 32) & (spt->bucket_count - 1)];
}

struct spt_space *spt_space_find(struct spt *spt, const struct spt_cpu *cpu, enum spt_mode mode)
{
	uint64_t root;
	struct spt_space *space;

	if (mode == SPT_UPPER)
		return spt_upper_find(spt, cpu);
	spt_root(cpu, &root);
	space = *bucket(spt, root, mode);
	while (space && (space->root != root || space->mode != mode || space->paging != cpu->paging))
		space = space->hash_next;
	return space;
}

static void hash_insert(struct spt *spt, struct spt_space *space)
{
	struct spt_space **head = bucket(spt, space->root, space->mode);

	space->hash_next = *head;
	*head = space;
}

/* Without memory to grow, chains just get longer. */
static void hash_grow(struct spt *spt)
{
	struct spt_space **old = spt->buckets;
	size_t old_count = spt->bucket_count;
	struct spt_space **buckets = calloc(2 * old_count, sizeof(struct spt_space *));

	if (!buckets)
		return;
	spt->buckets = buckets;
	spt->bucket_count = 2 * old_count;
	for (size_t i = 0; i < old_count; i++) {
		for (struct spt_space *space = old[i], *next; space; space = next) {
			next = space->hash_next;
			hash_insert(spt, space);
		}
	}
	free(old);
}

/* Where nothing runs in a space, nobody would ever discard it. */
static void discard_unowned(struct spt *spt)
{
	struct list *at = spt->recent.next;

	if (spt->stats.spaces < SPACES_MAX)
		return;
	while (at != &spt->recent && LIST_ITEM(at, struct spt_space, recent)->owner)
		at = at->next;
	if (at != &spt->recent)
		spt_space_discard(LIST_ITEM(at, struct spt_space, recent));
}

struct spt_space *spt_space_get(struct spt *spt, const struct spt_cpu *cpu, enum spt_mode mode)
{
	struct spt_space *space = spt_space_find(spt, cpu, mode);
	size_t entries = mode == SPT_UPPER ? X86_PT_ENTRIES : 0;

	/* Not loaded as others are: whose kernel mode has another root than user mode. */
	if (!space && mode == SPT_UPPER) {
		spt->epoch++;
		spt->remaps++;
		spt_upper_load(spt, cpu);
		space = spt->upper;
	}
	if (space)
		return space;
	discard_unowned(spt);
	space = calloc(1, sizeof(*space) + entries * sizeof(space->entry[0]));
	if (!space)
		return NULL;
	space->spt = spt;
	spt_root(cpu, &space->root);
	space->paging = cpu->paging;
	space->mode = mode;
	space->window = SPT_WINDOW_MIN;
	list_init(&space->unsync);
	list_init(&space->written);
	list_init(&space->refused);
	list_add(&spt->recent, &space->recent);
	if (spt->stats.spaces >= spt->bucket_count)
		hash_grow(spt);
	list_init(&space->upper);
	hash_insert(spt, space);
	spt->stats.spaces++;
	if (mode == SPT_UPPER) {
		spt->stats.upper_spaces++;
		spt_upper_bind(space, space->root);
	}
	return space;
}

void **spt_space_owner(struct spt_space *space)
{
	return &space->owner;
}

enum spt_mode spt_space_mode(const struct spt_space *space)
{
	return space->mode;
}

enum spt_paging spt_space_paging(const struct spt_space *space)
{
	return space->paging;
}

bool spt_users_are_synced(const struct spt *spt)
{
	return list_empty(&spt->written_users);
}

uint64_t spt_space_root(const struct spt_space *space)
{
	return space->root;
}

/* ------------------------------------------------------------------------------------------------------ emptying */

static void space_forget(struct spt_space *space)
{
	if (space->top)
		spt_node_free(space->top);
	space->top = NULL;
	space->last_lo = space->last_hi = 0;
	space->window = SPT_WINDOW_MIN;
}

void spt_space_discard(struct spt_space *space)
{
	struct spt *spt = space->spt;
	struct spt_space **link = bucket(spt, space->root, space->mode);

	while (*link != space)
		link = &(*link)->hash_next;
	*link = space->hash_next;
	list_remove(&space->refused);
	list_remove(&space->recent);
	list_remove(&space->written);
	list_remove(&space->upper);
	if (spt->upper == space)
		spt->upper = NULL;
	space_forget(space);
	spt->stats.spaces--;
	spt->stats.upper_spaces -= space->mode == SPT_UPPER;
	free(space);
}

void spt_space_drop_all(struct spt_space *space)
{
	if (space->top)
		spt_node_drop(space->top, 0, X86_PT_ENTRIES);
	space_forget(space);
}

void spt_space_follow(struct spt_space *space, const struct spt_cpu *cpu)
{
	struct node *top = space->top;

	for (unsigned i = 0; space->paging == SPT_PAE && top && i < SPT_PDPTES; i++) {
		const struct spte *slot = &top->spte[i];
		uint64_t pdpte = cpu->pdpte[i];

		if (slot->kind == SPTE_CHILD &&
		    !((pdpte & X86_PTE_P) && slot->child->table->gpa == (pdpte & X86_PTE_ADDR)))
			spt_node_drop(top, i, 1);
	}
}

bool spt_is_full(const struct spt *spt)
{
	return spt->config.memory_max && spt->stats.memory > spt->config.memory_max;
}

static void evict(struct spt_space *space)
{
	struct spt *spt = space->spt;

	spt_space_drop_all(space);
	if (!space->error && spt->ops.settle)
		spt_space_refuse(space, spt->ops.settle(spt->ctx, space));
	spt->stats.evictions++;
}

void spt_make_room(struct spt_space *space)
{
	struct spt *spt = space->spt;
	uint64_t enough = spt->config.memory_max - spt->config.memory_max / 8;

	if (spt->recent.prev != &space->recent) {
		list_remove(&space->recent);
		list_add(&spt->recent, &space->recent);
	}
	if (!spt_is_full(spt))
		return;
	for (struct list *at = spt->recent.next; at != &space->recent && spt->stats.memory > enough; at = at->next)
		if (LIST_ITEM(at, struct spt_space, recent)->top)
			evict(LIST_ITEM(at, struct spt_space, recent));
	if (spt_is_full(spt))
		evict(space);
}

int spt_space_empty(struct spt_space *space)
{
	spt_space_drop_all(space);
	return spt_settle(space->spt, NULL);
}

/* ---------------------------------------------------------------------------------------------------------- ops */

void spt_space_refuse(struct spt_space *space, int error)
{
	if (!error || space->error)
		return;
	space->error = error;
	list_add(&space->spt->refused, &space->refused);
}

void spt_space_map(struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct spt *spt = space->spt;

	if (!space->error)
		spt_space_refuse(space, spt->ops.map(spt->ctx, space, gva, gpa, len, prot));
}

void spt_space_unmap(struct spt_space *space, uint64_t gva, uint64_t len)
{
	struct spt *spt = space->spt;

	if (!space->error)
		spt_space_refuse(space, spt->ops.unmap(spt->ctx, space, gva, len));
}

void spt_space_protect(struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	struct spt *spt = space->spt;

	if (!space->error)
		spt_space_refuse(space, spt->ops.protect(spt->ctx, space, gva, len, prot));
}

static void space_settled(struct spt_space *space)
{
	space->error = 0;
	list_remove(&space->refused);
}

static int space_unmap_all(struct spt_space *space)
{
	struct spt *spt = space->spt;
	const struct spt_view *view = spt_space_view(space);
	int failed = 0;

	for (unsigned n = 0; n < view->count && !failed; n++)
		failed = spt->ops.unmap(spt->ctx, space, view->range[n].start,
					view->range[n].end - view->range[n].start);
	return failed;
}

/* A space that cannot even be unmapped whole stays on the list, and every call fails until it can be, or is gone. */
int spt_settle(struct spt *spt, struct spt_space *faulting)
{
	int error = 0;

	for (struct list *at = spt->refused.next, *next; at != &spt->refused; at = next) {
		struct spt_space *space = LIST_ITEM(at, struct spt_space, refused);
		int failed = space->error;

		next = at->next;
		space_forget(space);
		if (space != faulting)
			failed = space_unmap_all(space);
		if (failed && !error)
			error = failed;
		if (!failed || space == faulting)
			space_settled(space);
	}
	if (error && faulting)
		space_forget(faulting);
	return error;
}

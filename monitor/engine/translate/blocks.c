/*
 * Blocks in the cache, and the jumps between them.
 */
#include <string.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/vm/vm.h"

/* Lists of a page of code lie side by side: most guests have code of few pages. */
#define LISTS_BITS 6

/* A guest chooses the addresses, and not which pages share lists; of one page a list has as many as that is long. */
static unsigned hash(const struct translate *t, uint64_t gva)
{
	unsigned first = (unsigned)((gva >> X86_PAGE_SHIFT) * t->secret >> (64 - (BT_HASH_BITS - LISTS_BITS)));
	return first << LISTS_BITS | ((gva ^ gva >> LISTS_BITS) & (R3_BIT(LISTS_BITS) - 1));
}

bool block_is_live(const struct bt_block *block)
{
	return !block->dead && block->page->live && (!block->over || block->over->live);
}

struct bt_block *block_find(const struct translate *t, uint64_t gva, unsigned flavour)
{
	struct bt_block *block = t->hash[hash(t, gva)].blocks;
	while (block && !(block->gva == gva && block->flavour == flavour))
		block = block->hash_next;
	return block;
}

void block_show(struct translate *t, struct bt_block *block)
{
	struct bt_block **list = &t->hash[hash(t, block->gva)].blocks;
	if (block->found || !block_is_live(block))
		return;
	block->found = true;
	block->hash_next = *list;
	*list = block;
}

static void unfind(struct translate *t, struct bt_block *block)
{
	struct bt_block **at = &t->hash[hash(t, block->gva)].blocks;
	if (!block->found)
		return;
	block->found = false;
	while (*at != block)
		at = &(*at)->hash_next;
	*at = block->hash_next;
}

/* -------------------------------------------------------------------------------------------------- known targets */

/* One store, which the processor that executes the jump sees as a whole: the compiler aligned it so. */
static void patch(struct translate *t, uint32_t at, uint32_t to)
{
	__atomic_store_n((uint32_t *)(t->code + at), to - (at + 4), __ATOMIC_RELEASE);
}

static void wait(struct translate *t, struct bt_link *link)
{
	struct bt_link **list = &t->hash[hash(t, link->target)].waiting;
	link->next = *list;
	*list = link;
}

static void stop_waiting(struct translate *t, const struct bt_link *link)
{
	struct bt_link **at = &t->hash[hash(t, link->target)].waiting;
	while (*at && *at != link)
		at = &(*at)->next;
	if (*at)
		*at = link->next;
}

static void join_link(struct translate *t, struct bt_link *link, struct bt_block *to)
{
	patch(t, link->patch, to->host);
	link->to = to;
	link->next = to->incoming;
	to->incoming = link;
}

void link_set(struct translate *t, struct bt_link *link, struct bt_block *to)
{
	stop_waiting(t, link);
	join_link(t, link, to);
}

/* Back to the stub. */
static void unlink_from(struct translate *t, struct bt_link *link)
{
	patch(t, link->patch, link->stub);
	link->to = NULL;
	if (!link->from->dead)
		wait(t, link);
}

/* The links that wait for the block lead there. */
static void take_waiting(struct translate *t, struct bt_block *block)
{
	struct bt_link **at = &t->hash[hash(t, block->gva)].waiting, *link;
	while ((link = *at)) {
		bool found = link->target == block->gva && link->from->flavour == block->flavour;
		if (!found && !link->from->dead) {
			at = &link->next;
			continue;
		}
		*at = link->next;
		if (!link->from->dead)
			join_link(t, link, block);
	}
}

static void take_links(struct translate *t, struct bt_block *block, const struct bt_code *code)
{
	block->link_count = (uint8_t)code->exit_count;
	for (unsigned n = 0; n < code->exit_count; n++) {
		const struct bt_exit *exit = &code->exits[n];
		block->link[n] = (struct bt_link){
			.from = block,
			.kind = exit->kind,
			.patch = block->host + exit->patch,
			.stub = block->host + exit->stub,
			.target = exit->target,
		};
		if (exit->kind != BT_LINK)
			continue;
		struct bt_block *to = block_find(t, exit->target, block->flavour);
		if (to)
			join_link(t, &block->link[n], to);
		else
			wait(t, &block->link[n]);
	}
}

/* The block is in the lists of its pages. */
static void join(struct bt_block *block, struct bt_page *page, struct bt_page *over)
{
	block->page = page;
	block->next = page->blocks;
	page->blocks = block;
	if (!over)
		return;
	block->over = over;
	block->next_over = over->reaching;
	over->reaching = block;
}

struct bt_block *block_make(struct translate *t, struct bt_page *page, struct bt_page *over,
			    const struct bt_source *source)
{
	static struct bt_code code;
	struct bt_place place;
	cache_place(t, t->used, source->flavour, &place);
	if (!cache_has_room(t, sizeof(code.bytes)) || cache_keeps_much(t) || !bt_compile(source, &place, &code))
		return NULL;
	struct bt_block *block = cache_alloc(t, sizeof(*block) + code.exit_count * sizeof(struct bt_link));
	uint8_t *bytes = cache_alloc(t, code.guest_len);
	if (!block || !bytes)
		return NULL;
	cache_begin_table(t, source->flavour);
	memcpy(bytes, source->bytes, code.guest_len);
	memcpy(t->code + t->used, code.bytes, code.len);
	block->gva = source->gva;
	block->bytes = bytes;
	block->len = (uint16_t)code.len;
	block->stubs = (uint16_t)code.stubs;
	block->guest_len = (uint16_t)code.guest_len;
	block->flavour = (uint16_t)source->flavour;
	block->hypercall = source->hypercall;
	memcpy(block->site_mask, code.site_mask, sizeof(block->site_mask));
	block->calls = code.calls;
	block->leaves = code.leaves;
	block->bases = code.bases;
	block->host = cache_add(t, block, BT_BODY, code.len);
	for (unsigned n = 0; n < code.inside_count; n++)
		stats_sensitive(&t->vm->stats, code.inside[n], STAT_WAY_translated, false);
	t->vm->stats.cache.blocks++;
	join(block, page, over);
	block_show(t, block);
	take_links(t, block, &code);
	take_waiting(t, block);
	return block;
}

/* ------------------------------------------------------------------------------------------------------- the table */

/* The code that a missed lookup reaches lies at the beginning. */
static uint32_t check_of(const struct bt_block *block)
{
	return block ? block->thunk : 0;
}

/* Where a lookup of the block's address comes first. */
static struct bt_block *first_listed(const struct translate *t, const struct bt_block *block)
{
	uint64_t entry = *cache_table(t, block->flavour, block->gva);
	return entry == cache_miss(t) ? NULL : cache_piece(t, (uint32_t)(entry - cache_address(0)))->block;
}

static bool make_check(struct translate *t, struct bt_block *block)
{
	struct bt_place place;
	unsigned otherwise;
	if (!cache_has_room(t, BT_THUNK_MAX))
		return false;
	cache_place(t, t->used, block->flavour, &place);
	unsigned len = bt_compile_thunk(&place, block->gva, cache_address(block->host), &otherwise, t->code + t->used);
	block->thunk = cache_add(t, block, BT_THUNK, len);
	block->otherwise = block->thunk + otherwise;
	return true;
}

bool block_publish(struct translate *t, struct bt_block *block)
{
	if (block->listed)
		return true;
	if (!block->thunk && !make_check(t, block))
		return false;
	block->listed = true;
	block->previous_listed = NULL;
	block->next_listed = first_listed(t, block);
	if (block->next_listed)
		block->next_listed->previous_listed = block;
	patch(t, block->otherwise, check_of(block->next_listed));
	*cache_table(t, block->flavour, block->gva) = cache_address(block->thunk);
	return true;
}

static void unlist(struct translate *t, struct bt_block *block)
{
	struct bt_block *next = block->next_listed, *previous = block->previous_listed;
	if (!block->listed)
		return;
	block->listed = false;
	if (next)
		next->previous_listed = previous;
	if (previous) {
		previous->next_listed = next;
		patch(t, previous->otherwise, check_of(next));
	} else {
		*cache_table(t, block->flavour, block->gva) = cache_address(check_of(next));
	}
}

/* ----------------------------------------------------------------------------------------------- coming and going */

void block_hide(struct translate *t, struct bt_block *block, bool all)
{
	struct bt_link *link = block->incoming, *next;
	unfind(t, block);
	unlist(t, block);
	block->incoming = NULL;
	for (; link; link = next) {
		next = link->next;
		/* Links within the page stay right as long as its code does. */
		if (!all && link->from->page == block->page)
			join_link(t, link, block);
		else
			unlink_from(t, link);
	}
}

void block_kill(struct translate *t, struct bt_block *block)
{
	block_hide(t, block, true);
	block->dead = true;
}

void blocks_turn_bases(struct translate *t)
{
	for (unsigned n = 0; n < t->piece_count; n++) {
		struct bt_block *block = t->pieces[n].block;
		if (!block || t->pieces[n].kind != BT_BODY || block->dead)
			continue;
		if (block->bases)
			block_kill(t, block);
		else
			block->flavour ^= BT_BASES;
	}
}

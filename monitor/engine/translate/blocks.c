/*
 * Blocks in the cache, and the jumps between them.
 */
#include <string.h>

#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/vm/vm.h"

static unsigned hash(uint64_t gva)
{
	return (gva ^ gva >> 14) % BT_HASH;
}

bool block_is_live(const struct bt_block *block)
{
	return !block->dead && block->page->live && (!block->over || block->over->live);
}

struct bt_block *block_find(const struct translate *t, uint64_t gva, unsigned flavour)
{
	struct bt_block *block = t->hash[hash(gva)];
	while (block && !(block->gva == gva && block->flavour == flavour && block_is_live(block)))
		block = block->hash_next;
	return block;
}

static void take_links(struct bt_block *block, const struct bt_code *code)
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
	}
}

/* The block is in the lists of its pages. */
static void join(struct translate *t, struct bt_block *block, struct bt_page *page, struct bt_page *over)
{
	unsigned offset = block->gva & X86_PAGE_MASK, room = X86_PAGE_SIZE - offset;
	unsigned first = block->guest_len < room ? block->guest_len : room;
	block->page = page;
	block->next = page->blocks;
	page->blocks = block;
	page_cover(t, page, offset, first);
	if (!over)
		return;
	block->over = over;
	block->next_over = over->reaching;
	over->reaching = block;
	page_cover(t, over, 0, block->guest_len - first);
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
	block->host = cache_add(t, block, BT_BODY, code.len);
	take_links(block, &code);
	for (unsigned n = 0; n < code.inside_count; n++)
		stats_sensitive(&t->vm->stats, code.inside[n], STAT_WAY_translated, false);
	t->vm->stats.cache.blocks++;
	join(t, block, page, over);
	block->hash_next = t->hash[hash(block->gva)];
	t->hash[hash(block->gva)] = block;
	return block;
}

/* One store, which the processor that executes the jump sees as a whole: the compiler aligned it so. */
static void patch(struct translate *t, uint32_t at, uint32_t to)
{
	__atomic_store_n((uint32_t *)(t->code + at), to - (at + 4), __ATOMIC_RELEASE);
}

void link_set(struct translate *t, struct bt_link *link, struct bt_block *to)
{
	patch(t, link->patch, to ? to->host : link->stub);
	link->to = to;
	if (!to)
		return;
	link->next = to->incoming;
	to->incoming = link;
}

bool block_publish(struct translate *t, struct bt_block *block)
{
	struct bt_place place;
	if (!block->thunk) {
		if (!cache_has_room(t, BT_THUNK_MAX))
			return false;
		cache_place(t, t->used, block->flavour, &place);
		unsigned len = bt_compile_thunk(&place, block->gva, cache_address(block->host), cache_miss(t),
						t->code + t->used);
		block->thunk = cache_add(t, block, BT_THUNK, len);
	}
	*cache_table(t, block->flavour, block->gva) = cache_address(block->thunk);
	return true;
}

void block_hide(struct translate *t, struct bt_block *block, bool all)
{
	uint64_t *entry = cache_table(t, block->flavour, block->gva);
	struct bt_link *link = block->incoming, *next;
	if (block->thunk && *entry == cache_address(block->thunk))
		*entry = cache_miss(t);
	block->incoming = NULL;
	for (; link; link = next) {
		next = link->next;
		/* Links within the page stay right as long as its code does. */
		link_set(t, link, !all && link->from->page == block->page ? block : NULL);
	}
}

void block_kill(struct translate *t, struct bt_block *block)
{
	struct bt_block **at = &t->hash[hash(block->gva)];
	block_hide(t, block, true);
	block->dead = true;
	while (*at && *at != block)
		at = &(*at)->hash_next;
	if (*at)
		*at = block->hash_next;
}

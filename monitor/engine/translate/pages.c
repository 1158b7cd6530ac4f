/*
 * Pages of compiled code: which are live in the address space in force, and what happens when one is written.
 */
#include <string.h>

#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/* Large pages of the guest's that are remembered while the live ones are looked up, which come in no order. */
#define REACHES 64

/* A page of the guest's tables is no larger. */
#define LARGEST_PAGE R3_BIT(X86_HUGE_SHIFT)

/* Stores to a frame that drop what they hit: each is seen, and where more come the frame is let go. */
#define STORES_MAX 8

bool pages_hold(const struct translate *t, uint64_t gpa)
{
	return gpa < t->vm->mem.size && t->frames[gpa >> X86_PAGE_SHIFT];
}

/* ---------------------------------------------------------------------------------------------------------- live */

static enum live_kind kind_of(const struct bt_page *page)
{
	if (!page->global)
		return LIVE_LOCAL;
	return page->gva >> 63 ? LIVE_GLOBAL_UPPER : LIVE_GLOBAL_LOWER;
}

static void list_live(struct translate *t, struct bt_page *page)
{
	struct bt_page **head = &t->live[kind_of(page)];
	page->next_live = *head;
	page->before = head;
	if (*head)
		(*head)->before = &page->next_live;
	*head = page;
}

static void unlist_live(struct bt_page *page)
{
	*page->before = page->next_live;
	if (page->next_live)
		page->next_live->before = page->before;
}

static void enliven(struct translate *t, struct bt_page *page, bool global)
{
	if (page->live && page->global == global)
		return;
	if (page->live)
		unlist_live(page);
	page->global = global;
	list_live(t, page);
	if (page->live)
		return;
	page->live = true;
	for (struct bt_block *block = page->blocks; block; block = block->next)
		block_show(t, block);
	for (struct bt_block *block = page->reaching; block; block = block->next_over)
		block_show(t, block);
}

static void hide_blocks(struct translate *t, struct bt_page *page, bool all)
{
	for (struct bt_block *block = page->blocks; block; block = block->next)
		block_hide(t, block, all);
	for (struct bt_block *block = page->reaching; block; block = block->next_over)
		block_hide(t, block, true);
}

static void hide(struct translate *t, struct bt_page *page, bool all)
{
	unlist_live(page);
	page->live = false;
	hide_blocks(t, page, all);
}

void pages_hide_below(struct translate *t, uint64_t gva)
{
	for (enum live_kind kind = LIVE_LOCAL; kind < LIVE_KINDS; kind++)
		for (struct bt_page *page = t->live[kind], *next; page; page = next) {
			next = page->next_live;
			if (page->gva < gva)
				hide(t, page, false);
		}
}

static void watch(struct translate *t, uint64_t frame)
{
	int error = spt_watch(t->vm->spt, frame << X86_PAGE_SHIFT);
	if (error)
		vm_kill(t->vm, "the host refuses to protect guest code: %s", strerror(-error));
}

struct bt_page *page_get(struct translate *t, uint64_t gva, const struct spt_translation *at, bool user)
{
	const uint64_t frame = at->gpa >> X86_PAGE_SHIFT;
	/* Watched before anything is read, so that no write between the two goes unseen. */
	watch(t, frame);
	t->stores[frame] = 0;
	struct bt_page *page = t->frames[frame];
	while (page && (page->gva != gva || page->users != user))
		page = page->next;
	if (!page) {
		page = cache_alloc(t, sizeof(*page));
		if (!page)
			return NULL;
		page->gva = gva;
		page->users = user;
		page->frame = frame;
		page->next = t->frames[frame];
		t->frames[frame] = page;
	}
	enliven(t, page, at->global);
	return page;
}

/* A page of the guest's tables from which code can be fetched. */
struct reach {
	uint64_t gva, gpa, len; /* 0: none */
	bool users, global;
};

/* The one of the page; no walk of the processor's own would change a thing: accessed bits are set. */
static bool find_reach(struct translate *t, const struct bt_page *page, struct reach *reach)
{
	struct spt_step steps[X86_PT_LEVELS];
	unsigned count = spt_probe(t->vm->spt, &t->paging, page->gva, steps);
	uint64_t all = ~0ull, any = 0;
	*reach = (struct reach){page->gva, page->gva, X86_PAGE_SIZE, page->users, false};
	if (t->paging.paging == SPT_NO_PAGING)
		return true;
	/* PAE's registers have neither rights nor an accessed bit. */
	for (unsigned n = t->paging.paging == SPT_PAE; n < count; n++) {
		all &= steps[n].entry;
		any |= steps[n].entry;
	}
	if (!count || !steps[count - 1].page_len || !(all & X86_PTE_A))
		return false;
	bool users = all & X86_PTE_U;
	if ((t->paging.nxe && (any & X86_PTE_NX)) || (page->users ? !users : t->paging.smep && users))
		return false;
	const struct spt_step *leaf = &steps[count - 1];
	bool global = t->paging.pge && (leaf->entry & X86_PTE_G);
	*reach = (struct reach){page->gva & ~(leaf->page_len - 1), leaf->page, leaf->page_len, page->users, global};
	return true;
}

bool pages_lead_to(struct translate *t, uint64_t gva, bool users, struct spt_translation *at)
{
	const struct bt_page page = {.gva = gva & ~X86_PAGE_MASK, .users = users};
	struct reach reach;
	if (!vcpu_canonical(gva) || !find_reach(t, &page, &reach))
		return false;
	*at = (struct spt_translation){.gpa = reach.gpa + (gva - reach.gva), .global = reach.global};
	return true;
}

/* The processor would fetch from the page's frame at its gva. *reach is where another page beside it was. */
static bool still_there(struct translate *t, const struct bt_page *page, struct reach *reach)
{
	bool same = page->gva - reach->gva < reach->len && page->users == reach->users;
	if (!same && !find_reach(t, page, reach)) {
		reach->len = 0;
		return false;
	}
	return reach->gpa + (page->gva - reach->gva) == page->frame << X86_PAGE_SHIFT;
}

/* Those of a kind that lie where `mask` lets them differ from gva. */
static void check(struct translate *t, enum live_kind kind, uint64_t gva, uint64_t mask)
{
	struct reach reaches[REACHES] = {{0}};
	for (struct bt_page *page = t->live[kind], *next; page; page = next) {
		next = page->next_live;
		struct reach *reach = &reaches[(page->gva >> X86_LARGE_SHIFT) % REACHES];
		if ((page->gva ^ gva) & ~mask)
			continue;
		if (!still_there(t, page, reach))
			hide(t, page, false);
		else
			enliven(t, page, reach->global);
	}
}

/* Invalidated were single pages alone, each of which may have been as large as there are. False: which is forgotten. */
static bool check_pages(struct translate *t, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++) {
		uint64_t gva;
		if (!spt_page_remapped(t->vm->spt, n, &gva))
			return false;
		check(t, LIVE_LOCAL, gva, LARGEST_PAGE - 1);
		check(t, gva >> 63 ? LIVE_GLOBAL_UPPER : LIVE_GLOBAL_LOWER, gva, LARGEST_PAGE - 1);
	}
	return true;
}

/* By no more than what has been forgotten: a processor may go by old translations as long as it has them. */
static void check_changed(struct translate *t, const struct spt_remaps *was, const struct spt_remaps *is, bool alike)
{
	uint64_t others = (is->all - was->all) - (is->loads - was->loads) - (is->pages - was->pages);
	bool single = alike && !others && check_pages(t, was->pages, is->pages);
	if (!single || is->loads != was->loads)
		check(t, LIVE_LOCAL, 0, UINT64_MAX);
	for (enum live_kind kind = LIVE_LOCAL + 1; kind < LIVE_KINDS && !single; kind++)
		check(t, kind, 0, UINT64_MAX);
}

void pages_sync(struct translate *t, struct vcpu *vcpu)
{
	const struct spt_remaps remaps = spt_remaps(t->vm->spt), was = t->remaps;
	struct spt_cpu paging = vcpu_paging(vcpu);
	paging.smap = false; /* code is not data */
	bool alike = t->synced && spt_same_rules(&paging, &t->paging),
	     same = alike && spt_same_roots(&paging, &t->paging);
	if (same && remaps.all == was.all)
		return;
	/* A root that nobody loaded is another machine's state. */
	alike &= same || remaps.loads != was.loads;
	t->paging = paging;
	t->remaps = remaps;
	t->synced = true;
	form_check(t);
	check_changed(t, &was, &remaps, alike);
}

/* ------------------------------------------------------------------------------------------------------- written */

static void drop_page(struct translate *t, struct bt_page *page)
{
	if (page->live)
		hide(t, page, true);
	for (struct bt_block *block = page->blocks; block; block = block->next)
		block_kill(t, block);
	for (struct bt_block *block = page->reaching; block; block = block->next_over)
		block_kill(t, block);
	page->blocks = page->reaching = NULL;
}

static void count_hit(struct translate *t, uint64_t frame)
{
	if (t->hits[frame] < UINT8_MAX)
		t->hits[frame]++;
}

static void drop_frame(struct translate *t, uint64_t frame)
{
	if (!t->frames[frame])
		return;
	for (struct bt_page *page = t->frames[frame]; page; page = page->next)
		drop_page(t, page);
	t->frames[frame] = NULL;
	count_hit(t, frame);
}

void pages_written(void *ctx, uint64_t gpa)
{
	struct vm *vm = ctx;
	interpret_code_written(vm, gpa);
	if (!interpret_stores(vm))
		drop_frame(translate_of(vm), gpa >> X86_PAGE_SHIFT);
}

/* Of the bytes that a block has in its own page, or in the one that it reaches into. */
static bool is_hit(const struct bt_block *block, bool reaches, unsigned from, unsigned to)
{
	unsigned start = block->gva & X86_PAGE_MASK, end = start + block->guest_len;
	if (from == to)
		return false;
	return reaches ? from < end - X86_PAGE_SIZE : from < end && to > start;
}

/* Kills what was compiled from the bytes; false: nothing was. */
static bool hit_page(struct translate *t, struct bt_page *page, unsigned from, unsigned to)
{
	bool hit = false;
	for (struct bt_block **at = &page->blocks, *block; (block = *at);) {
		if (!block->dead && is_hit(block, false, from, to)) {
			block_kill(t, block);
			hit = true;
		}
		if (block->dead)
			*at = block->next;
		else
			at = &block->next;
	}
	for (struct bt_block *block = page->reaching; block; block = block->next_over)
		if (!block->dead && is_hit(block, true, from, to)) {
			block_kill(t, block);
			hit = true;
		}
	return hit;
}

bool pages_stored(struct vm *vm, uint64_t gpa, uint64_t len)
{
	struct translate *t = translate_of(vm);
	uint64_t frame = gpa >> X86_PAGE_SHIFT;
	unsigned from = gpa & X86_PAGE_MASK;
	bool hit = false, left = false;
	for (struct bt_page *page = t->frames[frame]; page; page = page->next) {
		hit |= hit_page(t, page, from, from + (unsigned)len);
		left |= page->blocks || page->reaching;
	}
	if (!left || ++t->stores[frame] == STORES_MAX) {
		drop_frame(t, frame);
		return false;
	}
	if (hit)
		count_hit(t, frame);
	watch(t, frame);
	return true;
}

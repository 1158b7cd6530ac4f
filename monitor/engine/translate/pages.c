/*
 * Pages of compiled code: which are live in the address space in force, and what happens when one is written.
 */
#include <string.h>

#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/* The widest store whose operand is looked at: one of more bytes drops the page. */
#define STORE_MAX 64

bool pages_hold(const struct translate *t, uint64_t gpa)
{
	return gpa < t->vm->mem.size && t->frames[gpa >> X86_PAGE_SHIFT];
}

/* ---------------------------------------------------------------------------------------------------------- live */

static void enliven(struct translate *t, struct bt_page *page)
{
	if (page->live)
		return;
	page->live = true;
	page->next_live = t->live;
	page->before = &t->live;
	if (t->live)
		t->live->before = &page->next_live;
	t->live = page;
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
	*page->before = page->next_live;
	if (page->next_live)
		page->next_live->before = page->before;
	page->live = false;
	hide_blocks(t, page, all);
}

struct bt_page *page_get(struct translate *t, uint64_t gva, uint64_t frame, bool user)
{
	struct bt_frame **slot = &t->frames[frame];
	if (!*slot) {
		*slot = cache_alloc(t, sizeof(**slot));
		if (!*slot)
			return NULL;
	}
	/* Watched before anything is read, so that no write between the two goes unseen. */
	int error = spt_watch(t->vm->spt, frame << X86_PAGE_SHIFT);
	if (error)
		vm_kill(t->vm, "the host refuses to protect guest code: %s", strerror(-error));
	struct bt_page *page = (*slot)->pages;
	while (page && (page->gva != gva || page->users != user))
		page = page->next;
	if (!page) {
		page = cache_alloc(t, sizeof(*page));
		if (!page)
			return NULL;
		page->gva = gva;
		page->users = user;
		page->frame = frame;
		page->next = (*slot)->pages;
		(*slot)->pages = page;
	}
	enliven(t, page);
	return page;
}

void page_cover(struct translate *t, const struct bt_page *page, unsigned offset, unsigned len)
{
	uint8_t *covered = t->frames[page->frame]->covered;
	for (unsigned n = offset; n < offset + len; n++)
		covered[n / 8] |= (uint8_t)(1u << n % 8);
}

/* A page of the guest's tables from which code can be fetched. */
struct reach {
	uint64_t gva, gpa, len; /* 0: none */
	bool users;
};

/* The one of the page; no walk of the processor's own would change a thing: accessed bits are set. */
static bool find_reach(struct translate *t, const struct bt_page *page, struct reach *reach)
{
	struct spt_step steps[X86_PT_LEVELS];
	unsigned count = spt_probe(t->vm->spt, &t->paging, page->gva, steps);
	uint64_t all = ~0ull, any = 0;
	*reach = (struct reach){page->gva, page->gva, X86_PAGE_SIZE, page->users};
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
	*reach = (struct reach){page->gva & ~(leaf->page_len - 1), leaf->page, leaf->page_len, page->users};
	return true;
}

/* The processor would fetch from the page's frame at its gva. *reach is where the page before it was. */
static bool still_there(struct translate *t, const struct bt_page *page, struct reach *reach)
{
	bool same = page->gva - reach->gva < reach->len && page->users == reach->users;
	if (!same && !find_reach(t, page, reach)) {
		reach->len = 0;
		return false;
	}
	return reach->gpa + (page->gva - reach->gva) == page->frame << X86_PAGE_SHIFT;
}

static bool same_paging(const struct spt_cpu *a, const struct spt_cpu *b)
{
	return a->cr3 == b->cr3 && a->paging == b->paging && a->wp == b->wp && a->nxe == b->nxe && a->smep == b->smep &&
	       a->pge == b->pge && a->pse == b->pse && !memcmp(a->pdpte, b->pdpte, sizeof(a->pdpte));
}

void pages_sync(struct translate *t, struct vcpu *vcpu)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	uint64_t changes = spt_changes(t->vm->spt);
	if (t->synced && changes == t->changes && same_paging(&paging, &t->paging))
		return;
	t->paging = paging;
	t->changes = changes;
	t->synced = true;
	form_check(t);
	struct reach reach = {0};
	for (struct bt_page *page = t->live, *next; page; page = next) {
		next = page->next_live;
		if (!still_there(t, page, &reach))
			hide(t, page, false);
	}
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

static void drop_frame(struct translate *t, uint64_t frame)
{
	struct bt_frame *f = t->frames[frame];
	if (!f)
		return;
	for (struct bt_page *page = f->pages; page; page = page->next)
		drop_page(t, page);
	t->frames[frame] = NULL;
	if (t->hits[frame] < UINT8_MAX)
		t->hits[frame]++;
}

void pages_written(void *ctx, uint64_t gpa)
{
	struct vm *vm = ctx;
	struct translate *t = translate_of(vm);
	interpret_code_written(vm, gpa);
	if (t->storing)
		t->stored = gpa >> X86_PAGE_SHIFT;
	else
		drop_frame(t, gpa >> X86_PAGE_SHIFT);
}

static bool covers(const struct bt_frame *f, unsigned from, unsigned to)
{
	for (unsigned n = from; n < to && n < X86_PAGE_SIZE; n++)
		if (f->covered[n / 8] & 1u << n % 8)
			return true;
	return false;
}

/* Bytes that the instruction at RIP may store, of one operand and in all; more than a page in all: not known. */
struct store {
	unsigned operand, all;
};

static uint64_t repetitions(const struct vcpu *vcpu, const struct emu_insn *insn)
{
	if (!(insn->info.attributes & ZYDIS_ATTRIB_HAS_REP))
		return 1;
	return insn->info.address_width == 32 ? (uint32_t)vcpu->gpr[RCX] : vcpu->gpr[RCX];
}

static struct store store_of(struct vcpu *vcpu)
{
	const struct store unknown = {STORE_MAX, X86_PAGE_SIZE + 1};
	struct emu_insn insn;
	unsigned size = 8; /* pushes */
	if (!emu_peek(vcpu, &insn) || insn.info.mnemonic == ZYDIS_MNEMONIC_ENTER)
		return unknown;
	for (unsigned n = 0; n < insn.info.operand_count; n++)
		if (insn.operands[n].type == ZYDIS_OPERAND_TYPE_MEMORY && insn.operands[n].size / 8u > size)
			size = insn.operands[n].size / 8u;
	uint64_t times = repetitions(vcpu, &insn);
	if (size > STORE_MAX || times > X86_PAGE_SIZE / size || (times > 1 && vcpu->rflags & X86_RFLAGS_DF))
		return unknown;
	return (struct store){size, (unsigned)times * size};
}

void pages_store(struct translate *t, struct vcpu *vcpu, uint64_t gva, struct vm_exit *exit)
{
	struct store store = store_of(vcpu);
	unsigned at = gva & X86_PAGE_MASK, before = at < store.operand ? at : store.operand;
	/* One that reaches into the next page drops what it hits. */
	t->storing = at + store.all <= X86_PAGE_SIZE;
	t->stored = ~0ull;
	interpret_one(vcpu, exit);
	t->storing = false;
	if (t->stored == ~0ull)
		return;
	struct bt_frame *f = t->frames[t->stored];
	if (!f)
		return;
	if (covers(f, at - before, at + store.all))
		drop_frame(t, t->stored);
	else
		spt_watch(t->vm->spt, t->stored << X86_PAGE_SHIFT);
}

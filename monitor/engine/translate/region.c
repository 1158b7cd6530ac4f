/*
 * Finding the block to run, and compiling what is not there yet: with the block, what it leads to within its page, so
 * that one exit pays for many blocks.
 */
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

#define REGION_BLOCKS 64
/* A page that was written this often while code of it was compiled is left to the interpreter. */
#define HITS_MAX 200

struct region {
	struct translate *t;
	struct bt_page *page;
	unsigned flavour;
	uint8_t bytes[X86_PAGE_SIZE]; /* the page, read once */
	uint64_t wanted[REGION_BLOCKS];
	unsigned count;
};

unsigned flavour_of(const struct translate *t, const struct vcpu *vcpu)
{
	const uint64_t sse = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	unsigned always = t->mode;
	if (t->form == FORM_NARROW)
		always |= BT_BASES | (vcpu->cpl == 3 ? BT_USER : 0);
	if (trap_of(t->vm)->direct.lends)
		return always;
	if ((vcpu->cr0 & (X86_CR0_TS | X86_CR0_EM)) || (vcpu->cr4 & sse) != sse)
		return always;
	bool avx = (vcpu->cr4 & X86_CR4_OSXSAVE) && vcpu->xcr0 == vcpu->vm->cpu.xcr0;
	return always | BT_FPU | (avx ? BT_AVX : 0);
}

static void want(struct region *r, uint64_t gva)
{
	if ((gva & ~X86_PAGE_MASK) != r->page->gva || r->count == REGION_BLOCKS)
		return;
	for (unsigned n = 0; n < r->count; n++)
		if (r->wanted[n] == gva)
			return;
	r->wanted[r->count++] = gva;
}

static struct bt_block *make(struct region *r, uint64_t gva)
{
	unsigned offset = gva & X86_PAGE_MASK;
	struct bt_source source = {gva, r->bytes + offset, X86_PAGE_SIZE - offset, r->flavour, .sites = r->page->sites};
	struct bt_block *block = block_find(r->t, gva, r->flavour);
	if (!block)
		block = block_make(r->t, r->page, NULL, &source);
	if (!block)
		return NULL;
	for (unsigned n = 0; n < block->link_count; n++)
		if (block->link[n].kind == BT_LINK)
			want(r, block->link[n].target);
	/* Where a call comes back to, or the monitor goes on. */
	want(r, gva + block->guest_len);
	return block;
}

static void link_block(struct translate *t, struct bt_block *block)
{
	for (unsigned n = 0; n < block->link_count; n++) {
		struct bt_link *link = &block->link[n];
		struct bt_block *to =
			link->kind == BT_LINK && !link->to ? block_find(t, link->target, block->flavour) : NULL;
		if (to)
			link_set(t, link, to);
	}
}

static struct bt_block *compile_region(struct region *r, uint64_t gva, uint64_t gpa)
{
	if (!gm_read(&r->t->vm->mem, gpa & ~X86_PAGE_MASK, r->bytes, sizeof(r->bytes)))
		return NULL;
	want(r, gva);
	struct bt_block *first = make(r, gva);
	for (unsigned n = 1; n < r->count && first; n++)
		make(r, r->wanted[n]);
	for (struct bt_block *block = r->page->blocks; block && first; block = block->next)
		link_block(r->t, block);
	return first;
}

/* The page's start makes hypercalls, whatever it holds; the rest is the interpreter's. */
static bool is_hypercall_page(const struct translate *t, uint64_t gpa)
{
	uint64_t page = image_hypercall_page(t->vm);
	return page && (gpa & ~X86_PAGE_MASK) == page;
}

static struct bt_block *make_hypercall(struct region *r, uint64_t gva)
{
	static const uint8_t nothing = 0;
	struct bt_source source = {gva, &nothing, 1, r->flavour, .hypercall = true};
	return gva & X86_PAGE_MASK || !r->t->callout ? NULL : block_make(r->t, r->page, NULL, &source);
}

/* Code that may be compiled lies at gva. */
static bool find_frame(const struct translate *t, uint64_t gva, unsigned flavour, struct spt_translation *at)
{
	uint32_t access = X86_PF_I | (flavour & BT_USER ? X86_PF_U : 0);
	return spt_translate(t->vm->spt, &t->paging, gva, access, at) && at->gpa < t->vm->mem.size &&
	       t->hits[at->gpa >> X86_PAGE_SHIFT] < HITS_MAX;
}

/* The instruction at gva reaches into the next page. The bytes of its own page have been read. */
static struct bt_block *make_over(struct region *r, uint64_t gva)
{
	uint8_t bytes[2 * X86_INSN_MAX];
	unsigned offset = gva & X86_PAGE_MASK, room = X86_PAGE_SIZE - offset;
	uint64_t next = r->page->gva + X86_PAGE_SIZE;
	struct spt_translation at;
	bool wraps = r->flavour & BT_NARROW && next >> 32;
	if (room >= X86_INSN_MAX || !vcpu_canonical(next) || wraps || !find_frame(r->t, next, r->flavour, &at) ||
	    is_hypercall_page(r->t, at.gpa))
		return NULL;
	struct bt_page *over = page_get(r->t, next, at.gpa >> X86_PAGE_SHIFT, r->page->users);
	if (!over || !gm_read(&r->t->vm->mem, at.gpa, bytes + room, X86_INSN_MAX))
		return NULL;
	struct emu_insn insn;
	memcpy(bytes, r->bytes + offset, room);
	if (ZYAN_FAILED(emu_decode_bytes(bt_mode(r->flavour), bytes, room + X86_INSN_MAX, &insn)))
		return NULL;
	struct bt_source source = {gva, bytes, insn.info.length, r->flavour, .sites = r->page->sites};
	return block_make(r->t, r->page, over, &source);
}

bool region_has_room(const struct translate *t)
{
	return cache_has_room(t, BT_BLOCK_MAX + BT_THUNK_MAX) && !cache_keeps_much(t);
}

struct bt_block *region_find(struct translate *t, struct vcpu *vcpu, uint64_t gva, struct vm_exit *exit)
{
	static struct region r;
	struct spt_translation at;
	unsigned flavour = flavour_of(t, vcpu);
	struct bt_block *block = block_find(t, gva, flavour);
	if (block || !vcpu_canonical(gva))
		return block;
	bool user = flavour & BT_USER;
	if (!spt_translate(t->vm->spt, &t->paging, gva, X86_PF_I | (user ? X86_PF_U : 0), &at)) {
		*exit = (struct vm_exit){EXIT_EXCEPTION, X86_VEC_PF, at.error, gva};
		return NULL;
	}
	uint64_t frame = at.gpa >> X86_PAGE_SHIFT;
	if (at.gpa >= t->vm->mem.size || t->hits[frame] >= HITS_MAX)
		return NULL;
	if (!region_has_room(t))
		cache_empty(t);
	r.t = t;
	r.flavour = flavour;
	r.count = 0;
	r.page = page_get(t, gva & ~X86_PAGE_MASK, frame, user);
	if (!r.page)
		return NULL;
	/* The page may have been compiled under another root. */
	block = block_find(t, gva, flavour);
	if (block)
		return block;
	if (is_hypercall_page(t, at.gpa))
		return make_hypercall(&r, gva);
	block = compile_region(&r, gva, at.gpa);
	return block ? block : make_over(&r, gva);
}

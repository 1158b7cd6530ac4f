/*
 * Finding the block to run, and compiling what is not there yet: with the block, what it leads to in its page and in
 * others, so that one exit pays for many blocks.
 */
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"

/*
 * An exit costs as much as compiling a few blocks, and of those that may be reached many are not: so what surely comes
 * next is compiled first, then what branches lead to, then what lies in other pages: of each of these less, and less of
 * all.
 */
#define REGION_BLOCKS	16
#define REGION_AHEAD	8
#define REGION_ALL	64
#define REGION_BRANCHES 64
/* A page that was written this often while code of it was compiled is left to the interpreter. */
#define HITS_MAX 200

/* At most, of a block: more than nearly any has. */
#define BLOCK_BYTES 192

struct region {
	struct translate *t;
	struct bt_page *page;
	unsigned flavour;
	unsigned made, most; /* blocks of this page */
	struct targets {
		uint64_t gva[REGION_BRANCHES];
		unsigned count;
	} branches, ahead, returns; /* within the page; to other pages; to behind calls */
};

unsigned flavour_of(const struct translate *t, const struct vcpu *vcpu)
{
	const uint64_t sse = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	unsigned always = t->mode;
	if (t->form == FORM_NARROW)
		always |= BT_BASES | (vcpu->cpl == 3 ? BT_USER : 0);
	if (trap_of(t->vm)->direct.lends || !t->uses_fpu)
		return always;
	if (vcpu->cr0 & (X86_CR0_TS | X86_CR0_EM))
		return always;
	if ((vcpu->cr4 & sse) != sse)
		return always | BT_X87;
	bool avx = (vcpu->cr4 & X86_CR4_OSXSAVE) && vcpu->xcr0 == vcpu->vm->cpu.xcr0;
	return always | BT_FPU | (avx ? BT_AVX : 0);
}

static bool is_missing(const struct region *r, uint64_t gva)
{
	return (gva & ~X86_PAGE_MASK) == r->page->gva && !block_find(r->t, gva, r->flavour);
}

static void note(struct targets *targets, uint64_t gva)
{
	if (targets->count < REGION_BRANCHES)
		targets->gva[targets->count++] = gva;
}

static void note_start(struct bt_page *page, uint64_t gva)
{
	page->starts[(gva & X86_PAGE_MASK) / 64] |= R3_BIT(gva % 64);
}

/* Where another block begins behind the offset, or all ends that one can have. */
static unsigned next_start(const struct bt_page *page, unsigned offset, unsigned limit)
{
	unsigned n = (offset + 1) / 64;
	uint64_t mask = -R3_BIT((offset + 1) % 64);
	for (; n * 64 < limit; n++, mask = UINT64_MAX) {
		uint64_t word = page->starts[n] & mask;
		unsigned start = n * 64 + (word ? (unsigned)__builtin_ctzll(word) : 64);
		if (word)
			return start < limit ? start : limit;
	}
	return limit;
}

/* Of bytes that are read once. */
static struct bt_block *make_until(struct region *r, uint64_t gva, unsigned end)
{
	uint8_t bytes[BLOCK_BYTES];
	unsigned offset = gva & X86_PAGE_MASK;
	struct bt_source source = {gva, bytes, end - offset, r->flavour, .sites = r->page->sites, .model = r->t->model};
	if (!gm_read(&r->t->vm->mem, (r->page->frame << X86_PAGE_SHIFT) + offset, bytes, source.len))
		return NULL;
	return block_make(r->t, r->page, NULL, &source);
}

#define INSN_STI 0xfb

/* Where a block ends at the latest: not behind what may be STI, which wants the next instruction in its block. */
static unsigned end_of(const struct region *r, unsigned offset)
{
	const unsigned limit = offset + BLOCK_BYTES < X86_PAGE_SIZE ? offset + BLOCK_BYTES : X86_PAGE_SIZE;
	const uint64_t frame = r->page->frame << X86_PAGE_SHIFT;
	uint8_t last;
	do
		offset = next_start(r->page, offset, limit);
	while (offset < limit && gm_read(&r->t->vm->mem, frame + offset - 1, &last, 1) && last == INSN_STI);
	return offset;
}

/* What another block has already is not compiled again, unless that begins within an instruction. */
static struct bt_block *make(struct region *r, uint64_t gva)
{
	unsigned offset = gva & X86_PAGE_MASK, end = end_of(r, offset);
	struct bt_block *block = make_until(r, gva, end);
	if (!block && end - offset < X86_INSN_MAX && end < X86_PAGE_SIZE)
		block = make_until(r, gva,
				   offset + X86_INSN_MAX < X86_PAGE_SIZE ? offset + X86_INSN_MAX : X86_PAGE_SIZE);
	if (!block)
		return NULL;
	note_start(r->page, gva);
	r->made++;
	for (unsigned n = 0; n < block->link_count; n++) {
		uint64_t target = block->link[n].target;
		bool within = (target & ~X86_PAGE_MASK) == r->page->gva;
		if (block->link[n].kind != BT_LINK)
			continue;
		note(within ? &r->branches : &r->ahead, target);
		if (within)
			note_start(r->page, target);
	}
	if (block->calls)
		note(&r->returns, gva + block->guest_len);
	return block;
}

/* What comes after the block, unless a branch is taken; its own address: not known. */
static uint64_t successor(const struct bt_block *block)
{
	if (block->calls || block->leaves)
		return block->gva + block->guest_len;
	const struct bt_link *last = block->link_count ? &block->link[block->link_count - 1] : NULL;
	return last && last->kind == BT_LINK ? last->target : block->gva;
}

/* A call is to come back to a block. */
static void make_row(struct region *r, uint64_t gva)
{
	bool called = false;
	while ((r->made < r->most || (called && r->made < 2 * r->most)) && is_missing(r, gva)) {
		struct bt_block *block = make(r, gva);
		if (!block)
			return;
		called = block->calls;
		gva = successor(block);
	}
}

static void compile_page(struct region *r, uint64_t gva, unsigned most)
{
	r->made = r->branches.count = 0;
	r->most = most;
	make_row(r, gva);
	for (unsigned n = 0; n < r->branches.count; n++)
		make_row(r, r->branches.gva[n]);
}

/* The page's start makes hypercalls, whatever it holds; the rest is the interpreter's. */
static bool is_hypercall_page(const struct translate *t, uint64_t gpa)
{
	uint64_t page = image_hypercall_page(t->vm);
	return page && (gpa & ~X86_PAGE_MASK) == page;
}

/* Nobody may ever come there: nothing of the guest's changes by it, an accessed bit included. */
static void compile_ahead(struct region *r)
{
	struct translate *t = r->t;
	unsigned all = r->made;
	for (unsigned n = 0; n < r->ahead.count && all < REGION_ALL; n++) {
		uint64_t gva = r->ahead.gva[n];
		bool user = r->flavour & BT_USER;
		struct spt_translation at;
		if (block_find(t, gva, r->flavour) || gva < t->high.start || !pages_lead_to(t, gva, user, &at) ||
		    at.gpa >= t->vm->mem.size || t->hits[at.gpa >> X86_PAGE_SHIFT] >= HITS_MAX ||
		    is_hypercall_page(t, at.gpa))
			continue;
		r->page = page_get(t, gva & ~X86_PAGE_MASK, &at, user);
		if (!r->page)
			return;
		compile_page(r, gva, REGION_AHEAD);
		all += r->made;
	}
}

/* No call is to come back by way of the monitor. */
static void publish_returns(struct region *r)
{
	for (unsigned n = 0; n < r->returns.count; n++) {
		struct bt_block *block = block_find(r->t, r->returns.gva[n], r->flavour);
		if (block)
			block_publish(r->t, block);
	}
}

static struct bt_block *compile_region(struct region *r, uint64_t gva)
{
	r->ahead.count = r->returns.count = 0;
	compile_page(r, gva, REGION_BLOCKS);
	struct bt_block *block = block_find(r->t, gva, r->flavour);
	if (block)
		compile_ahead(r);
	publish_returns(r);
	return block;
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

/* The instruction at gva reaches into the next page. */
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
	struct bt_page *over = page_get(r->t, next, &at, r->page->users);
	if (!over || !gm_read(&r->t->vm->mem, at.gpa, bytes + room, X86_INSN_MAX) ||
	    !gm_read(&r->t->vm->mem, (r->page->frame << X86_PAGE_SHIFT) + offset, bytes, room))
		return NULL;
	struct emu_insn insn;
	if (ZYAN_FAILED(emu_decode_bytes(bt_mode(r->flavour), bytes, room + X86_INSN_MAX, &insn)))
		return NULL;
	struct bt_source source = {
		gva, bytes, insn.info.length, r->flavour, .sites = r->page->sites, .model = r->t->model};
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
	if (block || !vcpu_canonical(gva) || gva < t->high.start)
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
	r.page = page_get(t, gva & ~X86_PAGE_MASK, &at, user);
	if (!r.page)
		return NULL;
	/* The page may have been compiled under another root. */
	block = block_find(t, gva, flavour);
	if (block)
		return block;
	if (is_hypercall_page(t, at.gpa))
		return make_hypercall(&r, gva);
	block = compile_region(&r, gva);
	return block ? block : make_over(&r, gva);
}

/*
 * Memory as instructions see it: the translation buffer, and all that it does not hold: page walks, accesses that cross
 * a page, stores to decoded code, devices.
 */
#include <string.h>

#include "monitor/engine/interpret/interp.h"
#include "monitor/vm/guest_mem.h"
#include "monitor/vm/vm.h"
#include "monitor/vm/watch.h"

/* From one generation of translations to the next. */
#define GENERATION (2 * TLB_GUARDED)

/* No RAM is there. */
#define NOWHERE UINT64_MAX

static unsigned mode_of(uint32_t user)
{
	return user ? 1 : 0;
}

/* The translations of the mode that c->user says begin anew, and it is the one in force. */
static void renew(struct engine_vcpu *c)
{
	/* Tags of 2048 generations ago would be believed again. */
	c->newest += GENERATION;
	if (!(c->newest & X86_PAGE_MASK)) {
		memset(c->tlb, 0, sizeof(c->tlb));
		c->newest += GENERATION;
	}
	c->valid.user = c->user;
	c->generation = c->of_mode[mode_of(c->user)] = c->newest;
	c->tag = c->generation & X86_PAGE_MASK;
	c->global_here = c->user ? GLOBAL_NONE : c->global;
}

/* All but global ones. */
static void flush_local(struct engine_vcpu *c)
{
	memset(c->fetched[0], 0, sizeof(c->fetched[0]));
	c->of_mode[0] = c->of_mode[1] = 0;
	renew(c);
}

void memory_flush(struct engine_vcpu *c)
{
	/* A number that no generation has had: the next one is another. */
	c->global = c->newest + TLB_GUARDED;
	memset(c->fetched[1], 0, sizeof(c->fetched[1]));
	memset(c->written, 0, sizeof(c->written));
	for (unsigned half = 0; half < 2; half++) {
		c->large[half].first = UINT64_MAX;
		c->large[half].last = 0;
	}
	flush_local(c);
}

/* To the mode that c->user says. */
static void change_mode(struct engine_vcpu *c)
{
	c->valid.user = c->user;
	c->generation = c->of_mode[mode_of(c->user)];
	c->tag = c->generation & X86_PAGE_MASK;
	c->global_here = c->user ? GLOBAL_NONE : c->global;
	if (!c->generation)
		renew(c);
}

static void note_large(struct engine_vcpu *c, uint64_t gva, const struct spt_translation *at)
{
	uint64_t first = gva & ~(at->page_len - 1), last = first + at->page_len - 1;
	if (likely(at->page_len == X86_PAGE_SIZE))
		return;
	if (first < c->large[gva >> 63].first)
		c->large[gva >> 63].first = first;
	if (last > c->large[gva >> 63].last)
		c->large[gva >> 63].last = last;
}

static bool may_be_large(const struct engine_vcpu *c, uint64_t gva)
{
	return gva >= c->large[gva >> 63].first && gva <= c->large[gva >> 63].last;
}

void memory_note_fetch(struct engine_vcpu *c, uint64_t gva, const struct spt_translation *at)
{
	uint64_t bit = (gva >> X86_PAGE_SHIFT) % FETCHED_BITS;
	c->fetched[interp_is_global(c, at)][bit / 64] |= R3_BIT(bit % 64);
	note_large(c, gva, at);
}

static bool may_be_fetched(const struct engine_vcpu *c, uint64_t gva, bool global)
{
	uint64_t bit = (gva >> X86_PAGE_SHIFT) % FETCHED_BITS;
	return c->fetched[global][bit / 64] & R3_BIT(bit % 64);
}

void memory_watch(struct engine_vcpu *c, uint64_t gpa)
{
	bool followed = spt_locks(c->vm->spt) == c->valid.locks;
	int error = spt_watch(c->vm->spt, gpa);
	if (error)
		vm_refused(c->vm, "guest code cannot be protected: %s", strerror(-error));
	if (followed)
		c->valid.locks = spt_locks(c->vm->spt);
}

/*
 * Pages were invalidated, and CR3 was loaded, and nothing else: drops the pages' translations. *local: those that are
 * not global have to go as well. False: all have.
 */
static bool drop_pages(struct engine_vcpu *c, const struct spt_remaps *now, bool *local)
{
	const struct spt_remaps *was = &c->valid.remaps;
	uint64_t loads = now->loads - was->loads, gva;
	*local = loads;
	if (now->all - was->all != now->pages - was->pages + loads)
		return false;
	for (uint64_t n = was->pages; n < now->pages; n++) {
		if (!spt_page_remapped(c->vm->spt, n, &gva) || may_be_large(c, gva) || may_be_fetched(c, gva, true))
			return false;
		*local |= may_be_fetched(c, gva, false);
		*tlb_entry(c, gva) = (struct tlb_entry){0};
	}
	return true;
}

/* Frames that became tables, or code: what stores to them comes by a walk. */
static void follow_locks(struct engine_vcpu *c)
{
	const uint64_t locks = spt_locks(c->vm->spt);
	uint64_t gpa;
	for (; unlikely(c->valid.locks != locks); c->valid.locks++) {
		if (spt_frame_locked(c->vm->spt, c->valid.locks, &gpa)) {
			memory_protect(c, gpa);
			continue;
		}
		for (unsigned n = 0; n < TLB_ENTRIES; n++)
			c->tlb[n].write = 0;
		c->valid.locks = locks;
		return;
	}
}

void memory_revalidate(struct engine_vcpu *c)
{
	const struct spt_remaps now = spt_remaps(c->vm->spt);
	struct spt_cpu paging = c->paging;
	bool slow = c->watching || c->aligned, local;
	paging.smap = c->smap;
	follow_locks(c);
	bool kept = c->key == c->valid.key && slow == c->valid.slow && spt_same_rules(&paging, &c->valid.paging) &&
		    drop_pages(c, &now, &local);
	c->valid.remaps = now;
	if (kept && !local && spt_same_roots(&paging, &c->valid.paging)) {
		if (c->user != c->valid.user)
			change_mode(c);
		return;
	}
	c->valid.paging = paging;
	kept ? flush_local(c) : memory_flush(c);
	c->valid.key = c->key;
	c->valid.slow = slow;
}

static void note_written(struct engine_vcpu *c, uint64_t gpa)
{
	uint64_t bit = (gpa >> X86_PAGE_SHIFT) % FETCHED_BITS;
	c->written[bit / 64] |= R3_BIT(bit % 64);
}

static bool may_be_written(const struct engine_vcpu *c, uint64_t gpa)
{
	uint64_t bit = (gpa >> X86_PAGE_SHIFT) % FETCHED_BITS;
	return c->written[bit / 64] & R3_BIT(bit % 64);
}

void memory_protect(struct engine_vcpu *c, uint64_t gpa)
{
	if (!may_be_written(c, gpa))
		return;
	uintptr_t host = (uintptr_t)gm_ptr(&c->vm->mem, gpa & ~X86_PAGE_MASK, X86_PAGE_SIZE);
	for (unsigned n = 0; n < TLB_ENTRIES; n++)
		if (c->tlb[n].addend + (c->tlb[n].write & ~X86_PAGE_MASK) == host)
			c->tlb[n].write = 0;
}

static bool raise(struct engine_vcpu *c, uint8_t vector, uint32_t error, uint64_t gva)
{
	*c->exit = (struct vm_exit){EXIT_EXCEPTION, vector, error, gva};
	c->leave = true;
	return false;
}

static bool raise_fault(struct engine_vcpu *c, const struct gm_fault *fault, unsigned ea)
{
	bool stack = fault->vector == X86_VEC_GP && (ea & EA_STACK);
	return raise(c, stack ? X86_VEC_SS : fault->vector, fault->error, fault->gva);
}

static bool crosses(uint64_t gva, unsigned len)
{
	return (gva & X86_PAGE_MASK) + len > X86_PAGE_SIZE;
}

/* What is checked before the walk. */
static bool acceptable(struct engine_vcpu *c, uint64_t gva, unsigned len, unsigned ea)
{
	if (!vcpu_canonical(gva) || (c->wide && !vcpu_canonical(gva + len - 1)))
		return raise(c, ea & EA_STACK ? X86_VEC_SS : X86_VEC_GP, 0, gva);
	if (c->aligned && len <= 8 && !(len & (len - 1)) && (gva & (len - 1)))
		return raise(c, X86_VEC_AC, 0, gva);
	return true;
}

/* Translated code would have faulted there: on a device, or, with 32 bits, where its cell has no such page yet. */
static void note_unmapped(struct engine_vcpu *c, uint64_t gva, unsigned prot, uint64_t gpa, bool device)
{
	/* Which it knows by heart, or mostly does itself. */
	if (!c->wide && !prot && gpa == vcpu_apic_gpa(c->vcpu, X86_APIC_ID))
		return;
	if (c->wide && gpa == vcpu_apic_gpa(c->vcpu, X86_APIC_EOI))
		return;
	if (device)
		interp_met(c);
	if (device || c->wide)
		return;
	struct spt_space *space = spt_space_find(c->vm->spt, &c->paging, c->user ? SPT_USER : SPT_KERNEL);
	if (!space || !spt_maps(space, (uint32_t)gva, prot))
		interp_met(c);
}

/* Walks for an access within a page; *host is NULL where there is no RAM. */
static bool walk(struct engine_vcpu *c, uint64_t gva, unsigned len, uint32_t access, struct spt_translation *at,
		 uint8_t **host)
{
	if (!spt_translate(c->vm->spt, &c->paging, gva, access | c->user, at)) {
		at->gpa = NOWHERE;
		return raise(c, X86_VEC_PF, at->error, gva);
	}
	*host = gm_ptr(&c->vm->mem, at->gpa, len);
	note_large(c, gva, at);
	if (c->limit != UINT64_MAX)
		note_unmapped(c, gva, access & X86_PF_W ? SPT_WRITE : 0, at->gpa, !*host);
	return true;
}

/* The entry of gva's page, emptied if it holds another's or an old one. */
static struct tlb_entry *claim(struct engine_vcpu *c, uint64_t gva, const uint8_t *host,
			       const struct spt_translation *at)
{
	struct tlb_entry *e = tlb_entry(c, gva);
	uintptr_t addend = (uintptr_t)host - gva;
	uint64_t global = interp_is_global(c, at) ? c->global : 0;
	if (e->addend != addend || e->global != global)
		*e = (struct tlb_entry){.addend = addend, .global = global};
	return e;
}

/* What the debugger's registers, and the guest's own, would have seen of this access. */
static void watch_access(struct engine_vcpu *c, uint64_t gva, unsigned len, bool write)
{
	c->watch_hits |= watch_matches(c->watch.address, c->watch.control, X86_DR7_L(0), gva, len, write);
	c->vcpu->data_hits |= (uint8_t)watch_matches(c->vcpu->dr, c->vcpu->dr[7], X86_DR7_ENABLED(0), gva, len, write);
}

static uint64_t tag_of(const struct engine_vcpu *c, uint64_t gva, const struct spt_translation *at)
{
	return tlb_tag(c, gva, 1) | (c->smap && !c->user && at->user ? TLB_GUARDED : 0);
}

static void fill_read(struct engine_vcpu *c, uint64_t gva, const uint8_t *host, const struct spt_translation *at)
{
	if (!c->aligned && !c->watching)
		claim(c, gva, host, at)->read = tag_of(c, gva, at);
}

static void fill_write(struct engine_vcpu *c, uint64_t gva, const uint8_t *host, const struct spt_translation *at)
{
	if (c->aligned || c->watching)
		return;
	note_written(c, at->gpa);
	claim(c, gva, host, at)->write = tag_of(c, gva, at);
}

/* The kernel's translation of a global page from before CR3 was loaded, which it makes new; NULL: there is none. */
static void *global(struct engine_vcpu *c, uint64_t gva, bool write)
{
	struct tlb_entry *e = tlb_entry(c, gva);
	uint64_t *tag = write ? &e->write : &e->read;
	/* No tag's generation is 0. */
	if (e->global != c->global_here || ((*tag ^ gva) & ~X86_PAGE_MASK) || !(*tag & X86_PAGE_MASK))
		return NULL;
	*tag = tlb_tag(c, gva, 1);
	return (void *)(gva + e->addend);
}

/* The translation of a user page that AC opens to the kernel; NULL: there is none. */
static void *guarded(struct engine_vcpu *c, uint64_t gva, bool write)
{
	const struct tlb_entry *e = tlb_entry(c, gva);
	if (!c->smap || c->paging.smap || c->user || (write ? e->write : e->read) != (tlb_tag(c, gva, 1) | TLB_GUARDED))
		return NULL;
	return (void *)(gva + e->addend);
}

/* What is there without a walk, though not the fast way. */
static void *held(struct engine_vcpu *c, uint64_t gva, bool write)
{
	void *host = global(c, gva, write);
	return host ? host : guarded(c, gva, write);
}

/* After a store to a device the run loop looks whether an interrupt waits now, or a deadline is another. */
static void write_device(struct engine_vcpu *c, uint64_t gpa, const void *from, unsigned len)
{
	gm_write_device(c->vcpu, gpa, from, len);
	c->broken = c->yield = true;
}

bool memory_read(struct engine_vcpu *c, uint64_t gva, void *to, unsigned len, unsigned ea)
{
	struct spt_translation at;
	struct gm_fault fault;
	uint8_t *host;
	if (!acceptable(c, gva, len, ea))
		return false;
	if (c->watching)
		watch_access(c, gva, len, false);
	if (crosses(gva, len))
		return gm_read_gva(c->vcpu, gva, to, len, GM_CPL, &fault) || raise_fault(c, &fault, ea);
	host = held(c, gva, false);
	if (host) {
		memcpy(to, host, len);
		return true;
	}
	if (!walk(c, gva, len, 0, &at, &host))
		return false;
	if (host) {
		memcpy(to, host, len);
		fill_read(c, gva, host, &at);
	} else {
		gm_read_device(c->vcpu, at.gpa, to, len);
	}
	return true;
}

/* Nothing is written unless all can be. */
static bool write_crossing(struct engine_vcpu *c, uint64_t gva, const uint8_t *from, unsigned len, unsigned ea)
{
	struct gm_fault fault;
	return (gm_probe_write_gva(c->vcpu, gva, len, GM_CPL, &fault) &&
		gm_write_gva(c->vcpu, gva, from, len, GM_CPL, &fault)) ||
	       raise_fault(c, &fault, ea);
}

bool memory_write(struct engine_vcpu *c, uint64_t gva, const void *from, unsigned len, unsigned ea)
{
	struct spt_translation at;
	uint8_t *host;
	if (!acceptable(c, gva, len, ea))
		return false;
	if (c->watching)
		watch_access(c, gva, len, true);
	if (crosses(gva, len))
		return write_crossing(c, gva, from, len, ea);
	host = held(c, gva, true);
	if (host) {
		memcpy(host, from, len);
		return true;
	}
	code_store_begin(c->code);
	bool walked = walk(c, gva, len, X86_PF_W, &at, &host);
	bool stored = walked && host;
	bool unseen = code_store_end(c, at.gpa, stored ? len : 0);
	if (stored) {
		memcpy(host, from, len);
		if (unseen)
			fill_write(c, gva, host, &at);
	} else if (walked) {
		write_device(c, at.gpa, from, len);
	}
	return walked;
}

/* The copy is written back by memory_commit. */
static void *bounce(struct engine_vcpu *c, uint64_t gva, unsigned len)
{
	c->bounce.gva = gva;
	c->bounce.size = len;
	return c->bounce.bytes;
}

void *memory_modify(struct engine_vcpu *c, uint64_t gva, unsigned len, unsigned ea)
{
	struct spt_translation at;
	struct gm_fault fault;
	uint8_t *host;
	if (!acceptable(c, gva, len, ea))
		return NULL;
	if (c->watching)
		watch_access(c, gva, len, true);
	if (crosses(gva, len)) {
		if (gm_probe_write_gva(c->vcpu, gva, len, GM_CPL, &fault) &&
		    gm_read_gva(c->vcpu, gva, c->bounce.bytes, len, GM_CPL, &fault))
			return bounce(c, gva, len);
		raise_fault(c, &fault, ea);
		return NULL;
	}
	host = held(c, gva, true);
	if (host)
		return host;
	code_store_begin(c->code);
	bool walked = walk(c, gva, len, X86_PF_W, &at, &host);
	bool unseen = code_store_end(c, at.gpa, 0);
	if (!walked)
		return NULL;
	if (host && unseen) {
		fill_write(c, gva, host, &at);
		return host;
	}
	if (host)
		memcpy(c->bounce.bytes, host, len);
	else
		gm_read_device(c->vcpu, at.gpa, c->bounce.bytes, len);
	return bounce(c, gva, len);
}

void memory_commit(struct engine_vcpu *c)
{
	unsigned len = c->bounce.size;
	c->bounce.size = 0;
	/* The walk for writing succeeded just before, and nothing has run since. */
	if (memory_write(c, c->bounce.gva, c->bounce.bytes, len, 0))
		return;
	vm_kill(c->vm, "page tables at %#lx changed while an instruction used them", c->bounce.gva);
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_EMULATED};
}

void *memory_span(struct engine_vcpu *c, uint64_t gva, uint64_t *len, bool write)
{
	const struct tlb_entry *e = tlb_entry(c, gva);
	uint64_t room = X86_PAGE_SIZE - (gva & X86_PAGE_MASK);
	void *host =
		(write ? e->write : e->read) == tlb_tag(c, gva, 1) ? (void *)(gva + e->addend) : held(c, gva, write);
	if (host && *len > room)
		*len = room;
	return host;
}

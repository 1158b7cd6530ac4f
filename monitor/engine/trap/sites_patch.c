/*
 * Which SYSCALLs are worth while, and how the copy of a page comes to be.
 */
#include <string.h>

#include "monitor/engine/trap/sites_internal.h"
#include "monitor/engine/trap/space.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

#define JMP_OPCODE 0xe9
#define NO_OPCODE  0x06

/* What may stand before a SYSCALL: no shorter than a jump, and the same wherever it lies. */
static const struct form {
	uint8_t length, fixed;
	bool number; /* the rest is the number of the call */
	uint8_t bytes[JMP_LENGTH];
} forms[] = {
	{5, 1, true, {0xb8}},			       /* mov $nr, %eax */
	{7, 3, true, {0x48, 0xc7, 0xc0}},	       /* mov $nr, %rax */
	{5, 5, false, {0x4c, 0x8b, 0x4c, 0x24, 0x08}}, /* mov 8(%rsp), %r9: syscall(2) of the C library */
};
static const uint8_t lead_high[] = {0x06, 0x07, 0x0e, 0x16, 0x17, 0x1e, 0x1f, 0x27, 0x2f,
				    0x37, 0x3f, 0x60, 0x61, 0xea, 0xd6, 0xce, 0x9a};

/* A place is hot after so many SYSCALLs, as far as it was seen. */
#define HOT_CALLS 64

struct find {
	uint64_t gva, gpa;
	bool found;
};

/* The page of gva is shown, can be executed and not be written. */
static bool visit_find(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct find *find = arg;

	if (!sites_overlap(find->gva, gva, len))
		return gva < find->gva;
	find->gpa = gpa + (find->gva - gva);
	find->found = prot == SPT_EXEC;
	return false;
}

/* Another instruction's end, or more than EAX. */
static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return byte >= 0x40 && byte <= 0x4f;
	}
}

static bool is_form(const struct form *form, const uint8_t *at, uint32_t nr)
{
	return !memcmp(at, form->bytes, form->fixed) && (!form->number || !memcmp(at + form->fixed, &nr, sizeof(nr)));
}

/* What stands before the SYSCALL that ends at `end`. False: nothing that could be a jump as well. */
static bool find_site(const uint8_t *page, uint64_t end, uint32_t nr, struct site *site)
{
	for (unsigned n = 0; n < sizeof(forms) / sizeof(forms[0]); n++) {
		const uint64_t offset = end - SYSCALL_LENGTH - forms[n].length;
		if (offset - 1 < TAIL - JMP_LENGTH - LEAD_OFFSET - ENTRY_LENGTH && page[end - 2] == 0x0f &&
		    page[end - 1] == 0x05 && is_form(&forms[n], page + offset, nr) && !is_prefix(page[offset - 1])) {
			*site = (struct site){(uint16_t)offset, forms[n].length};
			return true;
		}
	}
	return false;
}

/* Nobody has anything where the entries are to be: not the guest, and not another page's. */
static bool is_free(struct cell *cell, struct spt *spt, const struct spt_cpu *paging, uint64_t gva)
{
	uint64_t gpa;

	if (gva < GATE_PAGE * 16 || gva >= LAYOUT_TASK_END - GATE_PAGE ||
	    (gva >= GATE_HOLE_START && gva < GATE_HOLE_END) || spt_maps(cell->space, gva, 0) ||
	    spt_probe_gpa(spt, paging, gva, &gpa))
		return false;
	for (unsigned n = 0; n < cell->sites.count; n++)
		if (sites_shown(cell, n)->entries == gva || sites_shown(cell, n)->gva == gva)
			return false;
	return true;
}

static bool choose_lead(struct cell *cell, struct vcpu *vcpu, struct sites_slot *slot)
{
	struct spt_cpu paging = vcpu_paging(vcpu);

	paging.cr3 = vcpu_user_root(vcpu);
	for (unsigned n = 0; n < sizeof(lead_high); n++) {
		slot->lead = (uint32_t)lead_high[n] << 24 | LEAD_LOW;
		slot->entries = slot->gva + (uint64_t)(int64_t)(int32_t)slot->lead - LEAD_OFFSET;
		if (is_free(cell, vcpu->vm->spt, &paging, slot->entries))
			return true;
	}
	return false;
}

static void put(uint8_t *to, uint8_t opcode, uint32_t value)
{
	*to = opcode;
	memcpy(to + 1, &value, sizeof(value));
}

static void write_entry(const struct sites_slot *slot, const struct site *site, uint8_t *page, uint8_t *entries)
{
	const uint16_t from = site->offset + JMP_LENGTH + LEAD_OFFSET, lea = from + site->length,
		       jmp = lea + LEA_LENGTH;
	const uint64_t end = slot->gva + site->offset + site->length + SYSCALL_LENGTH;

	memcpy(entries + from, page + site->offset, site->length);
	entries[lea] = 0x48;
	entries[lea + 1] = 0x8d;
	put(entries + lea + 2, 0x0d, (uint32_t)(end - (slot->entries + jmp)));
	put(entries + jmp, JMP_OPCODE, (uint32_t)(TAIL - (jmp + JMP_LENGTH)));
	put(page + site->offset, JMP_OPCODE, slot->lead);
	memset(page + site->offset + JMP_LENGTH, NO_OPCODE, site->length - JMP_LENGTH);
}

static void write_slot(struct sites *sites, struct sites_slot *slot, const uint8_t *original)
{
	static const uint8_t jmp_r11[] = {0x41, 0xff, 0xe3};
	uint8_t *page = sites->memory + (size_t)(slot - sites->slot) * SLOT_SIZE, *entries = page + GATE_PAGE;
	uint64_t gate = gate_address(gate_site);

	memcpy(page, original, GATE_PAGE);
	memset(entries, NO_OPCODE, GATE_PAGE);
	for (unsigned n = 0; n < slot->count; n++)
		write_entry(slot, &slot->site[n], page, entries);
	entries[TAIL] = 0x49;
	entries[TAIL + 1] = 0xbb;
	memcpy(entries + TAIL + 2, &gate, sizeof(gate));
	memcpy(entries + TAIL_JMP, jmp_r11, sizeof(jmp_r11));
}

static struct sites_slot *free_slot(struct sites *sites)
{
	for (unsigned n = 0; n < SITES_SLOTS; n++)
		if (!sites->slot[n].cells)
			return &sites->slot[n];
	return NULL;
}

/* The one of the page that the cell shows already, or SITES_CELL. */
static unsigned shown_at(const struct cell *cell, uint64_t gva)
{
	for (unsigned n = 0; n < cell->sites.count; n++)
		if (sites_shown(cell, n)->gva == gva)
			return n;
	return SITES_CELL;
}

static bool is_refused(const struct sites *sites, uint64_t gpa)
{
	for (unsigned n = 0; n < SITES_REFUSED && n < sites->refusals; n++)
		if (sites->refused[n] == gpa)
			return true;
	return false;
}

/* A copy is never changed while it is shown, so one with one place more is another one. */
static struct sites_slot *slot_with(struct sites *sites, const struct sites_slot *before, const struct find *at,
				    struct site site)
{
	struct sites_slot *slot = free_slot(sites);

	if (!slot)
		return NULL;
	*slot = (struct sites_slot){.gpa = at->gpa, .gva = at->gva};
	if (before) {
		if (before->count == SITES_A_PAGE)
			return NULL;
		for (unsigned n = 0; n < before->count; n++)
			if ((unsigned)(site.offset - before->site[n].offset + ENTRY_LENGTH - 1) < 2 * ENTRY_LENGTH - 1)
				return NULL;
		*slot = *before;
		slot->cells = 0;
	}
	slot->site[slot->count++] = site;
	return slot;
}

/* False: not this one. */
static bool patch(struct trap *trap, struct cell *cell, struct vcpu *vcpu, uint64_t rip, uint32_t nr)
{
	struct sites *sites = &trap->cells.sites;
	struct find at = {.gva = (rip - 1) & ~(uint64_t)X86_PAGE_MASK};
	unsigned n = shown_at(cell, at.gva);
	const struct sites_slot *before = n < SITES_CELL ? sites_shown(cell, n) : NULL;
	struct site site;
	uint8_t page[GATE_PAGE];

	if (!before && cell->sites.count == SITES_CELL)
		return false;
	spt_space_each(cell->space, visit_find, &at);
	if (!at.found || is_refused(sites, at.gpa))
		return false;
	/* The copy is made of what nobody writes from here on. */
	spt_set_written(vcpu->vm->spt, SPT_WATCH_SITES, sites_written);
	if (spt_watch(vcpu->vm->spt, at.gpa) || !gm_read(&vcpu->vm->mem, at.gpa, page, sizeof(page)) ||
	    !find_site(page, rip - at.gva, nr, &site) || !sites_has_one_way(page, &site))
		return false;
	struct sites_slot *slot = slot_with(sites, before, &at, site);
	if (!slot || (!before && !choose_lead(cell, vcpu, slot)))
		return false;
	write_slot(sites, slot, page);
	if (before)
		sites_drop(cell, n);
	cell->sites.slot[cell->sites.count++] = (uint8_t)(slot - sites->slot);
	slot->cells++;
	sites->shown++;
	const uint64_t offset = (uint64_t)(slot - sites->slot) * SLOT_SIZE;
	int error = sites_show(cell, slot->entries, PROT_EXEC, sites->fd, offset + GATE_PAGE);
	if (!error)
		error = sites_show(cell, slot->gva, PROT_EXEC, sites->fd, offset);
	if (!error)
		error = cell_flush(cell);
	if (error)
		space_lost(vcpu->vm, cell->space, error);
	else
		vcpu->vm->stats.sites++;
	return !error;
}

/* It is made cheap already, or cannot be. */
static bool is_settled(const struct cell *cell, uint64_t rip)
{
	const unsigned n = shown_at(cell, (rip - 1) & ~(uint64_t)X86_PAGE_MASK);
	const struct sites_slot *slot = n < SITES_CELL ? sites_shown(cell, n) : NULL;

	for (unsigned i = 0; slot && i < slot->count; i++)
		if (slot->gva + slot->site[i].offset + slot->site[i].length + SYSCALL_LENGTH == rip)
			return true;
	for (unsigned i = 0; i < SITES_TRIED && i < cell->sites.tries; i++)
		if (cell->sites.tried[i] == rip)
			return true;
	return false;
}

/* What was seen least often makes room. */
bool sites_note(struct cell *cell, unsigned calls, uint64_t rip, uint32_t nr)
{
	struct cell_sites *sites = &cell->sites;
	unsigned at = 0;
	bool hot = false;

	if (!cell->owner->sites.allowed || !cell->space || cell->dead)
		return false;
	for (unsigned n = 0; n < SITES_HOT; n++) {
		if (sites->hot[at].rip != rip &&
		    (sites->hot[n].rip == rip || sites->hot[n].calls < sites->hot[at].calls))
			at = n;
		hot |= sites->hot[n].calls >= HOT_CALLS;
	}
	if (is_settled(cell, rip))
		return hot;
	if (sites->hot[at].rip != rip)
		sites->hot[at].calls = 0;
	sites->hot[at].rip = rip;
	sites->hot[at].nr = nr;
	sites->hot[at].calls += calls;
	return hot || sites->hot[at].calls >= HOT_CALLS;
}

static void patch_hot(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	struct cell_sites *sites = &cell->sites;

	space_settle_all(vcpu->vm); /* what nobody shows any more is gone before it is made another page's */
	for (unsigned n = 0; n < SITES_HOT && cell->space && !cell->dead; n++) {
		const uint64_t rip = sites->hot[n].rip;
		if (sites->hot[n].calls < HOT_CALLS)
			continue;
		sites->hot[n].calls = 0;
		if (!patch(trap, cell, vcpu, rip, sites->hot[n].nr))
			sites->tried[sites->tries++ % SITES_TRIED] = rip;
	}
}

void sites_look(struct trap *trap, struct cell *cell, struct vcpu *vcpu, unsigned direct, const struct vm_exit *exit)
{
	struct cell *user = NULL;
	bool hot = false;

	if (direct) {
		user = cell->peer;
		hot = user && sites_note(user, direct, cell->xchg->site_rip, cell->xchg->site_nr);
	} else if (exit->reason == EXIT_SYSCALL && !cell->kernel) {
		user = cell;
		hot = sites_note(user, 1, vcpu->rip, (uint32_t)vcpu->gpr[RAX]);
	}
	if (hot)
		patch_hot(trap, user, vcpu);
}

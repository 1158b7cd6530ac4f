/*
 * The walk of the guest's page tables: SDM 3A 4.5 (4-level paging), 4.6 (access rights), 4.7 (error codes), 4.8
 * (accessed and dirty flags). Changes nothing but those flags.
 */
#include "shadowpt/internal.h"

/* Restarts of a walk whose entries another processor keeps changing; then it goes on without marking. */
#define WALK_TRIES 16

static uint64_t *entry_at(struct spt *spt, uint64_t table, unsigned index)
{
	uint64_t *entries = spt->ops.frame(spt->ctx, table);

	return entries ? &entries[index] : NULL;
}

static bool is_leaf(unsigned level, uint64_t entry)
{
	return level == LEVEL_PAGE || (level < LEVEL_TOP && (entry & X86_PTE_PS));
}

/* Address bits below a large page are reserved except bit 12, which belongs to the PAT: SDM 3A tables 4-16, 4-18. */
static bool is_reserved(const struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	uint64_t reserved = spt->reserved;

	if (!cpu->nxe)
		reserved |= X86_PTE_NX;
	if (level == LEVEL_TOP)
		reserved |= X86_PTE_PS;
	else if (level > LEVEL_PAGE && is_leaf(level, entry))
		reserved |= (level_size(level) - 1) & ~(2 * X86_PAGE_SIZE - 1);
	return entry & reserved;
}

bool spt_entry_is_leaf(const struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	return (entry & X86_PTE_P) && is_leaf(level, entry) && !is_reserved(spt, cpu, level, entry);
}

uint64_t spt_entry_page(unsigned level, uint64_t entry)
{
	return entry & X86_PTE_ADDR & ~(level_size(level) - 1);
}

struct rights spt_rights_with(struct rights rights, const struct spt_cpu *cpu, uint64_t entry)
{
	return (struct rights){
		.user = rights.user && (entry & X86_PTE_U),
		.write = rights.write && (entry & X86_PTE_W),
		.no_exec = rights.no_exec || (cpu->nxe && (entry & X86_PTE_NX)),
	};
}

bool spt_rights_readable(struct rights rights, uint32_t access)
{
	return rights.user || !(access & X86_PF_U);
}

unsigned spt_rights_prot(struct rights rights, const struct spt_cpu *cpu, uint32_t access)
{
	bool supervisor = !(access & X86_PF_U);
	unsigned prot = 0;

	if (rights.write || (supervisor && !cpu->wp))
		prot |= SPT_WRITE;
	if (!rights.no_exec && !(supervisor && cpu->smep && rights.user))
		prot |= SPT_EXEC;
	return prot;
}

static bool fail(struct walk *walk, const struct spt_cpu *cpu, uint32_t access, uint32_t cause)
{
	walk->error = (access & (X86_PF_W | X86_PF_U)) | cause;
	if ((access & X86_PF_I) && (cpu->nxe || cpu->smep))
		walk->error |= X86_PF_I;
	return false;
}

static bool walk_read(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	uint64_t table = cpu->cr3 & X86_PTE_ADDR;
	unsigned level = LEVEL_TOP, prot;
	uint64_t entry;

	walk->rights = (struct rights){.user = true, .write = true};
	for (walk->steps = 0;; level--, table = entry & X86_PTE_ADDR) {
		uint64_t *slot = entry_at(spt, table, level_index(gva, level));

		entry = slot ? entry_load(slot) : 0;
		walk->step[walk->steps].table = table;
		walk->step[walk->steps].slot = slot;
		walk->step[walk->steps].entry = entry;
		walk->steps++;
		if (!(entry & X86_PTE_P))
			return fail(walk, cpu, access, 0);
		if (is_reserved(spt, cpu, level, entry))
			return fail(walk, cpu, access, X86_PF_P | X86_PF_RSVD);
		walk->above = walk->rights;
		walk->rights = spt_rights_with(walk->rights, cpu, entry);
		if (is_leaf(level, entry))
			break;
	}
	prot = spt_rights_prot(walk->rights, cpu, access);
	if (!spt_rights_readable(walk->rights, access) || ((access & X86_PF_W) && !(prot & SPT_WRITE)) ||
	    ((access & X86_PF_I) && !(prot & SPT_EXEC)))
		return fail(walk, cpu, access, X86_PF_P);
	walk->gpa = spt_entry_page(level, entry) | (gva & (level_size(level) - 1));
	return true;
}

/* Sets the accessed flag on the way and the dirty flag at its end; false if an entry is no longer what was read. */
static bool walk_mark(struct spt *spt, uint32_t access, struct walk *walk)
{
	for (unsigned i = 0; i < walk->steps; i++) {
		uint64_t entry = walk->step[i].entry, marked = entry | X86_PTE_A;

		if (i == walk->steps - 1 && (access & X86_PF_W))
			marked |= X86_PTE_D;
		if (marked == entry)
			continue;
		if (!entry_exchange(walk->step[i].slot, entry, marked))
			return false;
		walk->step[i].entry = marked;
		spt_frame_changed(spt, walk->step[i].table);
	}
	return true;
}

static bool is_canonical(uint64_t gva)
{
	return (uint64_t)((int64_t)(gva << 16) >> 16) == gva;
}

bool spt_walk_access(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	if (!is_canonical(gva))
		return fail(walk, cpu, access, 0);
	for (unsigned tries = 0; tries < WALK_TRIES; tries++) {
		if (!walk_read(spt, cpu, gva, access, walk))
			return false;
		if (walk_mark(spt, access, walk))
			break;
	}
	return true;
}

bool spt_walk_marked(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	if (!is_canonical(gva) || !walk_read(spt, cpu, gva, access, walk))
		return false;
	for (unsigned i = 0; i < walk->steps; i++)
		if (!(walk->step[i].entry & X86_PTE_A))
			return false;
	return true;
}

bool spt_translate(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
		   struct spt_translation *out)
{
	struct walk walk;

	*out = (struct spt_translation){0};
	if (!spt_walk_access(spt, cpu, gva, access, &walk)) {
		out->error = walk.error;
		return false;
	}
	out->gpa = walk.gpa;
	out->page_len = level_size(walk_level(&walk));
	out->prot = spt_rights_prot(walk.rights, cpu, access);
	out->user = walk.rights.user;
	if ((access & X86_PF_W) && spt_in_ram(spt, walk.gpa))
		spt_frame_written(spt, walk.gpa);
	return true;
}

unsigned spt_probe(struct spt *spt, uint64_t cr3, uint64_t gva, struct spt_step steps[X86_PT_LEVELS])
{
	uint64_t table = cr3 & X86_PTE_ADDR;
	unsigned count = 0;

	for (unsigned level = LEVEL_TOP; level >= LEVEL_PAGE; level--) {
		unsigned index = level_index(gva, level);
		uint64_t *slot = entry_at(spt, table, index);
		uint64_t entry = slot ? entry_load(slot) : 0;

		steps[count++] = (struct spt_step){level, table + index * sizeof(*slot), entry};
		if (!(entry & X86_PTE_P) || is_leaf(level, entry))
			break;
		table = entry & X86_PTE_ADDR;
	}
	return count;
}

uint64_t spt_changes(const struct spt *spt)
{
	return spt->changes;
}

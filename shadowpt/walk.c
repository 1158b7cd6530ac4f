/*
 * The walk of the guest's page tables: SDM 3A 4.3 to 4.5 (the paging modes), 4.6 (access rights), 4.7 (error
 * codes), 4.8 (accessed and dirty flags). Changes nothing but those flags.
 */
#include "shadowpt/internal.h"

/* Restarts of a walk whose entries another processor keeps changing; then it goes on without marking. */
#define WALK_TRIES 16

/* What a paging mode's tables in memory look like. */
struct format {
	unsigned top;	     /* level of the first one */
	unsigned index_bits; /* of the linear address at each level */
	unsigned entry_size;
	uint64_t reserved; /* besides address bits that the processor lacks */
};

static const struct format formats[] = {
	[SPT_NO_PAGING] = {0, INDEX_BITS, 8, 0},
	[SPT_4_LEVEL] = {LEVEL_TOP, INDEX_BITS, 8, 0},
	[SPT_32_BIT] = {LEVEL_BIG, 10, 4, 0},
	[SPT_PAE] = {LEVEL_BIG, INDEX_BITS, 8, R3_U64(0x7ff) << 52},
};

/* Bit 21 of an entry for a 4 MiB page is reserved, bits 20 to 13 are the address's bits 39 to 32: SDM 3A table 4-4. */
#define PDE_4M_RESERVED	   R3_BIT(21)
#define PDE_4M_HIGH(entry) (((entry) >> 13 & 0xff) << 32)

#define ADDR_32_BIT 0xfffff000u

static unsigned shift_of(const struct format *format, unsigned level)
{
	return X86_PAGE_SHIFT + format->index_bits * (level - 1);
}

static unsigned index_of(const struct format *format, unsigned level, uint64_t gva)
{
	return (gva >> shift_of(format, level)) & ((1u << format->index_bits) - 1);
}

static void *entry_at(struct spt *spt, const struct format *format, uint64_t table, unsigned index)
{
	uint8_t *entries = spt->ops.frame(spt->ctx, table);

	return entries ? entries + (size_t)index * format->entry_size : NULL;
}

static uint64_t load(const struct format *format, const void *slot)
{
	if (!slot)
		return 0;
	return format->entry_size == 8 ? entry_load(slot) : __atomic_load_n((const uint32_t *)slot, __ATOMIC_RELAXED);
}

static bool exchange(const struct format *format, void *slot, uint64_t expected, uint64_t value)
{
	uint32_t expected_32 = (uint32_t)expected;

	if (format->entry_size == 8)
		return entry_exchange(slot, expected, value);
	return __atomic_compare_exchange_n((uint32_t *)slot, &expected_32, (uint32_t)value, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static bool is_leaf(const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	if (level == LEVEL_PAGE)
		return true;
	return (entry & X86_PTE_PS) && level < LEVEL_TOP && (cpu->paging != SPT_32_BIT || cpu->pse);
}

uint64_t spt_entry_page(const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	uint64_t page = entry & X86_PTE_ADDR & ~(R3_BIT(shift_of(&formats[cpu->paging], level)) - 1);

	if (cpu->paging == SPT_32_BIT && level == LEVEL_BIG)
		page |= PDE_4M_HIGH(entry);
	return page;
}

/* Address bits below a large page are reserved except bit 12, which belongs to the PAT: SDM 3A tables 4-9 to 4-18. */
static bool is_reserved(const struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	uint64_t reserved = spt->reserved | formats[cpu->paging].reserved;

	/* So are most entries; what a large page has reserved it has by PS. */
	if (!(entry & (reserved | X86_PTE_NX | X86_PTE_PS)))
		return false;
	if (cpu->paging == SPT_32_BIT)
		return level == LEVEL_BIG && is_leaf(cpu, level, entry) &&
		       ((entry & PDE_4M_RESERVED) || (PDE_4M_HIGH(entry) & spt->reserved));
	if (!cpu->nxe)
		reserved |= X86_PTE_NX;
	if (level == LEVEL_TOP)
		reserved |= X86_PTE_PS;
	else if (level > LEVEL_PAGE && is_leaf(cpu, level, entry))
		reserved |= (level_size(level) - 1) & ~(2 * X86_PAGE_SIZE - 1);
	return entry & reserved;
}

bool spt_entry_is_leaf(const struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t entry)
{
	return (entry & X86_PTE_P) && is_leaf(cpu, level, entry) && !is_reserved(spt, cpu, level, entry);
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

/* Where the first table in memory lies; false if PAE's register has none. */
static bool first_table(const struct spt_cpu *cpu, uint64_t gva, uint64_t *table)
{
	uint64_t pdpte = cpu->pdpte[(gva >> X86_HUGE_SHIFT) % SPT_PDPTES];

	if (cpu->paging == SPT_PAE) {
		*table = pdpte & X86_PTE_ADDR;
		return pdpte & X86_PTE_P;
	}
	*table = cpu->cr3 & (cpu->paging == SPT_32_BIT ? ADDR_32_BIT : X86_PTE_ADDR);
	return true;
}

/* What the key in the leaf forbids, SDM 3A 4.6.2: of user pages to everybody, of supervisor pages to the supervisor. */
static bool key_forbids(const struct spt_cpu *cpu, struct rights rights, uint64_t leaf, uint32_t access)
{
	unsigned key = leaf >> X86_PTE_KEY_SHIFT & (X86_PTE_KEYS - 1);
	bool by_user = access & X86_PF_U;
	uint32_t bits = rights.user ? cpu->user_keys : by_user ? 0 : cpu->kernel_keys;

	if (access & X86_PF_I)
		return false;
	bits >>= key * X86_KEY_BITS;
	return (bits & X86_KEY_AD) || ((bits & X86_KEY_WD) && (access & X86_PF_W) && (by_user || cpu->wp));
}

/* All but the key, of a page that is there. */
static bool may_access(const struct spt_cpu *cpu, struct rights rights, uint32_t access)
{
	unsigned prot = spt_rights_prot(rights, cpu, access);

	if (cpu->smap && rights.user && !(access & (X86_PF_U | X86_PF_I)))
		return false;
	return spt_rights_readable(rights, access) && (!(access & X86_PF_W) || prot & SPT_WRITE) &&
	       (!(access & X86_PF_I) || prot & SPT_EXEC);
}

static inline __attribute__((always_inline)) bool read_tables(struct spt *spt, const struct spt_cpu *cpu,
							      const struct format *format, uint64_t gva,
							      uint32_t access, struct walk *walk)
{
	unsigned level = format->top;
	uint64_t table, entry;

	walk->rights = (struct rights){.user = true, .write = true};
	walk->steps = 0;
	if (!first_table(cpu, gva, &table))
		return fail(walk, cpu, access, 0);
	for (;; level--, table = entry & X86_PTE_ADDR) {
		void *slot = entry_at(spt, format, table, index_of(format, level, gva));

		entry = load(format, slot);
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
		if (is_leaf(cpu, level, entry))
			break;
	}
	if (key_forbids(cpu, walk->rights, entry, access))
		return fail(walk, cpu, access, X86_PF_P | X86_PF_PK);
	if (!may_access(cpu, walk->rights, access))
		return fail(walk, cpu, access, X86_PF_P);
	walk->page_len = R3_BIT(shift_of(format, level));
	walk->gpa = spt_entry_page(cpu, level, entry) | (gva & (walk->page_len - 1));
	return true;
}

/* What nearly every walk goes through is compiled by itself, with shifts and sizes that are known then. */
static bool walk_read(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	if (cpu->paging == SPT_4_LEVEL)
		return read_tables(spt, cpu, &formats[SPT_4_LEVEL], gva, access, walk);
	return read_tables(spt, cpu, &formats[cpu->paging], gva, access, walk);
}

/* Sets the accessed flag on the way and the dirty flag at its end; false if an entry is no longer what was read. */
static bool walk_mark(struct spt *spt, const struct spt_cpu *cpu, uint32_t access, struct walk *walk)
{
	for (unsigned i = 0; i < walk->steps; i++) {
		uint64_t entry = walk->step[i].entry, marked = entry | X86_PTE_A;

		if (i == walk->steps - 1 && (access & X86_PF_W))
			marked |= X86_PTE_D;
		if (marked == entry)
			continue;
		if (!exchange(&formats[cpu->paging], walk->step[i].slot, entry, marked))
			return false;
		walk->step[i].entry = marked;
		spt_frame_changed(spt, walk->step[i].table);
	}
	return true;
}

/* The address that is looked up; false if there can be nothing. */
static bool linear_address(const struct spt_cpu *cpu, uint64_t *gva)
{
	if (cpu->paging != SPT_4_LEVEL) {
		*gva = (uint32_t)*gva;
		return true;
	}
	return (uint64_t)((int64_t)(*gva << 16) >> 16) == *gva;
}

/* Nothing is checked without paging, SMEP neither. */
static void walk_nothing(uint64_t gva, uint32_t access, struct walk *walk)
{
	walk->steps = 0;
	walk->rights = (struct rights){.user = access & X86_PF_U, .write = true};
	walk->gpa = gva;
	walk->page_len = X86_PAGE_SIZE;
}

bool spt_walk_access(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	if (!linear_address(cpu, &gva))
		return fail(walk, cpu, access, 0);
	if (cpu->paging == SPT_NO_PAGING) {
		walk_nothing(gva, access, walk);
		return true;
	}
	for (unsigned tries = 0; tries < WALK_TRIES; tries++) {
		if (!walk_read(spt, cpu, gva, access, walk))
			return false;
		if (walk_mark(spt, cpu, access, walk))
			break;
	}
	return true;
}

bool spt_walk_marked(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint32_t access, struct walk *walk)
{
	if (!linear_address(cpu, &gva) || !walk_read(spt, cpu, gva, access, walk))
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
	out->page_len = walk.page_len;
	out->prot = spt_rights_prot(walk.rights, cpu, access);
	out->user = walk.rights.user;
	out->global = cpu->pge && walk.steps && (walk.step[walk.steps - 1].entry & X86_PTE_G);
	if ((access & X86_PF_W) && spt_in_ram(spt, walk.gpa))
		spt_frame_written(spt, walk.gpa);
	return true;
}

unsigned spt_root(const struct spt_cpu *cpu, uint64_t *table)
{
	static const uint64_t address[] = {[SPT_4_LEVEL] = X86_PTE_ADDR,
					   [SPT_32_BIT] = ADDR_32_BIT,
					   [SPT_PAE] = X86_CR3_PAE_ADDR,
					   [SPT_NO_PAGING] = 0};

	*table = cpu->cr3 & address[cpu->paging];
	return cpu->paging == SPT_PAE ? LEVEL_HUGE : formats[cpu->paging].top;
}

unsigned spt_table_entries(const struct spt_cpu *cpu, unsigned level)
{
	return cpu->paging == SPT_PAE && level == LEVEL_HUGE ? SPT_PDPTES : 1u << formats[cpu->paging].index_bits;
}

struct spt_step spt_probe_entry(struct spt *spt, const struct spt_cpu *cpu, unsigned level, uint64_t table,
				unsigned index)
{
	const struct format *format = &formats[cpu->paging];
	bool is_register = cpu->paging == SPT_PAE && level == LEVEL_HUGE;
	struct spt_step step = {
		.level = level,
		.index = index,
		.entry_gpa = table + index * format->entry_size,
		.entry = is_register ? cpu->pdpte[index] : load(format, entry_at(spt, format, table, index)),
		.covers = R3_BIT(shift_of(format, level)),
	};

	if ((step.entry & X86_PTE_P) && !is_register && is_leaf(cpu, level, step.entry)) {
		step.page_len = step.covers;
		step.page = spt_entry_page(cpu, level, step.entry);
	}
	return step;
}

unsigned spt_probe(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, struct spt_step steps[X86_PT_LEVELS])
{
	unsigned count = 0;
	uint64_t table;

	for (unsigned level = spt_root(cpu, &table); level >= LEVEL_PAGE; level--) {
		const struct spt_step *step = &steps[count];
		unsigned index = (gva >> shift_of(&formats[cpu->paging], level)) & (spt_table_entries(cpu, level) - 1);

		steps[count++] = spt_probe_entry(spt, cpu, level, table, index);
		if (!(step->entry & X86_PTE_P) || step->page_len)
			break;
		table = step->entry & X86_PTE_ADDR;
	}
	return count;
}

bool spt_probe_gpa(struct spt *spt, const struct spt_cpu *cpu, uint64_t gva, uint64_t *gpa)
{
	struct spt_step steps[X86_PT_LEVELS];
	const struct spt_step *leaf;

	if (cpu->paging == SPT_NO_PAGING) {
		*gpa = (uint32_t)gva;
		return true;
	}
	leaf = &steps[spt_probe(spt, cpu, gva, steps) - 1];
	if (leaf->page_len)
		*gpa = leaf->page | (gva & (leaf->page_len - 1));
	return leaf->page_len;
}

struct spt_remaps spt_remaps(const struct spt *spt)
{
	return (struct spt_remaps){spt->remaps, spt->epoch, spt->pages};
}

bool spt_page_remapped(const struct spt *spt, uint64_t n, uint64_t *gva)
{
	*gva = spt->page[n % SPT_PAGES_KEPT];
	return n < spt->pages && spt->pages - n <= SPT_PAGES_KEPT;
}

uint64_t spt_locks(const struct spt *spt)
{
	return spt->locks;
}

bool spt_frame_locked(const struct spt *spt, uint64_t n, uint64_t *gpa)
{
	*gpa = spt->lock[n % SPT_LOCKS_KEPT];
	return n < spt->locks && spt->locks - n <= SPT_LOCKS_KEPT;
}

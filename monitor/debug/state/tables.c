/*
 * A walk over all of the guest's page tables, and three ways to print it; and the shadow's.
 */
#include "monitor/debug/state/state.h"

#include <inttypes.h>
#include <string.h>

#include "monitor/vm/vm.h"

#define LINES_MAX   2000
#define ENTRIES_MAX 2000000

/* One present entry; permissions are those of the whole path. */
struct seen {
	struct spt_step step;
	uint64_t gva;
	bool write, user, exec;
};

struct walk {
	struct vcpu *vcpu;
	struct spt_cpu paging;
	FILE *out;
	void (*visit)(struct walk *walk, const struct seen *seen);
	unsigned lines, entries;
	unsigned lines_max; /* 0: as many as a person reads */
	bool cut;
	/* ranges: the one being gathered, and who gets it */
	struct seen first;
	uint64_t end;
	bool physical; /* a range is contiguous in physical memory too */
	tables_range_visit *range;
	void *arg;
};

/* A register of PAE paging has no rights. */
static bool has_rights(const struct walk *walk, unsigned level)
{
	return walk->paging.paging != SPT_PAE || level < 3;
}

static void walk_table(struct walk *walk, unsigned level, uint64_t table, const struct seen *above)
{
	unsigned count = spt_table_entries(&walk->paging, level);

	for (unsigned i = 0; i < count && !walk->cut; i++) {
		struct spt_step step = spt_probe_entry(walk->vcpu->vm->spt, &walk->paging, level, table, i);
		uint64_t entry = has_rights(walk, level) ? step.entry : step.entry | X86_PTE_W | X86_PTE_U;

		if (++walk->entries == ENTRIES_MAX || walk->lines == (walk->lines_max ? walk->lines_max : LINES_MAX))
			walk->cut = true;
		if (!(entry & X86_PTE_P))
			continue;
		struct seen seen = {
			.step = step,
			.gva = above->gva | (uint64_t)i * step.covers,
			.write = above->write && (entry & X86_PTE_W),
			.user = above->user && (entry & X86_PTE_U),
			.exec = above->exec && !(entry & X86_PTE_NX),
		};
		if (level == X86_PT_LEVELS)
			seen.gva = (uint64_t)((int64_t)(seen.gva << 16) >> 16);
		walk->visit(walk, &seen);
		if (!step.page_len)
			walk_table(walk, level - 1, step.entry & X86_PTE_ADDR, &seen);
	}
}

/* Without paging RAM is where it is. */
static void walk_ram(struct walk *walk)
{
	const struct guest_mem *mem = &walk->vcpu->vm->mem;
	uint64_t end = gm_low_end(mem);
	const struct seen all = {
		.step = {.level = 1, .entry = X86_PTE_P | X86_PTE_W, .covers = end, .page_len = end},
		.write = true,
		.exec = true,
	};

	walk->visit(walk, &all);
}

static void walk_root(struct walk *walk, uint64_t root)
{
	const struct seen above = {.write = true, .user = true, .exec = true};
	uint64_t table;

	walk->paging = vcpu_paging(walk->vcpu);
	walk->paging.cr3 = root;
	unsigned level = spt_root(&walk->paging, &table);
	if (level)
		walk_table(walk, level, table, &above);
	else
		walk_ram(walk);
}

static void walk_all(struct walk *walk)
{
	uint64_t root = vcpu_root(walk->vcpu);

	fprintf(walk->out, "root 0x%" PRIx64 "\n", (uint64_t)(root & X86_PTE_ADDR));
	walk_root(walk, root);
}

static void say_cut(const struct walk *walk)
{
	if (walk->cut)
		fputs("... and more: left out\n", walk->out);
}

/* --------------------------------------------------------------------------------------------------------- ranges */

static void range_end(struct walk *walk)
{
	const struct seen *first = &walk->first;
	struct tables_range range = {.gva = first->gva, .len = walk->end - first->gva, .gpa = first->step.page};

	if (!range.len)
		return;
	snprintf(range.rights, sizeof(range.rights), "%cr%c%c", first->user ? 'u' : '-', first->write ? 'w' : '-',
		 first->exec ? 'x' : '-');
	walk->range(walk->arg, &range);
	walk->lines++;
}

static bool range_goes_on(const struct walk *walk, const struct seen *seen)
{
	const struct seen *first = &walk->first;

	return seen->gva == walk->end && walk->end != first->gva && seen->user == first->user &&
	       seen->write == first->write && seen->exec == first->exec &&
	       (!walk->physical || seen->step.page == first->step.page + (seen->gva - first->gva));
}

static void visit_range(struct walk *walk, const struct seen *seen)
{
	if (!seen->step.page_len)
		return;
	if (!range_goes_on(walk, seen)) {
		range_end(walk);
		walk->first = *seen;
	}
	walk->end = seen->gva + seen->step.page_len;
}

static void print_range(void *arg, const struct tables_range *range)
{
	fprintf(arg, "%016" PRIx64 "-%016" PRIx64 " %016" PRIx64 " %s\n", range->gva, range->gva + range->len,
		range->len, range->rights);
}

bool tables_each_range(struct vcpu *vcpu, uint64_t root, unsigned most, tables_range_visit *visit, void *arg)
{
	struct walk walk = {
		.vcpu = vcpu, .visit = visit_range, .lines_max = most, .physical = true, .range = visit, .arg = arg};

	walk_root(&walk, root);
	if (!walk.cut)
		range_end(&walk);
	return !walk.cut;
}

void tables_ranges(struct vcpu *vcpu, FILE *out)
{
	struct walk walk = {.vcpu = vcpu, .out = out, .visit = visit_range, .range = print_range, .arg = out};

	walk_all(&walk);
	range_end(&walk);
	say_cut(&walk);
}

/* ----------------------------------------------------------------------------------------------- pages, the tree */

static void print_entry_flags(uint64_t entry, FILE *out)
{
	static const struct report_flag names[] = {{X86_PTE_W, "W"},	 {X86_PTE_U, "U"},  {X86_PTE_PWT, "PWT"},
						   {X86_PTE_PCD, "PCD"}, {X86_PTE_A, "A"},  {X86_PTE_D, "D"},
						   {X86_PTE_G, "G"},	 {X86_PTE_NX, "NX"}};

	REPORT_FLAGS(entry, names, out);
}

static void print_leaf(const struct seen *seen, FILE *out)
{
	static const char units[] = "KMG";
	unsigned unit = 0;
	uint64_t size = seen->step.page_len >> 10;

	for (; size >= 1024 && unit < 2; size >>= 10)
		unit++;
	fprintf(out, "%016" PRIx64 ": %016" PRIx64 " %" PRIu64 "%c", seen->gva, seen->step.page, size, units[unit]);
	print_entry_flags(seen->step.entry, out);
	fputc('\n', out);
}

static void visit_page(struct walk *walk, const struct seen *seen)
{
	if (!seen->step.page_len)
		return;
	print_leaf(seen, walk->out);
	walk->lines++;
}

void tables_pages(struct vcpu *vcpu, FILE *out)
{
	struct walk walk = {.vcpu = vcpu, .out = out, .visit = visit_page};

	walk_all(&walk);
	say_cut(&walk);
}

static void visit_entry(struct walk *walk, const struct seen *seen)
{
	fprintf(walk->out, "%*s[%3u] ", 2 * (int)(X86_PT_LEVELS - seen->step.level), "", seen->step.index);
	if (seen->step.page_len) {
		print_leaf(seen, walk->out);
	} else {
		fprintf(walk->out, "table at %09" PRIx64, (uint64_t)(seen->step.entry & X86_PTE_ADDR));
		print_entry_flags(seen->step.entry & ~(X86_PTE_D | X86_PTE_G), walk->out);
		fputc('\n', walk->out);
	}
	walk->lines++;
}

void tables_tree(struct vcpu *vcpu, FILE *out)
{
	struct walk walk = {.vcpu = vcpu, .out = out, .visit = visit_entry};

	walk_all(&walk);
	say_cut(&walk);
}

/* ---------------------------------------------------------------------------------------------------- the shadow */

struct shadow {
	struct vcpu *vcpu;
	FILE *out;
	enum spt_mode mode;
	uint64_t root;
	unsigned runs;
};

/* The guest's view of one page of a run: where it leads and what it permits, by the entries of its walk. */
static bool guest_view(const struct shadow *shadow, uint64_t gva, struct seen *view)
{
	struct spt_cpu paging = vcpu_paging(shadow->vcpu);
	struct spt_step steps[X86_PT_LEVELS];
	paging.cr3 = shadow->root;
	paging.paging = SPT_4_LEVEL;
	unsigned count = spt_probe(shadow->vcpu->vm->spt, &paging, gva, steps);

	*view = (struct seen){.step = steps[count - 1], .write = true, .user = true, .exec = true};
	for (unsigned i = 0; i < count; i++) {
		view->write &= !!(steps[i].entry & X86_PTE_W);
		view->user &= !!(steps[i].entry & X86_PTE_U);
		view->exec &= !(steps[i].entry & X86_PTE_NX);
	}
	return view->step.page_len;
}

static void print_difference(const struct shadow *shadow, uint64_t gva, uint64_t gpa, unsigned prot)
{
	struct seen view;
	FILE *out = shadow->out;

	if (!guest_view(shadow, gva, &view)) {
		fputs(" the guest's tables no longer map it", out);
		return;
	}
	if ((view.step.page | (gva & (view.step.page_len - 1))) != gpa)
		fputs(" the guest's tables lead elsewhere by now", out);
	if (view.write && !(prot & SPT_WRITE))
		fprintf(out, " read-only beneath: %s",
			view.step.entry & X86_PTE_D ? "a page table, or watched" : "not dirty yet");
	if (!view.write && (prot & SPT_WRITE))
		fputs(" writable beneath: CR0.WP is clear", out);
	if (view.exec && !(prot & SPT_EXEC))
		fputs(" not executable beneath", out);
}

static bool visit_run(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct shadow *shadow = arg;

	fprintf(shadow->out, "  %016" PRIx64 "-%016" PRIx64 " gpa %09" PRIx64 " r%c%c", gva, gva + len, gpa,
		prot & SPT_WRITE ? 'w' : '-', prot & SPT_EXEC ? 'x' : '-');
	print_difference(shadow, gva, gpa, prot);
	fputc('\n', shadow->out);
	return ++shadow->runs < LINES_MAX;
}

static void print_space(struct vcpu *vcpu, uint64_t root, enum spt_mode mode, FILE *out)
{
	struct spt_cpu paging = vcpu_paging(vcpu);
	paging.cr3 = root;
	struct spt_space *space = spt_space_find(vcpu->vm->spt, &paging, mode), *upper;
	struct shadow shadow = {.vcpu = vcpu, .out = out, .mode = mode, .root = root};

	fprintf(out, "%s space of root 0x%" PRIx64 ":%s\n", mode == SPT_USER ? "user" : "kernel",
		(uint64_t)(root & X86_PTE_ADDR), space ? "" : " none");
	if (mode == SPT_KERNEL && (upper = spt_space_find(vcpu->vm->spt, &paging, SPT_UPPER)))
		spt_space_each(upper, visit_run, &shadow);
	if (space)
		spt_space_each(space, visit_run, &shadow);
	if (shadow.runs == LINES_MAX)
		fputs("... and more: left out\n", out);
}

void tables_shadow(struct vcpu *vcpu, FILE *out)
{
	struct spt_stats stats;

	spt_get_stats(vcpu->vm->spt, &stats);
	fprintf(out, "%" PRIu64 " spaces, %" PRIu64 " fills of %" PRIu64 " pages, %" PRIu64 " drops\n", stats.spaces,
		stats.fills, stats.pages_mapped, stats.drops);
	print_space(vcpu, vcpu->cr3, SPT_KERNEL, out);
	print_space(vcpu, vcpu->pv.user_root ? vcpu->pv.user_root : vcpu->cr3, SPT_USER, out);
}

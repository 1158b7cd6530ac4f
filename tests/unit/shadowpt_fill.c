/*
 * Shadow paging under a guest that does at random all a guest may do, checked against its tables as they are and as
 * they were since the last invalidation.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shadowpt/internal.h"
#include "tests/unit/shadowpt_world.h"

#define STEPS	  70000u
#define RAM	  ((16u << 20) + 5 * X86_PAGE_SIZE)
#define LOWEST	  0x3000u
#define LIMIT	  ((3ull << 39) + (1ull << 30) + 3 * X86_PAGE_SIZE)
#define KERNEL	  (2ull << 39) /* all of RAM is mapped here, by tables that are left alone */
#define KERNEL_L3 0x10000u
#define KERNEL_L2 0x11000u
#define LOG_MAX	  4096u
#define ROOTS	  6u
#define UPPER	  (0 - R3_BIT(47)) /* where the upper half begins, with the same view as the lower one */

/* Frames that serve as tables of each level, some side by side, some where large pages' data lies. */
static const struct {
	uint64_t first, stride;
	unsigned count;
} pool[X86_PT_LEVELS + 1] = {
	{0}, {0x200000, 0x1000, 24}, {0x3f8000, 0x1000, 12}, {0x600000, 0x101000, 8}, {0x20000, 0x1000, ROOTS},
};

/* A guest's write to a table that the library need not know of before an invalidation. */
struct change {
	uint64_t gpa, old;
	bool dead; /* spt_entry_write came after: no trace of the old value may be left */
};

static struct {
	struct world *world;
	struct spt_cpu cpu;
	uint64_t random;
	unsigned root;
	struct change log[LOG_MAX];
	unsigned log_count;
	unsigned log_start[ROOTS]; /* changes before it were invalidated for the root */
	bool watched[RAM / X86_PAGE_SIZE];
	unsigned long hits, fills, guest_faults, stale_hits, prefills, shared;
	unsigned alike;
	bool shares; /* the upper half is used, and one space for roots that agree about it */
} t;

static unsigned random_below(unsigned n)
{
	t.random ^= t.random << 13;
	t.random ^= t.random >> 7;
	t.random ^= t.random << 17;
	return (t.random >> 11) % n;
}

static bool chance(unsigned percent)
{
	return random_below(100) < percent;
}

static uint64_t pool_frame(unsigned level)
{
	return pool[level].first + random_below(pool[level].count) * pool[level].stride;
}

/* The level whose table lies in the frame; 0: data. */
static unsigned pool_level(uint64_t gpa)
{
	for (unsigned level = 1; level <= X86_PT_LEVELS; level++)
		for (unsigned i = 0; i < pool[level].count; i++)
			if (pool[level].first + i * pool[level].stride == (gpa & ~X86_PAGE_MASK))
				return level;
	return 0;
}

/* ------------------------------------------------------------------------------------------------- the guest's acts */

static unsigned random_index(unsigned level)
{
	static const unsigned tops[] = {0, 1, 3}, bigs[] = {0, 1, 2, 511};

	switch (level) {
	case 4:
		return tops[random_below(3)] + (t.shares && chance(40) ? X86_PT_ENTRIES / 2 : 0);
	case 3:
		return random_below(2);
	case 2:
		return bigs[random_below(4)];
	default:
		return chance(90) ? random_below(24) : random_below(X86_PT_ENTRIES);
	}
}

static uint64_t random_gva(void)
{
	uint64_t gva = random_below(X86_PAGE_SIZE) & ~7u;

	for (unsigned level = 1; level <= X86_PT_LEVELS; level++)
		gva |= (uint64_t)random_index(level) << level_shift(level);
	return gva_canonical(gva);
}

/* An entry for index i of a table of that level. */
static uint64_t random_entry(unsigned level, unsigned i)
{
	/* As kernels have it. */
	if (level == X86_PT_LEVELS && i >= X86_PT_ENTRIES / 2 && chance(80))
		return *world_entry(t.world, pool_frame(level), i);
	uint64_t entry = X86_PTE_P | (chance(80) ? X86_PTE_W : 0) | (chance(85) ? X86_PTE_U : 0) |
			 (chance(85) ? X86_PTE_A : 0) | (chance(70) ? X86_PTE_D : 0) | (chance(20) ? X86_PTE_G : 0) |
			 (chance(10) ? X86_PTE_NX : 0);

	if (chance(12))
		entry &= ~X86_PTE_P;
	if (chance(2))
		entry |= R3_BIT(WORLD_PHYSICAL_BITS + 3);
	if (chance(2))
		return entry | (RAM + random_below(64) * X86_PAGE_SIZE);
	if (level == 1 && chance(60)) /* next to each other, so that one fault fills several */
		return entry | (random_below(3) * 600 + i) * X86_PAGE_SIZE;
	if (level == 1)
		return entry | (chance(15) ? pool_frame(1 + random_below(4))
					   : random_below(RAM / X86_PAGE_SIZE) * X86_PAGE_SIZE);
	if (level < 4 && chance(30))
		return entry | X86_PTE_PS | (level == 2 ? (uint64_t)random_below(10) << 21 : 0) |
		       (chance(3) ? R3_BIT(13) : 0);
	return entry | pool_frame(chance(4) ? 1 + random_below(4) : level - 1);
}

static void log_change(uint64_t gpa)
{
	assert_true(t.log_count < LOG_MAX);
	t.log[t.log_count++] =
		(struct change){.gpa = gpa, .old = *world_entry(t.world, gpa & ~X86_PAGE_MASK, gpa % 4096 / 8)};
}

/* A store has reached RAM: into a table it is a new entry, elsewhere it does not matter. */
static void store(uint64_t gpa)
{
	unsigned level = pool_level(gpa);

	assert_false(t.watched[gpa >> X86_PAGE_SHIFT]);
	if (!level || ((gpa % 4096 / 8) == 2 && level == 4))
		return;
	log_change(gpa);
	*world_entry(t.world, gpa & ~X86_PAGE_MASK, gpa % 4096 / 8) = random_entry(level, gpa % 4096 / 8);
}

static bool host_permits(const struct host_run *page, uint32_t access)
{
	return (!(access & X86_PF_W) || (page->prot & SPT_WRITE)) && (!(access & X86_PF_I) || (page->prot & SPT_EXEC));
}

static void check_hit(uint64_t gva, uint32_t access, const struct host_run *page)
{
	struct reference now = reference_walk(t.world, &t.cpu, gva, access, false);

	t.hits++;
	if (t.log_start[t.root] != t.log_count) {
		t.stale_hits += !now.ok;
		return;
	}
	assert_true(now.ok && now.accessed);
	assert_int_equal(page->gpa, now.gpa & ~X86_PAGE_MASK);
	assert_true(!(access & X86_PF_W) || now.dirty);
}

/* Where the space of the mode has gva. */
static enum spt_mode mode_at(enum spt_mode mode, uint64_t gva)
{
	return mode == SPT_KERNEL ? spt_kernel_mode(t.world->spt, &t.cpu, gva) : mode;
}

static bool in_view(enum spt_mode mode, uint64_t gva)
{
	return gva >= LOWEST + (mode == SPT_UPPER ? UPPER : 0) && gva < LIMIT + (mode == SPT_UPPER ? UPPER : 0);
}

/* The guest accesses memory: through the host if it permits, by a fault if not. False: the guest takes an exception. */
static bool touch(enum spt_mode mode, uint64_t gva, uint32_t access, uint64_t *gpa)
{
	struct spt_space *space = world_space(t.world, t.cpu.cr3, mode = mode_at(mode, gva));
	struct reference want;
	struct spt_outcome out;
	struct host_run page;

	access |= mode == SPT_USER ? X86_PF_U : 0;
	if (host_find(world_host(space), gva, &page) && host_permits(&page, access)) {
		check_hit(gva, access, &page);
		*gpa = page.gpa + (gva & X86_PAGE_MASK);
		return true;
	}
	want = reference_walk(t.world, &t.cpu, gva, access, false);
	switch (spt_fault(space, &t.cpu, gva, access, &out)) {
	case SPT_FILLED:
		t.fills++;
		assert_true(want.ok && host_find(world_host(space), gva, &page) && host_permits(&page, access));
		assert_int_equal(page.gpa, want.gpa & ~X86_PAGE_MASK);
		want = reference_walk(t.world, &t.cpu, gva, access, false);
		assert_true(want.accessed && (want.dirty || !(page.prot & SPT_WRITE)));
		*gpa = want.gpa;
		return true;
	case SPT_GUEST_FAULT:
		t.guest_faults++;
		assert_false(want.ok);
		assert_int_equal(out.error, want.error);
		assert_false(host_find(world_host(space), gva, &page));
		return false;
	case SPT_NOT_RAM:
		assert_true(want.ok && want.gpa >= RAM);
		assert_int_equal(out.gpa, want.gpa);
		return false;
	case SPT_UNREACHABLE:
		assert_true(want.ok && want.gpa < RAM && !in_view(mode, gva));
		return false;
	case SPT_HOST_REFUSED:
		assert_int_equal(out.host_error, WORLD_OP_ERROR);
		world_clear(space);
		return false;
	}
	fail();
	return false;
}

/* -------------------------------------------------------------------------------------------------------- the checks
 */

static bool grants(const struct spt_space *space, const struct host_run *page, bool flags)
{
	struct spt_cpu cpu = t.cpu;
	uint32_t access = spt_space_mode(space) == SPT_USER ? X86_PF_U : 0;
	struct reference r;

	cpu.cr3 = spt_space_root(space);
	r = reference_walk(t.world, &cpu, page->gva, access, false);
	if (!r.ok || r.gpa != page->gpa || (page->prot & ~r.prot))
		return false;
	return !flags || (r.accessed && (r.dirty || !(page->prot & SPT_WRITE)));
}

/* Takes the changes back one by one, looking for the state that granted the page; then makes them again. */
static bool granted_since(const struct spt_space *space, const struct host_run *page, unsigned start)
{
	static uint64_t live[LOG_MAX];
	bool found = grants(space, page, start == t.log_count);
	unsigned i = t.log_count;

	while (!found && i > start) {
		struct change *change = &t.log[--i];
		uint64_t *entry = world_entry(t.world, change->gpa & ~X86_PAGE_MASK, change->gpa % 4096 / 8);

		live[i] = *entry;
		if (!change->dead)
			*entry = change->old;
		found = grants(space, page, false);
	}
	for (; i < t.log_count && i >= start; i++) {
		uint64_t gpa = t.log[i].gpa;

		*world_entry(t.world, gpa & ~X86_PAGE_MASK, gpa % 4096 / 8) = live[i];
	}
	return found;
}

/* No page of the space grants more than the guest's tables did; a sample of some hundred pages. */
static void check_space(struct spt_space *space, unsigned start)
{
	struct host *host = world_host(space);
	uint64_t pages = 0, next = 0;

	for (size_t r = 0; r < host->count; r++)
		pages += host->runs[r].len / X86_PAGE_SIZE;
	for (size_t r = 0; r < host->count; r++) {
		struct host_run page = host->runs[r];

		for (; next < host->runs[r].len / X86_PAGE_SIZE; next += 1 + random_below(1 + pages / 128)) {
			page.gva = host->runs[r].gva + next * X86_PAGE_SIZE;
			page.gpa = host->runs[r].gpa + next * X86_PAGE_SIZE;
			assert_true(granted_since(space, &page, start));
		}
		next -= host->runs[r].len / X86_PAGE_SIZE;
	}
}

static void check_root(unsigned root)
{
	uint64_t cr3 = pool[4].first + root * pool[4].stride;

	check_space(world_space(t.world, cr3, SPT_KERNEL), t.log_start[root]);
	check_space(world_space(t.world, cr3, SPT_USER), t.log_start[root]);
	if (t.shares && root == t.root)
		check_space(world_space(t.world, cr3, SPT_UPPER), t.log_start[root]);
}

struct listed {
	const struct host *host;
	uint64_t pages;
};

static bool compare_run(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct listed *listed = arg;
	struct host_run page;

	for (uint64_t at = 0; at < len; at += X86_PAGE_SIZE) {
		if (!host_find(listed->host, gva + at, &page) || page.gpa != gpa + at || page.prot != prot)
			fail();
	}
	listed->pages += len / X86_PAGE_SIZE;
	return true;
}

static uint64_t check_pages(struct spt_space *space)
{
	struct listed listed = {.host = world_host(space)};
	uint64_t pages = 0;

	for (size_t r = 0; r < listed.host->count; r++) {
		const struct host_run *run = &listed.host->runs[r];

		pages += run->len / X86_PAGE_SIZE;
		for (uint64_t at = 0; (run->prot & SPT_WRITE) && at < run->len; at += X86_PAGE_SIZE)
			if (t.world->spt->frames[(run->gpa + at) >> X86_PAGE_SHIFT].locks)
				fail();
	}
	spt_space_each(space, compare_run, &listed);
	assert_int_equal(listed.pages, pages);
	return pages;
}

static struct spt_space *next_upper(const struct spt_space *space)
{
	const struct list *head = &t.world->spt->uppers, *next = space ? space->upper.next : head->next;

	return next == head ? NULL : LIST_ITEM(next, struct spt_space, upper);
}

/* The library's books agree with the host, and nothing maps a locked frame writable. */
static void check_books(void)
{
	struct spt_stats stats;
	uint64_t total = 0;

	for (unsigned i = 0; i < 2 * ROOTS; i++)
		total += check_pages(world_space(t.world, pool[4].first + i / 2 * pool[4].stride, i % 2));
	for (struct spt_space *space = next_upper(NULL); space; space = next_upper(space))
		total += check_pages(space);
	spt_get_stats(t.world->spt, &stats);
	assert_int_equal(stats.mapped_bytes, total * X86_PAGE_SIZE);
	for (unsigned i = 0; i < RAM / X86_PAGE_SIZE; i++)
		if (t.world->spt->frames[i].watched != t.watched[i])
			fail();
}

/* ------------------------------------------------------------------------------------------------------ the steps */

/* Somebody might have loaded the root without telling: true, and nothing has to change by that. */
static bool is_alike(void)
{
	struct spt_space *user = spt_space_find(t.world->spt, &t.cpu, SPT_USER);

	return user && spt_root_agrees(t.world->spt, user);
}

static void load_root(unsigned root)
{
	t.cpu.cr3 = pool[4].first + root * pool[4].stride;
	const struct spt_space *before = t.world->spt->upper, *after;
	const uint64_t drops = t.world->spt->stats.drops;
	const bool alike = is_alike();

	assert_int_equal(spt_cr3_load(t.world->spt, &t.cpu), 0);
	after = spt_space_find(t.world->spt, &t.cpu, SPT_UPPER);
	if (alike) {
		assert_int_equal(t.world->spt->stats.drops, drops);
		assert_true(t.world->spt->upper == before);
		t.alike += root != t.root;
	}
	t.shared += root != t.root && after && after == before && after->top;
	t.root = root;
	t.log_start[root] = t.log_count;
	check_root(root);
}

static void forget_log(void)
{
	for (unsigned root = 0; root < ROOTS; root++)
		load_root(root);
	t.log_count = 0;
	memset(t.log_start, 0, sizeof(t.log_start));
}

static void step_access(void)
{
	static const uint32_t kinds[] = {0, 0, X86_PF_W, X86_PF_I};
	uint32_t access = kinds[random_below(4)];
	uint64_t gpa, gva = random_gva();

	if (touch(random_below(2), gva, access, &gpa) && access == X86_PF_W)
		store(gpa);
}

/* Maps what is not mapped and has its accessed bits, if anything, and changes no entry. */
static void step_prefill(void)
{
	uint64_t gva = random_gva();
	struct spt_space *space = world_space(t.world, t.cpu.cr3, mode_at(random_below(2), gva));
	struct reference before, after;
	struct host_run page;
	bool mapped = host_find(world_host(space), gva, &page);

	before = reference_walk(t.world, &t.cpu, gva, 0, false);
	if (spt_prefill(space, &t.cpu, gva)) {
		world_clear(space);
		return;
	}
	after = reference_walk(t.world, &t.cpu, gva, 0, false);
	assert_true(before.accessed == after.accessed && before.dirty == after.dirty);
	if (mapped || !host_find(world_host(space), gva, &page))
		return;
	assert_true(before.ok && before.accessed);
	assert_int_equal(page.gpa, before.gpa & ~X86_PAGE_MASK);
	t.prefills++;
}

static void step_direct_write(void)
{
	unsigned level = 1 + random_below(4);
	uint64_t at = pool_frame(level) + 8 * random_index(level), gpa;

	if (touch(SPT_KERNEL, KERNEL + at, X86_PF_W, &gpa)) {
		assert_int_equal(gpa, at);
		store(gpa);
	}
}

static void step_clear_flags(void)
{
	uint64_t at = pool_frame(1) + 8 * random_index(1), gpa;

	if (!touch(SPT_KERNEL, KERNEL + at, X86_PF_W, &gpa))
		return;
	log_change(at);
	*world_entry(t.world, at & ~X86_PAGE_MASK, at % 4096 / 8) &= chance(50) ? ~X86_PTE_A : ~X86_PTE_D;
}

static void step_entry_write(void)
{
	unsigned level = 1 + random_below(4);
	uint64_t at = pool_frame(level) + 8 * random_index(level);

	assert_int_equal(spt_entry_write(t.world->spt, at, random_entry(level, at % 4096 / 8)), 0);
	assert_false(t.watched[at >> X86_PAGE_SHIFT]);
	for (unsigned i = 0; i < t.log_count; i++)
		t.log[i].dead |= t.log[i].gpa == at;
	if (chance(10))
		for (unsigned root = 0; root < ROOTS; root++)
			check_root(root);
}

static void step_invlpg(void)
{
	uint64_t gva = chance(95) ? random_gva() : KERNEL + random_below(RAM);
	struct host_run page;

	assert_int_equal(spt_invlpg(t.world->spt, &t.cpu, gva), 0);
	for (enum spt_mode mode = SPT_KERNEL; mode <= (t.shares ? SPT_UPPER : SPT_USER); mode++)
		assert_false(host_find(world_host(world_space(t.world, t.cpu.cr3, mode)), gva, &page));
}

/* The monitor writes for the guest: by linear or by physical address. */
static void step_monitor_write(void)
{
	struct spt_translation out;
	uint64_t at = pool_frame(1) + 8 * random_index(1);

	if (chance(50)) {
		spt_note_write(t.world->spt, at, 8);
		store(at);
	} else if (spt_translate(t.world->spt, &t.cpu, KERNEL + at, X86_PF_W, &out)) {
		assert_int_equal(out.gpa, at);
		store(at);
	}
}

static void step_watch(void)
{
	uint64_t gpa = chance(50) ? pool_frame(1 + random_below(4)) : random_below(RAM / X86_PAGE_SIZE) * X86_PAGE_SIZE;
	bool on = chance(70);

	t.watched[gpa >> X86_PAGE_SHIFT] = on;
	if (on)
		assert_int_equal(spt_watch(t.world->spt, gpa), 0);
	else
		spt_unwatch(t.world->spt, gpa);
}

static void step_rare(void)
{
	struct spt_space *space =
		world_space(t.world, pool[4].first + random_below(ROOTS) * pool[4].stride, random_below(2));

	if (t.shares && chance(30))
		space = world_space(t.world, t.cpu.cr3, SPT_UPPER);

	switch (random_below(5)) {
	case 0:
		world_discard(space);
		break;
	case 1:
		assert_int_equal(spt_space_empty(space), 0);
		assert_int_equal(world_host(space)->count, 0);
		break;
	case 2:
		t.cpu.wp = chance(50);
		t.cpu.nxe = chance(80);
		t.cpu.smep = chance(50);
		assert_int_equal(spt_flush_all(t.world->spt), 0);
		for (unsigned i = 0; i < 2 * ROOTS; i++) {
			space = world_space(t.world, pool[4].first + i / 2 * pool[4].stride, i % 2);
			assert_int_equal(world_host(space)->count, 0);
		}
		for (space = next_upper(NULL); space; space = next_upper(space))
			assert_int_equal(world_host(space)->count, 0);
		break;
	default:
		t.world->fail_in = 1 + random_below(6);
	}
}

/* At times so many in a row that tables which are written no more are protected. */
static void step_loads(void)
{
	for (unsigned count = chance(10) ? 40 : 1; count; count--)
		load_root(chance(60) ? t.root : random_below(ROOTS));
}

static void step(void)
{
	unsigned what = random_below(1000);

	if (what < 440)
		step_access();
	else if (what < 500)
		step_prefill();
	else if (what < 650)
		step_direct_write();
	else if (what < 680)
		step_clear_flags();
	else if (what < 780)
		step_entry_write();
	else if (what < 880)
		step_invlpg();
	else if (what < 920)
		step_loads();
	else if (what < 960)
		step_monitor_write();
	else if (what < 997)
		step_watch();
	else
		step_rare();
}

/* ------------------------------------------------------------------------------------------------------- the world */

static void model_written(struct world *world, uint64_t gpa)
{
	assert_true(t.watched[gpa >> X86_PAGE_SHIFT]);
	t.watched[gpa >> X86_PAGE_SHIFT] = false;
}

static void build_tables(void)
{
	const uint64_t all = X86_PTE_P | X86_PTE_W | X86_PTE_A | X86_PTE_D;

	for (unsigned i = 0; i < 9; i++)
		*world_entry(t.world, KERNEL_L2, i) = all | X86_PTE_PS | ((uint64_t)i << 21);
	*world_entry(t.world, KERNEL_L3, 0) = all | KERNEL_L2;
	for (unsigned level = 1; level <= X86_PT_LEVELS; level++)
		for (unsigned i = 0; i < pool[level].count; i++) {
			uint64_t table = pool[level].first + i * pool[level].stride;

			for (unsigned n = 0; n < X86_PT_ENTRIES; n++)
				*world_entry(t.world, table, n) = random_entry(level, n);
			if (level == X86_PT_LEVELS)
				*world_entry(t.world, table, 2) = all | KERNEL_L3;
		}
}

/* After the last space, nothing of it is left on the frames. */
static void tear_down(void)
{
	struct spt_stats stats;

	for (unsigned i = 0; i < 2 * ROOTS; i++)
		world_discard(world_space(t.world, pool[4].first + i / 2 * pool[4].stride, i % 2));
	for (struct spt_space *space = next_upper(NULL), *next; space; space = next) {
		next = next_upper(space);
		world_discard(space);
	}
	spt_get_stats(t.world->spt, &stats);
	assert_int_equal(stats.spaces, 0);
	assert_true(stats.resyncs > 1000 && stats.table_writes > 1000 && stats.drops > 1000);
	for (unsigned i = 0; i < RAM / X86_PAGE_SIZE; i++) {
		const struct frame *frame = &t.world->spt->frames[i];

		assert_true(!frame->writers && !frame->table && frame->locks == t.watched[i]);
	}
	for (unsigned i = 0; i < 9; i++)
		assert_null(t.world->spt->big[i].writers);
	assert_null(t.world->spt->huge[0].writers);
	world_destroy(t.world);
}

static void run_model(uint64_t seed, bool shares)
{
	memset(&t, 0, sizeof(t));
	t.random = seed;
	t.shares = shares;
	t.world = world_create(RAM, LOWEST, LIMIT);
	if (shares)
		world_share(t.world, UPPER + LOWEST, UPPER + LIMIT);
	t.world->on_written = model_written;
	t.cpu = (struct spt_cpu){.wp = true, .nxe = true, .smep = true};
	build_tables();
	load_root(0);
	for (unsigned i = 0; i < STEPS; i++) {
		step();
		if (i % 128 == 0)
			check_root(random_below(ROOTS));
		if (i % 512 == 0)
			check_books();
		if (t.log_count + 2 >= LOG_MAX)
			forget_log();
	}
	/* The run has met what it is there for. */
	assert_true(t.hits > STEPS / 20 && t.fills > STEPS / 20 && t.guest_faults > STEPS / 20 && t.stale_hits > 0 &&
		    t.prefills > STEPS / 200 && (!shares || (t.shared > STEPS / 1000 && t.alike > STEPS / 2000)));
	print_message("%lu hits, %lu fills, %lu guest faults, %lu hits on stale entries, %lu upper halves shared, %u "
		      "roots alike\n",
		      t.hits, t.fills, t.guest_faults, t.stale_hits, t.shared, t.alike);
	tear_down();
}

static void test_seed_1(void **state)
{
	run_model(0x1234567, false);
}

static void test_seed_2(void **state)
{
	run_model(0xfeedface, false);
}

static void test_seed_3(void **state)
{
	run_model(0x5eed5eed5eed, false);
}

static void test_shared_1(void **state)
{
	run_model(0x1234567, true);
}

static void test_shared_2(void **state)
{
	run_model(0xfeedface, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seed_1),	 cmocka_unit_test(test_seed_2),	  cmocka_unit_test(test_seed_3),
		cmocka_unit_test(test_shared_1), cmocka_unit_test(test_shared_2),
	};

	if (argc > 1) {
		run_model(strtoull(argv[1], NULL, 0), argc > 2);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

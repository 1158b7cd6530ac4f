/*
 * What a guest can name in many places: the shadow stays within its memory, and no call touches more than a bounded
 * number of places. Three tables stand for 2^18 places here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "shadowpt/internal.h"
#include "tests/unit/shadowpt_world.h"

#define RAM    (8u << 20)
#define LOWEST 0x10000u
#define LIMIT  (255ull << 39)
#define L3     0x100000u
#define L2     0x101000u
#define L1     0x102000u
#define DATA   0x200000u
#define ROOTS  0x300000u
#define SLOT   ((uint64_t)1 << 39)

#define READY	  (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D)
#define ROOT(n)	  (ROOTS + (uint64_t)(n)*X86_PAGE_SIZE)
#define PLACES(n) ((uint64_t)(n)*level_size(LEVEL_BIG))

#define ROOT_COUNT 4u
#define MEMORY_MAX (2u << 20)

static struct world *w;

static struct spt_stats stats(void)
{
	struct spt_stats s;

	spt_get_stats(w->spt, &s);
	return s;
}

static void fill_table(uint64_t table, uint64_t entry)
{
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
		*world_entry(w, table, i) = entry;
}

static int set_up(void **state)
{
	world_memory_max = MEMORY_MAX;
	w = world_create(RAM, LOWEST, LIMIT);
	fill_table(L3, L2 | READY);
	fill_table(L2, L1 | READY);
	*world_entry(w, L1, 0) = DATA | READY;
	for (unsigned n = 0; n < ROOT_COUNT; n++)
		*world_entry(w, ROOT(n), 1) = L3 | READY;
	return 0;
}

static int set_up_unbounded(void **state)
{
	set_up(state);
	w->spt->config.memory_max = 0;
	return 0;
}

static int tear_down(void **state)
{
	for (unsigned n = 0; n < ROOT_COUNT; n++)
		world_discard(world_space(w, ROOT(n), SPT_KERNEL));
	assert_int_equal(stats().memory, 0);
	for (uint64_t gpa = 0; gpa < RAM; gpa += X86_PAGE_SIZE)
		assert_true(!spt_frame(w->spt, gpa)->writers && !spt_frame(w->spt, gpa)->writer_count &&
			    !spt_frame(w->spt, gpa)->table && !spt_frame(w->spt, gpa)->locks);
	world_destroy(w);
	world_memory_max = 0;
	return 0;
}

static void touch(unsigned root, uint64_t gva, uint32_t access)
{
	const struct spt_cpu cpu = {.cr3 = ROOT(root), .wp = true, .nxe = true};
	struct spt_space *space = world_space(w, ROOT(root), SPT_KERNEL);
	struct spt_outcome out;
	struct host_run page;

	assert_int_equal(spt_fault(space, &cpu, gva, access, &out), SPT_FILLED);
	assert_true(host_find(world_host(space), gva, &page));
	assert_int_equal(page.gpa, out.gpa & ~X86_PAGE_MASK);
}

static uint64_t runs(void)
{
	uint64_t count = 0;

	for (unsigned n = 0; n < ROOT_COUNT; n++)
		count += world_host(world_space(w, ROOT(n), SPT_KERNEL))->count;
	return count;
}

static void test_memory(void **state)
{
	for (unsigned i = 0; i < 2000; i++) {
		touch(i / 700 % ROOT_COUNT, SLOT + PLACES(i), i % 2 ? X86_PF_W : 0);
		assert_true(stats().memory < MEMORY_MAX + 65536);
	}
	assert_true(stats().evictions > 2);
	assert_true(runs() < MEMORY_MAX / sizeof(struct node));
}

/* Whoever faulted last stays; what a bystander mapped goes first. */
static void test_least_recent(void **state)
{
	uint64_t before;

	touch(0, SLOT, 0);
	for (unsigned i = 0; !stats().evictions; i++)
		touch(1, SLOT + PLACES(i), 0);
	assert_int_equal(world_host(world_space(w, ROOT(0), SPT_KERNEL))->count, 0);
	before = world_host(world_space(w, ROOT(1), SPT_KERNEL))->count;
	touch(0, SLOT, 0);
	assert_true(before <= 1 || runs() > 1);
}

/* Large pages take few nodes here, and many page tables of the host's. */
static void test_large(void **state)
{
	fill_table(L2, READY | X86_PTE_PS);
	for (unsigned i = 0; i < 3000; i++) {
		touch(0, SLOT + PLACES(i), 0);
		assert_true(stats().memory < MEMORY_MAX + X86_PT_ENTRIES * X86_PAGE_SIZE + 65536);
	}
	assert_true(stats().evictions > 2);
}

/* Large pages that would have to be split, all of them, because one frame becomes a table. */
static void test_splits(void **state)
{
	fill_table(L2, READY | X86_PTE_PS);
	for (unsigned i = 0; i < 400; i++)
		touch(0, SLOT + PLACES(i), X86_PF_W);
	assert_int_equal(spt_watch(w->spt, 0x150000), 0);
	assert_true(stats().memory < MEMORY_MAX + 65536);
	spt_unwatch(w->spt, 0x150000);
}

static void test_uses(void **state)
{
	for (unsigned i = 0; i < TABLE_USES_MAX + 500; i++)
		touch(i % ROOT_COUNT, SLOT + PLACES(i), 0);
	assert_int_equal(spt_frame(w->spt, L1)->table->use_count, TABLE_USES_MAX);
	assert_int_equal(runs(), TABLE_USES_MAX);
	assert_int_equal(spt_entry_write(w->spt, L1, 0), 0);
	assert_int_equal(runs(), 0);
}

/* A table that leads to itself has uses on the very way that is being filled. */
static void test_uses_of_itself(void **state)
{
	unsigned uses;

	fill_table(L3, L3 | READY);
	for (unsigned i = 0; i < 3 * TABLE_USES_MAX; i++)
		touch(0, SLOT + (uint64_t)i * 7919 % R3_BIT(27) * X86_PAGE_SIZE, 0);
	uses = spt_frame(w->spt, L3)->table->use_count;
	assert_true(uses > 0 && uses <= TABLE_USES_MAX);
}

static void test_writers(void **state)
{
	fill_table(L1, DATA | READY);
	for (unsigned i = 0; i < WRITERS_MAX + 300; i++)
		touch(i % ROOT_COUNT, SLOT + (uint64_t)i * X86_PAGE_SIZE, X86_PF_W);
	assert_int_equal(spt_frame(w->spt, DATA)->writer_count, WRITERS_MAX);
	w->protects = 0;
	assert_int_equal(spt_watch(w->spt, DATA), 0);
	assert_int_equal(w->protects, WRITERS_MAX);
	assert_int_equal(spt_frame(w->spt, DATA)->writer_count, 0);
	spt_unwatch(w->spt, DATA);
}

/* Spaces in which nothing ever runs, for each root that somebody loads. */
static void test_unowned(void **state)
{
	for (unsigned i = 0; i < 3 * SPACES_MAX; i++)
		assert_non_null(
			spt_space_get(w->spt, &(struct spt_cpu){.cr3 = (uint64_t)i << X86_PAGE_SHIFT}, SPT_USER));
	assert_int_equal(stats().spaces, SPACES_MAX);
}

/* A large page that runs into the hole is mapped up to it, one that begins there from its end on. */
static void test_hole(void **state)
{
	const struct host *host = world_host(world_space(w, ROOT(0), SPT_KERNEL));
	const uint64_t start = 0x501000, end = 0x6ff000, gva = SLOT + PLACES(2) - 0x400000;
	struct host_run page;

	w->spt->config.hole_start = start;
	w->spt->config.hole_end = end;
	*world_entry(w, L2, 2) = 0x400000 | READY | X86_PTE_PS;
	*world_entry(w, L2, 3) = 0x600000 | READY | X86_PTE_PS;
	touch(0, gva + 0x400000, 0);
	touch(0, gva + end, X86_PF_W);
	assert_true(host_find(host, gva + start - X86_PAGE_SIZE, &page));
	assert_false(host_find(host, gva + start, &page));
	assert_false(host_find(host, gva + end - X86_PAGE_SIZE, &page));
	assert_true(host_find(host, gva + 0x7ff000, &page));
	assert_int_equal(spt_watch(w->spt, end), 0);
	assert_true(host_find(host, gva + end, &page) && !(page.prot & SPT_WRITE));
	assert_true(host_find(host, gva + 0x7ff000, &page) && (page.prot & SPT_WRITE));
	spt_unwatch(w->spt, end);
}

#define TEST(name)	     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_UNBOUNDED(name) cmocka_unit_test_setup_teardown(name, set_up_unbounded, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory),
		TEST(test_least_recent),
		TEST(test_large),
		TEST(test_splits),
		TEST(test_hole),
		TEST_UNBOUNDED(test_uses),
		TEST_UNBOUNDED(test_uses_of_itself),
		TEST_UNBOUNDED(test_writers),
		TEST_UNBOUNDED(test_unowned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Shadow paging case by case: limits, what a fault fills and what that costs, table frames and their protection,
 * watches, and a host that refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shadowpt/internal.h"
#include "tests/unit/shadowpt_world.h"

#define RAM    (64u << 20)
#define LOWEST 0x10000u
#define LIMIT  (255ull << 39)
#define ROOT   0x100000u
#define ROOT2  0x101000u
#define TABLES 0x110000u /* tables are taken from here on */
#define DATA   0x800000u
#define GVA    0x40000000u

#define PTE_RW	  (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define PTE_READY (PTE_RW | X86_PTE_A | X86_PTE_D)
#define PAGES(n)  ((uint64_t)(n)*X86_PAGE_SIZE)

static struct world *w;
static struct spt_cpu cpu;
static uint64_t next_table;

static int set_up_ram(uint64_t ram)
{
	w = world_create(ram, LOWEST, LIMIT);
	cpu = (struct spt_cpu){.cr3 = ROOT, .wp = true, .nxe = true};
	next_table = TABLES;
	return 0;
}

static int set_up(void **state)
{
	return set_up_ram(RAM);
}

static int tear_down(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		world_discard(world_space(w, i < 2 ? ROOT : ROOT2, i % 2));
	for (uint64_t gpa = 0; gpa < w->config.ram_size; gpa += X86_PAGE_SIZE)
		assert_true(!w->spt->frames[gpa >> X86_PAGE_SHIFT].writers &&
			    !w->spt->frames[gpa >> X86_PAGE_SHIFT].table);
	world_destroy(w);
	return 0;
}

static uint64_t *entry_for(uint64_t root, uint64_t gva, unsigned level)
{
	uint64_t table = root;

	for (unsigned at = X86_PT_LEVELS; at > level; at--) {
		uint64_t *entry = world_entry(w, table, level_index(gva, at));

		if (!(*entry & X86_PTE_P)) {
			*entry = PTE_READY | next_table;
			next_table += X86_PAGE_SIZE;
		}
		table = *entry & X86_PTE_ADDR;
	}
	return world_entry(w, table, level_index(gva, level));
}

static uint64_t gpa_of(const uint64_t *entry)
{
	return (uint64_t)((const uint8_t *)entry - w->ram);
}

static void map_pages(uint64_t gva, uint64_t gpa, unsigned count, uint64_t bits)
{
	for (unsigned i = 0; i < count; i++)
		*entry_for(ROOT, gva + PAGES(i), LEVEL_PAGE) = bits | (gpa + PAGES(i));
}

static enum spt_result fault_in(uint64_t root, enum spt_mode mode, uint64_t gva, uint32_t access,
				struct spt_outcome *out)
{
	cpu.cr3 = root;
	return spt_fault(world_space(w, root, mode), &cpu, gva, access, out);
}

static void fill(enum spt_mode mode, uint64_t gva, uint32_t access)
{
	struct spt_outcome out;

	assert_int_equal(fault_in(ROOT, mode, gva, access, &out), SPT_FILLED);
}

static bool mapped_in(uint64_t root, enum spt_mode mode, uint64_t gva, uint64_t gpa, unsigned prot)
{
	struct host_run page;

	return host_find(world_host(world_space(w, root, mode)), gva, &page) && page.gpa == gpa && page.prot == prot;
}

static bool nothing_at(uint64_t root, enum spt_mode mode, uint64_t gva)
{
	struct host_run page;

	return !host_find(world_host(world_space(w, root, mode)), gva, &page);
}

static struct spt_stats stats(void)
{
	struct spt_stats out;

	spt_get_stats(w->spt, &out);
	return out;
}

#define RWX (SPT_WRITE | SPT_EXEC)

/* ----------------------------------------------------------------------------------------------- fill-around */

static void touch_all(unsigned count, bool down)
{
	for (unsigned i = 0; i < count; i++) {
		uint64_t gva = GVA + PAGES(down ? count - 1 - i : i);

		if (nothing_at(ROOT, SPT_USER, gva))
			fill(SPT_USER, gva, X86_PF_W);
		assert_true(mapped_in(ROOT, SPT_USER, gva, DATA + gva - GVA, RWX));
	}
}

static void test_sequence(void **state)
{
	map_pages(GVA, DATA, 4096, PTE_READY);
	touch_all(4096, false);
	assert_true(world_ops(w) <= 20);
	assert_int_equal(stats().pages_mapped, 4096);
	assert_int_equal(stats().fills, w->maps);
}

static void test_sequence_down(void **state)
{
	map_pages(GVA, DATA, 4096, PTE_READY);
	touch_all(4096, true);
	assert_true(world_ops(w) <= 20);
}

static void test_window(void **state)
{
	map_pages(GVA, DATA, 512, PTE_READY);
	fill(SPT_USER, GVA + PAGES(100), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(96));
	assert_int_equal(w->last_map.len, PAGES(SPT_ROW_WRITTEN));
	/* Elsewhere: no larger. Right after: twice as large, less what is there, but for the row. */
	fill(SPT_USER, GVA + PAGES(300), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(288));
	assert_int_equal(w->last_map.len, PAGES(SPT_ROW_WRITTEN));
	fill(SPT_USER, GVA + PAGES(320), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(320));
	assert_int_equal(w->last_map.len, PAGES(SPT_ROW_WRITTEN));
	fill(SPT_USER, GVA + PAGES(352), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(352));
	assert_int_equal(w->last_map.len, PAGES(384 - 352));
	fill(SPT_USER, GVA + PAGES(384), 0);
	assert_int_equal(w->last_map.len, PAGES(128));
	assert_int_equal(world_ops(w), 5);
}

/* What cannot be written is mapped as far as it lies in a row; a frame elsewhere ends that, and entries without A. */
static void test_row(void **state)
{
	map_pages(GVA, DATA, 512, PTE_READY & ~X86_PTE_W);
	*entry_for(ROOT, GVA + PAGES(40), LEVEL_PAGE) &= ~X86_PTE_A;
	*entry_for(ROOT, GVA + PAGES(400), LEVEL_PAGE) ^= PAGES(1024);
	fill(SPT_USER, GVA + PAGES(100), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(41));
	assert_int_equal(w->last_map.len, PAGES(400 - 41));
	assert_true(nothing_at(ROOT, SPT_USER, GVA + PAGES(40)));
	assert_true(nothing_at(ROOT, SPT_USER, GVA + PAGES(400)));
	assert_int_equal(world_ops(w), 1);
}

/* A write gives back what neighbours lost to a watch or a table that is gone; not where it is still there. */
static void test_neighbours_writable(void **state)
{
	map_pages(GVA, DATA, 16, PTE_READY);
	fill(SPT_USER, GVA, X86_PF_W);
	for (unsigned i = 2; i < 8; i++) {
		assert_int_equal(spt_watch(w->spt, DATA + PAGES(i)), 0);
		assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(i), DATA + PAGES(i), SPT_EXEC));
		if (i != 4)
			spt_unwatch(w->spt, DATA + PAGES(i));
	}
	unsigned maps = w->maps;
	fill(SPT_USER, GVA + PAGES(6), X86_PF_W);
	assert_int_equal(w->maps, maps + 1);
	assert_int_equal(w->written, 0);
	for (unsigned i = 2; i < 8; i++)
		assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(i), DATA + PAGES(i), i > 4 ? RWX : SPT_EXEC));
}

/* Neighbours without A stay out, without D they go in read-only, and neither flag is set for them. */
static void test_neighbour_flags(void **state)
{
	struct spt_outcome out;

	map_pages(GVA, DATA, 16, PTE_READY & ~X86_PTE_D);
	*entry_for(ROOT, GVA + PAGES(10), LEVEL_PAGE) &= ~X86_PTE_A;
	fill(SPT_USER, GVA + PAGES(5), 0);
	assert_int_equal(w->last_map.gva, GVA);
	assert_int_equal(w->last_map.len, PAGES(10));
	assert_int_equal(w->last_map.prot, SPT_EXEC);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(*entry_for(ROOT, GVA + PAGES(i), LEVEL_PAGE) & (X86_PTE_A | X86_PTE_D),
				 i == 10 ? 0 : X86_PTE_A);
	/* The first write reaches the library, and dirties that page alone. */
	fill(SPT_USER, GVA + PAGES(5), X86_PF_W);
	assert_int_equal(w->last_map.len, PAGES(1));
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(5), DATA + PAGES(5), RWX));
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(6), DATA + PAGES(6), SPT_EXEC));
	assert_false(*entry_for(ROOT, GVA + PAGES(6), LEVEL_PAGE) & X86_PTE_D);
	/* Not contiguous, not permitted, reserved: no neighbours. */
	map_pages(GVA + PAGES(64), DATA, 16, PTE_READY);
	*entry_for(ROOT, GVA + PAGES(66), LEVEL_PAGE) ^= PAGES(1024);
	*entry_for(ROOT, GVA + PAGES(70), LEVEL_PAGE) &= ~X86_PTE_U;
	fill(SPT_USER, GVA + PAGES(68), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(67));
	assert_int_equal(w->last_map.len, PAGES(3));
	*entry_for(ROOT, GVA + PAGES(73), LEVEL_PAGE) |= R3_BIT(51);
	fill(SPT_USER, GVA + PAGES(72), 0);
	assert_int_equal(w->last_map.gva, GVA + PAGES(71));
	assert_int_equal(w->last_map.len, PAGES(2));
	assert_int_equal(fault_in(ROOT, SPT_USER, GVA + PAGES(70), 0, &out), SPT_GUEST_FAULT);
	assert_int_equal(out.error, X86_PF_P | X86_PF_U);
}

/* A neighbour filled from an entry new since the last comparison goes when that entry changes again. */
static void test_neighbour_changes(void **state)
{
	uint64_t *entry = entry_for(ROOT, GVA + PAGES(1), LEVEL_PAGE);

	map_pages(GVA, DATA, 1, PTE_READY);
	fill(SPT_USER, GVA, X86_PF_W);
	spt_note_write(w->spt, gpa_of(entry), 8);
	*entry = PTE_READY | (DATA + PAGES(1));
	assert_int_equal(spt_invlpg(w->spt, &cpu, GVA), 0);
	fill(SPT_USER, GVA, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(1), DATA + PAGES(1), RWX));
	*entry = PTE_READY | (DATA + PAGES(7));
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA + PAGES(1)));
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA, RWX));
}

/* A changed entry that another space still maps as it was is no neighbour: its change must stay to be seen. */
static void test_neighbour_elsewhere(void **state)
{
	uint64_t *entry;

	map_pages(GVA, DATA, 1, PTE_READY);
	map_pages(GVA + PAGES(1), DATA + PAGES(7), 1, PTE_READY);
	entry = entry_for(ROOT, GVA + PAGES(1), LEVEL_PAGE);
	fill(SPT_USER, GVA + PAGES(1), X86_PF_W);
	spt_note_write(w->spt, gpa_of(entry), 8);
	*entry = PTE_READY | (DATA + PAGES(1));
	fill(SPT_KERNEL, GVA, X86_PF_W);
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA + PAGES(1)));
}

/* ------------------------------------------------------------------------------------------------- limits */

static void test_limits(void **state)
{
	struct spt_outcome out;

	map_pages(LOWEST - PAGES(1), DATA, 2, PTE_READY);
	map_pages(LIMIT - PAGES(1), DATA, 2, PTE_READY);
	*entry_for(ROOT, ~0ull, LEVEL_PAGE) = PTE_READY | DATA;
	assert_int_equal(fault_in(ROOT, SPT_USER, LOWEST - 1, X86_PF_W, &out), SPT_UNREACHABLE);
	assert_int_equal(out.gpa, DATA + X86_PAGE_MASK);
	assert_int_equal(fault_in(ROOT, SPT_USER, LIMIT, 0, &out), SPT_UNREACHABLE);
	assert_int_equal(fault_in(ROOT, SPT_USER, ~0ull, 0, &out), SPT_UNREACHABLE);
	assert_int_equal(fault_in(ROOT, SPT_USER, LIMIT + PAGES(1), X86_PF_I, &out), SPT_GUEST_FAULT);
	assert_int_equal(out.error, X86_PF_U | X86_PF_I);
	assert_int_equal(fault_in(ROOT, SPT_KERNEL, R3_BIT(47), X86_PF_W, &out), SPT_GUEST_FAULT);
	assert_int_equal(out.error, X86_PF_W);
	assert_int_equal(spt_invlpg(w->spt, &cpu, LIMIT), 0);
	assert_int_equal(spt_invlpg(w->spt, &cpu, ~0ull), 0);
	assert_int_equal(world_ops(w), 0);
	fill(SPT_USER, LOWEST, 0);
	fill(SPT_USER, LIMIT - 1, 0);
	assert_int_equal(stats().pages_mapped, 2);
	*entry_for(ROOT, GVA, LEVEL_PAGE) = PTE_READY | (RAM + PAGES(3));
	assert_int_equal(fault_in(ROOT, SPT_USER, GVA + 5, X86_PF_W, &out), SPT_NOT_RAM);
	assert_int_equal(out.gpa, RAM + PAGES(3) + 5);
	assert_int_equal(stats().guest_faults, 2);
}

/* Large pages map by one op what of them can be mapped. */
static void test_large_clipped(void **state)
{
	struct spt_outcome out;
	const uint64_t huge = 1ull << 39;

	*entry_for(ROOT, 0, LEVEL_BIG) = PTE_READY | X86_PTE_PS | DATA;
	fill(SPT_USER, LOWEST + 0x5000, 0);
	assert_int_equal(w->last_map.gva, LOWEST);
	assert_int_equal(w->last_map.gpa, DATA + LOWEST);
	assert_int_equal(w->last_map.len, level_size(LEVEL_BIG) - LOWEST);
	*entry_for(ROOT, huge, LEVEL_HUGE) = (PTE_READY & ~X86_PTE_D) | X86_PTE_PS;
	fill(SPT_USER, huge + RAM - 1, 0);
	assert_int_equal(w->last_map.gva, huge);
	assert_int_equal(w->last_map.len, RAM);
	assert_int_equal(w->maps, 2);
	assert_int_equal(fault_in(ROOT, SPT_USER, huge + RAM, 0, &out), SPT_NOT_RAM);
	w->spt->view[SPT_USER].range[0].end = huge + PAGES(5);
	assert_int_equal(spt_flush_all(w->spt), 0);
	fill(SPT_USER, huge, 0);
	assert_int_equal(w->last_map.len, PAGES(5));
	w->spt->view[SPT_USER].range[0].end = LIMIT;
}

/* Neighbouring large pages go together. */
static void test_large_run(void **state)
{
	for (unsigned i = 0; i < 8; i++)
		*entry_for(ROOT, GVA + i * level_size(LEVEL_BIG), LEVEL_BIG) =
			PTE_READY | X86_PTE_PS | (DATA + i * level_size(LEVEL_BIG));
	fill(SPT_USER, GVA + 3 * level_size(LEVEL_BIG) + 12345, X86_PF_W);
	assert_int_equal(world_ops(w), 1);
	assert_int_equal(w->last_map.gva, GVA);
	assert_int_equal(w->last_map.len, 8 * level_size(LEVEL_BIG));
}

/* ------------------------------------------------------------------------------------------------ privilege */

static void test_privilege(void **state)
{
	struct spt_outcome out;

	*entry_for(ROOT, GVA, LEVEL_PAGE) = (PTE_READY & ~X86_PTE_U) | DATA;
	/* The mode decides, not the access bit. */
	assert_int_equal(fault_in(ROOT, SPT_USER, GVA, X86_PF_W, &out), SPT_GUEST_FAULT);
	assert_int_equal(out.error, X86_PF_P | X86_PF_W | X86_PF_U);
	assert_int_equal(fault_in(ROOT, SPT_KERNEL, GVA, X86_PF_W | X86_PF_U, &out), SPT_FILLED);
	cpu.smep = true;
	*entry_for(ROOT, GVA + PAGES(64), LEVEL_PAGE) = PTE_READY | DATA;
	assert_int_equal(fault_in(ROOT, SPT_KERNEL, GVA + PAGES(64), X86_PF_I, &out), SPT_GUEST_FAULT);
	assert_int_equal(out.error, X86_PF_P | X86_PF_I);
	fill(SPT_KERNEL, GVA + PAGES(64), 0);
	assert_int_equal(w->last_map.prot, SPT_WRITE);
	/* WP clear: a read-only page is written, and dirty from then on. */
	cpu.wp = false;
	*entry_for(ROOT, GVA + PAGES(128), LEVEL_PAGE) = (X86_PTE_P | DATA);
	fill(SPT_KERNEL, GVA + PAGES(128), 0);
	assert_int_equal(w->last_map.prot, SPT_EXEC);
	fill(SPT_KERNEL, GVA + PAGES(128), X86_PF_W);
	assert_int_equal(w->last_map.prot, RWX);
	assert_int_equal(*entry_for(ROOT, GVA + PAGES(128), LEVEL_PAGE) & X86_PTE_D, X86_PTE_D);
}

/* ---------------------------------------------------------------------------------------------------- tables */

/* All of RAM for the kernel at 512 GiB, by 2 MiB pages, and one page for the user. */
#define KERNEL (1ull << 39)

static uint64_t *kernel_and_user(void)
{
	for (unsigned i = 0; i < RAM >> X86_LARGE_SHIFT; i++)
		*entry_for(ROOT, KERNEL + i * level_size(LEVEL_BIG), LEVEL_BIG) =
			(PTE_READY & ~X86_PTE_U) | X86_PTE_PS | i * level_size(LEVEL_BIG);
	map_pages(GVA, DATA, 1, PTE_READY);
	return entry_for(ROOT, GVA, LEVEL_PAGE);
}

static void test_table_write(void **state)
{
	uint64_t *entry = kernel_and_user(), at = gpa_of(entry);
	unsigned ops;

	fill(SPT_KERNEL, KERNEL + DATA, X86_PF_W);
	fill(SPT_KERNEL, KERNEL, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + at, at, RWX));
	/* Tables found that can be written: they are compared a few times first. */
	w->maps = w->unmaps = w->protects = 0;
	fill(SPT_USER, GVA, X86_PF_W);
	assert_int_equal(world_ops(w), 1);
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + (at & ~X86_PAGE_MASK), at & ~X86_PAGE_MASK, RWX));
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	/* Of the large page that maps them, their pages alone are protected. */
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->unmaps, 0);
	assert_int_equal(w->protects, 3); /* one for each table below the root that is new */
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + (at & ~X86_PAGE_MASK), at & ~X86_PAGE_MASK, SPT_EXEC));
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + DATA, DATA, RWX));
	/* Root switch: nothing written, nothing done. */
	ops = world_ops(w);
	uint64_t resyncs = stats().resyncs;
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_int_equal(world_ops(w), ops);
	assert_int_equal(stats().resyncs, resyncs);
	/* A write: one fault, then free; the change is seen at the next load and not before. */
	fill(SPT_KERNEL, KERNEL + at, X86_PF_W);
	assert_int_equal(w->last_map.len, PAGES(1));
	assert_int_equal(stats().table_writes, 1);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + (at & ~X86_PAGE_MASK), at & ~X86_PAGE_MASK, RWX));
	*entry = PTE_READY | (DATA + PAGES(9));
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA, RWX));
	ops = world_ops(w);
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	assert_int_equal(world_ops(w), ops + 1);
	assert_int_equal(stats().resyncs, resyncs + 1);
	fill(SPT_USER, GVA, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA + PAGES(9), RWX));
}

static void test_table_protected_again(void **state)
{
	uint64_t *entry = kernel_and_user(), at = gpa_of(entry), page = at & ~X86_PAGE_MASK;
	unsigned loads = 0;

	fill(SPT_KERNEL, KERNEL, X86_PF_W);
	fill(SPT_USER, GVA, X86_PF_W);
	fill(SPT_KERNEL, KERNEL + at, X86_PF_W);
	/* Written now and then: it stays writable. */
	for (unsigned i = 0; i < 50; i++) {
		*entry ^= i % 4 ? 0 : PAGES(1);
		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
		assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + page, page, RWX));
		fill(SPT_USER, GVA, X86_PF_W);
	}
	/* Flags that the library sets are no guest's writes. */
	for (unsigned i = 1; i < 100; i++)
		entry[i] = X86_PTE_P | DATA;
	while (mapped_in(ROOT, SPT_KERNEL, KERNEL + page, page, RWX) && loads++ < 90) {
		struct spt_translation out;

		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
		assert_true(spt_translate(w->spt, &cpu, GVA + PAGES(loads), 0, &out));
	}
	assert_in_range(loads, 2, 20);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + page, page, SPT_EXEC));
	assert_int_equal(stats().table_writes, 0);
	fill(SPT_KERNEL, KERNEL + at, X86_PF_W);
	assert_int_equal(stats().table_writes, 1);
	*entry = 0;
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
}

/* Loads of CR3 until the table, which has just been written, is protected. */
static unsigned loads_until_protected(uint64_t page)
{
	unsigned loads = 0;

	while (mapped_in(ROOT, SPT_KERNEL, KERNEL + page, page, RWX)) {
		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
		assert_true(++loads < 1000);
	}
	return loads;
}

/* What was protected in vain is compared for longer, though not for good; also where another space has its table. */
static void test_protected_later(void **state)
{
	uint64_t at = gpa_of(kernel_and_user()), page = at & ~X86_PAGE_MASK;
	unsigned loads[5];

	for (unsigned n = 0; n < 5; n++) {
		fill(SPT_KERNEL, KERNEL, X86_PF_W);
		fill(SPT_USER, GVA, X86_PF_W);
		fill(SPT_KERNEL, KERNEL + at, X86_PF_W);
		loads[n] = loads_until_protected(page);
		if (n == 1)
			assert_int_equal(spt_space_empty(world_space(w, ROOT, SPT_USER)), 0);
	}
	assert_int_equal(loads[1], 2 * loads[0]);
	for (unsigned n = 2; n < 5; n++)
		assert_int_equal(loads[n], 4 * loads[0]);
}

/* What was dropped once for a change is not dropped again. */
static void test_compared_once(void **state)
{
	uint64_t *entry = kernel_and_user(), drops;

	entry[1] = PTE_READY | (DATA + PAGES(1));
	fill(SPT_USER, GVA, X86_PF_W);
	spt_note_write(w->spt, gpa_of(entry), 8);
	*entry = PTE_READY | (DATA + PAGES(1));
	entry[1] = 0; /* and never filled again */
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	fill(SPT_USER, GVA, X86_PF_W);
	drops = stats().drops;
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_int_equal(stats().drops, drops);
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA + PAGES(1), RWX));
	assert_true(stats().resyncs < 15);
}

/* Two roots with a subtree in common: what one changes goes from both, and only that. */
/* Of user mode what its tables lose is gone with the load of any root: its code may not have stopped. */
static void test_left_root(void **state)
{
	uint64_t *entry = kernel_and_user();
	struct spt_cpu other = cpu;

	other.cr3 = ROOT2;
	fill(SPT_USER, GVA, X86_PF_W);
	assert_int_equal(spt_cr3_load(w->spt, &other), 0);
	spt_note_write(w->spt, gpa_of(entry), 8);
	*entry = 0;
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA, RWX));
	assert_int_equal(spt_cr3_load(w->spt, &other), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	/* Once nobody writes any more they are protected, and no load looks at them. */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(spt_cr3_load(w->spt, &other), 0);
	uint64_t resyncs = stats().resyncs;
	assert_int_equal(spt_cr3_load(w->spt, &other), 0);
	assert_int_equal(stats().resyncs, resyncs);
	assert_true(list_empty(&w->spt->written_users));
}

static void test_entry_write(void **state)
{
	struct spt_outcome out;
	uint64_t *entry, *top;
	unsigned ops;

	map_pages(GVA, DATA, 8, PTE_READY);
	entry = entry_for(ROOT, GVA, LEVEL_PAGE);
	top = world_entry(w, ROOT, level_index(GVA, LEVEL_TOP));
	*world_entry(w, ROOT2, 0) = *top;
	*world_entry(w, ROOT2, 9) = *top;
	fill(SPT_USER, GVA, 0);
	assert_int_equal(fault_in(ROOT2, SPT_KERNEL, GVA, 0, &out), SPT_FILLED);
	assert_int_equal(fault_in(ROOT2, SPT_KERNEL, (9ull << 39) + GVA, 0, &out), SPT_FILLED);
	ops = world_ops(w);
	assert_int_equal(spt_entry_write(w->spt, gpa_of(entry + 8), PTE_READY | DATA), 0);
	assert_int_equal(spt_entry_write(w->spt, gpa_of(entry), *entry | X86_PTE_G | R3_BIT(9)), 0);
	assert_int_equal(world_ops(w), ops);
	assert_int_equal(spt_entry_write(w->spt, gpa_of(entry), PTE_READY | (DATA + PAGES(100))), 0);
	assert_int_equal(w->unmaps, 3);
	assert_int_equal(world_ops(w), ops + 3);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	assert_true(nothing_at(ROOT2, SPT_KERNEL, GVA));
	assert_true(nothing_at(ROOT2, SPT_KERNEL, (9ull << 39) + GVA));
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(1), DATA + PAGES(1), RWX));
	/* A non-leaf entry of one root takes that root's subtree, its uses too, and no other. */
	assert_int_equal(spt_entry_write(w->spt, gpa_of(world_entry(w, ROOT2, 9)), 0), 0);
	assert_true(nothing_at(ROOT2, SPT_KERNEL, (9ull << 39) + GVA + PAGES(1)));
	assert_true(mapped_in(ROOT2, SPT_KERNEL, GVA + PAGES(1), DATA + PAGES(1), RWX));
	assert_int_equal(spt_frame(w->spt, gpa_of(entry))->table->use_count, 2);
	world_discard(world_space(w, ROOT2, SPT_KERNEL));
	assert_int_equal(spt_frame(w->spt, gpa_of(entry))->table->use_count, 1);
	assert_int_equal(spt_space_empty(world_space(w, ROOT, SPT_USER)), 0);
	assert_null(spt_frame(w->spt, gpa_of(entry))->table);
}

/* An entry that turns from table to large page and back, nothing else changed. */
static void test_page_size_bit(void **state)
{
	uint64_t *entry = entry_for(ROOT, GVA, LEVEL_BIG), table = 8 * level_size(LEVEL_BIG);

	*entry = PTE_READY | table;
	*world_entry(w, table, 0) = PTE_READY | DATA;
	fill(SPT_USER, GVA, 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA, RWX));
	assert_int_equal(spt_entry_write(w->spt, gpa_of(entry), PTE_READY | X86_PTE_PS | table), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	fill(SPT_USER, GVA, 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA, table, RWX));
	spt_note_write(w->spt, gpa_of(entry), 8);
	*entry = PTE_READY | table;
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	fill(SPT_USER, GVA, 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA, DATA, RWX));
}

/* INVLPG takes the guest's whole page, also where a table frame in it split the spte. */
static void test_invlpg_large(void **state)
{
	kernel_and_user();
	fill(SPT_KERNEL, KERNEL, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + ROOT, ROOT, SPT_EXEC));
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + PAGES(1), PAGES(1), RWX));
	w->unmaps = 0;
	assert_int_equal(spt_invlpg(w->spt, &cpu, KERNEL + ROOT + PAGES(40)), 0);
	assert_int_equal(w->unmaps, 1);
	assert_true(nothing_at(ROOT, SPT_KERNEL, KERNEL));
	assert_true(nothing_at(ROOT, SPT_KERNEL, KERNEL + ROOT));
	assert_true(nothing_at(ROOT, SPT_KERNEL, KERNEL + level_size(LEVEL_BIG) - 1));
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + DATA, DATA, RWX));
}

/* A 1 GiB page without tables in it is one spte; a watch splits it twice and protects one page. */
static void test_huge_split(void **state)
{
	uint64_t gpa = R3_BIT(30) + (77u << X86_LARGE_SHIFT) + PAGES(5);

	tear_down(NULL);
	set_up_ram(2ull << 30);
	*entry_for(ROOT, KERNEL, LEVEL_HUGE) = PTE_READY | X86_PTE_PS | R3_BIT(30);
	fill(SPT_KERNEL, KERNEL, X86_PF_W);
	assert_int_equal(w->maps, 1);
	assert_int_equal(w->last_map.len, R3_BIT(30));
	assert_int_equal(spt_watch(w->spt, gpa), 0);
	assert_int_equal(w->protects, 1);
	assert_int_equal(world_ops(w), 2);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + gpa - R3_BIT(30), gpa, SPT_EXEC));
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + gpa - R3_BIT(30) + PAGES(1), gpa + PAGES(1), RWX));
	/* Filled while the watch is on: pieces around the page. */
	assert_int_equal(spt_flush_all(w->spt), 0);
	fill(SPT_KERNEL, KERNEL, X86_PF_W);
	assert_int_equal(w->maps, 4);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + gpa - R3_BIT(30), gpa, SPT_EXEC));
	fill(SPT_KERNEL, KERNEL + gpa - R3_BIT(30), X86_PF_W);
	assert_int_equal(w->maps, 5);
	assert_int_equal(w->last_map.len, PAGES(1));
	assert_int_equal(w->written, 1);
}

/* The root's own frame as every level of its tables, and that entry taken away. */
static void test_recursive(void **state)
{
	uint64_t gva = 0;

	for (unsigned level = 1; level <= X86_PT_LEVELS; level++)
		gva |= 5ull << level_shift(level);
	*world_entry(w, ROOT, 5) = PTE_READY | ROOT;
	fill(SPT_KERNEL, gva, 0);
	assert_true(mapped_in(ROOT, SPT_KERNEL, gva, ROOT, SPT_EXEC));
	fill(SPT_KERNEL, gva, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_KERNEL, gva, ROOT, RWX));
	assert_int_equal(spt_frame(w->spt, ROOT)->table->use_count, 4);
	*world_entry(w, ROOT, 5) = 0;
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_KERNEL, gva));
	assert_int_equal(spt_frame(w->spt, ROOT)->table->use_count, 1);
	*world_entry(w, ROOT, 5) = PTE_READY | ROOT;
	/* A write through a mapping that the fault itself makes a table's: one fault is enough. */
	assert_int_equal(spt_flush_all(w->spt), 0);
	fill(SPT_KERNEL, gva, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_KERNEL, gva, ROOT, RWX));
}

/* A fault that need not have been is answered by mapping again. */
static void test_spurious(void **state)
{
	map_pages(GVA, DATA, 16, PTE_READY);
	fill(SPT_USER, GVA, 0);
	world_clear(world_space(w, ROOT, SPT_USER));
	fill(SPT_USER, GVA + PAGES(3), 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(3), DATA + PAGES(3), RWX));
	assert_int_equal(w->last_map.len, PAGES(1));
}

/* ---------------------------------------------------------------------------------------------------- watches */

static void test_watch(void **state)
{
	uint64_t *entry;

	map_pages(GVA, DATA, 4, PTE_READY);
	entry = entry_for(ROOT, GVA, LEVEL_PAGE);
	fill(SPT_USER, GVA, X86_PF_W);
	uint64_t locks = spt_locks(w->spt), remaps = spt_remaps(w->spt).all, gpa;
	assert_int_equal(spt_watch(w->spt, DATA + PAGES(1)), 0);
	assert_int_equal(spt_watch(w->spt, DATA + PAGES(1)), 0);
	/* A software TLB's stores have to be seen; what it translates is as it was. */
	assert_int_equal(spt_locks(w->spt), locks + 1);
	assert_true(spt_frame_locked(w->spt, locks, &gpa));
	assert_int_equal(gpa, DATA + PAGES(1));
	assert_false(spt_frame_locked(w->spt, locks + 1, &gpa));
	assert_int_equal(spt_remaps(w->spt).all, remaps);
	assert_int_equal(spt_watch(w->spt, RAM), 0);
	assert_int_equal(w->protects, 1);
	fill(SPT_USER, GVA + PAGES(1), 0);
	assert_int_equal(w->written, 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(1), DATA + PAGES(1), SPT_EXEC));
	fill(SPT_USER, GVA + PAGES(1), X86_PF_W);
	assert_int_equal(w->written, 1);
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(1), DATA + PAGES(1), RWX));
	/* Table and watch in one frame: the watch ends with each kind of write, the table stays tracked. */
	assert_int_equal(spt_watch(w->spt, gpa_of(entry)), 0);
	assert_int_equal(spt_entry_write(w->spt, gpa_of(entry + 3), 0), 0);
	assert_int_equal(w->written, 2);
	assert_int_equal(spt_watch(w->spt, gpa_of(entry)), 0);
	*(entry + 2) &= ~X86_PTE_A;
	assert_int_equal(spt_invlpg(w->spt, &cpu, GVA + PAGES(2)), 0);
	assert_true(spt_remaps(w->spt).all != remaps);
	fill(SPT_USER, GVA + PAGES(2), 0);
	assert_int_equal(w->written, 3);
	assert_int_equal(stats().table_writes, 0);
	assert_int_equal(spt_watch(w->spt, gpa_of(entry)), 0);
	spt_note_write(w->spt, gpa_of(entry) & ~X86_PAGE_MASK, 1);
	assert_int_equal(w->written, 4);
	assert_int_equal(stats().table_writes, 1);
	assert_int_equal(spt_watch(w->spt, DATA), 0);
	spt_unwatch(w->spt, DATA);
	spt_note_write(w->spt, DATA - 1, RAM);
	assert_int_equal(w->written, 4);
	assert_int_equal(spt_watch(w->spt, DATA + PAGES(600)), 0);
	spt_note_write(w->spt, DATA - 1, ~0ull);
	assert_int_equal(w->written, 5);
}

/* ---------------------------------------------------------------------------------------------- a host that refuses */

static bool count_run(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	++*(unsigned *)arg;
	return true;
}

static void test_refused_fault(void **state)
{
	struct spt_space *space = world_space(w, ROOT, SPT_USER);
	struct spt_outcome out;
	unsigned runs = 0;

	map_pages(GVA, DATA, 64, PTE_READY);
	fill(SPT_USER, GVA, X86_PF_W);
	w->fail_in = 1;
	assert_int_equal(fault_in(ROOT, SPT_USER, GVA + PAGES(32), 0, &out), SPT_HOST_REFUSED);
	assert_int_equal(out.host_error, WORLD_OP_ERROR);
	spt_space_each(space, count_run, &runs);
	assert_int_equal(runs, 0);
	assert_null(spt_frame(w->spt, DATA)->writers);
	assert_null(spt_frame(w->spt, ROOT)->table);
	assert_int_equal(w->unmaps, 0);
	world_clear(space);
	fill(SPT_USER, GVA + PAGES(32), 0);
	assert_true(mapped_in(ROOT, SPT_USER, GVA + PAGES(32), DATA + PAGES(32), RWX));
}

/* The space of another root refuses: it is unmapped whole; while that fails, so does all else. */
static void test_refused_elsewhere(void **state)
{
	struct spt_space *space = world_space(w, ROOT, SPT_USER);
	struct spt_outcome out;

	map_pages(GVA, DATA, 1, PTE_READY);
	*world_entry(w, ROOT2, 0) = *world_entry(w, ROOT, 0);
	fill(SPT_USER, GVA, X86_PF_W);
	w->fail_in = 1;
	assert_int_equal(spt_watch(w->spt, DATA), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	assert_int_equal(w->unmaps, 1);
	fill(SPT_USER, GVA, 0);
	w->fail_space = space;
	assert_int_equal(spt_invlpg(w->spt, &cpu, GVA), WORLD_OP_ERROR);
	assert_int_equal(spt_cr3_load(w->spt, &cpu), WORLD_OP_ERROR);
	assert_int_equal(fault_in(ROOT2, SPT_USER, GVA, 0, &out), SPT_HOST_REFUSED);
	assert_int_equal(out.host_error, WORLD_OP_ERROR);
	assert_null(world_space(w, ROOT2, SPT_USER)->top);
	world_clear(world_space(w, ROOT2, SPT_USER));
	assert_false(nothing_at(ROOT, SPT_USER, GVA));
	w->fail_space = NULL;
	assert_int_equal(spt_cr3_load(w->spt, &cpu), 0);
	assert_true(nothing_at(ROOT, SPT_USER, GVA));
	/* Or until the space is gone. */
	fill(SPT_USER, GVA, 0);
	w->fail_space = space;
	assert_int_equal(spt_flush_all(w->spt), WORLD_OP_ERROR);
	world_discard(space);
	assert_int_equal(spt_flush_all(w->spt), 0);
	w->fail_space = NULL;
}

/* The linker sends the library's allocations here; allocation number fail_alloc from now fails. */
static unsigned fail_alloc;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
	return fail_alloc && !--fail_alloc ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fail_alloc && !--fail_alloc ? NULL : __real_calloc(count, size);
}

/* Whichever allocation fails, the space is refused and left empty, and the next fault fills it. */
static void test_no_memory(void **state)
{
	struct spt_space *space = world_space(w, ROOT, SPT_KERNEL);
	struct spt_outcome out;
	unsigned failures = 0;

	kernel_and_user();
	while (true) {
		enum spt_result result;

		fail_alloc = failures + 1;
		/* The page with the tables in it: nodes, tables, and splits. */
		result = fault_in(ROOT, SPT_KERNEL, KERNEL + ROOT, X86_PF_W, &out);
		if (result == SPT_FILLED)
			break;
		assert_int_equal(result, SPT_HOST_REFUSED);
		assert_int_equal(out.host_error, -SPT_ENOMEM);
		assert_null(space->top);
		assert_null(spt_frame(w->spt, ROOT)->table);
		failures++;
	}
	assert_int_equal(failures, 3 + 3 + 1);
	fail_alloc = 0;
	/* A split that has no memory drops the page instead of protecting a piece. */
	fill(SPT_KERNEL, KERNEL + DATA, X86_PF_W);
	fail_alloc = 1;
	assert_int_equal(spt_watch(w->spt, DATA + PAGES(3)), 0);
	assert_true(nothing_at(ROOT, SPT_KERNEL, KERNEL + DATA));
	fill(SPT_KERNEL, KERNEL + DATA, X86_PF_W);
	assert_true(mapped_in(ROOT, SPT_KERNEL, KERNEL + DATA + PAGES(3), DATA + PAGES(3), SPT_EXEC));
	fail_alloc = 1;
	assert_null(spt_space_get(w->spt, &(struct spt_cpu){.cr3 = PAGES(5)}, SPT_USER));
	for (fail_alloc = 1; fail_alloc <= 5; fail_alloc++) {
		const unsigned n = fail_alloc;

		assert_null(spt_create(&w->config, &w->spt->ops, w));
		fail_alloc = n;
	}
	fail_alloc = 0;
}

/* ------------------------------------------------------------------------------------------------------- spaces */

static void test_many_spaces(void **state)
{
	const unsigned count = 5000;

	assert_true(sizeof(struct spt_space) < 1024);
	for (unsigned i = 0; i < count; i++) {
		struct spt_space *space =
			spt_space_get(w->spt, &(struct spt_cpu){.cr3 = PAGES(i) | X86_CR3_PWT}, i % 2);

		assert_int_equal(spt_space_root(space), PAGES(i));
		assert_int_equal(spt_space_mode(space), i % 2);
		assert_null(*spt_space_owner(space));
		assert_ptr_equal(spt_space_get(w->spt, &(struct spt_cpu){.cr3 = PAGES(i)}, i % 2), space);
	}
	assert_int_equal(stats().spaces, count);
	assert_int_equal(spt_flush_all(w->spt), 0);
	for (unsigned i = 0; i < count; i++)
		spt_space_discard(spt_space_get(w->spt, &(struct spt_cpu){.cr3 = PAGES(i)}, i % 2));
	assert_int_equal(stats().spaces, 0);
}

static bool stop_at_second(void *arg, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	uint64_t *last = arg;

	assert_true(gva >= *last);
	*last = gva + len;
	return gva < GVA + PAGES(64);
}

static void test_each(void **state)
{
	uint64_t last = 0;
	unsigned runs = 0;

	map_pages(GVA, DATA, 40, PTE_READY);
	map_pages(GVA + PAGES(64), DATA, 16, PTE_READY);
	map_pages(GVA + PAGES(600), DATA, 16, PTE_READY);
	for (unsigned i = 0; i < 40; i += 8)
		if (nothing_at(ROOT, SPT_USER, GVA + PAGES(i)))
			fill(SPT_USER, GVA + PAGES(i), 0);
	fill(SPT_USER, GVA + PAGES(64), 0);
	fill(SPT_USER, GVA + PAGES(600), 0);
	spt_space_each(world_space(w, ROOT, SPT_USER), count_run, &runs);
	assert_int_equal(runs, 3);
	spt_space_each(world_space(w, ROOT, SPT_USER), stop_at_second, &last);
	assert_int_equal(last, GVA + PAGES(80));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sequence),
		TEST(test_sequence_down),
		TEST(test_window),
		TEST(test_row),
		TEST(test_neighbours_writable),
		TEST(test_neighbour_flags),
		TEST(test_neighbour_changes),
		TEST(test_neighbour_elsewhere),
		TEST(test_limits),
		TEST(test_large_clipped),
		TEST(test_large_run),
		TEST(test_privilege),
		TEST(test_table_write),
		TEST(test_table_protected_again),
		TEST(test_protected_later),
		TEST(test_compared_once),
		TEST(test_left_root),
		TEST(test_entry_write),
		TEST(test_page_size_bit),
		TEST(test_invlpg_large),
		TEST(test_huge_split),
		TEST(test_recursive),
		TEST(test_spurious),
		TEST(test_watch),
		TEST(test_refused_fault),
		TEST(test_refused_elsewhere),
		TEST(test_no_memory),
		TEST(test_many_spaces),
		TEST(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

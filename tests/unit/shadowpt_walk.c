/*
 * The library's walk against the reference walker: every combination of the bits of one entry, at every level, with
 * every way to come there and every access.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shadowpt_world.h"

#define LEVELS X86_PT_LEVELS
#define ROOT   0x1000u
#define DATA   0x8000u
#define RAM    0x20000u

/* A different index at each level, and an offset. */
static const unsigned index_at[LEVELS + 1] = {0, 7, 100, 3, 200};
#define GVA ((200ull << 39) | (3ull << 30) | (100ull << 21) | (7ull << 12) | 0x123)

static uint64_t table_at(unsigned level)
{
	return ROOT + (LEVELS - level) * X86_PAGE_SIZE;
}

static uint64_t *entry_at(struct world *world, unsigned level)
{
	return world_entry(world, table_at(level), index_at[level]);
}

/* Walks the same entries with both and compares all they say and leave behind. */
static void compare(struct world *world, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
		    const uint64_t entries[LEVELS + 1])
{
	uint64_t marked[LEVELS + 1];
	struct spt_translation got;
	struct reference want;
	bool ok;

	for (unsigned level = 1; level <= LEVELS; level++)
		*entry_at(world, level) = entries[level];
	want = reference_walk(world, cpu, gva, access, true);
	for (unsigned level = 1; level <= LEVELS; level++) {
		marked[level] = *entry_at(world, level);
		*entry_at(world, level) = entries[level];
	}
	ok = spt_translate(world->spt, cpu, gva, access, &got);
	/* One test in front of the asserts: millions of them would take the time. */
	if (ok == want.ok && got.error == want.error && got.gpa == want.gpa && got.page_len == want.page_len &&
	    got.prot == want.prot && got.user == want.user && *entry_at(world, 1) == marked[1] &&
	    *entry_at(world, 2) == marked[2] && *entry_at(world, 3) == marked[3] && *entry_at(world, 4) == marked[4])
		return;
	print_error("access %#x wp %d nxe %d smep %d smap %d\n", access, cpu->wp, cpu->nxe, cpu->smep, cpu->smap);
	for (unsigned level = LEVELS; level >= 1; level--)
		print_error("level %u: %#lx, left %#lx, wanted %#lx\n", level, entries[level], *entry_at(world, level),
			    marked[level]);
	print_error("ok %d/%d error %#x/%#x gpa %#lx/%#lx len %#lx/%#lx prot %u/%u user %d/%d\n", ok, want.ok,
		    got.error, want.error, got.gpa, want.gpa, got.page_len, want.page_len, got.prot, want.prot,
		    got.user, want.user);
	fail();
}

static void compare_all_accesses(struct world *world, const uint64_t entries[LEVELS + 1])
{
	static const uint32_t kinds[] = {0, X86_PF_W, X86_PF_I};

	for (unsigned mode = 0; mode < 10; mode++) {
		struct spt_cpu cpu = {
			.cr3 = ROOT | X86_CR3_PCD, .wp = mode & 1, .nxe = mode & 2, .smep = mode & 4, .smap = mode & 8};

		for (unsigned kind = 0; kind < 3; kind++) {
			compare(world, &cpu, GVA, kinds[kind], entries);
			compare(world, &cpu, GVA, kinds[kind] | X86_PF_U, entries);
		}
	}
}

/* Entries that lead to a page of the leaf's level; rights: bits W, U, NX taken away at all levels. */
static void lead(uint64_t entries[LEVELS + 1], unsigned leaf, unsigned rights)
{
	uint64_t bits = X86_PTE_P | X86_PTE_A | (rights & 1 ? 0 : X86_PTE_W) | (rights & 2 ? 0 : X86_PTE_U) |
			(rights & 4 ? X86_PTE_NX : 0);

	for (unsigned level = 1; level <= LEVELS; level++)
		entries[level] = bits | table_at(level - 1);
	entries[leaf] = bits | (leaf == 1 ? DATA : X86_PTE_PS);
}

static void test_every_entry(void **state)
{
	static const uint64_t bits[] = {X86_PTE_P, X86_PTE_W,  X86_PTE_U, X86_PTE_A,
					X86_PTE_D, X86_PTE_PS, X86_PTE_G, X86_PTE_NX};
	static const uint64_t address[] = {0,
					   R3_BIT(12),
					   R3_BIT(13),
					   R3_BIT(20),
					   R3_BIT(21),
					   R3_BIT(29),
					   R3_BIT(30),
					   R3_BIT(WORLD_PHYSICAL_BITS - 1),
					   R3_BIT(WORLD_PHYSICAL_BITS),
					   R3_BIT(51),
					   R3_BIT(52),
					   R3_BIT(62)};
	struct world *world = world_create(RAM, 0, R3_BIT(47));

	for (unsigned leaf = 1; leaf <= 3; leaf++)
		for (unsigned level = leaf; level <= LEVELS; level++)
			for (unsigned rights = 0; rights < 8; rights++)
				for (unsigned flags = 0; flags < 256; flags++)
					for (unsigned a = 0; a < sizeof(address) / sizeof(*address); a++) {
						uint64_t entries[LEVELS + 1];

						lead(entries, leaf, rights);
						entries[level] = (entries[level] & X86_PTE_ADDR) ^ address[a];
						for (unsigned i = 0; i < 8; i++)
							entries[level] |= flags & (1u << i) ? bits[i] : 0;
						compare_all_accesses(world, entries);
					}
	world_destroy(world);
}

/* Rights of the levels in all combinations, with A and D clear. */
static void test_rights_combine(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));

	for (unsigned leaf = 1; leaf <= 3; leaf++)
		for (unsigned combination = 0; combination < 4096; combination++) {
			uint64_t entries[LEVELS + 1];

			lead(entries, leaf, 0);
			for (unsigned level = 1; level <= LEVELS; level++) {
				unsigned rights = combination >> 3 * (level - 1);

				entries[level] &= ~(X86_PTE_A | X86_PTE_W | X86_PTE_U);
				entries[level] |= (rights & 1 ? X86_PTE_W : 0) | (rights & 2 ? X86_PTE_U : 0) |
						  (rights & 4 ? X86_PTE_NX : 0);
			}
			compare_all_accesses(world, entries);
		}
	world_destroy(world);
}

/* Each key with each value of its bits, of a page at each level, whatever else is permitted; the other keys say the
 * contrary. */
static void test_keys(void **state)
{
	static const uint32_t kinds[] = {0, X86_PF_W, X86_PF_I};
	struct world *world = world_create(RAM, 0, R3_BIT(47));

	for (unsigned n = 0; n < 3 * 8 * X86_PTE_KEYS * 4 * 16; n++) {
		unsigned leaf = 1 + n % 3, rights = n / 3 % 8, key = n / 24 % X86_PTE_KEYS, bits = n / 384 % 4,
			 mode = n / 1536;
		uint32_t keys = bits << key * X86_KEY_BITS | (~0u & ~(3u << key * X86_KEY_BITS)) * (bits == 0);
		struct spt_cpu cpu = {.cr3 = ROOT,
				      .nxe = true,
				      .wp = mode & 1,
				      .smap = mode & 2,
				      .user_keys = mode & 4 ? keys : 0,
				      .kernel_keys = mode & 8 ? keys : 0};
		uint64_t entries[LEVELS + 1];

		lead(entries, leaf, rights);
		entries[leaf] |= (uint64_t)key << 59;
		for (unsigned kind = 0; kind < 3; kind++) {
			compare(world, &cpu, GVA, kinds[kind], entries);
			compare(world, &cpu, GVA, kinds[kind] | X86_PF_U, entries);
		}
	}
	world_destroy(world);
}

static void test_addresses(void **state)
{
	static const uint64_t gvas[] = {R3_BIT(47), ~0ull << 47,      (~0ull << 47) - 1,
					R3_BIT(63), GVA | R3_BIT(48), ~0ull};
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT, .nxe = true};
	struct spt_translation out;
	uint64_t entries[LEVELS + 1];

	lead(entries, 1, 0);
	for (unsigned i = 0; i < sizeof(gvas) / sizeof(*gvas); i++)
		compare(world, &cpu, gvas[i], X86_PF_W | X86_PF_U, entries);
	assert_false(spt_translate(world->spt, &cpu, R3_BIT(47), X86_PF_I | X86_PF_U, &out));
	assert_int_equal(out.error, X86_PF_I | X86_PF_U);
	/* A root outside RAM reads as zeros. */
	cpu.cr3 = RAM;
	compare(world, &cpu, GVA, X86_PF_W, entries);
	assert_false(spt_translate(world->spt, &cpu, GVA, X86_PF_W, &out));
	assert_int_equal(out.error, X86_PF_W);
	world_destroy(world);
}

static void test_probe(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_step steps[X86_PT_LEVELS];
	struct spt_cpu cpu = {.cr3 = ROOT};
	uint64_t entries[LEVELS + 1];

	for (unsigned leaf = 1; leaf <= 3; leaf++) {
		lead(entries, leaf, 0);
		for (unsigned level = 1; level <= LEVELS; level++)
			*entry_at(world, level) = entries[level] & ~X86_PTE_A;
		assert_int_equal(spt_probe(world->spt, &cpu, GVA, steps), LEVELS + 1 - leaf);
		for (unsigned i = 0; i <= LEVELS - leaf; i++) {
			assert_int_equal(steps[i].level, LEVELS - i);
			assert_int_equal(steps[i].entry_gpa, table_at(LEVELS - i) + 8 * index_at[LEVELS - i]);
			assert_int_equal(steps[i].index, index_at[LEVELS - i]);
			assert_int_equal(steps[i].entry, entries[LEVELS - i] & ~X86_PTE_A);
			assert_int_equal(steps[i].page_len, LEVELS - i == leaf ? R3_BIT(3 + 9 * leaf) : 0);
			assert_int_equal(*entry_at(world, LEVELS - i), steps[i].entry);
		}
	}
	cpu.cr3 = RAM;
	assert_int_equal(spt_probe(world->spt, &cpu, GVA, steps), 1);
	assert_int_equal(steps[0].entry, 0);
	world_destroy(world);
}

/* Another processor writes the top entry between our reading it and our marking it. */
static unsigned interferences;

static void interfere(struct world *world, uint64_t gpa)
{
	if (gpa != table_at(1) || !interferences)
		return;
	interferences--;
	*entry_at(world, 4) = (*entry_at(world, 4) ^ X86_PTE_G) & ~X86_PTE_A;
}

static void test_race(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT, .nxe = true};
	struct spt_translation out;
	uint64_t entries[LEVELS + 1];

	lead(entries, 1, 0);
	for (unsigned level = 1; level <= LEVELS; level++)
		*entry_at(world, level) = entries[level] & ~X86_PTE_A;
	world->on_frame = interfere;
	interferences = 1;
	assert_true(spt_translate(world->spt, &cpu, GVA, 0, &out));
	assert_int_equal(*entry_at(world, 4), entries[4] | X86_PTE_G);
	/* For ever: the walk ends all the same. */
	*entry_at(world, 4) &= ~X86_PTE_A;
	interferences = 1000;
	assert_true(spt_translate(world->spt, &cpu, GVA, 0, &out));
	assert_int_equal(out.gpa, DATA | 0x123);
	assert_true(interferences > 900);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_entry), cmocka_unit_test(test_rights_combine),
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_probe),
		cmocka_unit_test(test_race),	    cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

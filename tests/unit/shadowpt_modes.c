/*
 * The paging modes with 32-bit linear addresses, the library's walk against the reference walker: every combination of
 * the bits of one entry at either level, with every way to come there and every access; and without paging.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shadowpt_world.h"

#define ROOT  0x1000u
#define TABLE 0x2000u
#define DATA  0x8000u
#define RAM   0x20000u

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The linear address of each mode has a different index at each level, and an offset. */
static const struct shape {
	enum spt_paging paging;
	unsigned size, directory, table;
	uint64_t gva;
} shapes[] = {
	{SPT_PAE, 8, 100, 7, 3ull << 30 | 100ull << 21 | 7ull << 12 | 0x123},
	{SPT_32_BIT, 4, 1001, 600, 1001ull << 22 | 600ull << 12 | 0x123},
};

struct entries {
	uint64_t pde, pte;
};

static void put(struct world *world, const struct shape *shape, const struct entries *entries)
{
	memcpy(world->ram + ROOT + (size_t)shape->directory * shape->size, &entries->pde, shape->size);
	memcpy(world->ram + TABLE + (size_t)shape->table * shape->size, &entries->pte, shape->size);
}

static struct entries get(struct world *world, const struct shape *shape)
{
	struct entries entries = {0};

	memcpy(&entries.pde, world->ram + ROOT + (size_t)shape->directory * shape->size, shape->size);
	memcpy(&entries.pte, world->ram + TABLE + (size_t)shape->table * shape->size, shape->size);
	return entries;
}

static void compare(struct world *world, const struct shape *shape, const struct spt_cpu *cpu, uint32_t access,
		    const struct entries *entries)
{
	struct entries marked, left;
	struct spt_translation got;
	struct reference want;
	uint64_t gpa;
	bool ok;

	put(world, shape, entries);
	want = reference_walk(world, cpu, shape->gva, access, true);
	marked = get(world, shape);
	put(world, shape, entries);
	/* Bits above the 32 of an address are nobody's. */
	ok = spt_translate(world->spt, cpu, shape->gva | 0xabcdull << 32, access, &got);
	left = get(world, shape);
	if (ok == want.ok && got.error == want.error && got.gpa == want.gpa && got.page_len == want.page_len &&
	    got.prot == want.prot && got.user == want.user && left.pde == marked.pde && left.pte == marked.pte &&
	    (!ok || (spt_probe_gpa(world->spt, cpu, shape->gva, &gpa) && gpa == want.gpa)))
		return;
	print_error("paging %d access %#x wp %d nxe %d smep %d pse %d\n", cpu->paging, access, cpu->wp, cpu->nxe,
		    cpu->smep, cpu->pse);
	print_error("pde %#lx, left %#lx, wanted %#lx; pte %#lx, left %#lx, wanted %#lx\n", entries->pde, left.pde,
		    marked.pde, entries->pte, left.pte, marked.pte);
	print_error("ok %d/%d error %#x/%#x gpa %#lx/%#lx len %#lx/%#lx prot %u/%u user %d/%d\n", ok, want.ok,
		    got.error, want.error, got.gpa, want.gpa, got.page_len, want.page_len, got.prot, want.prot,
		    got.user, want.user);
	fail();
}

static void compare_all_accesses(struct world *world, const struct shape *shape, const struct entries *entries)
{
	static const uint32_t kinds[] = {0, X86_PF_W, X86_PF_I};

	for (unsigned mode = 0; mode < 16; mode++) {
		struct spt_cpu cpu = {.cr3 = ROOT | X86_CR3_PCD | R3_BIT(40), /* of which these modes see 32 bits */
				      .paging = shape->paging,
				      .wp = mode & 1,
				      .smep = mode & 2,
				      .smap = mode & 8,
				      .nxe = shape->paging == SPT_PAE && (mode & 4),
				      .pse = mode & 8,
				      .pdpte = {0, 0, 0, ROOT | X86_PTE_P}};

		for (unsigned kind = 0; kind < LENGTH(kinds); kind++) {
			compare(world, shape, &cpu, kinds[kind], entries);
			compare(world, shape, &cpu, kinds[kind] | X86_PF_U, entries);
		}
	}
}

/* Entries that lead to a page; rights: bits W, U, NX taken away at both levels. */
static struct entries lead(const struct shape *shape, bool large, unsigned rights)
{
	uint64_t bits = X86_PTE_P | X86_PTE_A | (rights & 1 ? 0 : X86_PTE_W) | (rights & 2 ? 0 : X86_PTE_U) |
			(rights & 4 && shape->paging == SPT_PAE ? X86_PTE_NX : 0);

	return (struct entries){.pde = bits | (large ? X86_PTE_PS : TABLE), .pte = bits | DATA};
}

static void test_every_entry(void **state)
{
	static const uint64_t bits[] = {X86_PTE_P, X86_PTE_W,  X86_PTE_U, X86_PTE_A,
					X86_PTE_D, X86_PTE_PS, X86_PTE_G, X86_PTE_NX};
	static const unsigned address[] = {12, 13, 19, 20, 21, 22, 29, 31, WORLD_PHYSICAL_BITS - 1, WORLD_PHYSICAL_BITS,
					   51, 52, 58, 62};
	struct world *world = world_create(RAM, 0, R3_BIT(47));

	for (unsigned s = 0; s < LENGTH(shapes); s++)
		for (unsigned kind = 0; kind < 3; kind++) /* a large page, a table's entry, the page's entry */
			for (unsigned rights = 0; rights < 8; rights++)
				for (unsigned flags = 0; flags < 256; flags++)
					for (unsigned a = 0; a <= LENGTH(address); a++) {
						struct entries entries = lead(&shapes[s], kind == 0, rights);
						uint64_t *entry = kind < 2 ? &entries.pde : &entries.pte;

						*entry = (*entry & X86_PTE_ADDR) ^ (a ? R3_BIT(address[a - 1]) : 0);
						for (unsigned i = 0; i < LENGTH(bits); i++)
							*entry |= flags & (1u << i) ? bits[i] : 0;
						compare_all_accesses(world, &shapes[s], &entries);
					}
	world_destroy(world);
}

static void test_rights_combine(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));

	for (unsigned s = 0; s < LENGTH(shapes); s++)
		for (unsigned combination = 0; combination < 128; combination++) {
			struct entries entries = lead(&shapes[s], combination & 64, 3);

			entries.pde &= ~X86_PTE_A;
			entries.pte &= ~X86_PTE_A;
			entries.pde |= (combination & 1 ? X86_PTE_W : 0) | (combination & 2 ? X86_PTE_U : 0) |
				       (combination & 4 ? X86_PTE_NX : 0);
			entries.pte |= (combination & 8 ? X86_PTE_W : 0) | (combination & 16 ? X86_PTE_U : 0) |
				       (combination & 32 ? X86_PTE_NX : 0);
			compare_all_accesses(world, &shapes[s], &entries);
		}
	world_destroy(world);
}

/* PAE's registers, which have no rights; and tables outside RAM, which read as zeros. */
static void test_roots(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = DATA, .paging = SPT_PAE, .pdpte = {1, 1, 1, ROOT}};
	struct entries entries = lead(&shapes[0], false, 0);
	struct spt_step steps[X86_PT_LEVELS];
	struct spt_translation out;

	compare(world, &shapes[0], &cpu, X86_PF_W, &entries);
	assert_int_equal(spt_probe(world->spt, &cpu, shapes[0].gva, steps), 1);
	assert_int_equal(steps[0].entry_gpa, DATA + 24);
	cpu.pdpte[3] = ROOT | X86_PTE_P | X86_PTE_PCD | 7u << 9;
	compare(world, &shapes[0], &cpu, X86_PF_W | X86_PF_U, &entries);
	assert_true(spt_translate(world->spt, &cpu, shapes[0].gva, 0, &out));
	assert_int_equal(spt_probe(world->spt, &cpu, shapes[0].gva, steps), 3);
	assert_int_equal(steps[0].level, 3);
	assert_int_equal(steps[0].entry, cpu.pdpte[3]);
	assert_int_equal(steps[1].index, shapes[0].directory);
	assert_int_equal(steps[2].page, DATA);
	cpu.pdpte[3] = RAM | X86_PTE_P;
	compare(world, &shapes[0], &cpu, 0, &entries);
	cpu = (struct spt_cpu){.cr3 = RAM, .paging = SPT_32_BIT};
	entries = lead(&shapes[1], false, 0);
	compare(world, &shapes[1], &cpu, 0, &entries);
	assert_false(spt_translate(world->spt, &cpu, shapes[1].gva, X86_PF_W, &out));
	assert_int_equal(out.error, X86_PF_W);
	world_destroy(world);
}

/* A page directory of 4-byte entries that is no page table of its own, and PSE-36: its page lies above 4 GiB. */
static void test_pse36(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = SPT_32_BIT, .pse = true};
	struct entries entries = {.pde = X86_PTE_P | X86_PTE_PS | 0x5au << 13 | 0x12c00000};
	struct spt_step steps[X86_PT_LEVELS];
	struct spt_translation out;

	put(world, &shapes[1], &entries);
	assert_true(spt_translate(world->spt, &cpu, shapes[1].gva, 0, &out));
	assert_int_equal(out.gpa, 0x5a12c00000 | (shapes[1].gva & 0x3fffff));
	assert_int_equal(out.page_len, 4 << 20);
	assert_int_equal(spt_probe(world->spt, &cpu, shapes[1].gva, steps), 1);
	assert_int_equal(steps[0].page, 0x5a12c00000);
	assert_int_equal(steps[0].entry_gpa, ROOT + 4 * shapes[1].directory);
	world_destroy(world);
}

static void test_no_paging(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = SPT_NO_PAGING, .wp = true, .smep = true};
	struct spt_step steps[X86_PT_LEVELS];
	struct entries none = {0};
	uint64_t gpa;

	for (uint32_t access = 0; access < 32; access++)
		if (!(access & (X86_PF_P | X86_PF_RSVD)))
			compare(world, &shapes[0], &cpu, access, &none);
	assert_int_equal(spt_probe(world->spt, &cpu, shapes[0].gva, steps), 0);
	assert_true(spt_probe_gpa(world->spt, &cpu, R3_BIT(32) + 5, &gpa));
	assert_int_equal(gpa, 5);
	world_destroy(world);
}

/* What a software TLB holds goes out of date. */
static void test_changes(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = SPT_32_BIT, .pse = true};
	struct entries entries = lead(&shapes[1], false, 0);
	struct spt_remaps was = spt_remaps(world->spt), is;

	put(world, &shapes[1], &entries);
	assert_int_equal(spt_invlpg(world->spt, &cpu, shapes[1].gva), 0);
	is = spt_remaps(world->spt);
	assert_int_not_equal(is.all, was.all);
	assert_int_equal(is.loads, was.loads);
	assert_int_equal(spt_cr3_load(world->spt, &cpu), 0);
	assert_int_equal(spt_remaps(world->spt).all - is.all, 1);
	assert_int_equal(spt_remaps(world->spt).loads - is.loads, 1);
	world_destroy(world);
}

/* Which kind of it, and of single pages which, as far back as is said. */
static void test_remaps(void **state)
{
	struct world *world = world_create(RAM, 0, R3_BIT(47));
	struct spt_cpu cpu = {.cr3 = ROOT};
	struct spt_remaps was = spt_remaps(world->spt), is;
	const unsigned many = 100;
	uint64_t gva;

	for (unsigned n = 0; n < many; n++) {
		assert_int_equal(spt_invlpg(world->spt, &cpu, n * X86_PAGE_SIZE), 0);
		assert_true(spt_page_remapped(world->spt, was.pages + n, &gva));
		assert_int_equal(gva, n * X86_PAGE_SIZE);
		assert_false(spt_page_remapped(world->spt, was.pages + n + 1, &gva));
	}
	for (unsigned n = 0; n < many; n++)
		if (spt_page_remapped(world->spt, was.pages + n, &gva))
			assert_int_equal(gva, n * X86_PAGE_SIZE);
	assert_false(spt_page_remapped(world->spt, was.pages, &gva));
	is = spt_remaps(world->spt);
	assert_int_equal(is.all - was.all, many);
	assert_int_equal(is.pages - was.pages, many);
	assert_int_equal(is.loads, was.loads);
	assert_int_equal(spt_cr3_load(world->spt, &cpu), 0);
	assert_int_equal(spt_remaps(world->spt).all - is.all, 1);
	assert_int_equal(spt_remaps(world->spt).loads - is.loads, 1);
	assert_int_equal(spt_flush_all(world->spt), 0);
	assert_int_equal(spt_remaps(world->spt).all - is.all, 2);
	assert_int_equal(spt_remaps(world->spt).loads - is.loads, 1);
	assert_int_equal(spt_remaps(world->spt).pages, is.pages);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_entry), cmocka_unit_test(test_rights_combine),
		cmocka_unit_test(test_roots),	    cmocka_unit_test(test_pse36),
		cmocka_unit_test(test_no_paging),   cmocka_unit_test(test_changes),
		cmocka_unit_test(test_remaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

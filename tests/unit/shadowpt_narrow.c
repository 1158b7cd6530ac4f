/*
 * Spaces of guests with 32-bit linear addresses: random tables, faults, stores to tables and reloads of CR3; what the
 * host maps is never more than a walk of the guest's tables grants.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shadowpt_world.h"

#define FRAMES 64u
#define RAM    (FRAMES * 4096u)
#define ROOT   0x1000u
#define TABLES 8u /* frames from ROOT on that may be tables */
#define ROUNDS 60000u

static struct world *world;
static uint64_t random_state;

static uint32_t any(uint32_t below)
{
	random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 24) % below;
}

static unsigned entry_size(const struct spt_cpu *cpu)
{
	return cpu->paging == SPT_PAE ? 8 : 4;
}

/* Few indices, so that faults meet entries: at both ends and where quarters and halves meet. */
static unsigned any_index(const struct spt_cpu *cpu)
{
	unsigned count = 4096 / entry_size(cpu);
	const unsigned edges[] = {0, count / 4 - 1, count / 4, count / 2 - 1, count / 2, count - 1};

	return any(3) ? edges[any(6)] : any(count);
}

static uint64_t any_entry(void)
{
	uint64_t flags = X86_PTE_P | X86_PTE_A | (any(4) ? X86_PTE_W : 0) | (any(4) ? X86_PTE_U : 0) |
			 (any(2) ? X86_PTE_D : 0) | (any(6) ? 0 : X86_PTE_PS);

	if (!any(6))
		return 0;
	return flags | (flags & X86_PTE_PS ? 0 : (any(2) ? ROOT + any(TABLES) * 4096u : any(FRAMES) * 4096u));
}

/* The guest's store, after the fault that it has where the frame is protected. */
static void store(const struct spt_cpu *cpu)
{
	uint64_t table = ROOT + any(TABLES) * 4096u, value = any_entry();
	unsigned size = entry_size(cpu), index = any_index(cpu);

	spt_note_write(world->spt, table, 4096);
	memcpy(world->ram + table + (size_t)index * size, &value, size);
}

static uint64_t any_gva(const struct spt_cpu *cpu)
{
	unsigned bits = cpu->paging == SPT_PAE ? 9 : 10;
	uint64_t high = cpu->paging == SPT_PAE ? (uint64_t)any(4) << 30 : 0;

	return high | (uint64_t)any_index(cpu) << (12 + bits) | any_index(cpu) << 12 | any(4096);
}

static void assert_granted(const struct spt_cpu *cpu, enum spt_mode mode, const struct host *host)
{
	for (size_t n = 0; n < host->count; n++) {
		const struct host_run *run = &host->runs[n];

		for (uint64_t at = 0; at < run->len; at += 4096) {
			uint32_t access = (mode == SPT_USER ? X86_PF_U : 0) | (run->prot & SPT_WRITE ? X86_PF_W : 0);
			struct reference want = reference_walk(world, cpu, run->gva + at, access, false);

			assert_true(run->gva + at < R3_BIT(32));
			assert_true(want.ok && want.accessed && want.gpa == run->gpa + at);
			assert_true(want.dirty || !(run->prot & SPT_WRITE));
		}
	}
}

static void fault(struct spt_space *space, const struct spt_cpu *cpu)
{
	uint64_t gva = any_gva(cpu);
	uint32_t access = any(2) ? X86_PF_W : 0;
	uint32_t user = spt_space_mode(space) == SPT_USER ? X86_PF_U : 0;
	struct reference want = reference_walk(world, cpu, gva, access | user, false);
	struct spt_outcome outcome;
	struct host_run page;

	switch (spt_fault(space, cpu, gva, access, &outcome)) {
	case SPT_FILLED:
		/* Marking its own tables on the way may have changed them. */
		assert_true(want.ok);
		if (host_find(world_host(space), gva & ~0xfffull, &page))
			assert_true(page.prot & SPT_WRITE || !access || outcome.gpa - ROOT < TABLES * 4096u);
		break;
	case SPT_GUEST_FAULT:
		assert_false(want.ok);
		assert_int_equal(outcome.error, want.error);
		break;
	case SPT_NOT_RAM:
		assert_true(want.gpa >= RAM);
		break;
	default:
		fail_msg("nothing else can be");
	}
}

static void reload(struct spt_cpu *cpu)
{
	for (unsigned i = 0; i < SPT_PDPTES; i++)
		if (!any(3))
			cpu->pdpte[i] = any(8) ? (ROOT + any(TABLES) * 4096u) | X86_PTE_P : 0;
	assert_int_equal(spt_cr3_load(world->spt, cpu), 0);
}

static void play(enum spt_paging paging)
{
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = paging, .wp = true, .pse = true};

	random_state = 0x9e3779b97f4a7c15u + paging;
	world = world_create(RAM, 0x10000, 0x20000);
	reload(&cpu);
	struct spt_space *space[] = {spt_space_get(world->spt, &cpu, SPT_KERNEL),
				     spt_space_get(world->spt, &cpu, SPT_USER)};
	for (enum spt_mode mode = SPT_KERNEL; mode <= SPT_USER; mode++) {
		*spt_space_owner(space[mode]) = calloc(1, sizeof(struct host));
		assert_int_equal(spt_space_paging(space[mode]), paging);
	}
	for (unsigned n = 0; n < ROUNDS; n++) {
		unsigned what = any(16);

		if (what < 4)
			store(&cpu);
		else if (what < 5)
			assert_int_equal(spt_invlpg(world->spt, &cpu, any_gva(&cpu)), 0);
		else if (what < 15)
			fault(space[any(2)], &cpu);
		else
			reload(&cpu);
		if (what < 15)
			continue;
		for (enum spt_mode mode = SPT_KERNEL; mode <= SPT_USER; mode++)
			assert_granted(&cpu, mode, world_host(space[mode]));
	}
	struct spt_stats stats;
	spt_get_stats(world->spt, &stats);
	assert_true(stats.fills > ROUNDS / 50);
	assert_int_equal(spt_flush_all(world->spt), 0);
	for (enum spt_mode mode = SPT_KERNEL; mode <= SPT_USER; mode++) {
		assert_int_equal(world_host(space[mode])->count, 0);
		world_discard(space[mode]);
	}
	world_destroy(world);
}

static void test_two_levels(void **state)
{
	play(SPT_32_BIT);
}

static void test_pae(void **state)
{
	play(SPT_PAE);
}

/* All of RAM at once, but for writing to what is watched. */
static void test_no_paging(void **state)
{
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = SPT_NO_PAGING};
	struct spt_outcome outcome;
	struct host_run page;

	world = world_create(RAM, 0x10000, 0x20000);
	struct spt_space *space = spt_space_get(world->spt, &cpu, SPT_KERNEL);
	*spt_space_owner(space) = calloc(1, sizeof(struct host));
	assert_int_equal(spt_watch(world->spt, 0x3000), 0);
	assert_int_equal(spt_fault(space, &cpu, 0x5123, X86_PF_W, &outcome), SPT_FILLED);
	for (uint64_t gva = 0; gva < RAM; gva += 4096) {
		assert_true(host_find(world_host(space), gva, &page));
		assert_int_equal(page.gpa, gva);
		assert_int_equal(page.prot, gva == 0x3000 ? SPT_EXEC : SPT_EXEC | SPT_WRITE);
	}
	assert_int_equal(spt_fault(space, &cpu, 0x3fff, X86_PF_W, &outcome), SPT_FILLED);
	assert_int_equal(world->written, 1);
	assert_true(host_find(world_host(space), 0x3000, &page));
	assert_int_equal(page.prot, SPT_EXEC | SPT_WRITE);
	assert_int_equal(spt_fault(space, &cpu, RAM, 0, &outcome), SPT_NOT_RAM);
	world_discard(space);
	world_destroy(world);
}

/* The same frame is a table of one mode, then of the other: neither's translations outlive the change. */
static void test_modes_do_not_mix(void **state)
{
	struct spt_cpu cpu = {.cr3 = ROOT, .paging = SPT_32_BIT, .wp = true};
	struct spt_outcome outcome;
	const uint64_t flags = X86_PTE_P | X86_PTE_W | X86_PTE_A | X86_PTE_D;

	world = world_create(RAM, 0, R3_BIT(47));
	*world_entry(world, ROOT, 0) = 0x2000 | flags;
	*world_entry(world, 0x2000, 0) = 0x5000 | flags;
	struct spt_space *narrow = spt_space_get(world->spt, &cpu, SPT_KERNEL);
	*spt_space_owner(narrow) = calloc(1, sizeof(struct host));
	assert_int_equal(spt_fault(narrow, &cpu, 0x123, X86_PF_W, &outcome), SPT_FILLED);
	assert_int_equal(world_host(narrow)->count, 1);
	cpu = (struct spt_cpu){.cr3 = ROOT, .paging = SPT_PAE, .pdpte = {ROOT | X86_PTE_P}};
	struct spt_space *pae = spt_space_get(world->spt, &cpu, SPT_KERNEL);
	*spt_space_owner(pae) = calloc(1, sizeof(struct host));
	assert_ptr_not_equal(narrow, pae);
	assert_int_equal(spt_fault(pae, &cpu, 0x123, X86_PF_W, &outcome), SPT_FILLED);
	assert_int_equal(outcome.gpa, 0x5123);
	assert_int_equal(world_host(narrow)->count, 0);
	world_discard(narrow);
	world_discard(pae);
	world_destroy(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_levels),
		cmocka_unit_test(test_pae),
		cmocka_unit_test(test_no_paging),
		cmocka_unit_test(test_modes_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

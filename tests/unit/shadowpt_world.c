/*
 * Guest RAM, fake host and reference walker for the tests of shadowpt.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/shadowpt_world.h"

/* ------------------------------------------------------------------------------------------------------- the host */

static void host_insert(struct host *host, size_t at, struct host_run run)
{
	if (host->count == host->capacity) {
		host->capacity = host->capacity ? 2 * host->capacity : 16;
		host->runs = realloc(host->runs, host->capacity * sizeof(run));
		assert_non_null(host->runs);
	}
	/* By hand: the address sanitizer's memmove goes byte by byte. */
	for (size_t i = host->count++; i > at; i--)
		host->runs[i] = host->runs[i - 1];
	host->runs[at] = run;
}

/* The first run that ends above gva. */
static size_t host_at(const struct host *host, uint64_t gva)
{
	size_t low = 0, high = host->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (host->runs[middle].gva + host->runs[middle].len <= gva)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Has a run start at gva, if one lies across it. */
static void host_cut(struct host *host, uint64_t gva)
{
	size_t at = host_at(host, gva);
	struct host_run *run, tail;
	uint64_t head;

	if (at == host->count || host->runs[at].gva >= gva)
		return;
	run = &host->runs[at];
	head = gva - run->gva;
	tail = (struct host_run){gva, run->gpa + head, run->len - head, run->prot};
	run->len = head;
	host_insert(host, at + 1, tail);
}

static size_t host_remove(struct host *host, uint64_t gva, uint64_t len)
{
	size_t first, last;

	host_cut(host, gva);
	host_cut(host, gva + len);
	first = host_at(host, gva);
	for (last = first; last < host->count && host->runs[last].gva < gva + len; last++)
		;
	if (last > first) {
		for (size_t i = last; i < host->count; i++)
			host->runs[i - (last - first)] = host->runs[i];
		host->count -= last - first;
	}
	return first;
}

bool host_find(const struct host *host, uint64_t gva, struct host_run *page)
{
	size_t at = host_at(host, gva);
	const struct host_run *run;

	if (at == host->count || host->runs[at].gva > gva)
		return false;
	run = &host->runs[at];
	gva &= ~X86_PAGE_MASK;
	*page = (struct host_run){gva, run->gpa + (gva - run->gva), X86_PAGE_SIZE, run->prot};
	return true;
}

/* ------------------------------------------------------------------------------------------------------ the ops */

static bool op_fails(struct world *world, const struct spt_space *space)
{
	return world->fail_space == space || (world->fail_in && !--world->fail_in);
}

static void check_range(struct world *world, const struct spt_space *space, uint64_t gva, uint64_t len)
{
	struct spt_range range = {0, R3_BIT(32)};

	if (spt_space_paging(space) == SPT_4_LEVEL)
		range = spt_space_mode(space) == SPT_UPPER ? world->upper : world->config.view.range[0];
	assert_int_equal((gva | len) & X86_PAGE_MASK, 0);
	assert_true(len > 0 && gva >= range.start && gva + len <= range.end);
}

static int op_map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct world *world = ctx;
	struct host *host = world_host(space);
	struct host_run run = {gva, gpa, len, prot};

	check_range(world, space, gva, len);
	assert_true(!(gpa & X86_PAGE_MASK) && gpa + len <= world->config.ram_size);
	world->maps++;
	world->last_map = run;
	if (op_fails(world, space))
		return WORLD_OP_ERROR;
	host_insert(host, host_remove(host, gva, len), run);
	return 0;
}

static int op_unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	struct world *world = ctx;

	check_range(world, space, gva, len);
	world->unmaps++;
	if (op_fails(world, space))
		return WORLD_OP_ERROR;
	host_remove(world_host(space), gva, len);
	return 0;
}

static int op_protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	struct world *world = ctx;
	struct host *host = world_host(space);
	uint64_t covered = 0;

	check_range(world, space, gva, len);
	world->protects++;
	if (op_fails(world, space))
		return WORLD_OP_ERROR;
	host_cut(host, gva);
	host_cut(host, gva + len);
	for (size_t i = host_at(host, gva); i < host->count && host->runs[i].gva < gva + len; i++) {
		host->runs[i].prot = prot;
		covered += host->runs[i].len;
	}
	assert_int_equal(covered, len);
	return 0;
}

static void *op_frame(void *ctx, uint64_t gpa)
{
	struct world *world = ctx;

	assert_int_equal(gpa & X86_PAGE_MASK, 0);
	if (world->on_frame)
		world->on_frame(world, gpa);
	return gpa < world->config.ram_size ? world->ram + gpa : NULL;
}

static void on_written(void *ctx, uint64_t gpa)
{
	struct world *world = ctx;

	world->written++;
	if (world->on_written)
		world->on_written(world, gpa);
}

/* ------------------------------------------------------------------------------------------------------ the world */

uint64_t world_memory_max;

struct world *world_create(uint64_t ram_size, uint64_t gva_lowest, uint64_t gva_limit)
{
	static const struct spt_ops ops = {.frame = op_frame, .map = op_map, .unmap = op_unmap, .protect = op_protect};
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->config = (struct spt_config){.ram_size = ram_size,
					    .view = {{{gva_lowest, gva_limit}}, .count = 1},
					    .physical_bits = WORLD_PHYSICAL_BITS,
					    .memory_max = world_memory_max};
	world->ram = calloc(1, ram_size);
	assert_non_null(world->ram);
	world->spt = spt_create(&world->config, &ops, world);
	assert_non_null(world->spt);
	spt_set_written(world->spt, SPT_WATCH_CODE, on_written);
	return world;
}

void world_destroy(struct world *world)
{
	spt_destroy(world->spt);
	free(world->ram);
	free(world);
}

void world_share(struct world *world, uint64_t start, uint64_t end)
{
	const struct spt_view view = {{{start, end}}, .count = 1};

	world->upper = view.range[0];
	assert_int_equal(spt_set_view(world->spt, SPT_UPPER, &view), 0);
}

uint64_t *world_entry(struct world *world, uint64_t table, unsigned index)
{
	return (uint64_t *)(void *)(world->ram + table) + index;
}

unsigned world_ops(const struct world *world)
{
	return world->maps + world->unmaps + world->protects;
}

struct spt_space *world_space(struct world *world, uint64_t cr3, enum spt_mode mode)
{
	struct spt_space *space = spt_space_get(world->spt, &(struct spt_cpu){.cr3 = cr3}, mode);

	assert_non_null(space);
	if (!*spt_space_owner(space)) {
		*spt_space_owner(space) = calloc(1, sizeof(struct host));
		assert_non_null(*spt_space_owner(space));
	}
	return space;
}

struct host *world_host(struct spt_space *space)
{
	return *spt_space_owner(space);
}

void world_clear(struct spt_space *space)
{
	world_host(space)->count = 0;
}

void world_discard(struct spt_space *space)
{
	struct host *host = world_host(space);

	free(host->runs);
	free(host);
	spt_space_discard(space);
}

/* ------------------------------------------------------------------------------------------------- the reference */

static struct reference refused(const struct spt_cpu *cpu, uint32_t access, uint32_t bits)
{
	struct reference r = {.error = bits};

	if (access & X86_PF_W)
		r.error |= X86_PF_W;
	if (access & X86_PF_U)
		r.error |= X86_PF_U;
	if ((access & X86_PF_I) && (cpu->nxe || cpu->smep))
		r.error |= X86_PF_I;
	return r;
}

/* The entries on the way, and what they say together. */
struct way {
	bool user, write, execute, accessed;
	uint8_t *slot[4];
	unsigned count;
	uint64_t last, page, page_len;
};

/* The entry of `size` bytes at gpa; 0 outside RAM. */
static uint64_t way_entry(struct world *world, struct way *way, uint64_t gpa, unsigned size)
{
	uint64_t e = 0;

	if (gpa >= world->config.ram_size)
		return 0;
	way->slot[way->count] = world->ram + gpa;
	memcpy(&e, way->slot[way->count++], size);
	way->write &= e >> 1 & 1;
	way->user &= e >> 2 & 1;
	way->accessed &= e >> 5 & 1;
	way->execute &= !(e >> 63);
	return way->last = e;
}

#define ABOVE_PHYSICAL ((R3_BIT(52) - 1) & ~(R3_BIT(WORLD_PHYSICAL_BITS) - 1))
#define ADDRESS	       0xffffffffff000

/* The ways return the bits of the error code that are their business, or -1 when they have reached a page. */
static int way_4_level(struct world *world, const struct spt_cpu *cpu, uint64_t gva, struct way *way)
{
	static const unsigned shifts[] = {39, 30, 21, 12};
	uint64_t table = cpu->cr3 & ADDRESS, e;
	unsigned n = 0, shift;
	bool leaf;

	if (gva >> 47 != 0 && gva >> 47 != 0x1ffff)
		return 0;
	do {
		shift = shifts[n++];
		e = way_entry(world, way, table + (gva >> shift & 511) * 8, 8);
		if (!(e & 1))
			return 0;
		leaf = shift == 12 || (shift < 39 && (e & 0x80));
		if ((e & ABOVE_PHYSICAL) || ((e >> 63) && !cpu->nxe) || (shift == 39 && (e & 0x80)) ||
		    (shift == 30 && leaf && (e & 0x3fffe000)) || (shift == 21 && leaf && (e & 0x1fe000)))
			return X86_PF_P | X86_PF_RSVD;
		table = e & ADDRESS;
	} while (!leaf);
	way->page_len = R3_BIT(shift);
	way->page = table & ~(way->page_len - 1);
	return -1;
}

/* SDM 3A figure 4-7, tables 4-8 to 4-11. */
static int way_pae(struct world *world, const struct spt_cpu *cpu, uint64_t gva, struct way *way)
{
	const uint64_t reserved = ABOVE_PHYSICAL | 0x7ffull << 52 | (cpu->nxe ? 0 : R3_BIT(63));
	uint64_t pdpte = cpu->pdpte[gva >> 30], pde, pte;

	if (!(pdpte & 1))
		return 0;
	pde = way_entry(world, way, (pdpte & ADDRESS) + (gva >> 21 & 511) * 8, 8);
	if (!(pde & 1))
		return 0;
	if ((pde & reserved) || ((pde & 0x80) && (pde & 0x1fe000)))
		return X86_PF_P | X86_PF_RSVD;
	way->page_len = 2 << 20;
	way->page = pde & ADDRESS & ~0x1fffffull;
	if (pde & 0x80)
		return -1;
	pte = way_entry(world, way, (pde & ADDRESS) + (gva >> 12 & 511) * 8, 8);
	if (!(pte & 1))
		return 0;
	if (pte & reserved)
		return X86_PF_P | X86_PF_RSVD;
	way->page_len = 4096;
	way->page = pte & ADDRESS;
	return -1;
}

/* SDM 3A figure 4-4, tables 4-3 to 4-6, with PSE-36 of a processor of 40 address bits. */
static int way_32_bit(struct world *world, const struct spt_cpu *cpu, uint64_t gva, struct way *way)
{
	uint64_t pde = way_entry(world, way, (cpu->cr3 & 0xfffff000) + (gva >> 22) * 4, 4), pte;

	if (!(pde & 1))
		return 0;
	if ((pde & 0x80) && cpu->pse) {
		if (pde & R3_BIT(21))
			return X86_PF_P | X86_PF_RSVD;
		way->page_len = 4 << 20;
		way->page = (pde & 0xffc00000) | (pde & 0x1fe000) << 19;
		return -1;
	}
	pte = way_entry(world, way, (pde & 0xfffff000) + (gva >> 12 & 1023) * 4, 4);
	if (!(pte & 1))
		return 0;
	way->page_len = 4096;
	way->page = pte & 0xfffff000;
	return -1;
}

/* SDM 3A 4.6.2, 4.7: the page's key forbids what the access does, whatever else does. */
static bool keyed(const struct spt_cpu *cpu, const struct way *way, uint32_t access)
{
	const unsigned key = (unsigned)(way->last >> 59) % 16;
	const bool ad = (way->user ? cpu->user_keys : cpu->kernel_keys) >> (2 * key) & 1;
	const bool wd = (way->user ? cpu->user_keys : cpu->kernel_keys) >> (2 * key + 1) & 1;
	const bool by_user = access & X86_PF_U;

	if ((access & X86_PF_I) || (by_user && !way->user))
		return false;
	return ad || (wd && (access & X86_PF_W) && (by_user || cpu->wp));
}

struct reference reference_walk(struct world *world, const struct spt_cpu *cpu, uint64_t gva, uint32_t access,
				bool mark)
{
	struct way way = {.user = true, .write = true, .execute = true, .accessed = true};
	bool by_user = access & X86_PF_U;
	int error = 0;

	switch (cpu->paging) {
	case SPT_4_LEVEL:
		error = way_4_level(world, cpu, gva, &way);
		break;
	case SPT_PAE:
		error = way_pae(world, cpu, gva &= 0xffffffff, &way);
		break;
	case SPT_32_BIT:
		error = way_32_bit(world, cpu, gva &= 0xffffffff, &way);
		break;
	case SPT_NO_PAGING:
		return (struct reference){.ok = true,
					  .user = by_user,
					  .gpa = gva & 0xffffffff,
					  .page_len = 4096,
					  .prot = SPT_WRITE | SPT_EXEC};
	}
	if (error >= 0)
		return refused(cpu, access, (uint32_t)error);
	if (keyed(cpu, &way, access))
		return refused(cpu, access, X86_PF_P | X86_PF_PK);
	if (by_user && !way.user)
		return refused(cpu, access, X86_PF_P);
	if (cpu->smap && way.user && !by_user && !(access & X86_PF_I))
		return refused(cpu, access, X86_PF_P);
	way.write |= !by_user && !cpu->wp;
	way.execute &= by_user || !cpu->smep || !way.user;
	if (((access & X86_PF_W) && !way.write) || ((access & X86_PF_I) && !way.execute))
		return refused(cpu, access, X86_PF_P);
	for (unsigned i = 0; mark && i < way.count; i++)
		*way.slot[i] |= 0x20;
	if (mark && (access & X86_PF_W))
		*way.slot[way.count - 1] |= 0x40;
	return (struct reference){.ok = true,
				  .user = way.user,
				  .accessed = way.accessed,
				  .dirty = way.last >> 6 & 1,
				  .gpa = way.page | (gva & (way.page_len - 1)),
				  .page_len = way.page_len,
				  .prot = (way.write ? SPT_WRITE : 0) | (way.execute ? SPT_EXEC : 0)};
}

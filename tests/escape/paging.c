/*
 * Page tables that lead nowhere, everywhere and in circles.
 */
#include "escape.h"

#define FUZZ_TABLES 8
#define ROUNDS	    10000 /* of luck that is the same on every run */

/* Slot 1 of the PML4 belongs to the attack: the kernel itself lives in slot 0. */
static uint64_t *table_new(void)
{
	uint64_t *table = pvg_page_alloc();

	pvg_assert(table);
	return table;
}

static uint64_t *root(void)
{
	return pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
}

static void touch(void *arg)
{
	(void)*(volatile uint8_t *)arg;
}

static void scribble(void *arg)
{
	*(volatile uint64_t *)arg = luck();
}

/* `beyond=1`: entries lead out of RAM as well, where the first touch ends the guest. */
static bool beyond;

/* Tables and pages of the attack; an entry may point to any of them, and to anything else. */
static uint64_t *tables[FUZZ_TABLES];

static uint64_t any_entry(void)
{
	uint64_t entry = luck();

	switch (luck() % 8) {
	case 0:
		return beyond ? entry : entry & ~X86_PTE_P;
	case 1:
		return beyond ? entry & 0xffffffffff : 0;
	case 2: /* reserved bits */
		return entry | X86_PTE_P | 0x000fff0000000000;
	case 3:
		return 0;
	default:
		return pvg_ptr_to_gpa(tables[luck() % FUZZ_TABLES]) | (entry & 0x8000000000000fff & ~X86_PTE_PS) |
		       X86_PTE_P;
	}
}

/* An address whose indices hit entries that are in use. */
static uint64_t any_address(void)
{
	uint64_t gva = R3_BIT(39);

	for (unsigned level = 1; level < 4; level++)
		gva |= luck() % 8 << (12 + 9 * (level - 1));
	return gva | luck() % 4096;
}

void attack_page_garbage(void)
{
	struct pvg_caught caught;
	char text[4];

	beyond = pvg_option("beyond", text, sizeof(text));
	for (unsigned i = 0; i < FUZZ_TABLES; i++)
		tables[i] = table_new();
	root()[1] = pvg_ptr_to_gpa(tables[0]) | X86_PTE_P | X86_PTE_W | X86_PTE_U;
	for (uint64_t round = 0; round < ROUNDS; round++) {
		uint64_t *table = tables[luck() % FUZZ_TABLES];

		for (unsigned i = 0; i < 8; i++)
			table[luck() % 8] = any_entry();
		if (round % 4 == 0)
			pvg_write_cr3(pvg_read_cr3());
		else
			pvg_invlpg(any_address());
		pvg_catch(touch, (void *)any_address(), &caught);
		pvg_catch(scribble, (void *)any_address(), &caught);
	}
	pvg_test(true, "lived through it");
}

/* All tables map themselves, writable; then random bytes go in through that window. */
/* One of 199 slots from 3 on, but the gate's: who touches that ends himself. */
static uint64_t slot_beside_gate(void)
{
	uint64_t slot = 3 + luck() % 199;

	return slot + (slot >= GATE_TEXT >> 39);
}

void attack_page_self(void)
{
	uint64_t *top = root();
	uint64_t gpa = pvg_ptr_to_gpa(top), window = R3_BIT(39) * 2;
	struct pvg_caught caught;

	tables[0] = table_new();
	top[2] = gpa | X86_PTE_P | X86_PTE_W;
	pvg_write_cr3(pvg_read_cr3());
	/* Slot 2 of every level: the root itself as a page. */
	window |= 2ull << 30 | 2ull << 21 | 2ull << 12;
	pvg_test_equal(((volatile uint64_t *)window)[2] & X86_PTE_ADDR, gpa, "the root is seen through itself");
	for (uint64_t round = 0; round < ROUNDS; round++) {
		volatile uint64_t *entry = (volatile uint64_t *)window + 3 + luck() % 200;

		*entry = luck() % 2 ? gpa | X86_PTE_P | X86_PTE_W : luck() & ~X86_PTE_PS;
		pvg_catch(scribble, (void *)(R3_BIT(39) * slot_beside_gate() + luck() % R3_BIT(39) / 8 * 8), &caught);
		if (round % 8 == 0)
			pvg_write_cr3(pvg_read_cr3());
		top[0] |= X86_PTE_P; /* a scribble may hit it */
	}
	pvg_test(true, "lived through it");
}

static void map_anywhere(uint64_t gva, uint64_t entry)
{
	uint64_t *table = root();

	for (unsigned level = 4; level > 1; level--) {
		uint64_t *slot = &table[gva >> (12 + 9 * (level - 1)) & 511];

		if (!(*slot & X86_PTE_P))
			*slot = pvg_ptr_to_gpa(table_new()) | X86_PTE_P | X86_PTE_W;
		table = pvg_gpa_to_ptr(*slot & X86_PTE_ADDR);
	}
	table[gva >> 12 & 511] = entry;
	pvg_write_cr3(pvg_read_cr3());
}

/* A page of the guest's over the gate. */
void attack_page_hole(void)
{
	map_anywhere(GATE_TEXT, pvg_ptr_to_gpa(table_new()) | X86_PTE_P | X86_PTE_W);
	*(volatile uint64_t *)GATE_TEXT = 0xcccccccccccccccc;
	pvg_test(false, "the gate was overwritten");
}

void attack_page_upper(void)
{
	const uint64_t gva = 0xffffffff80000000;

	volatile uint64_t *page = table_new();

	map_anywhere(gva, pvg_ptr_to_gpa((void *)page) | X86_PTE_P | X86_PTE_W);
	*(volatile uint64_t *)gva = 1;
	pvg_test_equal(page[0], 1, "what is written in the upper half is in the guest's page");
	page[1] = 2;
	pvg_test_equal(((volatile uint64_t *)gva)[1], 2, "and read there");
}

void attack_page_mmio(void)
{
	map_anywhere(R3_BIT(39), 0xfee00000 | X86_PTE_P | X86_PTE_W);
	*(volatile uint32_t *)R3_BIT(39) = 1;
	pvg_test_equal(*(volatile uint32_t *)R3_BIT(39), UINT32_MAX,
		       "where nothing is, writes are lost and reads give ones");
}

/* More address spaces than the host allows processes: the oldest make room. */
void attack_page_roots(void)
{
	unsigned count = 300;

	for (unsigned i = 0; i < count; i++) {
		struct pvg_space space;

		pvg_assert(!pvg_space_create(&space));
		pvg_space_switch(&space);
	}
	pvg_space_switch(pvg_space_boot());
	pvg_test(true, "%u roots", count);
}

/* A root outside RAM: every fetch after it faults. `value=N` */
void attack_page_cr3(void)
{
	char text[24];

	pvg_option("value", text, sizeof(text));
	pvg_write_cr3(pvg_strtoul(text));
	pvg_test(false, "the processor runs without tables");
}

void attack_page_touch(void)
{
	uint64_t pages = pvg_pages_available();

	for (uint64_t i = 0; i < pages; i++) {
		volatile uint64_t *page = pvg_page_alloc();

		if (!page)
			break;
		page[i % 512] = i;
	}
	pvg_test(pages > 10000, "touched %lu pages", pages);
}

/*
 * Solution of 12-shadow: how many exits it takes to change a page table. A table that the guest can write when the
 * monitor finds it stays writable, and is compared when CR3 is loaded; any other is read-only until the first store to
 * it faults. So 64 stores cost one comparison.
 */
#include <pvguest/pvguest.h>

bool pvg_guarded = false; /* no tables are written but those of the exercise */

#define PAGES 64
#define GVA   PVG_SPACE_BASE
#define FIRST R3_U64(0x2000000)
#define OTHER R3_U64(0x2800000)

static volatile uint64_t *word(unsigned page)
{
	return (volatile uint64_t *)(GVA + page * X86_PAGE_SIZE);
}

int main(const char *cmdline)
{
	volatile uint64_t *entries;
	unsigned level, right = 0;

	(void)cmdline;
	for (unsigned i = 0; i < PAGES; i++)
		*(uint64_t *)pvg_gpa_to_ptr(OTHER + i * X86_PAGE_SIZE) = i;
	pvg_assert(!pvg_map(pvg_space_current(), GVA, FIRST, PAGES, X86_PTE_W | X86_PTE_NX));
	for (unsigned i = 0; i < PAGES; i++)
		*word(i) = 1000;

	/* EXERCISE: turn the entries to the pages from OTHER on, and load CR3 */
	entries = pvg_lookup(pvg_space_current(), GVA, &level); /* they lie one after the other */
	for (unsigned i = 0; i < PAGES; i++)
		entries[i] = (OTHER + i * X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_W | X86_PTE_NX;
	pvg_write_cr3(pvg_read_cr3());
	/* END */
	for (unsigned i = 0; i < PAGES; i++)
		right += *word(i) == i;
	pvg_printf("%u entries stored, %u pages as they should be\n", PAGES, right);
	return 0;
}

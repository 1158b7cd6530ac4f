/*
 * Solution of 08-efficiency: exits can be saved by asking less often. The same pages are mapped twice, entry by entry
 * with INVLPG after each, and all entries first with one load of CR3 after them. `way=one` or `way=all`.
 */
#include <pvguest/pvguest.h>

#define PAGES 256
#define GVA   PVG_SPACE_BASE

int main(const char *cmdline)
{
	uint64_t gpa = pvg_ptr_to_gpa(pvg_pages_alloc(2 * PAGES, 1));
	char way[4];
	unsigned level;

	(void)cmdline;
	pvg_option("way", way, sizeof(way));
	pvg_assert(!pvg_map(pvg_space_current(), GVA, gpa, PAGES, X86_PTE_W));
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t gva = GVA + i * X86_PAGE_SIZE;
		volatile uint64_t *entry = pvg_lookup(pvg_space_current(), gva, &level);

		*entry = (gpa + (PAGES + i) * X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_W;
		/* EXERCISE: way=one: invalidate this page */
		if (!pvg_strcmp(way, "one"))
			pvg_invlpg(gva);
		/* END */
	}
	/* EXERCISE: way=all: invalidate all of them */
	if (!pvg_strcmp(way, "all"))
		pvg_write_cr3(pvg_read_cr3());
	/* END */
	return 0;
}

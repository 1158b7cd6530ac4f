/*
 * paging: a guest that builds and switches page tables of its own. It teaches shadow paging from the guest's side: the
 * guest writes entries and takes page faults as on hardware, while the monitor keeps the tables that the processor
 * really uses. Shown are demand paging, two address spaces with different data at one address, and the accessed and
 * dirty bits that the monitor sets in the guest's entries.
 */
#include <pvguest/pvguest.h>

#define WINDOW	     PVG_SPACE_BASE
#define WINDOW_PAGES 4
#define SAME_PLACE   (WINDOW + 0x10000000)

static unsigned faults;

/* Demand paging: what lies in the window gets a page when it is first touched. */
static void page_fault(struct pvg_frame *frame, void *arg)
{
	uint64_t gva = pvg_fault_address() & ~X86_PAGE_MASK;
	void *page;

	(void)arg;
	if (gva < WINDOW || gva >= WINDOW + WINDOW_PAGES * X86_PAGE_SIZE || frame->error & X86_PF_P)
		pvg_panic_frame(frame, "a page fault outside the window, at 0x%lx", gva);
	page = pvg_page_alloc();
	pvg_assert(page);
	pvg_assert(!pvg_map(pvg_space_current(), gva, pvg_ptr_to_gpa(page), 1, X86_PTE_W));
	faults++;
}

static void show_demand_paging(void)
{
	volatile uint64_t *words = (volatile uint64_t *)WINDOW;
	const unsigned stride = X86_PAGE_SIZE / sizeof(*words);

	for (unsigned i = 0; i < WINDOW_PAGES; i++) {
		words[i * stride] = i;
		words[i * stride + 1] = i; /* the page is there by now */
	}
	pvg_printf("demand paging: %u pages touched twice, %u page faults\n", WINDOW_PAGES, faults);
}

static void show_two_spaces(void)
{
	static const char *const names[] = {"A", "B"};
	struct pvg_space space[2];

	for (unsigned i = 0; i < 2; i++) {
		char *page = pvg_page_alloc();

		pvg_assert(page && !pvg_space_create(&space[i]));
		pvg_snprintf(page, X86_PAGE_SIZE, "the page of space %s", names[i]);
		pvg_assert(!pvg_map(&space[i], SAME_PLACE, pvg_ptr_to_gpa(page), 1, X86_PTE_W));
	}
	for (unsigned turn = 0; turn < 4; turn++) {
		pvg_space_switch(&space[turn % 2]);
		pvg_printf("0x%llx in space %s: \"%s\"\n", SAME_PLACE, names[turn % 2], (const char *)SAME_PLACE);
	}
	pvg_space_switch(pvg_space_boot());
	pvg_space_destroy(&space[0]);
	pvg_space_destroy(&space[1]);
}

static void show_bits(struct pvg_space *space, const char *when)
{
	unsigned level;
	uint64_t entry = *pvg_lookup(space, SAME_PLACE, &level);

	pvg_printf("%-16s accessed %d, dirty %d\n", when, !!(entry & X86_PTE_A), !!(entry & X86_PTE_D));
}

static void show_accessed_and_dirty(void)
{
	volatile uint64_t *word = (volatile uint64_t *)SAME_PLACE;
	struct pvg_space *space = pvg_space_boot();
	void *page = pvg_page_alloc();

	pvg_assert(page && !pvg_map(space, SAME_PLACE, pvg_ptr_to_gpa(page), 1, X86_PTE_W));
	show_bits(space, "after mapping:");
	(void)*word;
	show_bits(space, "after reading:");
	*word = 1;
	show_bits(space, "after writing:");
	pvg_assert(!pvg_protect(space, SAME_PLACE, 1, X86_PTE_W));
	show_bits(space, "after clearing:");
	(void)*word;
	show_bits(space, "after reading:");
}

int main(const char *cmdline)
{
	(void)cmdline;
	pvg_trap_register(X86_VEC_PF, page_fault, NULL);
	show_demand_paging();
	show_two_spaces();
	show_accessed_and_dirty();
	return 0;
}

/*
 * Paging as the guest may count on it: page sizes, permissions, accessed and dirty bits, stale translations and how
 * they go, tables that change under the processor, and many address spaces.
 */
#include <pvguest/pvguest.h>

/* EFER.NXE is cleared here: no entry of the kernel's own map may have the bit that is reserved then. */
bool pvg_guarded = false;

#define SPACES	   64
#define LARGE_SIZE R3_BIT(X86_LARGE_SHIFT)
#define AT	   (PVG_SPACE_BASE + 0x40000000)
#define HIGH	   (R3_U64(0x7e) << 40)
#define AT_LARGE   (PVG_SPACE_BASE + 0x80000000)

static volatile uint64_t *const word = (volatile uint64_t *)AT;

static void read_word(void *arg)
{
	(void)*(volatile uint64_t *)arg;
}

static void write_word(void *arg)
{
	*(volatile uint64_t *)arg = 1;
}

/* Error code of the page fault, or -1 if the access went through. */
static int64_t fault_of(void (*access)(void *arg), uint64_t gva)
{
	struct pvg_caught caught;

	if (!pvg_catch(access, (void *)gva, &caught))
		return -1;
	return caught.vector == X86_VEC_PF && caught.cr2 == gva ? (int64_t)caught.error : -2;
}

static uint64_t *new_page(uint64_t value)
{
	uint64_t *page = pvg_page_alloc();

	pvg_assert(page);
	page[0] = value;
	return page;
}

static void map_one(struct pvg_space *space, uint64_t gva, const void *page, uint64_t prot)
{
	pvg_assert(!pvg_map(space, gva, pvg_ptr_to_gpa(page), 1, prot));
}

static uint64_t bits_of(struct pvg_space *space, uint64_t gva)
{
	unsigned level;

	return *pvg_lookup(space, gva, &level) & (X86_PTE_A | X86_PTE_D);
}

static void test_allocator(void)
{
	size_t before = pvg_pages_available();
	uint8_t *page = pvg_page_alloc(), *run = pvg_pages_alloc(512, 512);
	unsigned dirty = 0;

	pvg_test(page && run, "pages are given");
	pvg_test(!(pvg_ptr_to_gpa(run) & (LARGE_SIZE - 1)), "a run is aligned");
	pvg_test_equal(pvg_pages_available(), before - 513, "and counted");
	memset(page, 0xff, X86_PAGE_SIZE);
	pvg_page_free(page);
	pvg_pages_free(run, 512);
	pvg_test_equal(pvg_pages_available(), before, "and come back");
	page = pvg_page_alloc();
	for (unsigned i = 0; i < X86_PAGE_SIZE; i++)
		dirty += page[i] != 0;
	pvg_test_equal(dirty, 0, "zeroed");
	pvg_page_free(page);
	pvg_test(!pvg_pages_alloc(before + 1, 1), "no more than there are");
}

static void test_accessed_dirty(void)
{
	struct pvg_space *space = pvg_space_current();

	map_one(space, AT, new_page(5), X86_PTE_W);
	pvg_test_equal(bits_of(space, AT), 0, "A and D clear after mapping");
	pvg_test_equal(*word, 5, "the page's data");
	pvg_test_equal(bits_of(space, AT), X86_PTE_A, "reading sets A, not D");
	*word = 6;
	pvg_test_equal(bits_of(space, AT), X86_PTE_A | X86_PTE_D, "writing sets D");
	pvg_assert(!pvg_protect(space, AT, 1, X86_PTE_W));
	*word = 7;
	pvg_test_equal(bits_of(space, AT), X86_PTE_A | X86_PTE_D, "writing first sets both");
	pvg_assert(!pvg_unmap(space, AT, 1));
	pvg_test_equal((uint64_t)fault_of(read_word, AT), 0, "unmapped: read faults");
}

static void test_write_protection(void)
{
	struct pvg_space *space = pvg_space_current();

	map_one(space, AT, new_page(1), 0);
	pvg_test_equal((uint64_t)fault_of(read_word, AT), (uint64_t)-1, "read-only: read");
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_P | X86_PF_W, "read-only: write faults");
	pvg_test(!(bits_of(space, AT) & X86_PTE_D), "a write that faults sets no D");
	pvg_write_cr0(pvg_read_cr0() & ~X86_CR0_WP);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), (uint64_t)-1, "CR0.WP clear: the kernel may write");
	pvg_test(bits_of(space, AT) & X86_PTE_D, "and D is set");
	pvg_write_cr0(pvg_read_cr0() | X86_CR0_WP);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_P | X86_PF_W, "CR0.WP set: faults again");
	pvg_assert(!pvg_protect(space, AT, 1, X86_PTE_W));
	pvg_test_equal((uint64_t)fault_of(write_word, AT), (uint64_t)-1, "made writable");
	pvg_assert(!pvg_unmap(space, AT, 1));
}

static void call(void *arg)
{
	((void (*)(void))arg)();
}

static void test_no_execute(void)
{
	struct pvg_space *space = pvg_space_current();
	uint8_t *page = pvg_page_alloc();

	page[0] = 0xc3; /* RET */
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_NXE);
	map_one(space, AT, page, X86_PTE_W);
	pvg_test_equal((uint64_t)fault_of(call, AT), (uint64_t)-1, "executable: call");
	pvg_assert(!pvg_protect(space, AT, 1, X86_PTE_W | X86_PTE_NX));
	pvg_test_equal((uint64_t)fault_of(call, AT), X86_PF_P | X86_PF_I, "NX: call faults");
	pvg_test_equal((uint64_t)fault_of(read_word, AT), (uint64_t)-1, "NX: read");
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) & ~X86_EFER_NXE);
	pvg_test_equal((uint64_t)fault_of(read_word, AT), X86_PF_P | X86_PF_RSVD,
		       "EFER.NXE clear: the bit is reserved");
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_NXE);
	pvg_assert(!pvg_unmap(space, AT, 1));
}

static void set_keys(bool user, uint32_t keys)
{
	if (user)
		__asm__ volatile("wrpkru" : : "a"(keys), "c"(0), "d"(0) : "memory");
	else
		pvg_wrmsr(X86_MSR_PKRS, keys);
}

static void set_cr4(void *value)
{
	pvg_write_cr4(*(uint64_t *)value);
}

/* Code that runs directly may be shown the host's CPUID. */
static bool takes_cr4(uint64_t value)
{
	const uint64_t before = pvg_read_cr4();
	struct pvg_caught caught;
	bool refused = pvg_catch(set_cr4, &value, &caught);

	pvg_write_cr4(before);
	return !refused;
}

/* What the processor keeps from a page by its key, where it has keys for such pages: PKU, PKS. */
static void test_keys(bool user)
{
	const uint64_t key = 5, on = user ? X86_CR4_PKE : X86_CR4_PKS, smap = pvg_read_cr4() & X86_CR4_SMAP;
	const uint32_t ad = X86_KEY_AD << 2 * key, wd = X86_KEY_WD << 2 * key, bit = user ? 3 : 31;
	struct pvg_space *space = pvg_space_current();
	uint32_t a = 7, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if (!(c >> bit & 1) || !takes_cr4(pvg_read_cr4() | on)) {
		pvg_test_skip("protection keys", "this machine has none");
		return;
	}
	map_one(space, AT, new_page(1), X86_PTE_W | (user ? X86_PTE_U : 0) | key << X86_PTE_KEY_SHIFT);
	pvg_write_cr4((pvg_read_cr4() & ~X86_CR4_SMAP) | on);
	set_keys(user, ~(ad | wd | X86_KEY_AD | X86_KEY_WD)); /* all else has key 0 */
	pvg_test_equal((uint64_t)fault_of(write_word, AT), (uint64_t)-1, "other keys: write");
	set_keys(user, wd);
	pvg_test_equal((uint64_t)fault_of(read_word, AT), (uint64_t)-1, "write disabled: read");
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_P | X86_PF_W | X86_PF_PK, "write faults");
	pvg_write_cr0(pvg_read_cr0() & ~X86_CR0_WP);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), (uint64_t)-1, "CR0.WP clear: the kernel may write");
	set_keys(user, ad);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_P | X86_PF_W | X86_PF_PK, "access disabled: write");
	pvg_write_cr0(pvg_read_cr0() | X86_CR0_WP);
	pvg_test_equal((uint64_t)fault_of(read_word, AT), X86_PF_P | X86_PF_PK, "read");
	pvg_write_cr4(pvg_read_cr4() & ~on);
	pvg_test_equal((uint64_t)fault_of(read_word, AT), (uint64_t)-1, "CR4 clear: read");
	pvg_write_cr4(pvg_read_cr4() | on);
	set_keys(user, 0);
	pvg_write_cr4((pvg_read_cr4() & ~on) | smap);
	pvg_assert(!pvg_unmap(space, AT, 1));
}

static void test_large_page(void)
{
	struct pvg_space *space = pvg_space_current();
	uint64_t *frames = pvg_pages_alloc(512, 512);
	volatile uint64_t *large = (volatile uint64_t *)AT_LARGE;
	unsigned level, wrong = 0;

	pvg_assert(frames && !pvg_map_large(space, AT_LARGE, pvg_ptr_to_gpa(frames), 1, X86_PTE_W));
	for (unsigned i = 0; i < 512; i++)
		large[i * 512] = i;
	for (unsigned i = 0; i < 512; i++)
		wrong += frames[i * 512] != i;
	pvg_test_equal(wrong, 0, "2 MiB page: all of it is the same memory");
	pvg_lookup(space, AT_LARGE + 12345, &level);
	pvg_test_equal(level, 2, "2 MiB page: one entry of level 2");
	pvg_test_equal(bits_of(space, AT_LARGE), X86_PTE_A | X86_PTE_D, "2 MiB page: A and D");
	pvg_test_equal((uint64_t)fault_of(read_word, AT_LARGE + LARGE_SIZE), 0, "2 MiB page: it ends there");
	pvg_test_equal((uint64_t)pvg_map(space, AT_LARGE, 0x200000, 1, 0), (uint64_t)-R3_EINVAL,
		       "no small page inside a large one");
}

/* Sets an entry behind the library's back, as a kernel does that invalidates by itself. */
static void poke(struct pvg_space *space, uint64_t gva, uint64_t value)
{
	unsigned level;

	*(volatile uint64_t *)pvg_lookup(space, gva, &level) = value;
}

static void test_invalidation(void)
{
	struct pvg_space *space = pvg_space_current();
	uint64_t *a = new_page('a'), *b = new_page('b');
	uint64_t prot = X86_PTE_P | X86_PTE_W;

	map_one(space, AT, a, X86_PTE_W);
	pvg_test_equal(*word, 'a', "first page");
	poke(space, AT, pvg_ptr_to_gpa(b) | prot);
	pvg_ops->invlpg(AT);
	pvg_test_equal(*word, 'b', "INVLPG: the new page shows");
	poke(space, AT, pvg_ptr_to_gpa(a) | prot);
	pvg_ops->flush_tlb();
	pvg_test_equal(*word, 'a', "reloading the root: the new page shows");
	poke(space, AT, 0);
	pvg_ops->invlpg(AT);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_W, "entry cleared and invalidated: gone");
}

/* Not-present entries are never remembered: no invalidation is needed to make one present. */
/* Low and high in the lower half, with addresses between them that the monitor may have for itself. */
static void test_flush_of_all(void)
{
	struct pvg_space *space = pvg_space_current();
	volatile uint64_t *const high = (volatile uint64_t *)HIGH;
	const uint64_t cr4 = pvg_read_cr4();

	map_one(space, AT, new_page(1), X86_PTE_W);
	map_one(space, HIGH, new_page(2), X86_PTE_W);
	for (unsigned n = 0; n < 3; n++) {
		pvg_test_equal(*word + *high, 3 + 2 * n, "both ends of the address space, %u", n);
		++*word;
		++*high;
		pvg_ops->flush_tlb();
		pvg_write_cr4(cr4 ^ X86_CR4_PGE); /* forgets global translations too */
		pvg_write_cr4(cr4);
	}
	pvg_unmap(space, HIGH, 1);
	pvg_unmap(space, AT, 1);
	pvg_ops->flush_tlb();
}

static void test_not_present_to_present(void)
{
	struct pvg_space *space = pvg_space_current();
	uint64_t *page = new_page(3), *entry;
	unsigned level;

	map_one(space, AT, page, X86_PTE_W);
	entry = pvg_lookup(space, AT, &level);
	pvg_assert(!pvg_unmap(space, AT, 1));
	pvg_test_equal((uint64_t)fault_of(read_word, AT), 0, "not present");
	*(volatile uint64_t *)entry = pvg_ptr_to_gpa(page) | X86_PTE_P;
	pvg_test_equal((uint64_t)fault_of(read_word, AT), (uint64_t)-1, "made present, no invalidation");
	pvg_test_equal((uint64_t)fault_of(write_word, AT), X86_PF_P | X86_PF_W, "still read-only");
	*(volatile uint64_t *)entry = pvg_ptr_to_gpa(page) | X86_PTE_P | X86_PTE_W;
	pvg_ops->invlpg(AT);
	pvg_test_equal((uint64_t)fault_of(write_word, AT), (uint64_t)-1, "made writable and invalidated");
	pvg_assert(!pvg_unmap(space, AT, 1));
}

/* A frame that was a page table becomes data, and data becomes a table. */
static void test_table_reuse(void)
{
	struct pvg_space space;
	unsigned wrong = 0;

	for (unsigned round = 0; round < 8; round++) {
		uint64_t *page = new_page(round);

		pvg_assert(!pvg_space_create(&space));
		map_one(&space, AT + round * X86_PAGE_SIZE, page, X86_PTE_W);
		pvg_space_switch(&space);
		wrong += word[round * X86_PAGE_SIZE / sizeof(*word)] != round;
		wrong += fault_of(read_word, AT + (round + 1) * X86_PAGE_SIZE) != 0;
		pvg_space_switch(pvg_space_boot());
		pvg_space_destroy(&space);
		/* The frames that were tables are the first to be given out again. */
		for (unsigned i = 0; i < 4; i++) {
			uint64_t *data = pvg_page_alloc();

			memset(data, 0xff, X86_PAGE_SIZE);
			wrong += data[X86_PT_ENTRIES - 1] != UINT64_MAX;
			pvg_page_free(data);
		}
		pvg_page_free(page);
	}
	pvg_test_equal(wrong, 0, "table frames become data and tables again");
}

static void test_many_spaces(void)
{
	static struct pvg_space space[SPACES];
	unsigned wrong = 0;

	for (unsigned i = 0; i < SPACES; i++) {
		pvg_assert(!pvg_space_create(&space[i]));
		map_one(&space[i], AT, new_page(i), X86_PTE_W);
	}
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < SPACES; i++) {
			pvg_space_switch(&space[i]);
			wrong += *word != i + round;
			*word = i + round + 1;
		}
	pvg_test_equal(wrong, 0, "%u spaces keep their data apart", SPACES);

	/* A change in a space that is not the current one shows when it is. */
	map_one(&space[3], AT, new_page(1000), X86_PTE_W);
	pvg_space_switch(&space[3]);
	pvg_test_equal(*word, 1000, "a page replaced while the space was away");
	pvg_space_switch(pvg_space_boot());
	for (unsigned i = 0; i < SPACES; i++)
		pvg_space_destroy(&space[i]);
}

/* Both mappings are the same memory, and so is the identity mapping of the kernel. */
static void test_aliases(void)
{
	struct pvg_space *space = pvg_space_current();
	uint64_t *page = new_page(0);
	volatile uint64_t *second = (volatile uint64_t *)(AT + X86_PAGE_SIZE);

	map_one(space, AT, page, X86_PTE_W);
	map_one(space, AT + X86_PAGE_SIZE, page, 0);
	*word = 42;
	pvg_test_equal(*second, 42, "two addresses, one page");
	*(volatile uint64_t *)page = 43;
	pvg_test_equal(*word + *second, 86, "and the identity mapping is a third");
}

/* RFLAGS right behind an access to *at. */
static uint64_t flags_behind(volatile uint64_t *at)
{
	uint64_t flags;
	__asm__ volatile("mov %1, %0\n\tpushfq\n\tpop %0" : "=r"(flags) : "m"(*at) : "memory");
	return flags;
}

/*
 * What the host cannot map behaves all the same: the lowest pages, seen by the kernel's identity mapping and by an
 * alias that it can map, and addresses without RAM.
 */
static void test_unmappable(void)
{
	struct pvg_space *space = pvg_space_current();
	volatile uint64_t *low = (volatile uint64_t *)0x2000;
	uint64_t sum = 0;

	map_one(space, AT, (void *)low, X86_PTE_W);
	*word = 7;
	pvg_test_equal(*low, 7, "a low address is read");
	low[1] = 8;
	__asm__ volatile("lock incq %0" : "+m"(low[1]) : : "memory");
	pvg_test_equal(word[1], 9, "and written");
	for (unsigned i = 0; i < 16; i++)
		low[16 + i] = i;
	for (unsigned i = 0; i < 16; i++)
		sum += word[16 + i];
	pvg_test_equal(sum, 120, "many times");

	pvg_assert(!pvg_map(space, AT, R3_BIT(40), 1, X86_PTE_W));
	pvg_ops->invlpg(AT);
	pvg_test_equal(*word, ~R3_U64(0), "no RAM reads as ones");
	*word = 1;
	pvg_test_equal(*word, ~R3_U64(0), "and swallows what is written");
	bool on = pvg_irq_save();
	uint64_t elsewhere = flags_behind(&sum) & X86_RFLAGS_IF, behind = flags_behind(word) & X86_RFLAGS_IF;
	pvg_irq_restore(on);
	pvg_test_equal(behind, elsewhere, "PUSHF behind it shows what it shows elsewhere");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_allocator();
	test_accessed_dirty();
	test_write_protection();
	test_no_execute();
	test_keys(true);
	test_keys(false);
	test_large_page();
	test_invalidation();
	test_flush_of_all();
	test_not_present_to_present();
	test_table_reuse();
	test_many_spaces();
	test_aliases();
	test_unmappable();
	return pvg_test_finish();
}

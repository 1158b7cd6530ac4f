/*
 * SMAP, where the kernel is interpreted: AC opens user pages and closes them again, each time, whatever the interpreter
 * knows of them already, and makes no difference to the kernel's own.
 */
#include <pvguest/pvguest.h>

#define AT     (PVG_SPACE_BASE + 0x40000000)
#define ROUNDS 3000 /* more than there are generations of translations */

static void close_pages(void)
{
	__asm__ volatile("clac" : : : "memory");
}

static void open_pages(void)
{
	__asm__ volatile("stac" : : : "memory");
}

static void read_word(void *at)
{
	(void)*(volatile uint64_t *)at;
}

static void write_word(void *at)
{
	*(volatile uint64_t *)at = 1;
}

static void add_word(void *at)
{
	__asm__ volatile("lock incq %0" : "+m"(*(uint64_t *)at));
}

static void copy_words(void *at)
{
	uint64_t words[4], count = sizeof(words) / sizeof(words[0]);
	void *to = words;

	__asm__ volatile("rep movsq" : "+S"(at), "+D"(to), "+c"(count) : : "memory");
}

static void (*const accesses[])(void *) = {read_word, write_word, add_word, copy_words};
static const char *const names[] = {"a read", "a write", "an addition", "a copy"};
#define ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

/* The access is refused as one to a page that is there. */
static bool refused(void (*access)(void *), uint64_t gva)
{
	struct pvg_caught caught;

	return pvg_catch(access, (void *)gva, &caught) && caught.vector == X86_VEC_PF && caught.cr2 == gva &&
	       (caught.error & X86_PF_P) && !(caught.error & X86_PF_U);
}

static void test_each(uint64_t gva)
{
	for (unsigned n = 0; n < ACCESSES; n++) {
		close_pages();
		pvg_test(refused(accesses[n], gva), "%s of a user page is refused", names[n]);
		open_pages();
		accesses[n]((void *)gva);
		accesses[n]((void *)gva);
		close_pages();
		pvg_test(refused(accesses[n], gva), "and again once AC is clear");
	}
}

static void test_rounds(uint64_t gva, volatile uint64_t *own)
{
	unsigned wrong = 0;
	uint64_t sum = 0;

	*own = 0;
	for (unsigned n = 0; n < ROUNDS; n++) {
		open_pages();
		sum += *(volatile uint64_t *)gva;
		add_word((void *)gva);
		*own += 1;
		close_pages();
		*own += 1;
		if (n % 64 == 0)
			wrong += !refused(accesses[n / 64 % ACCESSES], gva);
		pvg_ops->invlpg(gva);
	}
	pvg_test_equal(wrong, 0, "closed in each of many rounds");
	pvg_test_equal(*own, 2 * ROUNDS, "the kernel's own page is written either way");
	pvg_test(sum, "what was opened is read");
}

int main(const char *cmdline)
{
	uint64_t *page = pvg_page_alloc(), *own = pvg_page_alloc();

	(void)cmdline;
	pvg_assert(page && own);
	pvg_assert(!pvg_map(pvg_space_current(), AT, pvg_ptr_to_gpa(page), 1, X86_PTE_W | X86_PTE_U));
	read_word((void *)AT);
	pvg_write_cr4(pvg_read_cr4() | X86_CR4_SMAP);
	test_each(AT);
	test_rounds(AT, own);
	pvg_write_cr4(pvg_read_cr4() & ~X86_CR4_SMAP);
	read_word((void *)AT);
	pvg_test(true, "without SMAP it is read whatever AC says");
	return pvg_test_finish();
}

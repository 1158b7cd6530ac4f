/*
 * Solution of 06-resources: a guest marks all memory that it can have with the letter it was given, and looks for any
 * other letter's mark. Two of them, run side by side, never meet: each RAM is a memory object of its own.
 */
#include <pvguest/pvguest.h>

bool pvg_guarded = false; /* all of RAM is looked at, the pages below stacks included */

#define WORDS (X86_PAGE_SIZE / sizeof(uint64_t))
#define MARK  R3_U64(0x6d61726b00000000) /* "mark", and the letter below */
#define LOOKS 3

/* Words of RAM from `from` to `to` with the mark of somebody else. */
static unsigned long foreign(uint64_t own, const uint64_t *from, const uint64_t *to)
{
	unsigned long found = 0;

	for (const uint64_t *word = from; word < to; word++)
		found += (*word & ~R3_U64(0xff)) == MARK && *word != own;
	return found;
}

int main(const char *cmdline)
{
	char letter[2];
	uint64_t own, *page, *first, *last;
	unsigned long pages = 0, found = 0;

	(void)cmdline;
	pvg_option("mark", letter, sizeof(letter));
	own = MARK | (uint8_t)letter[0];
	/* EXERCISE: mark all pages, look, and say "A: marked more than 5 MiB, found 0 foreign marks" */
	first = last = pvg_page_alloc();
	pvg_assert(first);
	for (page = first; page; page = pvg_page_alloc()) {
		for (unsigned i = 0; i < WORDS; i++)
			page[i] = own;
		first = page < first ? page : first;
		last = page > last ? page : last;
		pages++;
	}
	for (unsigned i = 0; i < LOOKS; i++)
		found += foreign(own, first, last + WORDS);
	pvg_printf("%s: marked more than %lu MiB, found %lu foreign marks\n", letter, pages >> 8, found);
	/* END */
	return 0;
}

/*
 * Kernels of 32 bits that ask for as much of the host's memory as they can. On the command line shadow or code, and pae
 * for tables of three levels; it prints "done" when it comes to an end.
 */
#include "tests/modes/console.h"

#define PAGE	   4096u
#define TABLE	   (X86_PTE_P | X86_PTE_W | X86_PTE_A)
#define LEAF	   (TABLE | X86_PTE_D)
#define IDENTITY   (16u << 20) /* all of RAM */
#define HEAP	   (4u << 20)
#define ROOTS	   8u
#define TOUCHES	   2000u
#define CODE_PAGES 40u
#define RUN	   64u /* so many bytes of code, then a jump */
#define PUSHF	   0x9c

void report(uint32_t magic, uint32_t info);

static uint32_t next_page = HEAP;
static uint8_t stack[8 * PAGE] __attribute__((aligned(4096)));

/* Pages of zeroes, that is how RAM begins. */
static void *new_pages(uint32_t count)
{
	uint32_t at = next_page;

	next_page += count * PAGE;
	if (next_page > IDENTITY) {
		print("out of memory\n");
		leave(1);
	}
	return (void *)at;
}

static int option(const char *line, const char *word)
{
	for (; *line; line++) {
		uint32_t n = 0;

		while (word[n] && line[n] == word[n])
			n++;
		if (!word[n])
			return 1;
	}
	return 0;
}

/* ----------------------------------------------------------------------------------------------- tables of two levels
 */

/* RAM as it is; behind it one table in every place, all of whose pages are one. */
static uint32_t root_of_two(const uint32_t *everywhere)
{
	uint32_t *directory = new_pages(1);
	static uint32_t *identity;

	if (!identity) {
		identity = new_pages(IDENTITY / PAGE / 1024);
		for (uint32_t n = 0; n < IDENTITY / PAGE; n++)
			identity[n] = n * PAGE | LEAF;
	}
	for (uint32_t n = 0; n < 1024; n++)
		directory[n] = (n < IDENTITY >> 22 ? (uint32_t)identity + n * PAGE : (uint32_t)everywhere) | TABLE;
	return (uint32_t)directory;
}

static uint32_t *table_of_two(void)
{
	uint32_t *table = new_pages(1), leaf = (uint32_t)new_pages(1) | LEAF;

	for (uint32_t n = 0; n < 1024; n++)
		table[n] = leaf;
	return table;
}

/* --------------------------------------------------------------------------------------------------------------- PAE
 */

static uint32_t root_of_three(const uint64_t *everywhere)
{
	uint64_t *pointers = new_pages(1), *first = new_pages(1), *others = new_pages(1);

	for (uint32_t n = 0; n < 512; n++) {
		first[n] = n < IDENTITY >> 21 ? n << 21 | LEAF | X86_PTE_PS : (uint32_t)everywhere | TABLE;
		others[n] = (uint32_t)everywhere | TABLE;
	}
	for (uint32_t n = 0; n < 4; n++)
		pointers[n] = (uint32_t)(n ? others : first) | X86_PTE_P;
	return (uint32_t)pointers;
}

static uint64_t *table_of_three(void)
{
	uint64_t *table = new_pages(1), leaf = (uint32_t)new_pages(1) | LEAF;

	for (uint32_t n = 0; n < 512; n++)
		table[n] = leaf;
	return table;
}

/* ----------------------------------------------------------------------------------------------------------- attacks
 */

static void load_root(uint32_t root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

static void start_paging(uint32_t root, int pae)
{
	load_root(root);
	if (pae)
		__asm__ volatile("mov %%cr4, %%eax\n\tor %0, %%eax\n\tmov %%eax, %%cr4" : : "i"(X86_CR4_PAE) : "eax");
	__asm__ volatile("mov %%cr0, %%eax\n\tor %0, %%eax\n\tmov %%eax, %%cr0"
			 :
			 : "i"(X86_CR0_PG | X86_CR0_WP)
			 : "eax", "memory");
}

/*
 * Each place that is touched is a node of the shadow, and each page of the host's tables. Often, because a translator
 * interprets for a while after a fault.
 */
static void attack_shadow(const uint32_t *roots)
{
	for (uint32_t r = 0; r < ROOTS; r++) {
		load_root(roots[r]);
		for (uint32_t at = IDENTITY; at >= IDENTITY; at += 2u << 20)
			for (uint32_t n = 0; n < TOUCHES; n++)
				(void)*(volatile uint8_t *)at;
	}
}

/* Code that is entered at every byte is a block at each. */
static void attack_code(void)
{
	for (uint32_t p = 0; p < CODE_PAGES; p++) {
		uint8_t *page = new_pages(1);

		for (uint32_t n = 0; n < PAGE; n++)
			page[n] = n % RUN == RUN - 2 ? 0xff : n % RUN == RUN - 1 ? 0xe3 : PUSHF; /* jmp *%ebx */
		for (uint32_t at = 0; at < PAGE; at++)
			if (at % RUN < RUN - 1)
				__asm__ volatile("mov %%esp, %%esi\n\tmov %1, %%esp\n\tmov $1f, %%ebx\n\tjmp "
						 "*%0\n1:\tmov %%esi, %%esp"
						 :
						 : "r"(page + at), "r"(stack + sizeof(stack))
						 : "ebx", "esi", "memory", "cc");
	}
}

void report(uint32_t magic, uint32_t info)
{
	const char *line = (const char *)((const uint32_t *)info)[4];
	static uint32_t roots[ROOTS];
	int pae = option(line, "pae");
	void *everywhere = pae ? (void *)table_of_three() : table_of_two();

	for (uint32_t r = 0; r < ROOTS; r++)
		roots[r] = pae ? root_of_three(everywhere) : root_of_two(everywhere);
	start_paging(roots[0], pae);
	print("ready\n");
	if (option(line, "shadow"))
		attack_shadow(roots);
	if (option(line, "code"))
		attack_code();
	print("done\n");
	leave(0);
}

/*
 * Against the way in which a translator shows a kernel its own half and its programs' memory: pointers that a program
 * made up, followed by code that has learnt to reach user memory, the monitor's pages under other addresses, and many
 * address spaces that share one kernel, or do not quite.
 */
#include "escape.h"

#define USER	 0x550000003000ull
#define PIECE	 R3_BIT(40) /* user memory is shown by pieces of that size */
#define LEARNING 6
#define COUNT	 64

static uint8_t from[COUNT];

static void read_at(void *arg)
{
	__asm__ volatile("mov (%0), %%rax" : : "r"(arg) : "rax", "memory");
}

static void write_at(void *arg)
{
	__asm__ volatile("movq $0x5a, (%0)" : : "r"(arg) : "memory");
}

static void copy_from(void *arg)
{
	uint64_t count = COUNT;
	void *to = from;
	__asm__ volatile("rep movsb" : "+c"(count), "+D"(to), "+S"(arg) : : "memory");
}

static void copy_to(void *arg)
{
	uint64_t count = COUNT;
	const void *of = from;
	__asm__ volatile("rep movsb" : "+c"(count), "+D"(arg), "+S"(of) : : "memory");
}

/* Down from there. */
static void copy_down(void *arg)
{
	uint64_t count = COUNT;
	void *to = from + COUNT - 1;
	__asm__ volatile("std; rep movsb; cld" : "+c"(count), "+D"(to), "+S"(arg) : : "memory");
}

static void (*const ways[])(void *arg) = {read_at, write_at, copy_from, copy_to};

/* Of addresses that are none #GP, of others #PF, which names the byte. */
static bool is_refused(const struct pvg_caught *caught, uint64_t address)
{
	bool canonical = (uint64_t)((int64_t)(address << 16) >> 16) == address;

	return canonical ? caught->vector == X86_VEC_PF && caught->cr2 == address : caught->vector == X86_VEC_GP;
}

static void map_user(uint64_t gva)
{
	void *page = pvg_page_alloc();

	pvg_assert(page && !pvg_map(pvg_space_current(), gva, pvg_ptr_to_gpa(page), 1, X86_PTE_U | X86_PTE_W));
}

/* Pieces of user memory, with something at both ends, that are reached one after the other. */
static void attack_ends(void)
{
	static const uint64_t pieces[] = {0x600000000000, 0x620000000000, 0x640000000000};
	struct pvg_caught caught;

	for (unsigned n = 0; n < sizeof(pieces) / sizeof(pieces[0]); n++) {
		map_user(pieces[n]);
		map_user(pieces[n] + PIECE - X86_PAGE_SIZE);
		for (unsigned again = 0; again < LEARNING; again++)
			if (pvg_catch(read_at, (void *)pieces[n], &caught) ||
			    pvg_catch(write_at, (void *)(pieces[n] + PIECE - 8), &caught))
				pvg_test(false, "a piece's ends are there");
	}
	for (unsigned n = 0; n < sizeof(pieces) / sizeof(pieces[0]); n++) {
		const uint64_t end = pieces[n] + PIECE;

		for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++)
			pvg_test(pvg_catch(ways[way], (void *)(end - 4), &caught) && is_refused(&caught, end),
				 "what runs off the end of %lx by way %u is refused", pieces[n], way);
		pvg_test(pvg_catch(copy_down, (void *)(pieces[n] + 4), &caught) && is_refused(&caught, pieces[n] - 1),
			 "and what runs off its beginning");
		__asm__ volatile("cld");
	}
}

void attack_slots(void)
{
	static const uint64_t hostile[] = {
		0x500000001000,	      0x540000003000,	  USER - 8 - X86_PAGE_SIZE, USER + X86_PAGE_SIZE,
		USER + PIECE,	      USER - PIECE,	  USER | R3_BIT(63),	    USER | R3_BIT(47),
		USER | 0xffull << 56, 0x7ffffffff000,	  0x7fffffe00000,	    0x7ffffffffff8,
		0x800000000000,	      0x0100000000001000, 0x4000000000001000,	    0xc000000000001000,
		0xffff7ffffffffff8,   0xffff800000400000, 0xffffe00000000000};
	struct pvg_caught caught;

	map_user(USER);
	for (unsigned way = 0; way < sizeof(ways) / sizeof(ways[0]); way++) {
		for (unsigned n = 0; n < LEARNING; n++)
			if (pvg_catch(ways[way], (void *)(USER + 8 * n), &caught))
				pvg_test(false, "user memory is there");
		for (unsigned n = 0; n < sizeof(hostile) / sizeof(hostile[0]); n++)
			pvg_test(pvg_catch(ways[way], (void *)hostile[n], &caught) && is_refused(&caught, hostile[n]),
				 "%lx by way %u is refused", hostile[n], way);
		/* It begins in the page, and faults at the first byte behind it. */
		if (ways[way] == copy_from || ways[way] == copy_to)
			pvg_test(pvg_catch(ways[way], (void *)(USER + X86_PAGE_SIZE - COUNT / 2), &caught) &&
					 is_refused(&caught, USER + X86_PAGE_SIZE),
				 "so is what runs off the end of a page by way %u", way);
	}
	attack_ends();
}

/* -------------------------------------------------------------------------------------- one kernel, many spaces */

#define SPACES 80 /* more than have their user memory shown at a time */
#define OTHER  0x7e0000004000ull
#define KERNEL 0xffffd00000001000ull /* of the upper half, and no kernel's */
#define HALVES 7		     /* more kernels than have what they map kept at a time */
#define ROUNDS 3

static uint64_t seen;

static void load_at(void *arg)
{
	__asm__ volatile("mov (%1), %0" : "=r"(seen) : "r"(arg) : "memory");
}

/* A new page of that value, at gva. */
static uint64_t *page_at(struct pvg_space *space, uint64_t gva, uint64_t value, uint64_t prot)
{
	uint64_t *page = pvg_page_alloc();

	pvg_assert(page && !pvg_map(space, gva, pvg_ptr_to_gpa(page), 1, prot | X86_PTE_W));
	*page = value;
	return page;
}

static bool reads(uint64_t gva, uint64_t value)
{
	struct pvg_caught caught;

	return !pvg_catch(load_at, (void *)gva, &caught) && seen == value;
}

static bool refuses(uint64_t gva)
{
	struct pvg_caught caught;

	return pvg_catch(load_at, (void *)gva, &caught) && is_refused(&caught, gva);
}

/* Also when what comes soon is interpreted. */
static void go_to(struct pvg_space *space)
{
	pvg_space_switch(space);
	for (unsigned n = 0; n < 2000; n++)
		__asm__ volatile("" : : : "memory");
}

/* Each space has a page where all have one, every other one a second. Whose are seen is the root's affair. */
void attack_roots(void)
{
	static struct pvg_space spaces[SPACES];
	static uint64_t *pages[SPACES];
	struct pvg_caught caught;
	unsigned wrong = 0;

	for (unsigned n = 0; n < SPACES; n++) {
		pvg_assert(!pvg_space_create(&spaces[n]));
		pages[n] = page_at(&spaces[n], USER, 1000 + n, X86_PTE_U);
		if (n % 2)
			page_at(&spaces[n], OTHER, 2000 + n, X86_PTE_U);
	}
	for (unsigned round = 0; round < ROUNDS * SPACES; round++) {
		/* A few again and again, so that they stay shown; then all by turns. */
		unsigned n = round < SPACES ? round % 3 : round % SPACES;

		go_to(&spaces[n]);
		for (unsigned again = 0; again < LEARNING; again++)
			wrong += !reads(USER, 1000 + n) + !refuses(USER + X86_PAGE_SIZE) +
				 !(n % 2 ? reads(OTHER, 2000 + n) : refuses(OTHER));
		wrong += pvg_catch(write_at, (void *)(USER + 8), &caught) || pages[n][1] != 0x5a;
		pages[n][1] = 0;
	}
	go_to(pvg_space_boot());
	wrong += !refuses(USER) + !refuses(OTHER);
	pvg_test(!wrong, "each of %u spaces sees its own user memory: %u accesses are wrong", SPACES, wrong);
}

static volatile uint64_t *entry_of(const struct pvg_space *space)
{
	return (volatile uint64_t *)pvg_gpa_to_ptr(space->root) + (KERNEL >> 39) % X86_PT_ENTRIES;
}

/* The kernel's half of a root, changed through where all RAM is mapped. */
void attack_halves(void)
{
	static struct pvg_space a, b, c, of[HALVES];
	unsigned wrong = 0;

	pvg_assert(!pvg_space_create(&a) && !pvg_space_create(&b) && !pvg_space_create(&c));
	page_at(&a, KERNEL, 1, 0);
	page_at(&c, KERNEL, 2, 0);
	const uint64_t one = *entry_of(&a), two = *entry_of(&c);
	for (unsigned round = 0; round < ROUNDS; round++) {
		*entry_of(&b) = *entry_of(&c) = one;
		go_to(&a);
		wrong += !reads(KERNEL, 1);
		go_to(&b);
		wrong += !reads(KERNEL, 1);
		*entry_of(&c) = two;
		go_to(&c);
		wrong += !reads(KERNEL, 2);
		go_to(&b);
		wrong += !reads(KERNEL, 1);
		*entry_of(&a) = 0;
		go_to(&a);
		wrong += !refuses(KERNEL);
		/* What was not present is remembered by no processor. */
		*entry_of(&a) = two;
		wrong += !reads(KERNEL, 2);
		go_to(&b);
		wrong += !reads(KERNEL, 1);
		*entry_of(&a) = one;
	}
	pvg_test(!wrong, "entries of a root count from its load on: %u accesses are wrong", wrong);
	/* Tables that two roots share, changed in one. */
	go_to(&b);
	page_at(&b, KERNEL, 3, 0);
	wrong = !reads(KERNEL, 3);
	go_to(&a);
	wrong += !reads(KERNEL, 3);
	go_to(&c);
	wrong += !reads(KERNEL, 2);
	pvg_test(!wrong, "and so do tables that roots share: %u accesses are wrong", wrong);
	for (unsigned n = 0; n < HALVES; n++) {
		pvg_assert(!pvg_space_create(&of[n]));
		page_at(&of[n], KERNEL, 100 + n, 0);
	}
	wrong = 0;
	for (unsigned round = 0; round < ROUNDS * HALVES; round++) {
		go_to(&of[round % HALVES]);
		wrong += !reads(KERNEL, 100 + round % HALVES);
	}
	go_to(pvg_space_boot());
	wrong += !refuses(KERNEL);
	pvg_test(!wrong, "of %u kernels each has its own half: %u accesses are wrong", HALVES, wrong);
}

/* --------------------------------------------------------------------------------------------- what is not its own */

static void jump_there(void *arg)
{
	((void (*)(void))(uint64_t)arg)();
}

/* The gate and the cache, where the cell of a kernel of the upper half has them; code there cannot be written or run.
 */
void attack_folded(void)
{
	static const uint64_t places[] = {GATE_TEXT,	     GATE_XCHG,	      GATE_CACHE_STATE,
					  GATE_CACHE_TABLES, GATE_CACHE_CODE, GATE_CACHE_CODE + 0x40};
	struct pvg_caught caught;

	for (unsigned n = 0; n < sizeof(places) / sizeof(places[0]); n++) {
		void *folded = (void *)(places[n] - UPPER_BASE);

		pvg_test(pvg_catch(jump_there, folded, &caught), "a jump to %lx is a fault", (uint64_t)folded);
	}
	for (unsigned n = 3; n < sizeof(places) / sizeof(places[0]); n++) {
		void *folded = (void *)(places[n] - UPPER_BASE);

		pvg_test(pvg_catch(write_at, folded, &caught), "a store to %lx is a fault", (uint64_t)folded);
	}
}

/* The words of the hand-over and of the cache, overwritten at random while both sides use them. */
void attack_folded_words(void)
{
	const uint64_t ends[][2] = {{GATE_XCHG, GATE_END}, {GATE_CACHE_STATE, GATE_CACHE_TABLES}};
	struct pvg_caught caught;

	for (unsigned n = 0; n < 20000; n++) {
		const uint64_t *end = ends[luck() % 2];
		uint64_t at = end[0] + (luck() % ((end[1] - end[0]) / 8)) * 8;

		pvg_catch(write_at, (void *)(at - UPPER_BASE), &caught);
		pvg_cli();
		pvg_sti();
		if (n % 64 == 0)
			pvg_hypercall0(R3_HC_abi_version);
	}
	pvg_test(true, "survived");
}

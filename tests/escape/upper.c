/*
 * Against the way in which a translator shows a kernel its own half and its programs' memory: pointers that a program
 * made up, followed by code that has learnt to reach user memory, and the monitor's pages under other addresses.
 */
#include "escape.h"

#define USER	   0x550000003000ull
#define PIECE	   R3_BIT(40) /* user memory is shown by pieces of that size */
#define LEARNING   6
#define COUNT	   64
#define UPPER_BASE (R3_BIT(47) - R3_BIT(21)) /* how far up the cell of a kernel of the upper half shows memory */

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

static void (*const ways[])(void *arg) = {read_at, write_at, copy_from, copy_to};

/* Of addresses that are none #GP, of others #PF, which names the byte. */
static bool is_refused(const struct pvg_caught *caught, uint64_t address)
{
	bool canonical = (uint64_t)((int64_t)(address << 16) >> 16) == address;

	return canonical ? caught->vector == X86_VEC_PF && caught->cr2 == address : caught->vector == X86_VEC_GP;
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
	void *page = pvg_page_alloc();

	pvg_assert(page && !pvg_map(pvg_space_current(), USER, pvg_ptr_to_gpa(page), 1, X86_PTE_U | X86_PTE_W));
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
}

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

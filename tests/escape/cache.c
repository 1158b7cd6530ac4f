/*
 * Against a translator's code cache: jumped into, read, overwritten, and outdated behind its back.
 */
#include "escape.h"

#define ROUNDS	    2000
#define STATE_WORDS 128 /* all but tables of what was seen */
#define SLOT	    1	/* of the root: the attack's own */
#define UPPER_SLOT  400
#define TARGET	    (R3_BIT(39) * SLOT)
#define CALLER	    (TARGET + X86_PAGE_SIZE)
#define OP_CALL	    0xe8
#define OP_RET	    0xc3
#define OP_NOP	    0x90

static const uint64_t places[] = {GATE_CACHE_STATE,	  GATE_CACHE_TABLES,	    GATE_CACHE_CODE,
				  GATE_CACHE_CODE + 0x40, GATE_CACHE_CODE + 0x1003, GATE_CACHE_END - 8};
#define PLACES (sizeof(places) / sizeof(places[0]))

static void jump_there(void *arg)
{
	((void (*)(void))(uint64_t)arg)();
}

static void jump_there_user(uint64_t at)
{
	((void (*)(void))at)();
}

/* The guest has no code there, whatever the monitor has. */
void attack_cache_jump(void)
{
	struct pvg_caught caught;

	user_init();
	for (unsigned n = 0; n < PLACES; n++) {
		pvg_test(pvg_catch(jump_there, (void *)places[n], &caught), "a jump to %lx is a fault", places[n]);
		pvg_test(!user_run(jump_there_user, places[n], &caught), "of a program too");
	}
}

static void store_there(void *arg)
{
	*(volatile uint64_t *)arg = 0xcccccccccccccccc;
}

/* Code and tables cannot be written by those who run them. */
void attack_cache_write(void)
{
	struct pvg_caught caught;

	for (unsigned n = 1; n < PLACES; n++)
		pvg_test(pvg_catch(store_there, (void *)places[n], &caught), "a store to %lx is a fault", places[n]);
}

/* The words that translated code shares with the monitor, overwritten while both use them. */
void attack_cache_state(void)
{
	volatile uint64_t *state = (volatile uint64_t *)GATE_CACHE_STATE;
	struct pvg_caught caught;

	for (unsigned n = 0; n < ROUNDS; n++) {
		for (unsigned i = 0; i < STATE_WORDS; i++)
			state[i] = luck() & (n % 2 ? ~0ull : 0xffffffff);
		pvg_cli();
		pvg_sti();
		__asm__ volatile("pushfq\n\tpopfq" : : : "memory", "cc");
		pvg_catch(jump_there, (void *)(luck() | R3_BIT(63)), &caught);
		pvg_hypercall0(R3_HC_abi_version);
	}
	pvg_test(true, "survived");
}

static uint64_t *table_below(uint64_t *entry)
{
	void *table = pvg_page_alloc();

	pvg_assert(table);
	*entry = pvg_ptr_to_gpa(table) | X86_PTE_P | X86_PTE_W;
	return table;
}

static uint8_t *code_page(uint64_t *entry)
{
	uint8_t *page = pvg_page_alloc();

	pvg_assert(page);
	*entry = pvg_ptr_to_gpa(page) | X86_PTE_P | X86_PTE_W;
	return page;
}

/* MOV EAX, value; RET */
static void put_answer(uint8_t *code, uint32_t value)
{
	code[0] = 0xb8;
	__builtin_memcpy(code + 1, &value, sizeof(value));
	code[5] = OP_RET;
}

/* Longer than an interpreter goes on by itself after an exit. */
static void wait_a_little(void)
{
	for (volatile unsigned n = 0; n < 500; n++)
		;
}

/*
 * A page of code calls into another, by a direct call; what is mapped there changes, by each way a processor is told of
 * it. The code that runs is the code that is mapped.
 */
void attack_cache_remap(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
	uint64_t *table = table_below(table_below(table_below(&root[SLOT])));
	uint64_t entries[2];
	uint8_t *code[2] = {code_page(&entries[0]), code_page(&entries[1])}, *caller = code_page(&table[1]);
	int32_t back = -(int32_t)(X86_PAGE_SIZE + 5);
	unsigned wrong = 0;

	caller[0] = OP_CALL;
	__builtin_memcpy(caller + 1, &back, sizeof(back));
	caller[5] = OP_RET;
	for (uint32_t n = 0; n < ROUNDS; n++) {
		unsigned which = luck() & 1;

		table[0] = entries[which];
		if (luck() & 1)
			pvg_invlpg(TARGET);
		else
			pvg_write_cr3(pvg_read_cr3());
		put_answer(code[which], n);
		__asm__ volatile("" : : : "memory");
		wait_a_little();
		wrong += ((uint32_t(*)(void))CALLER)() != n;
	}
	pvg_test_equal(wrong, 0, "the code that is mapped ran");
}

/* Where nobody has code; more than are remembered. */
static void invalidate_others(void)
{
	for (unsigned n = luck() % 4 ? luck() % 4 : luck() % 150; n; n--)
		pvg_invlpg(TARGET + n * R3_BIT(X86_HUGE_SHIFT));
}

/* A way that suffices for a processor which has a translation that is global, or large. */
static void tell(uint64_t at, bool global, bool large)
{
	const uint64_t cr4 = pvg_read_cr4();
	switch (luck() % (global ? 2 : 3)) {
	case 0:
		pvg_invlpg(large ? (at & ~(R3_BIT(X86_LARGE_SHIFT) - 1)) + luck() % R3_BIT(X86_LARGE_SHIFT) : at);
		break;
	case 1:
		pvg_write_cr4(cr4 ^ X86_CR4_PGE);
		pvg_write_cr4(cr4);
		break;
	default:
		pvg_write_cr3(pvg_read_cr3());
	}
	invalidate_others();
}

/*
 * The same of translations that outlive loads of CR3, or did until they were made local; and of a page that is large at
 * times, of which any address stands for all. Each is told of by what it takes and no more. Nothing is written: what is
 * written too often is not translated.
 */
void attack_cache_global(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
	/* Where a kernel of either half has code. */
	const unsigned slot = (uint64_t)&attack_cache_global >> 63 ? UPPER_SLOT : SLOT;
	uint64_t *directory = table_below(table_below(&root[slot])), *table = table_below(&directory[0]);
	uint64_t entries[2], small = directory[0];
	uint8_t *code[2] = {code_page(&entries[0]), code_page(&entries[1])};
	const uint64_t page = entries[1] & X86_PTE_ADDR, large = page & ~(R3_BIT(X86_LARGE_SHIFT) - 1);
	const uint64_t at = (uint64_t)((int64_t)(R3_BIT(39) * slot << 16) >> 16) + (page - large);
	bool was_global = true, was_large = false;
	unsigned wrong = 0;

	for (uint32_t which = 0; which < 2; which++)
		put_answer(code[which], which);
	pvg_write_cr4(pvg_read_cr4() | X86_CR4_PGE);
	for (unsigned n = 0; n < ROUNDS; n++) {
		bool is_global = luck() & 1, is_large = luck() % 4 == 0;
		unsigned which = is_large || (luck() & 1);
		uint64_t flags = (is_global ? X86_PTE_G : 0) | (luck() & 1 ? X86_PTE_A : 0);

		table[(page - large) >> X86_PAGE_SHIFT] = entries[which] | flags;
		directory[0] = is_large ? large | flags | X86_PTE_PS | X86_PTE_P | X86_PTE_W : small;
		tell(at, was_global, was_large);
		was_global = is_global;
		was_large = is_large;
		wait_a_little();
		wrong += ((uint32_t(*)(void))at)() != which;
	}
	pvg_test_equal(wrong, 0, "the code that is mapped ran");
}

/*
 * An instruction that lies in two pages, MOV EAX, imm32, its operand half in each: both halves are written, and what is
 * mapped at either page changes.
 */
void attack_cache_across(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
	uint64_t *table = table_below(table_below(table_below(&root[SLOT])));
	uint64_t entries[2][2];
	uint8_t *code[2][2];
	unsigned wrong = 0, which[2] = {0, 0};

	for (unsigned n = 0; n < 4; n++) {
		uint8_t *page = code[n / 2][n % 2] = code_page(&entries[n / 2][n % 2]);

		memset(page + X86_PAGE_SIZE - 16, OP_NOP, 13);
		page[X86_PAGE_SIZE - 3] = 0xb8;
		page[2] = OP_RET;
	}
	for (uint32_t n = 0; n < ROUNDS; n++) {
		unsigned half = luck() & 1;
		uint32_t value = (uint32_t)luck();

		which[half] = luck() & 1;
		table[0] = entries[0][which[0]];
		table[1] = entries[1][which[1]];
		pvg_invlpg(half ? CALLER : TARGET);
		if (luck() & 1)
			__builtin_memcpy(code[half][which[half]] + (half ? 0 : X86_PAGE_SIZE - 2), &value, 2);
		__asm__ volatile("" : : : "memory");
		__builtin_memcpy(&value, code[0][which[0]] + X86_PAGE_SIZE - 2, 2);
		__builtin_memcpy((uint8_t *)&value + 2, code[1][which[1]], 2);
		wrong += ((uint32_t(*)(void))(CALLER - 16))() != value;
		wrong += ((uint32_t(*)(void))(CALLER - 16))() != value;
	}
	pvg_test_equal(wrong, 0, "the code that is mapped ran");
}

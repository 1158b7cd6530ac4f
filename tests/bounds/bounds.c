/*
 * Guests that ask for as much as they can: of the monitor's time in one call, of the host's memory. attack=NAME picks
 * one; it prints "ready" before it begins and "done" if it comes to an end.
 */
#include <pvguest/pvguest.h>

/* Addresses that no guest uses otherwise: one top-level slot, 512 GiB. */
#define SLOT	   1u
#define SLOT_START R3_BIT(39)
#define TABLE	   (X86_PTE_P | X86_PTE_W | X86_PTE_A)
#define LEAF	   (TABLE | X86_PTE_D)
#define BIG_PAGE   R3_BIT(21)

bool pvg_guarded = false; /* all of RAM is the attack's, to write and to execute */

static uint64_t option(const char *name, uint64_t otherwise)
{
	char text[24];

	return pvg_option(name, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

static void ready(void)
{
	pvg_printf("ready\n");
	pvg_console_flush();
}

static uint64_t *new_page(void)
{
	uint64_t *page = pvg_page_alloc();

	pvg_assert(page);
	return page;
}

static void fill(uint64_t *table, uint64_t entry)
{
	for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
		table[i] = entry;
}

/* A root that is a copy of the present one, with `table` in the slot. */
static uint64_t *new_root(const uint64_t *table)
{
	uint64_t *root = new_page();

	memcpy(root, pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR), X86_PAGE_SIZE);
	root[SLOT] = pvg_ptr_to_gpa(table) | TABLE;
	return root;
}

static void touch(uint64_t gva)
{
	(void)*(volatile uint8_t *)gva;
}

/* Three tables that stand for 2^18 places: the last of them has `entry` in its first slot. Returns the last. */
static uint64_t *many_places(uint64_t entry, uint64_t **first)
{
	uint64_t *l3 = new_page(), *l2 = new_page(), *l1 = new_page();

	fill(l3, pvg_ptr_to_gpa(l2) | TABLE);
	fill(l2, pvg_ptr_to_gpa(l1) | TABLE);
	l1[0] = entry;
	*first = l3;
	return l1;
}

/* ---------------------------------------------------------------------------------------------------- shadow memory */

/* places=N in each of roots=N: every one is a node of the shadow, and a page table of the host. */
static void attack_shadow(void)
{
	uint64_t places = option("places", 6000), roots = option("roots", 2), *l3;

	many_places(pvg_ptr_to_gpa(new_page()) | LEAF, &l3);
	ready();
	for (uint64_t r = 0; r < roots; r++) {
		pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
		for (uint64_t i = 0; i < places; i++)
			touch(SLOT_START + i * BIG_PAGE);
	}
}

/* Large pages that map the same memory everywhere: the nodes are few, the host's page tables are many. */
static void attack_large(void)
{
	uint64_t places = option("places", 6000), *l3 = new_page(), *l2 = new_page();

	fill(l3, pvg_ptr_to_gpa(l2) | TABLE);
	fill(l2, LEAF | X86_PTE_PS);
	pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
	ready();
	for (uint64_t i = 0; i < places; i++)
		touch(SLOT_START + i * BIG_PAGE);
}

/* One page that is mapped writable in many places becomes a page table, and is to be protected in all of them. */
static void attack_writers(void)
{
	uint64_t rounds = option("rounds", 2), places = option("places", 20), *l3, *l1, *root, *page = new_page();

	l1 = many_places(0, &l3);
	fill(l1, pvg_ptr_to_gpa(page) | LEAF);
	root = new_root(l3);
	pvg_write_cr3(pvg_ptr_to_gpa(root));
	ready();
	for (uint64_t r = 0; r < rounds; r++) {
		for (uint64_t i = 0; i < places * X86_PT_ENTRIES; i++)
			*(volatile uint8_t *)(SLOT_START + i * X86_PAGE_SIZE + sizeof(uint64_t)) = 0;
		page[0] = pvg_ptr_to_gpa(page) | TABLE;
		root[SLOT + 1] = pvg_ptr_to_gpa(page) | TABLE;
		pvg_write_cr3(pvg_ptr_to_gpa(root));
		(void)*(volatile uint64_t *)(SLOT_START * (SLOT + 1));
		root[SLOT + 1] = 0;
		pvg_write_cr3(pvg_ptr_to_gpa(root));
	}
}

/* As many roots as there may be, each of them used. */
static void attack_roots(void)
{
	uint64_t roots = option("roots", 600), places = option("places", 4), *l3;

	many_places(pvg_ptr_to_gpa(new_page()) | LEAF, &l3);
	ready();
	for (uint64_t r = 0; r < roots; r++) {
		pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
		for (uint64_t i = 0; i < places; i++)
			touch(SLOT_START + i * BIG_PAGE);
	}
}

static uint64_t random(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* Every entry of every table leads to another table, and they change all the time. */
static void attack_garbage(void)
{
	enum { TABLES = 64 };
	uint64_t *table[TABLES], rounds = option("rounds", UINT64_MAX), *root;

	for (unsigned i = 0; i < TABLES; i++)
		table[i] = new_page();
	for (unsigned i = 0; i < TABLES; i++)
		for (unsigned j = 0; j < X86_PT_ENTRIES; j++)
			table[i][j] = pvg_ptr_to_gpa(table[random() % TABLES]) | LEAF;
	root = new_root(table[0]);
	pvg_write_cr3(pvg_ptr_to_gpa(root));
	ready();
	for (uint64_t r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < 64; i++)
			touch(SLOT_START + (random() & (SLOT_START - 1)));
		table[random() % TABLES][random() % X86_PT_ENTRIES] = pvg_ptr_to_gpa(table[random() % TABLES]) | LEAF;
		pvg_write_cr3(pvg_ptr_to_gpa(root));
	}
}

/* ------------------------------------------------------------------------------------------------------- long calls */

static struct r3_mmu_update updates[R3_MMU_UPDATE_MAX];
static struct r3_multicall_entry entries[R3_MULTICALL_MAX];

/* Updates of a table that stands in places=N places, the largest call there is, again and again. */
static void prepare_updates(void)
{
	uint64_t *l3, *l1 = many_places(pvg_ptr_to_gpa(new_page()) | LEAF, &l3);

	pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
	for (uint64_t i = 0, places = option("places", 6000); i < places; i++)
		touch(SLOT_START + i * BIG_PAGE);
	for (unsigned i = 0; i < R3_MMU_UPDATE_MAX; i++)
		updates[i] =
			(struct r3_mmu_update){pvg_ptr_to_gpa(&l1[X86_PT_ENTRIES - 1]),
					       (i % 2 ? BIG_PAGE : BIG_PAGE + X86_PAGE_SIZE) | X86_PTE_P | X86_PTE_A};
}

static void attack_updates(void)
{
	prepare_updates();
	ready();
	for (;;)
		pvg_assert(pvg_hypercall2(R3_HC_mmu_update, (uint64_t)updates, R3_MMU_UPDATE_MAX) == R3_MMU_UPDATE_MAX);
}

static void attack_multicall(void)
{
	prepare_updates();
	for (unsigned i = 0; i < R3_MULTICALL_MAX; i++)
		entries[i] = (struct r3_multicall_entry){.nr = R3_HC_mmu_update,
							 .args = {(uint64_t)updates, R3_MMU_UPDATE_MAX}};
	ready();
	for (;;)
		pvg_assert(!pvg_multicall(entries, R3_MULTICALL_MAX));
}

static volatile unsigned ticks;

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

/* Calls that give way often, since a timer fires all the while, do all that they are asked, once. */
static void attack_whole(void)
{
	uint64_t *target = new_page(), rounds = option("rounds", 60);

	pvg_timer_every(200000, tick, NULL);
	for (uint64_t r = 0; r < rounds; r++) {
		for (unsigned i = 0; i < R3_MMU_UPDATE_MAX; i++)
			updates[i] = (struct r3_mmu_update){pvg_ptr_to_gpa(&target[i % X86_PT_ENTRIES]), r << 16 | i};
		for (unsigned i = 0; i < R3_MULTICALL_MAX; i++)
			entries[i] = (struct r3_multicall_entry){
				.nr = R3_HC_mmu_update, .result = -1, .args = {(uint64_t)(updates + i * 8), 8}};
		memset(target, 0, X86_PAGE_SIZE);
		pvg_assert(!pvg_multicall(entries, R3_MULTICALL_MAX));
		for (unsigned i = 0; i < R3_MULTICALL_MAX; i++)
			pvg_assert(entries[i].result == 8);
		for (unsigned i = 0; i < X86_PT_ENTRIES; i++)
			pvg_assert(target[i] == (r << 16 | (R3_MMU_UPDATE_MAX - X86_PT_ENTRIES + i)));
		pvg_assert(pvg_hypercall2(R3_HC_mmu_update, (uint64_t)updates, R3_MMU_UPDATE_MAX) == R3_MMU_UPDATE_MAX);
	}
}

/* ------------------------------------------------------------------------------------------------ for interpreters */

static uint8_t stack[64 << 10] __attribute__((aligned(4096)));

/* Pages of PUSHF, entered at each of their bytes: decoded, every one is a block of its own. */
static void attack_code(void)
{
	uint64_t pages = option("pages", 2);

	ready();
	for (uint64_t n = 0; n < pages; n++) {
		uint8_t *page = (uint8_t *)new_page();

		memset(page, 0x9c, X86_PAGE_SIZE);
		page[X86_PAGE_SIZE - 2] = 0xff; /* jmp *%rbx */
		page[X86_PAGE_SIZE - 1] = 0xe3;
		for (unsigned at = 0; at < X86_PAGE_SIZE - 2; at++)
			__asm__ volatile("mov %%rsp, %%r12\n\t"
					 "mov %1, %%rsp\n\t"
					 "lea 1f(%%rip), %%rbx\n\t"
					 "jmp *%0\n"
					 "1:\tmov %%r12, %%rsp"
					 :
					 : "r"(page + at), "r"(stack + sizeof(stack))
					 : "rbx", "r12", "memory", "cc");
	}
}

/* As many blocks as are kept, from pages=N; it is ready then. */
static void attack_kept(void)
{
	uint64_t pages = option("pages", 16), run = 64; /* so many bytes of code, then a jump */

	for (uint64_t n = 0; n < pages; n++) {
		uint8_t *page = (uint8_t *)new_page();

		for (uint64_t i = 0; i < X86_PAGE_SIZE; i++)
			page[i] = i % run == run - 2 ? 0xff : i % run == run - 1 ? 0xe3 : 0x9c;
		for (uint64_t at = 0; at < X86_PAGE_SIZE; at += at % run == run - 2 ? 2 : 1)
			__asm__ volatile("mov %%rsp, %%r12\n\t"
					 "mov %1, %%rsp\n\t"
					 "lea 1f(%%rip), %%rbx\n\t"
					 "jmp *%0\n"
					 "1:\tmov %%r12, %%rsp"
					 :
					 : "r"(page + at), "r"(stack + sizeof(stack))
					 : "rbx", "r12", "memory", "cc");
	}
	ready();
	for (;;)
		;
}

/* Pages of JMP *RBX: to a translator, each is a block of its own. */
static void attack_jumps(void)
{
	const uint16_t jump = 0xe3ff;
	uint64_t pages = option("pages", 900);

	ready();
	for (uint64_t n = 0; n < pages; n++) {
		uint16_t *page = (uint16_t *)new_page();

		for (unsigned i = 0; i < X86_PAGE_SIZE / sizeof(jump); i++)
			page[i] = jump;
		for (unsigned i = 0; i < X86_PAGE_SIZE / sizeof(jump); i++)
			__asm__ volatile("lea 1f(%%rip), %%rbx\n\t"
					 "jmp *%0\n"
					 "1:"
					 :
					 : "r"(page + i)
					 : "rbx", "memory");
	}
}

#define JUMP 0xe3ff /* JMP *RBX */

static void run_at(uint64_t gva)
{
	__asm__ volatile("test %0, %0\n\t"
			 "lea 1f(%%rip), %%rbx\n\t"
			 "jmp *%0\n"
			 "1:"
			 :
			 : "r"(gva)
			 : "rbx", "memory", "cc");
}

/* Jumps on a condition that does not hold, all to `target`, and one back: many links in few blocks. */
static void fill_with_jumps(uint8_t *page, uint64_t gva, uint64_t target)
{
	unsigned at = 0;

	for (; at + 8 < X86_PAGE_SIZE; at += 6) {
		int32_t distance = (int32_t)(target - (gva + at + 6));

		page[at] = 0x0f;
		page[at + 1] = 0x84; /* JZ */
		memcpy(page + at + 2, &distance, sizeof(distance));
	}
	*(uint16_t *)(page + at) = JUMP;
}

/* The table of the first 2 MiB behind SLOT_START. */
static uint64_t *map_slot(void)
{
	uint64_t *l3 = new_page(), *l2 = new_page(), *l1 = new_page();

	l3[0] = pvg_ptr_to_gpa(l2) | TABLE;
	l2[0] = pvg_ptr_to_gpa(l1) | TABLE;
	pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
	return l1;
}

/* Code at one address that is of another frame each time, frames=N of them. */
static void attack_same(void)
{
	uint64_t frames = option("frames", 40000), *l1 = map_slot(), root = pvg_read_cr3();

	ready();
	for (uint64_t n = 0; n < frames; n++) {
		uint16_t *code = (uint16_t *)new_page();

		*code = JUMP;
		l1[0] = pvg_ptr_to_gpa(code) | LEAF;
		pvg_write_cr3(root);
		run_at(SLOT_START);
	}
}

/* One page of code at places=N, each of which is looked up again when the root is loaded. */
static void attack_views(void)
{
	uint64_t places = option("places", 20000), *l3, *root;
	uint16_t *code = (uint16_t *)new_page();

	*code = JUMP;
	fill(many_places(0, &l3), pvg_ptr_to_gpa(code) | LEAF);
	root = new_root(l3);
	pvg_write_cr3(pvg_ptr_to_gpa(root));
	for (uint64_t n = 0; n < places; n++)
		run_at(SLOT_START + n * X86_PAGE_SIZE);
	ready();
	for (;;)
		pvg_write_cr3(pvg_ptr_to_gpa(root));
}

/* Pages full of jumps to one address, whose code goes and comes without end. */
static void attack_links(void)
{
	uint64_t pages = option("pages", 400), *l1 = map_slot();
	volatile uint16_t *target = (uint16_t *)new_page();

	*target = JUMP;
	l1[0] = pvg_ptr_to_gpa((void *)target) | LEAF;
	for (uint64_t n = 1; n <= pages; n++) {
		uint8_t *page = (uint8_t *)new_page();

		fill_with_jumps(page, SLOT_START + n * X86_PAGE_SIZE, SLOT_START);
		l1[n] = pvg_ptr_to_gpa(page) | LEAF;
	}
	pvg_write_cr3(pvg_read_cr3());
	for (uint64_t n = 1; n <= pages; n++)
		for (unsigned at = 0; at + 8 < X86_PAGE_SIZE; at += 192)
			run_at(SLOT_START + n * X86_PAGE_SIZE + at);
	ready();
	for (;;) {
		run_at(SLOT_START);
		*target = JUMP;
	}
}

/* One instruction that reads 512 GiB. */
static void attack_string(void)
{
	uint64_t *l3 = new_page(), *l2 = new_page(), count = SLOT_START, from = SLOT_START;

	fill(l3, pvg_ptr_to_gpa(l2) | TABLE);
	fill(l2, LEAF | X86_PTE_PS);
	pvg_write_cr3(pvg_ptr_to_gpa(new_root(l3)));
	ready();
	__asm__ volatile("rep lodsb" : "+c"(count), "+S"(from) : : "rax", "memory");
}

/* -------------------------------------------------------------------------------------------------------- exits */

/* An exit a turn, for a trace. */
static void attack_exits(void)
{
	ready();
	for (;;)
		pvg_hypercall0(R3_HC_abi_version);
}

static const struct {
	const char *name;
	void (*run)(void);
} attacks[] = {
	{"shadow", attack_shadow},	 {"large", attack_large},     {"writers", attack_writers},
	{"roots", attack_roots},	 {"garbage", attack_garbage}, {"updates", attack_updates},
	{"multicall", attack_multicall}, {"whole", attack_whole},     {"code", attack_code},
	{"string", attack_string},	 {"exits", attack_exits},     {"jumps", attack_jumps},
	{"same", attack_same},		 {"views", attack_views},     {"links", attack_links},
	{"kept", attack_kept},
};

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

int main(const char *cmdline)
{
	char name[24] = "";

	(void)cmdline;
	pvg_option("attack", name, sizeof(name));
	for (unsigned i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
		if (!same(name, attacks[i].name))
			continue;
		attacks[i].run();
		pvg_printf("done\n");
		return 0;
	}
	pvg_printf("no attack '%s'\n", name);
	return 1;
}

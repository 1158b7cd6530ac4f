/*
 * What a program leaves behind in its process, which another program gets.
 */
#include "forge.h"

#define PROGRAMS 60 /* more than there may be processes, which tests limit where it matters */

static struct pvg_space spaces[PROGRAMS];

/*
 * A program claims to have handed over and goes on in the gate's own code, with all that this reads in memory of its
 * making: the gate's pages stay when its address space goes. The program that gets its process must not notice.
 */
#define REST_SPINS  2000000
#define REST_YIELDS 20000
#define REST_XCHG   (GATE_STACK + GATE_PAGE) /* its own idea of the exchange page: the runner's turn never comes */

static void rest_user(uint64_t arg)
{
	/* mov XCHG_SPINS(%rbx), %ecx: the gate begins to wait. */
	const uint8_t wait[] = {0x8b, 0x4b, XCHG_SPINS};
	const uint8_t *at = (const uint8_t *)GATE_TEXT;

	while (memcmp(at, wait, sizeof(wait)))
		at++;
	*(volatile uint32_t *)(REST_XCHG + XCHG_STATE) = GATE_EXITED;
	*(volatile uint32_t *)(REST_XCHG + XCHG_SPINS) = arg ? 0 : REST_SPINS;
	*(volatile uint32_t *)(REST_XCHG + XCHG_YIELDS) = arg == 1 ? REST_YIELDS : 0;
	forge_handover(GATE_KIND_SIGNAL);
	__asm__ volatile("jmp *%0" : : "r"(at), "b"(REST_XCHG), "D"(GATE_TURN));
}

static void rest_victim(uint64_t arg)
{
	for (volatile unsigned i = 0; i < 100000; i++)
		;
}

void attack_rest(void)
{
	const unsigned count = 20;
	struct pvg_caught caught;

	user_init();
	for (uint64_t how = 0; how < 3; how++) {
		unsigned unharmed = 0;

		for (unsigned i = 0; i < count; i++) {
			pvg_assert(!pvg_space_create(&spaces[i]));
			pvg_space_switch(&spaces[i]);
			if (!i)
				user_run(rest_victim, 0, &caught);
			user_run(i ? rest_victim : rest_user, how, &caught);
			unharmed += caught.vector == VEC_BACK;
			pvg_space_switch(pvg_space_boot());
			if (!i)
				pvg_space_destroy(&spaces[i]);
		}
		pvg_test_equal(unharmed, count - 1, "programs after a rogue one run unharmed (%lu)", how);
		for (unsigned i = 1; i < count; i++)
			pvg_space_destroy(&spaces[i]);
	}
}

/*
 * A program claims to have handed over, runs on, and faults at an address of the kernel's. Its process is given up
 * meanwhile and may serve another address space: the program must not go on there.
 */
static volatile uint64_t rogue_ran;

#define ROGUE_PAGE PVG_SPACE_BASE

/* Below a page of its own, which only the kernel may execute. */
static void __attribute__((aligned(4096))) rogue_target(void)
{
	rogue_ran++;
	for (;;)
		;
}

static void rogue_user(uint64_t arg)
{
	uint64_t start = pvg_rdtsc();

	forge_handover(GATE_KIND_HYPERCALL);
	while (while_forging(start))
		;
	((void (*)(void))ROGUE_PAGE)();
}

static void rogue_space(struct pvg_space *space)
{
	pvg_assert(!pvg_space_create(space));
	pvg_assert(!pvg_map(space, ROGUE_PAGE, pvg_ptr_to_gpa((void *)(uint64_t)rogue_target), 1, 0));
	pvg_space_switch(space);
}

void attack_rogue_pool(void)
{
	const unsigned count = PROGRAMS;
	struct pvg_caught caught;

	user_init();
	rogue_space(&spaces[0]);
	user_run(rogue_user, 0, &caught);
	/* More address spaces than there may be processes (the test limits them): the program's is taken over. */
	for (unsigned i = 1; i < count; i++)
		rogue_space(&spaces[i]);
	for (unsigned i = 0; i < 10 * count; i++)
		pvg_space_switch(&spaces[1 + i % (count - 1)]);
	pvg_space_switch(pvg_space_boot());
	pvg_test_equal(rogue_ran, 0, "the program did not go on with the kernel's rights");
}

/*
 * A program writes all over the words that the gate goes by, and leaves honestly. The next one in its process is to
 * have the FPU state, registers and bases that its kernel gave it, and none of the first one's.
 */
#define REMAINS_ROUNDS 2
#define REMAINS_WORD   0x5afe5afe5afe5afe

static volatile unsigned remains_wrong;

static void remains_user(uint64_t garbage)
{
	const unsigned words[] = {XCHG_XCR0,	     XCHG_PKRU,		XCHG_BASES,	 XCHG_FS_BASE,	XCHG_GS_BASE,
				  XCHG_HOST_FS_BASE, XCHG_HOST_GS_BASE, XCHG_SITE_FRAME, XCHG_SITE_RIP, XCHG_XSAVE,
				  XCHG_XRSTOR,	     XCHG_STEPPED,	XCHG_CALLOUT,	 XCHG_FPU_SIZE, XCHG_ARMED,
				  XCHG_PREVIOUS,     XCHG_RIP,		XCHG_RFLAGS,	 XCHG_SPINS,	XCHG_YIELDS};
	uint64_t low, own;

	__asm__ volatile("movq %%xmm7, %0\n\tmovq %%xmm15, %1" : "=r"(low), "=r"(own));
	remains_wrong += low != REMAINS_WORD || own != REMAINS_WORD;
	/* XCR0 first: from here on what is loaded of the FPU is the program's affair. */
	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		*(volatile uint32_t *)xchg32(words[i]) = (uint32_t)garbage;
	__asm__ volatile("movq %0, %%xmm7\n\tmovq %0, %%xmm15\n\tud2" : : "r"(garbage));
}

void attack_remains(void)
{
	static const uint64_t garbage[REMAINS_ROUNDS] = {0, ~0ull};
	struct pvg_caught caught;

	user_init();
	for (unsigned i = 0; i < PROGRAMS; i++)
		pvg_assert(!pvg_space_create(&spaces[i]));
	for (unsigned i = 0; i < REMAINS_ROUNDS * PROGRAMS; i++) {
		const uint64_t word = REMAINS_WORD;

		pvg_space_switch(&spaces[i % PROGRAMS]);
		__asm__ volatile("movq %0, %%xmm7\n\tmovq %0, %%xmm15" : : "r"(word));
		user_run(remains_user, garbage[i / PROGRAMS], &caught);
		remains_wrong += caught.vector != X86_VEC_UD;
	}
	pvg_space_switch(pvg_space_boot());
	pvg_test_equal(remains_wrong, 0, "programs have what their kernel gave them");
}

/*
 * A program changes what it may do by protection keys, which the machine does not have but the processor may. The next
 * one in its process is not to find that; if there are none for programs, there is nothing to be found.
 */
#define KEYS_ROUNDS 3
#define KEYS_RIGHTS 0x40000000 /* what no host gives a program by itself: key 15 may be read */

static volatile unsigned keys_inherited;

static void keys_user(uint64_t write)
{
	uint32_t rights;

	__asm__ volatile("rdpkru" : "=a"(rights) : "c"(0) : "rdx");
	keys_inherited += rights == KEYS_RIGHTS;
	if (write)
		__asm__ volatile("wrpkru" : : "a"(KEYS_RIGHTS), "c"(0), "d"(0));
}

void attack_keys(void)
{
	struct pvg_caught caught;
	unsigned odd = 0;

	user_init();
	for (unsigned i = 0; i < PROGRAMS; i++)
		pvg_assert(!pvg_space_create(&spaces[i]));
	for (unsigned i = 0; i < KEYS_ROUNDS * PROGRAMS; i++) {
		pvg_space_switch(&spaces[i % PROGRAMS]);
		user_run(keys_user, i / PROGRAMS != 1, &caught);
		odd += caught.vector != VEC_BACK && caught.vector != X86_VEC_UD;
	}
	pvg_space_switch(pvg_space_boot());
	pvg_test_equal(odd, 0, "programs end as they should");
	pvg_test_equal(keys_inherited, 0, "nobody has another one's rights");
}

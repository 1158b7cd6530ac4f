/*
 * Against user_switch and MOV CR3, by which a kernel's cell goes from one user cell to another without the monitor: a
 * program that leaves in its pages what no program leaves there, and a kernel that invents the cells it goes to.
 */
#include "escape.h"

#define ROUNDS	    400
#define TICK_NS	    (10 * PVG_NS_PER_MS)
#define KIND_UNTOLD 77 /* an exit would have said its kind */

static struct r3_user_context contexts[2];
static uint8_t images[2][16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));
static volatile uint64_t seen_fs, seen_gs, seen_vector;
static volatile bool honest; /* its turn */

/* SDM 1 13.4: where in an XSAVE image. */
#define IMAGE_XMM5   (160 + 16 * 5)
#define IMAGE_HEADER 512

static uint64_t base_of(unsigned n)
{
	return (uint64_t)(n + 1) << 20;
}

/* What the honest program is to find next is not what it left: a kernel may have been asked for that. */
static void set_context(struct r3_user_context *context, uint64_t value)
{
	uint8_t *image = (uint8_t *)context->fpu;

	context->fs_base = base_of(1) + value;
	context->gs_base = base_of(1) + value + 1;
	memcpy(image + IMAGE_XMM5, &value, sizeof(value));
	image[IMAGE_HEADER] |= 3;
}

/* Two roots with the same tables: two user cells, each with its own bases and vector registers. */
static void make_contexts(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR), *copy = pvg_page_alloc();

	memcpy(copy, root, X86_PAGE_SIZE);
	for (unsigned n = 0; n < 2; n++) {
		contexts[n] = (struct r3_user_context){
			.root = pvg_ptr_to_gpa(n ? copy : root),
			.rsp0 = user_stack_of_traps(),
			.fs_base = base_of(n),
			.gs_base = base_of(n) + 1,
			.fpu = (uint64_t)images[n],
		};
		pvg_fpu_reset(images[n]);
	}
	pvg_assert(!pvg_hypercall1(R3_HC_set_user_root, contexts[0].root));
	pvg_assert(!pvg_hypercall2(R3_HC_set_segment_base, R3_SEGBASE_FS, contexts[0].fs_base));
	pvg_assert(!pvg_hypercall2(R3_HC_set_segment_base, R3_SEGBASE_GS, contexts[0].gs_base));
}

/* True if the gate did it. */
static bool go_on(unsigned from, unsigned to, int64_t *result)
{
	*xchg32(XCHG_KIND) = KIND_UNTOLD;
	*result = pvg_hypercall2(R3_HC_user_switch, (uint64_t)&contexts[from], (uint64_t)&contexts[to]);
	return *xchg32(XCHG_KIND) == KIND_UNTOLD;
}

static void honest_user(uint64_t value)
{
	uint64_t fs, gs, vector;

	__asm__ volatile("rdfsbase %0\n\trdgsbase %1\n\tmovq %%xmm5, %2\n\tmovq %3, %%xmm5"
			 : "=&r"(fs), "=&r"(gs), "=&r"(vector)
			 : "r"(value));
	seen_fs = fs;
	seen_gs = gs;
	seen_vector = vector;
	raw_syscall(1, 0, 0, 0, 0, 0, 0);
}

/* Its bases, its image, and at last the words of the hand-over, with what makes sense, or none. */
static void hostile_user(uint64_t round)
{
	volatile uint8_t *stack = (volatile uint8_t *)GATE_STACK;

	__asm__ volatile("movq %0, %%xmm5" : : "r"(0x6661696c65640000 + round));
	raw_syscall(1, 0, 0, 0, 0, 0, 0);
	*xchg64(XCHG_FS_BASE) = round % 3 ? luck() : R3_BIT(63);
	*xchg64(XCHG_GS_BASE) = round % 5 ? luck() >> 17 : R3_BIT(47);
	for (unsigned n = 0; n < 64; n++)
		stack[luck() % GATE_STACK_SIZE] = (uint8_t)luck();
	if (round % 7 == 0)
		*xchg32((unsigned)(luck() % 160 * 4)) = (uint32_t)luck();
	if (round % 2)
		raw_syscall(1, 0, 0, 0, 0, 0, 0);
}

/* The honest one comes to its end, however little of the host's time it gets. */
static void tick(void *arg)
{
	(void)arg;
	if (!honest)
		user_tick();
}

void attack_switch_user(void)
{
	unsigned wrong = 0, refused = 0, gated = 0;
	char transport[8];
	struct pvg_caught caught;
	uint64_t vector;
	int64_t result;

	user_init();
	make_contexts();
	pvg_timer_every(TICK_NS, tick, NULL);
	for (unsigned round = 0; round < ROUNDS; round++) {
		user_run(hostile_user, round, &caught);
		set_context(&contexts[1], 2 * round);
		gated += go_on(0, 1, &result);
		refused += result != 0;
		honest = true;
		for (unsigned n = 0; n < 2; n++) {
			seen_vector = ~0ull;
			user_run(honest_user, 2 * round + 1, &caught);
			wrong += seen_fs != base_of(1) + 2 * round || seen_gs != base_of(1) + 2 * round + 1;
			wrong += seen_vector != 2 * round + n;
		}
		honest = false;
		gated += go_on(1, 0, &result);
		refused += result != 0;
		wrong += contexts[1].fs_base != seen_fs || contexts[1].gs_base != seen_gs;
		memcpy(&vector, images[1] + IMAGE_XMM5, sizeof(vector));
		wrong += vector != 2 * round + 1;
		/* What the hostile one had for bases may be anything that is one. */
		contexts[0].fs_base = base_of(0);
		contexts[0].gs_base = base_of(0) + 1;
	}
	pvg_timer_stop();
	pvg_test_equal(refused, 0, "no switch of the kernel's was refused");
	pvg_test_equal(wrong, 0, "the other program has its own bases and registers");
	if (pvg_option("transport", transport, sizeof(transport)) && !pvg_strcmp(transport, "ptrace"))
		pvg_test_skip("by the gate", "stops of a traced task have none");
	else if (*xchg32(XCHG_BASES) != GATE_BASES_INSNS)
		pvg_test_skip("by the gate", "the host is told of bases");
	else
		pvg_test(gated > ROUNDS / 4, "by the gate, %u times", gated);
}

struct poke {
	volatile uint32_t *at;
	uint32_t value;
};
static unsigned poked;

static void store(void *arg)
{
	const struct poke *poke = arg;

	*poke->at = poke->value;
	poked++;
}

/* Where its own cell has that; the interpreter has nothing there. */
static void poke(unsigned offset, uint32_t value)
{
	const bool upper = (uint64_t)poke >> 63;
	struct poke what = {(volatile uint32_t *)(GATE_XCHG + offset - (upper ? UPPER_BASE : 0)), value};
	struct pvg_caught caught;

	pvg_catch(store, &what, &caught);
}

/* Likewise against MOV CR3 of a bare kernel, which the gate does as long as it knows the root. */
void attack_switch_root(void)
{
	uint64_t *root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR), *copy = pvg_page_alloc();
	uint64_t roots[2] = {pvg_ptr_to_gpa(root), pvg_ptr_to_gpa(copy)};
	struct pvg_caught caught;

	user_init();
	pvg_wrmsr(X86_MSR_SFMASK, X86_RFLAGS_IF); /* or the gate enters nobody */
	memcpy(copy, root, X86_PAGE_SIZE);
	for (unsigned round = 0; round < ROUNDS; round++) {
		user_run(honest_user, round, &caught);
		if (round > ROUNDS / 4)
			poke((unsigned)(XCHG_PEERS + luck() % (XCHG_FOLD - XCHG_PEERS) / 4 * 4),
			     round % 2 ? (uint32_t)(luck() % (2 * GATE_PEERS_KNOWN)) : (uint32_t)luck());
		if (round % 3 == 0)
			poke(XCHG_CURRENT, (uint32_t)(luck() % (2 * GATE_PEERS_KNOWN)));
		if (round % 5 == 0)
			poke(XCHG_HELD, (uint32_t)luck());
		pvg_write_cr3(roots[round % 2]);
	}
	pvg_test(poked > ROUNDS / 4, "survived");
}

/* What becomes of the kernel that does this is its own affair. */
void attack_switch(void)
{
	struct pvg_caught caught;
	int64_t result;

	user_init();
	make_contexts();
	for (unsigned round = 0; round < ROUNDS; round++) {
		user_run(honest_user, round, &caught);
		if (round > ROUNDS / 4)
			*xchg32((unsigned)(XCHG_PEERS + luck() % (XCHG_RSP0 - XCHG_PEERS) / 4 * 4)) =
				round % 2 ? (uint32_t)(luck() % (2 * GATE_PEERS_KNOWN)) : (uint32_t)luck();
		if (round % 3 == 0)
			*xchg32(XCHG_CURRENT) = (uint32_t)(luck() % (2 * GATE_PEERS_KNOWN));
		go_on(round % 2, 1 - round % 2, &result);
	}
	pvg_test(true, "survived");
}

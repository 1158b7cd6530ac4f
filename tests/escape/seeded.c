/*
 * Random words in all of the gate that can be written, and random changes beside a monitor that looks: for a seed, the
 * same each time. For tests/fuzz/seeded.py, which has a neighbour run meanwhile.
 *
 *   seed=N count=N    kernel=1: the kernel writes as well, and may come to grief by that
 */
#include "descriptors.h"
#include "forge.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static void begin(void)
{
	luck_seed(number("seed", 1));
	user_init();
}

/* -------------------------------------------------------------------------------------------------- words of the gate
 */

static uint64_t any_value(uint64_t old)
{
	static const uint64_t edges[] = {0,
					 1,
					 2,
					 3,
					 4,
					 5,
					 7,
					 HOST_SIGSEGV,
					 HOST_SIGSYS,
					 X86_VEC_PF,
					 X86_VEC_GP,
					 0x202,
					 0x3202,
					 0xffffffff,
					 ~0ull,
					 R3_BIT(63),
					 R3_BIT(47) - 1,
					 GATE_XCHG,
					 GATE_FPU,
					 GATE_STACK,
					 GATE_END,
					 GATE_PEERS,
					 GATE_TEXT,
					 GATE_TURN,
					 GATE_SHARED,
					 HOST_ARCH_64};

	switch (luck() % 6) {
	case 0:
		return luck();
	case 1:
		return old + luck() % 17 - 8;
	case 2:
		return old ^ R3_BIT(luck() % 64);
	default:
		return edges[luck() % COUNT(edges)];
	}
}

static void poke(uint64_t at)
{
	volatile uint32_t *narrow = (volatile uint32_t *)(at & ~3ull);
	volatile uint64_t *wide = (volatile uint64_t *)(at & ~7ull);

	if (luck() % 2)
		*narrow = (uint32_t)any_value(*narrow);
	else
		*wide = any_value(*wide);
}

static uint64_t own_word(void)
{
	uint64_t frame = *xchg64(XCHG_FRAME);

	switch (luck() % 4) {
	case 0:
		return GATE_XCHG + luck() % 432;
	case 1:
		if (frame >= GATE_STACK && frame < GATE_END - GATE_PAGE)
			return frame + luck() % sizeof(struct host_frame);
		return GATE_STACK;
	case 2:
		return GATE_FPU + luck() % 640;
	default:
		return GATE_STACK + luck() % GATE_STACK_SIZE;
	}
}

static void leave_by_any_way(void)
{
	static const int32_t signals[] = {HOST_SIGSEGV, HOST_SIGBUS,  HOST_SIGILL,
					  HOST_SIGFPE,	HOST_SIGTRAP, HOST_SIGSYS};
	struct host_frame *frame = forge_frame();

	switch (luck() % 5) {
	case 0:
		__asm__ volatile("ud2");
		break;
	case 1:
		forge_handover((uint32_t)(luck() % 6));
		break;
	case 2:
		if ((uint64_t)frame < GATE_STACK || (uint64_t)frame >= GATE_END - GATE_PAGE)
			break;
		frame->signo = luck() % 3 ? signals[luck() % COUNT(signals)] : (int32_t)(luck() % 32);
		frame->code = (int32_t)(luck() % 3);
		frame->trapno = luck() % 24;
		frame->rip = luck() % 2 ? (uint64_t)leave_by_any_way : luck();
		forge_exit();
	default:
		raw_syscall(1, 0, 0, 0, 0, 0, 0);
	}
}

static void write_words(uint64_t most)
{
	for (unsigned i = 0; i < 6; i++) {
		for (uint64_t n = luck() % (most + 1); n; n--)
			poke(own_word());
		leave_by_any_way();
	}
}

/* Of its own pages, of those of its user mode, and of the words that wake runners. */
static void write_as_kernel(void *arg)
{
	switch (luck() % 3) {
	case 0:
		poke(own_word());
		break;
	case 1:
		poke(GATE_PEERS + luck() % 4 * GATE_OWN_SIZE + luck() % (luck() % 2 ? 432 : GATE_OWN_SIZE));
		break;
	default:
		poke(GATE_TURN + luck() % 32);
	}
}

static void tick(void *arg)
{
	(void)arg;
}

void attack_seeded_words(void)
{
	uint64_t count = number("count", 60), kernel = number("kernel", 0);
	struct pvg_caught caught;
	unsigned odd = 0;

	begin();
	pvg_timer_every(5 * PVG_NS_PER_MS, tick, NULL); /* a program that sleeps in the gate is kicked */
	for (uint64_t n = 0; n < count; n++) {
		if (kernel && luck() % 2)
			pvg_catch(write_as_kernel, NULL, &caught);
		user_run(write_words, luck() % 4, &caught);
		odd += !user_can_leave_by(caught.vector);
		if (luck() % 4 == 0)
			pvg_write_cr3(pvg_read_cr3());
	}
	pvg_timer_stop();
	pvg_test_equal(odd, 0, "programs end by what programs can raise");
}

/* ----------------------------------------------------------------------------------------- changes beside a reader */

#define TABLES	   4
#define UPDATES	   64
#define CALLS	   16
#define SLOT	   2u /* of the root; the one below may show user mode its kernel's memory */
#define SLOT_START (SLOT * R3_BIT(39))
#define TABLE_BITS (X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A)

static uint64_t *tables[TABLES];
static uint8_t changing_code[X86_PAGE_SIZE] __attribute__((section(".data"), aligned(4096)));
static struct r3_mmu_update updates[UPDATES];
static struct r3_multicall_entry calls[CALLS];

/* One byte makes another instruction of it, another length, another operand, or none. */
static void change_code(uint64_t luck)
{
	static const uint8_t bytes[] = {0x90, 0x0f, 0x05, 0xc3, 0xf4, 0xfa, 0x66, 0x67, 0x48,
					0xf0, 0xc5, 0x62, 0xae, 0x01, 0xd9, 0xf3, 0x64, 0x8b};

	((volatile uint8_t *)changing_code)[luck % 24] = bytes[(luck >> 8) % sizeof(bytes)];
}

static void change_tables(uint64_t luck)
{
	uint64_t next = pvg_ptr_to_gpa(tables[(luck >> 16) % TABLES]);

	((volatile uint64_t *)user_view(tables[luck % TABLES]))[(luck >> 8) % 8] =
		(luck >> 24) % 8 ? next | (luck >> 32 & 0x17f) : (luck >> 32 & ~0xfffull) | TABLE_BITS;
}

static void change_arguments(uint64_t luck)
{
	volatile struct r3_mmu_update *update = &updates[luck % UPDATES];
	volatile struct r3_multicall_entry *call = &calls[(luck >> 8) % CALLS];

	update->entry_gpa = pvg_ptr_to_gpa(tables[(luck >> 16) % TABLES]) + (luck >> 24) % 8 * (luck & 1 ? 8 : 1 << 28);
	update->value = pvg_ptr_to_gpa(tables[(luck >> 32) % TABLES]) | (luck >> 40 & 0x17f);
	call->nr = luck & 2 ? R3_HC_mmu_update : R3_HC_mmu_flush;
	call->args[0] = luck & 2 ? (uint64_t)updates : luck & 1;
	call->args[1] = luck >> (luck & 4 ? 58 : 8);
}

/* Says that it has stopped, and goes on. */
static void change_all(uint64_t luck)
{
	struct host_frame *frame;

	changing_code[0] = 0x90; /* what it writes is its cell's to write now */
	for (unsigned i = 0; i < TABLES; i++)
		((volatile uint64_t *)user_view(tables[i]))[X86_PT_ENTRIES - 1] = 0;
	updates[0].value = calls[0].nr = 0;
	raw_syscall(1, 0, 0, 0, 0, 0, 0);
	frame = forge_frame();
	frame->rip = frame->cr2 = 0x1000;
	frame->signo = HOST_SIGSEGV;
	frame->code = 1;
	frame->trapno = X86_VEC_PF;
	frame->error = X86_PF_U;
	forge_handover(GATE_KIND_SIGNAL);
	for (;;) {
		luck ^= luck >> 12;
		luck ^= luck << 25;
		luck ^= luck >> 27;
		change_code(luck);
		change_tables(luck);
		change_arguments(luck);
		descriptors_change(luck);
	}
}

static void execute(void *arg)
{
	__asm__ volatile("call *%0"
			 :
			 : "r"(changing_code)
			 : "rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

static void touch(void *arg)
{
	(void)*(volatile uint8_t *)arg;
}

static uint64_t somewhere(void)
{
	return SLOT_START | (luck() % 8) << 30 | (luck() % 8) << 21 | (luck() % 8) << 12;
}

static void look_once(void)
{
	struct pvg_caught caught;

	if (!pvg_is_paravirt() && luck() % 2) {
		descriptors_look(luck());
		return;
	}
	switch (luck() % 5) {
	case 0:
		pvg_catch(execute, NULL, &caught);
		break;
	case 1:
		if (pvg_is_paravirt())
			pvg_hypercall2(R3_HC_mmu_update, (uint64_t)updates, luck() % UPDATES);
		break;
	case 2:
		if (pvg_is_paravirt())
			pvg_multicall(calls, luck() % CALLS);
		break;
	case 3:
		pvg_write_cr3(pvg_read_cr3());
		break;
	default:
		pvg_catch(touch, (void *)somewhere(), &caught);
	}
}

void attack_seeded_races(void)
{
	uint64_t count = number("count", 20000), *root;
	struct pvg_caught caught;

	begin();
	memset(changing_code, 0xc3, sizeof(changing_code));
	root = pvg_gpa_to_ptr(pvg_read_cr3() & X86_PTE_ADDR);
	for (unsigned i = 0; i < TABLES; i++) {
		tables[i] = pvg_page_alloc();
		memset(tables[i], 0, X86_PAGE_SIZE);
	}
	root[SLOT] = pvg_ptr_to_gpa(tables[0]) | TABLE_BITS;
	pvg_write_cr3(pvg_read_cr3());
	user_run(change_all, luck() | 1, &caught);
	if (!pvg_is_paravirt())
		descriptors_begin(number("idt", 0));
	for (uint64_t n = 0; n < count; n++)
		look_once();
	pvg_test(true, "the kernel lives");
}

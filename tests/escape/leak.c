/*
 * Nothing of the monitor's is to be read: not in the gate's pages, not in the bases, not in what the processor keeps of
 * its FPU. Its addresses are random, but lie where Linux puts programs, libraries and stacks.
 */
#include "escape.h"

#define PROGRAM_FIRST 0x550000000000
#define PROGRAM_END   0x580000000000
#define MAPPED_FIRST  0x7e0000000000
#define MAPPED_END    0x800000000000
#define PEERS_LOOKED  16
#define XSAVE_ALL     0xffffffff

static volatile unsigned found;
static volatile uint64_t first_where, first_what;

static bool is_gates(uint64_t word)
{
	return word >= GATE_TEXT && word < GATE_PEERS_END;
}

static void look_at(uint64_t where, uint64_t word)
{
	bool host = (word >= PROGRAM_FIRST && word < PROGRAM_END) || (word >= MAPPED_FIRST && word < MAPPED_END);

	if (!host || is_gates(word))
		return;
	if (!found++) {
		first_where = where;
		first_what = word;
	}
}

/* Words at any of four places: images pack them. */
static void look_through(const void *from, uint64_t size)
{
	const uint8_t *bytes = from;

	for (uint64_t i = 0; i + sizeof(uint64_t) <= size; i += 2) {
		uint64_t word;

		memcpy(&word, bytes + i, sizeof(word));
		look_at((uint64_t)(bytes + i), word);
	}
}

static uint8_t image[16384] __attribute__((aligned(64)));

/* After an instruction whose address the x87 remembers, and its operand's. */
static void look_at_fpu(void)
{
	static double one = 1;

	__asm__ volatile("fninit\n\tfldl %0\n\tfxsave64 %1\n\tfninit" : "+m"(one), "=m"(image));
	look_through(image, 512);
	memset(image, 0, sizeof(image));
	__asm__ volatile("fninit\n\tfldl %0\n\txsave64 %1\n\tfninit"
			 : "+m"(one), "+m"(image)
			 : "a"(XSAVE_ALL), "d"(XSAVE_ALL));
	look_through(image, sizeof(image));
}

static void look(uint64_t arg)
{
	uint64_t base;

	look_at_fpu();
	__asm__ volatile("rdfsbase %0" : "=r"(base));
	look_at(X86_MSR_FS_BASE, base);
	__asm__ volatile("rdgsbase %0" : "=r"(base));
	look_at(X86_MSR_GS_BASE, base);
	if (arg)
		look_through((const void *)GATE_TURN, GATE_END - GATE_TURN);
}

static void report(const char *who)
{
	if (found)
		pvg_printf("# at %lx: %lx\n", first_where, first_what);
	pvg_test_equal(found, 0, "%s reads no address of the monitor's", who);
	found = 0;
}

void attack_leak(void)
{
	struct pvg_caught caught;
	char text[12];
	bool gate = !pvg_option("engine", text, sizeof(text)) || pvg_strcmp(text, "interpret");
	bool own = !pvg_option("engine", text, sizeof(text)) || !pvg_strcmp(text, "trap");

	user_init();
	/* The first time in a new cell, before it has made an exit of its own; then after some. */
	for (unsigned i = 0; i < 3; i++) {
		pvg_test(user_run(look, gate, &caught), "user mode looks around");
		report("user mode");
	}
	look(own);
	report("the kernel");
	if (!own)
		return;
	look_through((const void *)GATE_PEERS, PEERS_LOOKED * GATE_OWN_SIZE);
	report("the kernel, of its cells,");
}

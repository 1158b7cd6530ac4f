/*
 * pc: a hostile kernel of a PC, in 64-bit code that every engine runs. "rounds=N" attacks its devices one after the
 * other, and looks after each attack at all the others, at memory, registers and the processor's state; then the device
 * itself has to be what it was, once it is set up again. "end=WAY" and "slow=HOW" are in ends.c. TAP on the console.
 */
#include "tests/escape/pc/pc.h"

#define WINDOW_MAX 8
#define DEVICES	   24
#define GUARD	   (1 << 18)
#define CMDLINE_AT 0x228 /* of the zero page: Linux's boot protocol */
#define TABLE_SIZE 512
#define GIB	   4

struct gate {
	uint64_t low, high;
};
struct frame {
	uint64_t rbx, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax, vector, rest[];
};

volatile uint64_t raised, resume;
static volatile unsigned window;
static struct gate idt[256];
static uint64_t root[TABLE_SIZE] __attribute__((aligned(4096))), second[TABLE_SIZE] __attribute__((aligned(4096))),
	third[GIB][TABLE_SIZE] __attribute__((aligned(4096)));
static uint64_t guard[GUARD / 8];
static char words[128];
extern const char stubs[], image_start[], image_end[];

void kernel(const uint8_t *zero_page);
void handle(struct frame *frame, uint64_t error);

static uint64_t state = 0x9e3779b97f4a7c15;

uint64_t luck(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * R3_U64(0x2545f4914f6cdd1d);
}

uint64_t any_value(void)
{
	return luck() >> below(64) ^ (below(4) ? 0 : ~R3_U64(0));
}

/* ---------------------------------------------------------------------------------------------------- exceptions */

static void end_of_interrupt(void)
{
	outb(X86_PORT_PIC2, 0x20);
	outb(X86_PORT_PIC1, 0x20);
	*(volatile uint32_t *)(X86_APIC_BASE_RESET + X86_APIC_EOI) = 0;
}

/* A device chooses among all vectors: who comes while interrupts may is an interrupt. NMIs come at any time. */
void handle(struct frame *frame, uint64_t error)
{
	uint64_t *rip = frame->rest + !!error;

	if (frame->vector == X86_VEC_NMI)
		return;
	if (window) {
		end_of_interrupt();
		if (!--window)
			rip[2] &= ~X86_RFLAGS_IF;
	} else if (resume) {
		raised = frame->vector;
		*rip = resume;
		resume = 0;
	} else {
		print("\nBail out! vector %u at %x\n", (uint32_t)frame->vector, (uint32_t)*rip);
		leave(1);
	}
}

void open_window(void)
{
	window = WINDOW_MAX;
	__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	window = 0;
}

static void make_gates(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned n = 0; n < 256; n++) {
		uint64_t at = (uint64_t)stubs + 16 * n;

		idt[n].low = (at & 0xffff) | 0x10ull << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
		idt[n].high = at >> 32;
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

/* The first 4 GiB, where they are: the tables that there were lie within reach of DMA. */
static void make_tables(void)
{
	root[0] = (uint64_t)second | X86_PTE_P | X86_PTE_W;
	for (uint64_t n = 0; n < GIB; n++) {
		second[n] = (uint64_t)third[n] | X86_PTE_P | X86_PTE_W;
		for (uint64_t i = 0; i < TABLE_SIZE; i++)
			third[n][i] = n << 30 | i << 21 | X86_PTE_P | X86_PTE_W | X86_PTE_PS;
	}
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

/* --------------------------------------------------------------------------------------- what no device may change */

static const uint64_t lanes[4] = {0x0123456789abcdef, 0xfedcba9876543210, 0x5ec4e75ec4e75ec4, 0x1122334455667788};

static void set_processor(void)
{
	__asm__ volatile("mov %%cr4, %%rax\n\tor $0x600, %%rax\n\tmov %%rax, %%cr4\n\t"
			 "mov %%cr0, %%rax\n\tand $-5, %%rax\n\tor $2, %%rax\n\tmov %%rax, %%cr0\n\tfninit\n\tfld1\n\t"
			 "movdqu (%0), %%xmm0\n\tmovdqu 16(%0), %%xmm15"
			 :
			 : "r"(lanes)
			 : "rax", "memory");
	for (unsigned n = 0; n < GUARD / 8; n++)
		guard[n] = n * 0x9e3779b97f4a7c15;
}

static uint64_t look_at_processor(void)
{
	static uint64_t seen[4];
	uint64_t cr0, cr3, cr4, flags, efer = 0, sum;
	double one;

	__asm__ volatile(
		"mov %%cr0, %0\n\tmov %%cr3, %1\n\tmov %%cr4, %2\n\tpushfq\n\tpop %3\n\tmovdqu %%xmm0, (%4)\n\t"
		"movdqu %%xmm15, 16(%4)\n\tfstl %5"
		: "=&r"(cr0), "=&r"(cr3), "=&r"(cr4), "=&r"(flags)
		: "r"(seen), "m"(one)
		: "memory");
	read_msr(X86_MSR_EFER, &efer);
	sum = mix(mix(mix(mix(mix(0, cr0), cr3), cr4), flags & X86_RFLAGS_DF), efer);
	__builtin_memcpy(&cr0, &one, sizeof(cr0));
	for (unsigned n = 0; n < 4; n++)
		sum = mix(sum, seen[n]);
	return mix(sum, cr0);
}

static uint64_t look_at_memory(void)
{
	uint64_t sum = 0;

	for (unsigned n = 0; n < GUARD / 8; n++)
		sum = mix(sum, guard[n]);
	for (const uint64_t *at = (const uint64_t *)image_start; at < (const uint64_t *)image_end; at++)
		sum = mix(sum, *at);
	return sum;
}

/* Where no device is, and the smallest of them. */
static void attack_anywhere(void)
{
	for (unsigned n = 0; n < 200; n++) {
		any_access((uint16_t)(0x1000 + below(0xeffd)), luck() & 1, (uint32_t)any_value());
		outb(below(2) ? X86_PORT_POST : X86_PORT_DEBUGCON, (uint8_t)(luck() | 0x80));
	}
}

static const struct device own_devices[] = {
	{"processor", set_processor, look_at_processor, attack_anywhere},
	{"memory", NULL, look_at_memory, NULL},
	{0},
};

/* -------------------------------------------------------------------------------------------------------- attacking */

static const struct device *all[DEVICES];
static uint64_t first_seen[DEVICES];
static unsigned device_count;
static bool harmed[DEVICES];

static void add(const struct device *devices)
{
	for (; devices->name && device_count < DEVICES; devices++)
		all[device_count++] = devices;
}

/* All are as they were, but for the one that was attacked. */
static void compare(unsigned attacked)
{
	for (unsigned n = 0; n < device_count; n++) {
		uint64_t seen = n == attacked ? first_seen[n] : all[n]->look();

		if (seen != first_seen[n]) {
			print("\n# %s has changed with %s\n", all[n]->name, all[attacked]->name);
			harmed[attacked] = true;
		}
	}
}

static void attack(unsigned n)
{
	if (!all[n]->attack)
		return;
	all[n]->attack();
	compare(n);
	if (all[n]->set)
		all[n]->set();
	if (all[n]->look() != first_seen[n]) {
		print("\n# %s is not what it was\n", all[n]->name);
		harmed[n] = true;
	}
}

static void attack_all(uint64_t rounds)
{
	add(own_devices);
	add(port_devices);
	add(chipset_devices);
	add(drive_devices);
	add(memory_devices);
	add(register_devices);
	for (unsigned n = 0; n < device_count; n++)
		if (all[n]->set)
			all[n]->set();
	for (unsigned n = 0; n < device_count; n++)
		first_seen[n] = all[n]->look();
	for (uint64_t round = 0; round < rounds; round++) {
		for (unsigned n = 0; n < device_count; n++)
			attack(n);
		if (round == rounds / 2)
			print("\n# warm\n");
	}
	print("\n1..%u\n", device_count);
	for (unsigned n = 0; n < device_count; n++)
		print("%s %u - %s\n", harmed[n] ? "not ok" : "ok", n + 1, all[n]->name);
}

/* ----------------------------------------------------------------------------------------------------- command line */

/* What comes behind "name=" on the command line, or NULL. */
static const char *option(const char *name)
{
	for (const char *at = words; *at; at++) {
		const char *n = name, *word = at;

		while (*n && *word == *n)
			word++, n++;
		if (!*n && *word == '=')
			return word + 1;
	}
	return NULL;
}

static uint64_t number(const char *text)
{
	uint64_t value = 0;

	while (text && *text >= '0' && *text <= '9')
		value = 10 * value + (uint64_t)(*text++ - '0');
	return value;
}

void kernel(const uint8_t *zero_page)
{
	const char *cmdline = (const char *)(uint64_t) * (const uint32_t *)(zero_page + CMDLINE_AT);

	for (unsigned n = 0; n < sizeof(words) - 1 && cmdline[n]; n++)
		words[n] = cmdline[n];
	make_tables();
	make_gates();
	for (unsigned n = 0; n < AREA_BYTES; n++)
		((volatile uint8_t *)AREA)[n] = (uint8_t)(luck() | 1);
	state += number(option("seed"));
	if (option("end"))
		end_by(option("end"));
	else if (option("slow"))
		be_slow(option("slow"));
	else
		attack_all(number(option("rounds")));
	leave(0);
}

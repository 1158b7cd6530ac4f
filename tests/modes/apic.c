/*
 * A kernel that asks its local APIC who it is, again and again, as those do that have more than one processor; and what
 * it reads there when the page leads elsewhere, when another instruction or another address asks, and when there is no
 * APIC any more. x2APIC mode is there if CPUID has it. TAP on the console.
 */
#include "tests/modes/calls.h"

#define ROUNDS 20000u
/* A page of the kernel's own addresses that has nothing else. */
#define SPARE	   0x3f0000u
#define PAGE	   4096u
#define MAPPED	   (X86_PTE_P | X86_PTE_W)
#define ID_AT	   (SPARE + X86_APIC_ID)
#define VERSION_AT (SPARE + 0x30) /* SDM 3A table 10-1; not 0 */
#define ALL_ONES   0xffffffffu
#define HAS_X2APIC (1u << 21) /* CPUID 1, ECX */
#define MEMORY_IS  0x12345678u

void report(uint32_t magic, uint32_t info);

static uint32_t page[PAGE / 4] __attribute__((aligned(4096)));
static unsigned tests, refused;

void handle(struct frame *frame)
{
	if (frame->vector == 13 && frame->ecx == X86_MSR_APIC_BASE) {
		refused++;
		frame->eip += 2; /* WRMSR */
		return;
	}
	print("Bail out! vector %u, error %x, at %x\n", frame->vector, frame->error, frame->eip);
	leave(1);
}

static void test(int is, const char *what)
{
	print("%s %u - %s\n", is ? "ok" : "not ok", ++tests, what);
}

static void map(uint32_t gpa)
{
	page_table[SPARE / PAGE] = gpa | MAPPED;
	__asm__ volatile("invlpg (%0)" : : "r"(SPARE) : "memory");
}

/* By one instruction for all addresses: what it was seen to read says nothing about what it reads next. */
__attribute__((noinline)) static uint32_t read(uint32_t at)
{
	uint32_t value;

	__asm__ volatile("mov (%1), %0" : "=r"(value) : "r"(at) : "memory");
	return value;
}

static int reads(uint32_t at, uint32_t value)
{
	uint32_t wrong = 0;

	for (uint32_t n = 0; n < ROUNDS; n++)
		wrong += read(at) != value;
	return !wrong;
}

static void set_base(uint32_t base)
{
	__asm__ volatile("wrmsr" : : "a"(base), "d"(0), "c"(X86_MSR_APIC_BASE) : "memory");
}

static int has_x2apic(void)
{
	uint32_t a = 1, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return !!(c & HAS_X2APIC);
}

/* Where it is not there the bit is reserved; from there the way back is by off. */
static void x2apic(uint32_t at)
{
	int has = has_x2apic();

	set_base(at | X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC);
	test(refused == !has, has ? "x2APIC mode" : "no x2APIC mode");
	test(read(ID_AT) == (has ? ALL_ONES : 0), "registers among memory");
	set_base(at | X86_APIC_BASE_BSP);
	set_base(at | X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE);
	test(refused == !has && reads(ID_AT, 0), "and they are there again");
}

void report(uint32_t magic, uint32_t address)
{
	const uint32_t at = (uint32_t)X86_APIC_BASE_RESET, moved = at + PAGE;
	const uint32_t on = X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE;

	start_tables();
	print("1..10\n");
	map(at);
	test(reads(ID_AT, 0), "the first processor is number 0");
	test(read(VERSION_AT) & 0xff, "another register, read by the same instruction");
	page[X86_APIC_ID / 4] = MEMORY_IS;
	map((uint32_t)page);
	test(reads(ID_AT, MEMORY_IS), "memory at the same address");
	map(at);
	test(reads(ID_AT, 0), "the APIC again");
	x2apic(at);
	set_base(moved | on);
	test(read(ID_AT) == ALL_ONES, "nothing, once the APIC has moved");
	map(moved);
	test(reads(ID_AT, 0), "where it has moved to");
	set_base(moved | X86_APIC_BASE_BSP);
	test(read(ID_AT) == ALL_ONES, "nothing, once it is off");
	leave(0);
}

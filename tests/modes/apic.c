/*
 * A kernel that asks its local APIC who it is, again and again, as those do that have more than one processor; and what
 * it reads there when the page leads elsewhere, when another instruction or another address asks, and when there is no
 * APIC any more. TAP on the console.
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
#define MEMORY_IS  0x12345678u

void report(uint32_t magic, uint32_t info);

static uint32_t page[PAGE / 4] __attribute__((aligned(4096)));
static unsigned tests;

void handle(struct frame *frame)
{
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

void report(uint32_t magic, uint32_t address)
{
	const uint32_t at = (uint32_t)X86_APIC_BASE_RESET, moved = at + PAGE;
	const uint32_t on = X86_APIC_BASE_BSP | X86_APIC_BASE_ENABLE;

	start_tables();
	print("1..7\n");
	map(at);
	test(reads(ID_AT, 0), "the first processor is number 0");
	test(read(VERSION_AT) & 0xff, "another register, read by the same instruction");
	page[X86_APIC_ID / 4] = MEMORY_IS;
	map((uint32_t)page);
	test(reads(ID_AT, MEMORY_IS), "memory at the same address");
	map(at);
	test(reads(ID_AT, 0), "the APIC again");
	set_base(moved | on);
	test(read(ID_AT) == ALL_ONES, "nothing, once the APIC has moved");
	map(moved);
	test(reads(ID_AT, 0), "where it has moved to");
	set_base(moved | X86_APIC_BASE_BSP);
	test(read(ID_AT) == ALL_ONES, "nothing, once it is off");
	leave(0);
}

/*
 * Descriptors that change while the monitor reads them: GDT, LDT, IDT and TSS of a bare kernel. Who changes them is a
 * user cell that goes on beside it; no entry that the kernel itself needs is among them.
 */
#include "descriptors.h"

#include <stddef.h>

#define KEPT	  9  /* entries of pvg_gdt */
#define ENTRIES	  64 /* of the GDT and of the LDT */
#define FIRST_INT 0x50
#define INTS	  4
#define STACKS	  7

static volatile uint64_t gdt[ENTRIES], ldt[ENTRIES];
static uint64_t idt[X86_VEC_COUNT][2];
static volatile uint8_t tss[X86_TSS_SIZE] __attribute__((aligned(16)));
static uint8_t stacks[STACKS][1024] __attribute__((aligned(16)));

extern const char descriptors_landing[];
__asm__(".text\ndescriptors_landing:\n\tiretq\n");

/* A system descriptor or segment that could be one, or not quite. */
static uint64_t descriptor(uint64_t luck)
{
	static const uint8_t types[] = {X86_SYSTYPE_LDT, X86_SYSTYPE_TSS_AVAIL, X86_SYSTYPE_TSS_BUSY, X86_GATE_CALL,
					X86_GATE_INTERRUPT};
	uint64_t base = luck & 1 ? (uint64_t)ldt : (uint64_t)tss;

	if (luck % 16 == 15)
		return luck * 0x2545f4914f6cdd1d;
	return (luck >> 4 & 0x1ff) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 |
	       (luck >> 16 & 3 ? (uint64_t)types[(luck >> 18) % sizeof(types)] : luck >> 18 & 0x1f)
		       << X86_DESC_TYPE_SHIFT |
	       (luck >> 24 & 3) << X86_DESC_DPL_SHIFT | (luck >> 26 & 7 ? X86_DESC_P : 0);
}

static uint64_t gate(uint64_t luck)
{
	uint64_t entry = (uint64_t)descriptors_landing;

	if (luck % 16 == 15)
		return luck * 0x2545f4914f6cdd1d;
	return (entry & 0xffff) | (uint64_t)(luck & 0x30 ? PVG_SEL_KERNEL_CODE : (luck >> 8 & 0x1ff)) << 16 |
	       (luck >> 20 & 7) << 32 |
	       (uint64_t)(luck >> 23 & 3 ? X86_GATE_INTERRUPT : luck >> 25 & 0x1f) << X86_DESC_TYPE_SHIFT |
	       (luck >> 30 & 7 ? X86_DESC_P : 0) | (entry >> 16 & 0xffff) << 48;
}

static uint64_t stack(uint64_t luck)
{
	return luck % 8 ? (uint64_t)stacks[luck % STACKS] + sizeof(stacks[0]) : luck * 0x2545f4914f6cdd1d;
}

void descriptors_change(uint64_t luck)
{
	uint64_t value = luck >> 12;
	unsigned n = (unsigned)(luck >> 4);

	switch (luck % 4) {
	case 0:
		gdt[KEPT + n % (ENTRIES - KEPT)] = n % 3 ? descriptor(value) : value & 1;
		break;
	case 1:
		ldt[n % ENTRIES] = descriptor(value);
		break;
	case 2:
		((volatile uint64_t(*)[2])idt)[FIRST_INT + n % INTS][n % 5 == 4] = n % 5 == 4 ? value & 1 : gate(value);
		break;
	default:
		*(volatile uint64_t *)(tss + X86_TSS_IST1 + (1 + n % (STACKS - 1)) * 8) = stack(value);
	}
}

/* ------------------------------------------------------------------------------------------------------- who reads */

static void load_tr(void)
{
	uint64_t base = (uint64_t)tss;

	gdt[PVG_SEL_FREE / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 |
				(uint64_t)X86_SYSTYPE_TSS_AVAIL << X86_DESC_TYPE_SHIFT | X86_DESC_P;
	gdt[PVG_SEL_FREE / 8 + 1] = base >> 32;
	pvg_ltr(PVG_SEL_FREE);
}

void descriptors_begin(bool with_idt)
{
	struct pvg_table_register table = {sizeof(gdt) - 1, (uint64_t)gdt};

	for (unsigned n = 0; n < KEPT; n++)
		gdt[n] = pvg_gdt[n];
	for (unsigned n = 0; n < STACKS; n++)
		*(volatile uint64_t *)(tss + X86_TSS_IST1 + n * 8) = stack(8 * n + 1);
	pvg_lgdt(&table);
	load_tr();
	if (!with_idt)
		return;
	__asm__ volatile("sidt %0" : "=m"(table));
	for (unsigned n = 0; n < X86_VEC_COUNT; n++)
		if (n - FIRST_INT >= INTS)
			memcpy(idt[n], (const void *)(table.base + n * sizeof(idt[0])), sizeof(idt[0]));
	table = (struct pvg_table_register){sizeof(idt) - 1, (uint64_t)idt};
	pvg_lidt(&table);
}

static void load_segment(void *selector)
{
	__asm__ volatile("mov %w0, %%es\n\tmov %w0, %%fs\n\tmov %w0, %%ds" : : "r"(selector) : "memory");
}

static void load_ldt(void *selector)
{
	pvg_lldt((uint16_t)(uint64_t)selector);
}

static void load_task(void *selector)
{
	pvg_ltr((uint16_t)(uint64_t)selector);
}

static void ask(void *selector)
{
	uint64_t answer = 0;

	__asm__ volatile("lar %w1, %k0\n\tlsl %w1, %k0\n\tverr %w1\n\tverw %w1" : "+r"(answer) : "r"(selector) : "cc");
}

static void call_gate(void *selector)
{
	const struct {
		uint64_t offset;
		uint16_t selector;
	} __attribute__((packed)) to = {(uint64_t)descriptors_landing, (uint16_t)(uint64_t)selector};

	/* LCALL *(%rax) with REX.W, which assemblers spell differently. */
	__asm__ volatile(".byte 0x48, 0xff, 0x18" : : "a"(&to), "m"(to) : "memory", "cc");
}

static void interrupt(void *which)
{
	switch ((uint64_t)which >> 3 & 3) {
	case 0:
		__asm__ volatile("int $0x50" : : : "memory");
		break;
	case 1:
		__asm__ volatile("int $0x51" : : : "memory");
		break;
	case 2:
		__asm__ volatile("int $0x52" : : : "memory");
		break;
	default:
		__asm__ volatile("int $0x53" : : : "memory");
	}
}

void descriptors_look(uint64_t luck)
{
	static void (*const ways[])(void *) = {load_segment, load_ldt, load_task, ask, call_gate, interrupt, interrupt};
	unsigned way = (unsigned)(luck % (sizeof(ways) / sizeof(ways[0])));
	uint64_t selector = (KEPT + (luck >> 8) % (ENTRIES - KEPT)) * 8 | (luck >> 20 & 7);
	struct pvg_caught caught;

	pvg_catch(ways[way], (void *)selector, &caught);
	if (ways[way] == load_segment)
		load_segment((void *)(uint64_t)PVG_SEL_KERNEL_DATA);
	if (ways[way] == load_task)
		load_tr();
}

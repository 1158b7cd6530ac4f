/*
 * GDT, TSS and IDT of pv=off (SDM 3A 3.5, 6.14, 7.7). The double fault has a stack of its own (IST 1; with pv=on by
 * R3_CALLBACK_DOUBLE_FAULT), so that a broken kernel stack still ends in a report.
 */
#include "pvguest/internal.h"

#define IST_STACK_SIZE 16384
#define GDT_ENTRIES    9
#define GATE_WORDS     2 /* of 8 bytes */

#define SEGMENT	     (X86_DESC_P | X86_DESC_S | X86_DESC_RW | X86_DESC_ACCESSED | X86_DESC_G | 0xf00000000ffffull)
#define SEGMENT_CODE (SEGMENT | X86_DESC_CODE | X86_DESC_L)
#define SEGMENT_USER (R3_U64(3) << X86_DESC_DPL_SHIFT)

uint64_t pvg_gdt[GDT_ENTRIES] = {
	[PVG_SEL_KERNEL_CODE / 8] = SEGMENT_CODE,
	[PVG_SEL_KERNEL_DATA / 8] = SEGMENT | X86_DESC_DB,
	[PVG_SEL_USER_DATA / 8] = SEGMENT | SEGMENT_USER | X86_DESC_DB,
	[PVG_SEL_USER_CODE / 8] = SEGMENT_CODE | SEGMENT_USER,
};

static uint64_t idt[X86_VEC_COUNT][GATE_WORDS];
static uint8_t tss[X86_TSS_SIZE] __attribute__((aligned(16)));
static struct {
	char guard[X86_PAGE_SIZE];
	uint8_t stack[IST_STACK_SIZE];
} double_fault __attribute__((aligned(X86_PAGE_SIZE)));
char *const pvg_double_fault_guard = double_fault.guard;
void *const pvg_double_fault_stack_top = double_fault.stack + IST_STACK_SIZE;

static void tss_set(unsigned offset, uint64_t value)
{
	memcpy(tss + offset, &value, sizeof(value));
}

static void fill_tss_descriptor(void)
{
	uint64_t base = (uint64_t)tss;

	pvg_gdt[PVG_SEL_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 |
				   (uint64_t)X86_SYSTYPE_TSS_AVAIL << X86_DESC_TYPE_SHIFT | X86_DESC_P;
	pvg_gdt[PVG_SEL_TSS / 8 + 1] = base >> 32;
}

/* CS changes only by a far transfer; IRETQ is one that traps under direct execution. */
static void load_segments(void)
{
	__asm__ volatile("mov %0, %%ds\n\t"
			 "mov %0, %%es\n\t"
			 "mov %%rsp, %%rax\n\t"
			 "push %q0\n\t"
			 "push %%rax\n\t"
			 "push %1\n\t"
			 "push %2\n\t"
			 "lea 1f(%%rip), %%rax\n\t"
			 "push %%rax\n\t"
			 "iretq\n"
			 "1:"
			 :
			 : "r"((uint64_t)PVG_SEL_KERNEL_DATA), "i"(X86_RFLAGS_FIXED), "i"(PVG_SEL_KERNEL_CODE)
			 : "rax", "memory", "cc");
}

void pvg_tables_init(void)
{
	struct pvg_table_register gdtr = {sizeof(pvg_gdt) - 1, (uint64_t)pvg_gdt};

	tss_set(X86_TSS_IST1, (uint64_t)pvg_double_fault_stack_top);
	tss[X86_TSS_IOMAP] = X86_TSS_SIZE; /* no I/O bitmap */
	fill_tss_descriptor();
	pvg_lgdt(&gdtr);
	load_segments();
	pvg_ltr(PVG_SEL_TSS);
}

void pvg_tables_set_idt(const uint64_t *entries, const uint64_t *user)
{
	struct pvg_table_register idtr = {sizeof(idt) - 1, (uint64_t)idt};

	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++) {
		uint64_t entry = entries[vector];
		uint64_t dpl = user[vector / 64] >> (vector % 64) & 1 ? 3 : 0;
		uint64_t ist = vector == X86_VEC_DF ? 1 : 0;

		idt[vector][0] = (entry & 0xffff) | PVG_SEL_KERNEL_CODE << 16 | ist << 32 |
				 (uint64_t)X86_GATE_INTERRUPT << X86_DESC_TYPE_SHIFT | dpl << X86_DESC_DPL_SHIFT |
				 X86_DESC_P | (entry >> 16 & 0xffff) << 48;
		idt[vector][1] = entry >> 32;
	}
	pvg_lidt(&idtr);
}

void pvg_tables_set_rsp0(uint64_t rsp0)
{
	tss_set(X86_TSS_RSP0, rsp0);
}

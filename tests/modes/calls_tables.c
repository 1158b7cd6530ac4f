#include "tests/modes/calls.h"

#define PAGE	    4096u
#define USER_PAGE   (X86_PTE_P | X86_PTE_W | X86_PTE_U)
#define KERNEL_PAGE (X86_PTE_P | X86_PTE_W)

uint64_t gdt[7] __attribute__((aligned(8)));
uint64_t idt[256] __attribute__((aligned(8)));
uint32_t tss[26];
uint32_t page_directory[1024] __attribute__((aligned(4096)));
uint32_t page_table[1024] __attribute__((aligned(4096)));

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	       (uint64_t)(limit >> 16 & 0xf) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56;
}

void set_gate(unsigned vector, const void *entry, unsigned type, unsigned dpl)
{
	uint32_t at = (uint32_t)entry;

	idt[vector] = (at & 0xffff) | (uint64_t)KERNEL_CS << 16 | (uint64_t)(0x80 | dpl << 5 | type) << 40 |
		      (uint64_t)(at >> 16) << 48;
}

static void start_segments(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) of_gdt = {7 * 8 - 1, (uint32_t)gdt}, of_idt = {sizeof(idt) - 1, (uint32_t)idt};

	gdt[1] = descriptor(0, 0xfffff, 0x9b, 0xc);
	gdt[2] = descriptor(0, 0xfffff, 0x93, 0xc);
	gdt[3] = descriptor(0, 0xfffff, 0xfb, 0xc);
	gdt[4] = descriptor(0, 0xfffff, 0xf3, 0xc);
	gdt[5] = descriptor((uint32_t)tss, sizeof(tss) - 1, 0x89, 0);
	gdt[6] = descriptor(OTHER_BASE, 0xfffff, 0xf3, 0xc);
	tss[1] = (uint32_t)kernel_stack_top;
	tss[2] = KERNEL_DS;
	tss[25] = sizeof(tss) << 16;
	__asm__ volatile("lgdt %0\n\tlidt %1\n\tljmp %2, $1f\n1:\n\tmov %3, %%ds\n\tmov %3, %%es\n\tmov %3, %%ss\n\t"
			 "mov %4, %%fs\n\tmov %4, %%gs\n\tltr %w5"
			 :
			 : "m"(of_gdt), "m"(of_idt), "i"(KERNEL_CS), "r"(KERNEL_DS), "r"(0), "r"(TSS)
			 : "memory");
}

/* 4 MiB as they are. */
static void start_paging(void)
{
	for (uint32_t n = 0; n < 1024; n++) {
		uint32_t at = n * PAGE;
		int user = at >= (uint32_t)user_start && at < (uint32_t)user_end;

		page_table[n] = at | (user ? USER_PAGE : KERNEL_PAGE);
	}
	page_directory[0] = (uint32_t)page_table | USER_PAGE;
	__asm__ volatile("mov %0, %%cr3\n\tmov %%cr0, %%eax\n\tor %1, %%eax\n\tmov %%eax, %%cr0"
			 :
			 : "r"(page_directory), "i"(X86_CR0_PG | X86_CR0_WP)
			 : "eax", "memory");
}

void out(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void write_msr(uint32_t msr, uint32_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"(value), "d"(0));
}

void set_sysenter(uint16_t cs, const void *entry, uint32_t stack)
{
	write_msr(X86_MSR_SYSENTER_CS, cs);
	write_msr(X86_MSR_SYSENTER_EIP, (uint32_t)entry);
	write_msr(X86_MSR_SYSENTER_ESP, stack);
}

void start_tables(void)
{
	set_gate(X86_VEC_UD, stub_ud, GATE_INTERRUPT, 0);
	set_gate(X86_VEC_SS, stub_ss, GATE_INTERRUPT, 0);
	set_gate(X86_VEC_GP, stub_gp, GATE_INTERRUPT, 0);
	set_gate(X86_VEC_PF, stub_pf, GATE_INTERRUPT, 0);
	set_gate(VECTOR_TIME, stub_timer, GATE_INTERRUPT, 0);
	set_gate(VECTOR_CALL, stub_call, GATE_TRAP, 3);
	set_gate(VECTOR_END, stub_end, GATE_INTERRUPT, 3);
	set_gate(VECTOR_NULL, stub_null, GATE_INTERRUPT, 3);
	set_gate(VECTOR_LEAK, stub_leaky, GATE_INTERRUPT, 3);
	/* Firmware leaves the timer's interrupt on. */
	out(0x21, 0xff);
	out(0xa1, 0xff);
	start_segments();
	start_paging();
}

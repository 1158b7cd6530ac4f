/*
 * 04-redpill: a kernel that asks the processor where it is. Each question is put in two ways: by a sensitive
 * instruction that a kernel may use, and by one whose answer the monitor is sure to give. Where the two differ, the
 * guest knows that it does not run on a machine of its own.
 */
#include <cpuid.h>
#include <pvguest/pvguest.h>

#define SEL_LDT	    PVG_SEL_FREE
#define CPUID_1_OSX (1u << 27) /* leaf 1, ECX: copy of CR4.OSXSAVE */

static unsigned telling, asked;

static void ask(const char *question, bool same)
{
	pvg_printf("%-46s %s\n", question, same ? "same" : "DIFFERS");
	asked++;
	telling += !same;
}

/* An LDT and tables of this kernel's own, so that it knows the right answers. */
static struct pvg_table_register gdtr, idtr;
static uint64_t gdt[9];
static uint64_t idt[X86_VEC_COUNT][2];
static uint8_t tss[X86_TSS_SIZE] __attribute__((aligned(16)));

static void system_descriptor(unsigned selector, const void *base, uint64_t limit, uint64_t type)
{
	uint64_t b = (uint64_t)base;

	gdt[selector / 8] =
		limit | (b & 0xffffff) << 16 | (b >> 24 & 0xff) << 56 | type << X86_DESC_TYPE_SHIFT | X86_DESC_P;
	gdt[selector / 8 + 1] = b >> 32;
}

static void load_tables(void)
{
	gdtr = (struct pvg_table_register){sizeof(gdt) - 1, (uint64_t)gdt};
	idtr = (struct pvg_table_register){sizeof(idt) - 1, (uint64_t)idt};
	memcpy(gdt, pvg_gdt, PVG_SEL_TSS);
	system_descriptor(PVG_SEL_TSS, tss, sizeof(tss) - 1, X86_SYSTYPE_TSS_AVAIL);
	system_descriptor(SEL_LDT, gdt, sizeof(gdt) - 1, X86_SYSTYPE_LDT);
	pvg_lgdt(&gdtr);
	pvg_ltr(PVG_SEL_TSS);
	pvg_lldt(SEL_LDT);
	pvg_lidt(&idtr); /* empty: from here on nothing may trap to this kernel */
}

int main(const char *cmdline)
{
	struct pvg_table_register g = {0}, i = {0};
	uint64_t msw = 0, flags = 0, cr0 = pvg_read_cr0();
	uint32_t eax, ebx, ecx, edx;
	uint16_t ldt = 0, tr = 0, cs = 0, readable = 0;

	(void)cmdline;
	load_tables();
	__asm__ volatile("sgdt %0" : "=m"(g));
	ask("SGDT: the table that LGDT loaded?", !memcmp(&g, &gdtr, sizeof(g)));
	__asm__ volatile("sidt %0" : "=m"(i));
	ask("SIDT: the table that LIDT loaded?", !memcmp(&i, &idtr, sizeof(i)));
	__asm__ volatile("sldt %0" : "=r"(ldt));
	ask("SLDT: the selector that LLDT loaded?", ldt == SEL_LDT);
	__asm__ volatile("str %0" : "=r"(tr));
	ask("STR: the selector that LTR loaded?", tr == PVG_SEL_TSS);
	__asm__ volatile("smsw %0" : "=r"(msw));
	ask("SMSW: what MOV from CR0 shows?", msw == cr0);
	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	ask("MOV from CS: ring 0?", !(cs & X86_SEL_RPL));
	__asm__ volatile("verr %w1\n\tsetz %b0" : "+q"(readable) : "r"(PVG_SEL_KERNEL_DATA) : "cc");
	ask("VERR: may ring 0 read its own data segment?", readable);
	__asm__ volatile("cli\n\tpushfq\n\tpop %0" : "=r"(flags) : : "memory");
	ask("PUSHF: interrupts off after CLI?", !(flags & X86_RFLAGS_IF));
	pvg_write_cr4(pvg_read_cr4() & ~X86_CR4_OSXSAVE);
	__cpuid(1, eax, ebx, ecx, edx);
	ask("CPUID: XSAVE off after clearing CR4.OSXSAVE?", !(ecx & CPUID_1_OSX));
	pvg_printf("%u of %u give the monitor away\n", telling, asked);
	return 0;
}

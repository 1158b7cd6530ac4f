/*
 * The machine that the guest runs sequences on. Every exception arrives on one stack of its own, wherever a sequence
 * has led RSP.
 */
#include <pvguest/pvguest.h>

#include "tests/random/machine.h"
#include "tests/random/run.h"

#define STACK_SIZE 16384
#define NO_RAM_GPA 0xfeb00000
#define USER_DPL   (R3_U64(3) << X86_DESC_DPL_SHIFT)
#define DR7_NONE   0x400
#define AREA_PAGES (SEQ_AREA_SIZE / X86_PAGE_SIZE)
#define MSR_GS	   5 /* in msrs */

static const uint32_t msrs[] = {X86_MSR_STAR,	 X86_MSR_LSTAR,	  X86_MSR_CSTAR,	 X86_MSR_SFMASK,
				X86_MSR_FS_BASE, X86_MSR_GS_BASE, X86_MSR_KERNEL_GS_BASE};

static uint64_t gdt[16], idt[X86_VEC_COUNT][2];
static uint8_t tss[X86_TSS_SIZE], stack[STACK_SIZE] __attribute__((aligned(16)));
static struct machine_system start;

static bool user_may(unsigned vector)
{
	return vector == X86_VEC_BP || vector == 0x21 || vector == 0x30;
}

static void fill_idt(void)
{
	for (unsigned n = 0; n < X86_VEC_COUNT; n++) {
		uint64_t entry = (uint64_t)run_stubs + n * RUN_STUB;
		idt[n][0] = (entry & 0xffff) | PVG_SEL_KERNEL_CODE << 16 | R3_U64(1) << 32 |
			    (uint64_t)X86_GATE_INTERRUPT << X86_DESC_TYPE_SHIFT | (user_may(n) ? USER_DPL : 0) |
			    X86_DESC_P | (entry >> 16 & 0xffff) << 48;
		idt[n][1] = entry >> 32;
	}
}

static void load_tables(void)
{
	struct pvg_table_register gdtr = {sizeof(gdt) - 1, (uint64_t)gdt}, idtr = {sizeof(idt) - 1, (uint64_t)idt};
	pvg_lgdt(&gdtr);
	pvg_lidt(&idtr);
}

static void fill_gdt(void)
{
	uint64_t base = (uint64_t)tss, top = (uint64_t)stack + sizeof(stack);
	memcpy(tss + X86_TSS_IST1, &top, sizeof(top));
	memcpy(tss + X86_TSS_RSP0, &top, sizeof(top));
	tss[X86_TSS_IOMAP] = X86_TSS_SIZE;
	memcpy(gdt, pvg_gdt, PVG_SEL_TSS);
	gdt[PVG_SEL_TSS / 8] = (sizeof(tss) - 1) | (base & 0xffffff) << 16 | (base >> 24 & 0xff) << 56 |
			       (uint64_t)X86_SYSTYPE_TSS_AVAIL << X86_DESC_TYPE_SHIFT | X86_DESC_P;
	gdt[PVG_SEL_TSS / 8 + 1] = base >> 32;
}

void machine_init(void)
{
	static struct pvg_space space;
	if (pvg_space_create(&space))
		pvg_panic("no memory for page tables");
	pvg_space_switch(&space);
	fill_idt();
	fill_gdt();
	load_tables();
	pvg_ltr(PVG_SEL_TSS);
	pvg_write_cr0(pvg_read_cr0() | X86_CR0_AM);
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_SCE);
	pvg_wrmsr(X86_MSR_STAR, PVG_STAR);
	pvg_wrmsr(X86_MSR_LSTAR, (uint64_t)run_syscall);
	pvg_wrmsr(X86_MSR_SFMASK, X86_RFLAGS_IF | X86_RFLAGS_TF | X86_RFLAGS_DF | X86_RFLAGS_AC);
	machine_read(&start);
}

static uint64_t xgetbv(void)
{
	uint32_t low, high;
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

void machine_read(struct machine_system *s)
{
	*s = (struct machine_system){.cr0 = pvg_read_cr0(),
				     .cr2 = pvg_read_cr2(),
				     .cr3 = pvg_read_cr3(),
				     .cr4 = pvg_read_cr4(),
				     .cr8 = pvg_read_cr8()};
	for (unsigned n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++)
		s->msr[n] = pvg_rdmsr(msrs[n]);
	s->dr[0] = pvg_read_dr0();
	s->dr[1] = pvg_read_dr1();
	s->dr[6] = pvg_read_dr6();
	s->dr[7] = pvg_read_dr7();
	if (s->cr4 & X86_CR4_OSXSAVE)
		s->xcr0 = xgetbv() & pvg_fpu_components();
}

void machine_restore(void)
{
	pvg_write_cr0(start.cr0);
	pvg_write_cr4(start.cr4);
	pvg_write_cr3(start.cr3);
	pvg_write_cr8(start.cr8);
	pvg_write_dr7(DR7_NONE);
	pvg_write_dr0(0);
	pvg_write_dr1(0);
	pvg_write_dr6(start.dr[6]);
	load_tables();
	pvg_lldt(0);
	for (unsigned n = 0; n < sizeof(msrs) / sizeof(msrs[0]); n++)
		pvg_wrmsr(msrs[n], start.msr[n]);
	if (start.xcr0)
		xsetbv(start.xcr0);
}

/* ------------------------------------------------------------------------------------------------- an interrupt */

/* The 8254's counter 0, once, as far as the first 8259 (its data sheet, OCW3). */
#define PIT_ONCE    0x30
#define PIC_COMMAND X86_PORT_PIC1
#define PIC_MASK    (X86_PORT_PIC1 + 1)
#define PIC_IRR	    0x0a
#define PIC_EOI	    0x20
#define LINE_PIT    1u

void machine_request(void)
{
	pvg_outb(PIC_MASK, (uint8_t)~LINE_PIT);
	pvg_outb((X86_PORT_PIT + 3), PIT_ONCE);
	pvg_outb(X86_PORT_PIT, 1);
	pvg_outb(X86_PORT_PIT, 0);
	pvg_outb(PIC_COMMAND, PIC_IRR);
	while (!(pvg_inb(PIC_COMMAND) & LINE_PIT))
		;
}

void machine_withdraw(uint64_t vector)
{
	pvg_outb(PIC_MASK, 0xff);
	pvg_outb((X86_PORT_PIT + 3), PIT_ONCE);
	if (vector == PVG_VEC_PIC)
		pvg_outb(PIC_COMMAND, PIC_EOI);
}

/* ------------------------------------------------------------------------------------------------------ the areas */

static void map(uint64_t gva, uint64_t gpa, uint64_t prot, size_t count)
{
	if (pvg_map(pvg_space_current(), gva, gpa, count, prot))
		pvg_panic("cannot map %lx", gva);
}

static uint8_t *frames(void)
{
	uint8_t *pages = pvg_pages_alloc(AREA_PAGES, 1);
	if (!pages)
		pvg_panic("no memory for sequences");
	return pages;
}

static void page(uint64_t gva, uint64_t prot)
{
	uint8_t *bytes = pvg_page_alloc();
	if (!bytes)
		pvg_panic("no memory for %lx", gva);
	memset(bytes, 0x5a, X86_PAGE_SIZE);
	map(gva, pvg_ptr_to_gpa(bytes), prot, 1);
}

/* What surrounds the data and the stack. */
static void surround(const struct machine_areas *areas, uint64_t base, uint64_t prot)
{
	map(base + SEQ_DATA, pvg_ptr_to_gpa(areas->data), prot | X86_PTE_W | X86_PTE_NX, AREA_PAGES);
	map(base + SEQ_STACK, pvg_ptr_to_gpa(areas->stack), prot | X86_PTE_W | X86_PTE_NX, AREA_PAGES);
	page(base + SEQ_READ_ONLY, prot);
	page(base + SEQ_SUPERVISOR, X86_PTE_W);
	page(base + SEQ_NX, prot | X86_PTE_W | X86_PTE_NX);
	map(base + SEQ_NO_RAM, NO_RAM_GPA, prot | X86_PTE_W, 1);
	map(base + SEQ_DATA_ALIAS, pvg_ptr_to_gpa(areas->data), prot | X86_PTE_W | X86_PTE_NX, 1);
}

void machine_init_upper(struct machine_areas *low)
{
	low->data = frames();
	low->stack = frames();
	pvg_wrmsr(X86_MSR_GS_BASE, SEQ_UPPER_GS);
	start.msr[MSR_GS] = SEQ_UPPER_GS;
	for (unsigned n = 0; n < SEQ_LOW_COUNT; n++)
		surround(low, SEQ_LOW_BASE + n * SEQ_LOW_STEP, X86_PTE_U);
}

void machine_renew(struct machine_areas *areas)
{
	areas->code = frames();
	map(areas->base + SEQ_CODE, pvg_ptr_to_gpa(areas->code), areas->prot | X86_PTE_W, AREA_PAGES);
	map(areas->base + SEQ_CODE_ALIAS, pvg_ptr_to_gpa(areas->code), areas->prot | X86_PTE_W, 1);
}

void machine_map(struct machine_areas *areas, uint64_t base, uint64_t prot)
{
	areas->base = base;
	areas->prot = prot;
	machine_renew(areas);
	areas->data = frames();
	areas->stack = frames();
	surround(areas, base, prot);
}

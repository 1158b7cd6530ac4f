/*
 * Sensitive instructions beyond their happy path (examples/privileged.c has that): reserved bits, bad operands, partial
 * progress, and what they leave alone.
 */
#include <pvguest/pvguest.h>

#define HOLE	      PVG_SPACE_BASE
#define EDGE	      (PVG_SPACE_BASE + 0x200000)
#define NON_CANONICAL R3_U64(0x8000000000000000)
#define PORT_NOBODY   0x1234
#define SEL_SYSTEM    PVG_SEL_FREE

static struct pvg_caught caught;

static void expect_fault(const char *what, void (*attempt)(void *arg), uint64_t arg, unsigned vector, uint64_t error)
{
	if (!pvg_test(pvg_catch(attempt, (void *)arg, &caught), "%s: faults", what))
		return;
	pvg_test_equal(caught.vector, vector, "%s: %s", what, pvg_vector_name(vector));
	pvg_test_equal(caught.error, error, "%s: error code", what);
}

#define ATTEMPT(name, ...)                                                                                             \
	static void name(void *arg)                                                                                    \
	{                                                                                                              \
		uint64_t value = (uint64_t)arg;                                                                        \
                                                                                                                       \
		(void)value;                                                                                           \
		__VA_ARGS__;                                                                                           \
	}

ATTEMPT(set_cr0, pvg_write_cr0(value))
ATTEMPT(set_cr3, pvg_write_cr3(value))
ATTEMPT(set_cr4, pvg_write_cr4(value))
ATTEMPT(set_cr8, pvg_write_cr8(value))
ATTEMPT(set_efer, pvg_wrmsr(X86_MSR_EFER, value))
ATTEMPT(set_pat, pvg_wrmsr(X86_MSR_PAT, value))
ATTEMPT(set_fs_base, pvg_wrmsr(X86_MSR_FS_BASE, value))
ATTEMPT(set_xcr, __asm__ volatile("xsetbv" : : "c"((uint32_t)value), "a"(1), "d"(0)))
ATTEMPT(get_dr4, __asm__ volatile("mov %%dr4, %0" : "=r"(value)))
ATTEMPT(get_dr0, pvg_read_dr0())
ATTEMPT(load_tr, pvg_ltr((uint16_t)value))
ATTEMPT(load_ldt, pvg_lldt((uint16_t)value))
ATTEMPT(load_ds, __asm__ volatile("mov %0, %%ds" : : "r"((uint32_t)value)))
ATTEMPT(load_cs, __asm__ volatile(".byte 0x8e, 0xc8" : : "a"((uint32_t)value)))
ATTEMPT(locked_cli, __asm__ volatile(".byte 0xf0, 0xfa"))
ATTEMPT(sysret_to, __asm__ volatile("sysretq" : : "c"(value) : "r11"))

static void iretq_to(void *arg)
{
	__asm__ volatile("push %0\n\tpush %%rsp\n\tpush %1\n\tpush %2\n\tpush %3\n\tiretq"
			 :
			 : "i"(PVG_SEL_KERNEL_DATA), "i"(X86_RFLAGS_FIXED), "i"(PVG_SEL_KERNEL_CODE), "r"(arg)
			 : "memory");
}

static void test_control_registers(void)
{
	uint64_t cr0 = pvg_read_cr0(), cr4 = pvg_read_cr4();

	expect_fault("CR0.PG cleared in long mode", set_cr0, cr0 & ~X86_CR0_PG, X86_VEC_GP, 0);
	expect_fault("CR0.NW without CD", set_cr0, cr0 | X86_CR0_NW, X86_VEC_GP, 0);
	expect_fault("CR0, high half", set_cr0, cr0 | R3_BIT(32), X86_VEC_GP, 0);
	expect_fault("CR3, reserved bits", set_cr3, pvg_read_cr3() | R3_BIT(62), X86_VEC_GP, 0);
	expect_fault("CR4.PAE cleared in long mode", set_cr4, cr4 & ~X86_CR4_PAE, X86_VEC_GP, 0);
	expect_fault("CR8 above 15", set_cr8, 16, X86_VEC_GP, 0);
	pvg_test_equal(pvg_read_cr0(), cr0, "CR0 is as before");
	pvg_test_equal(pvg_read_cr4(), cr4, "CR4 is as before");
	__asm__ volatile("lmsw %0" : : "r"((uint16_t)0) : "memory");
	pvg_test(pvg_read_cr0() & X86_CR0_PE, "LMSW does not clear PE");
	pvg_write_cr0(cr0);
}

static void test_msrs(void)
{
	uint64_t efer = pvg_rdmsr(X86_MSR_EFER), rax, rdx;

	expect_fault("EFER.LME cleared while paging", set_efer, efer & ~X86_EFER_LME, X86_VEC_GP, 0);
	expect_fault("EFER, reserved bit", set_efer, efer | R3_BIT(63), X86_VEC_GP, 0);
	expect_fault("PAT, reserved type", set_pat, 2, X86_VEC_GP, 0);
	expect_fault("FS base, non-canonical", set_fs_base, NON_CANONICAL, X86_VEC_GP, 0);
	__asm__ volatile("rdmsr" : "=a"(rax), "=d"(rdx) : "c"(X86_MSR_EFER), "a"(UINT64_MAX), "d"(UINT64_MAX));
	pvg_test(!(rax >> 32) && !(rdx >> 32), "RDMSR clears the high halves");
	pvg_write_cr4(pvg_read_cr4() | X86_CR4_OSXSAVE);
	expect_fault("XSETBV of no register", set_xcr, 1, X86_VEC_GP, 0);
}

static void test_debug_registers(void)
{
	pvg_write_cr4(pvg_read_cr4() & ~X86_CR4_DE);
	pvg_write_dr6(0);
	pvg_test(!pvg_catch(get_dr4, NULL, &caught), "DR4 is DR6 while CR4.DE is clear");
	pvg_write_cr4(pvg_read_cr4() | X86_CR4_DE);
	expect_fault("DR4 while CR4.DE is set", get_dr4, 0, X86_VEC_UD, 0);
	pvg_write_dr7(X86_DR7_GD);
	expect_fault("a debug register while DR7.GD is set", get_dr0, 0, X86_VEC_DB, 0);
	pvg_test_equal(pvg_read_dr7() & X86_DR7_GD, 0, "DR7.GD is cleared on the way in");
	pvg_test(pvg_read_dr6() & R3_BIT(13), "DR6.BD says why");
	pvg_write_dr7(0);
	pvg_write_dr6(0);
}

static void test_descriptors(void)
{
	uint64_t *slot = &pvg_gdt[SEL_SYSTEM / 8], ldt = (uint64_t)X86_SYSTYPE_LDT << X86_DESC_TYPE_SHIFT;
	struct pvg_table_register gdtr = {SEL_SYSTEM + 15, (uint64_t)pvg_gdt};

	pvg_lgdt(&gdtr);
	expect_fault("LTR of null", load_tr, 0, X86_VEC_GP, 0);
	expect_fault("LTR of a code segment", load_tr, PVG_SEL_KERNEL_CODE, X86_VEC_GP, PVG_SEL_KERNEL_CODE);
	expect_fault("LLDT of a data segment", load_ldt, PVG_SEL_KERNEL_DATA, X86_VEC_GP, PVG_SEL_KERNEL_DATA);
	slot[0] = ldt;
	slot[1] = 0;
	expect_fault("LLDT, not present", load_ldt, SEL_SYSTEM, X86_VEC_NP, SEL_SYSTEM);
	slot[0] = ldt | X86_DESC_P;
	pvg_test(!pvg_catch(load_ldt, (void *)SEL_SYSTEM, &caught), "LLDT, present");
	pvg_lldt(0);
	slot[0] = pvg_gdt[PVG_SEL_KERNEL_DATA / 8] & ~X86_DESC_P;
	expect_fault("DS, not present", load_ds, SEL_SYSTEM, X86_VEC_NP, SEL_SYSTEM);
	expect_fault("MOV CS", load_cs, PVG_SEL_KERNEL_CODE, X86_VEC_UD, 0);
	slot[0] = 0;
}

static void test_returns(void)
{
	expect_fault("IRETQ to a non-canonical address", iretq_to, NON_CANONICAL, X86_VEC_GP, 0);
	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) & ~X86_EFER_SCE);
	expect_fault("SYSRET while EFER.SCE is clear", sysret_to, 0x200000, X86_VEC_UD, 0);
	expect_fault("LOCK CLI", locked_cli, 0, X86_VEC_UD, 0);
	pvg_test(pvg_irq_enabled(), "and interrupts are still on");
}

static void test_port_widths(void)
{
	uint64_t rax = 0x1122334455667788;

	__asm__ volatile("inb %w1, %b0" : "+a"(rax) : "d"(PORT_NOBODY));
	pvg_test_equal(rax, 0x11223344556677ff, "IN AL keeps the rest of RAX");
	__asm__ volatile("inw %w1, %w0" : "+a"(rax) : "d"(PORT_NOBODY));
	pvg_test_equal(rax, 0x112233445566ffff, "IN AX keeps the rest of RAX");
	__asm__ volatile("inl %w1, %k0" : "+a"(rax) : "d"(PORT_NOBODY));
	pvg_test_equal(rax, 0xffffffff, "IN EAX clears the high half");
}

static struct pvg_frame at_fault;

/* Notes how far the string instruction got, and gives it up. */
static void note_and_skip(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	at_fault = *frame;
	frame->rip += 2; /* REP INSB */
}

static void test_string_io(void)
{
	uint8_t *page = pvg_page_alloc(), *edge = (uint8_t *)EDGE + X86_PAGE_SIZE, backwards[4] = {0};
	void *to = edge - 3;
	uint64_t count = 8;

	pvg_assert(page && !pvg_map(pvg_space_current(), EDGE, pvg_ptr_to_gpa(page), 1, X86_PTE_W));
	pvg_trap_register(X86_VEC_PF, note_and_skip, NULL);
	__asm__ volatile("cld; rep insb" : "+D"(to), "+c"(count) : "d"(X86_PORT_DEBUGCON) : "memory");
	pvg_trap_register(X86_VEC_PF, NULL, NULL);
	pvg_test_equal(at_fault.error, X86_PF_W, "REP INS over the edge of a page faults");
	pvg_test_equal(at_fault.rcx, 5, "RCX shows what is left");
	pvg_test_equal(at_fault.rdi, (uint64_t)edge, "RDI is at the fault");
	pvg_test(edge[-3] == 0xe9 && edge[-1] == 0xe9, "what came before it is stored");

	to = &backwards[3];
	count = 3;
	__asm__ volatile("std; rep insb; cld" : "+D"(to), "+c"(count) : "d"(X86_PORT_DEBUGCON) : "memory");
	pvg_test(to == &backwards[0] && !backwards[0] && backwards[1] == 0xe9, "with DF set it goes downwards");
	count = 0;
	__asm__ volatile("rep insb" : "+D"(to), "+c"(count) : "d"(X86_PORT_DEBUGCON) : "memory");
	pvg_test(to == &backwards[0], "a count of 0 does nothing");
}

/* A run of privileged instructions, some of which may be performed together. */
static void test_runs(void)
{
	uint64_t cr0, cr4;

	__asm__ volatile("cli\n\tmov %%cr0, %0\n\tmov %%cr4, %1\n\tclts\n\tmov %0, %%cr0\n\tsti\n\tcli\n\tsti"
			 : "=&r"(cr0), "=&r"(cr4)
			 :
			 : "memory");
	pvg_test(cr0 & X86_CR0_PG && cr4 & X86_CR4_PAE, "a run of privileged instructions");
	pvg_test(pvg_irq_enabled(), "leaves interrupts on");
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_control_registers();
	test_msrs();
	test_debug_registers();
	test_descriptors();
	test_returns();
	test_port_widths();
	test_string_io();
	test_runs();
	return pvg_test_finish();
}

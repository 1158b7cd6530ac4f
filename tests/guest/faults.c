/*
 * Every exception that a kernel can raise arrives with the right vector, error code, address and frame, and the
 * interrupted context comes back as the handler left it.
 */
#include <pvguest/pvguest.h>

#define HOLE	      PVG_SPACE_BASE
#define READ_ONLY     (PVG_SPACE_BASE + 0x10000)
#define NO_EXEC	      (PVG_SPACE_BASE + 0x20000)
#define NON_CANONICAL R3_U64(0x8000000000000000)
#define SEL_BEYOND    0x50

/* Code that faults at a place with a name. */
#define FAULT(name, code)                                                                                              \
	__asm__(".text\n.balign 16\n" #name ":\n" code "\n\tret\n");                                                   \
	void name(void *arg)

FAULT(do_de, "xor %edx, %edx\n\tmov $1, %eax\n\txor %ecx, %ecx\nat_de: div %ecx");
FAULT(do_bp, "at_bp: int3\nafter_bp:");
FAULT(do_icebp, "at_icebp: .byte 0xf1\nafter_icebp:");
FAULT(do_ud, "at_ud: ud2");
FAULT(do_gp, "movabs $0x8000000000000000, %rax\nat_gp: mov (%rax), %rax");
FAULT(do_gp_sel, "mov $0x50, %eax\nat_gp_sel: mov %eax, %ds");
FAULT(do_ss, "push %rbp\n\tmovabs $0x8000000000000000, %rbp\nat_ss: mov (%rbp), %rax");
FAULT(do_mf, "fninit\n\tpushq $0x33b\n\tfldcw (%rsp)\n\tpop %rax\n\tfld1\n\tfldz\n\tfdivrp\nat_mf: fwait");
FAULT(do_xm, "pushq $0x1d80\n\tldmxcsr (%rsp)\n\tpop %rax\n\txorps %xmm1, %xmm1\n\tpcmpeqd %xmm0, %xmm0\n\t"
	     "psrld $25, %xmm0\n\tpslld $23, %xmm0\nat_xm: divps %xmm1, %xmm0");
FAULT(do_step, "pushq $0x302\n\tpopfq\n\tnop\nafter_step: nop");
FAULT(do_read, "at_read: mov (%rdi), %al");
FAULT(do_write, "at_write: movb $1, (%rdi)");
FAULT(do_exec, "add $8, %rsp\n\tjmp *%rdi");
FAULT(do_bad_stack, "movabs $0x8000000000, %rsp\nat_bad_stack: ud2");

extern const char at_de[], after_bp[], after_icebp[], at_ud[], at_gp[], at_gp_sel[], at_ss[], at_mf[], at_xm[],
	after_step[], at_read[], at_write[], at_bad_stack[];

static struct pvg_caught caught;

static void check(const char *what, void (*code)(void *arg), uint64_t arg, unsigned vector, uint64_t error,
		  const void *rip)
{
	bool trapped = pvg_catch(code, (void *)arg, &caught);

	pvg_test(trapped, "%s traps", what);
	pvg_test_equal(caught.vector, vector, "%s: vector %u (%s)", what, vector, pvg_vector_name(vector));
	pvg_test_equal(caught.error, error, "%s: error 0x%lx", what, error);
	pvg_test_equal(caught.rip, (uint64_t)rip, "%s: RIP", what);
	pvg_test_equal(caught.cs, PVG_SEL_KERNEL_CODE, "%s: CS", what);
	pvg_test(caught.rflags & X86_RFLAGS_IF, "%s: IF was set", what);
}

static void check_page_fault(const char *what, void (*code)(void *arg), uint64_t gva, uint64_t error, const void *rip)
{
	check(what, code, gva, X86_VEC_PF, error, rip);
	pvg_test_equal(caught.cr2, gva, "%s: CR2", what);
}

static void test_exceptions(void)
{
	check("division by zero", do_de, 0, X86_VEC_DE, 0, at_de);
	check("single step", do_step, 0, X86_VEC_DB, 0, after_step);
	check("ICEBP", do_icebp, 0, X86_VEC_DB, 0, after_icebp);
	check("INT3", do_bp, 0, X86_VEC_BP, 0, after_bp);
	check("UD2", do_ud, 0, X86_VEC_UD, 0, at_ud);
	check("non-canonical address", do_gp, 0, X86_VEC_GP, 0, at_gp);
	check("selector beyond the GDT", do_gp_sel, 0, X86_VEC_GP, SEL_BEYOND, at_gp_sel);
	check("non-canonical stack address", do_ss, 0, X86_VEC_SS, 0, at_ss);
	check("x87 division by zero", do_mf, 0, X86_VEC_MF, 0, at_mf);
	__asm__ volatile("fninit");
	check("SSE division by zero", do_xm, 0, X86_VEC_XM, 0, at_xm);
}

static bool is_amd(void)
{
	uint32_t a = 0, b, c, d;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	return b == 0x68747541; /* "Auth" */
}

/* UD0 and UD1 take a ModRM byte on Intel's processors alone: AMD's do not ask for the page behind them. */
static void test_undefined_before_a_hole(uint8_t *page)
{
	static const uint8_t codes[][2] = {{0x0f, 0xff}, {0x0f, 0xb9}};
	const uint64_t last = READ_ONLY + X86_PAGE_SIZE;
	for (unsigned n = 0; n < 2; n++) {
		const char *name = n ? "UD1 before a hole" : "UD0 before a hole";
		memcpy(page + X86_PAGE_SIZE - 2, codes[n], 2);
		if (is_amd())
			check(name, do_exec, last - 2, X86_VEC_UD, 0, (void *)(last - 2));
		else
			check(name, do_exec, last - 2, X86_VEC_PF, X86_PF_I, (void *)(last - 2));
	}
}

static void test_page_faults(void)
{
	struct pvg_space *space = pvg_space_current();
	void *page = pvg_page_alloc();

	pvg_wrmsr(X86_MSR_EFER, pvg_rdmsr(X86_MSR_EFER) | X86_EFER_NXE);
	pvg_assert(!pvg_map(space, READ_ONLY, pvg_ptr_to_gpa(page), 1, 0));
	pvg_assert(!pvg_map(space, NO_EXEC, pvg_ptr_to_gpa(page), 1, X86_PTE_W | X86_PTE_NX));
	check_page_fault("read of a hole", do_read, HOLE + 123, 0, at_read);
	check_page_fault("write to a hole", do_write, HOLE + 4095, X86_PF_W, at_write);
	check_page_fault("jump into a hole", do_exec, HOLE, X86_PF_I, (void *)HOLE);
	check_page_fault("write to a read-only page", do_write, READ_ONLY + 8, X86_PF_P | X86_PF_W, at_write);
	check_page_fault("jump into a no-execute page", do_exec, NO_EXEC, X86_PF_P | X86_PF_I, (void *)NO_EXEC);
	test_undefined_before_a_hole(page);
}

/* One routine a vector, 16 bytes each. */
__asm__(".text\n.balign 16\nint_table:\n"
	".set n, 0\n"
	".rept 256\n.balign 16\n\t.byte 0xcd, n\n\tret\n.set n, n + 1\n.endr\n");
extern const char int_table[];

static unsigned long option(const char *name, unsigned long otherwise)
{
	char text[12];

	return pvg_option(name, text, sizeof(text)) ? pvg_strtoul(text) : otherwise;
}

/* odd_from=N odd_to=N: the host does not let all of these fault. */
static void test_int_n(void)
{
	unsigned wrong = 0, tried = 0;
	unsigned long odd_from = option("odd_from", X86_VEC_COUNT), odd_to = option("odd_to", X86_VEC_COUNT);

	if (odd_from < X86_VEC_COUNT)
		pvg_test_skip("INT n from odd_from to odd_to", "the host does not let all of them fault");

	for (unsigned vector = 0; vector < X86_VEC_COUNT; vector++) {
		const char *code = int_table + vector * 16;
		bool in_use = vector >= PVG_VEC_PIC && vector <= PVG_VEC_EVENT;

		/* INT n pushes no error code, and NMI blocks the next one. */
		if (pvg_vector_has_error(vector) || vector == X86_VEC_NMI || in_use ||
		    (vector >= odd_from && vector <= odd_to))
			continue;
		tried++;
		if (!pvg_catch((void (*)(void *))(uint64_t)code, NULL, &caught) || caught.vector != vector ||
		    caught.error || caught.rip != (uint64_t)code + 2)
			pvg_printf("# INT 0x%x: vector 0x%x, RIP +%lu\n", vector, caught.vector,
				   caught.rip - (uint64_t)code),
				wrong++;
	}
	pvg_test_equal(wrong, 0, "INT n for %u vectors", tried);
}

/* All general registers get a value of their own, then a trap; what came back is stored. */
__asm__(".text\n"
	"fill_and_trap:\n\t"
	"push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
	"mov $1, %rax\n\tmov $2, %rbx\n\tmov $3, %rcx\n\tmov $4, %rdx\n\tmov $5, %rsi\n\tmov $6, %rdi\n\tmov $7, "
	"%rbp\n\t"
	"mov $8, %r8\n\tmov $9, %r9\n\tmov $10, %r10\n\tmov $11, %r11\n\tmov $12, %r12\n\tmov $13, %r13\n\t"
	"mov $14, %r14\n\tmov $15, %r15\n"
	"at_fill: ud2\n"
	"after_fill:\n\t"
	"mov %rax, came_back+0(%rip)\n\tmov %rbx, came_back+8(%rip)\n\tmov %rcx, came_back+16(%rip)\n\t"
	"mov %rdx, came_back+24(%rip)\n\tmov %rsi, came_back+32(%rip)\n\tmov %rdi, came_back+40(%rip)\n\t"
	"mov %rbp, came_back+48(%rip)\n\tmov %r8, came_back+56(%rip)\n\tmov %r9, came_back+64(%rip)\n\t"
	"mov %r10, came_back+72(%rip)\n\tmov %r11, came_back+80(%rip)\n\tmov %r12, came_back+88(%rip)\n\t"
	"mov %r13, came_back+96(%rip)\n\tmov %r14, came_back+104(%rip)\n\tmov %r15, came_back+112(%rip)\n\t"
	"pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
	"ret\n");
void fill_and_trap(void);
extern const char at_fill[], after_fill[];
uint64_t came_back[15];

static uint64_t seen[15];

static void change_registers(struct pvg_frame *f, void *arg)
{
	uint64_t *reg[15] = {&f->rax, &f->rbx, &f->rcx, &f->rdx, &f->rsi, &f->rdi, &f->rbp, &f->r8,
			     &f->r9,  &f->r10, &f->r11, &f->r12, &f->r13, &f->r14, &f->r15};

	(void)arg;
	for (unsigned i = 0; i < 15; i++) {
		seen[i] = *reg[i];
		*reg[i] += 100;
	}
	f->rip = (uint64_t)after_fill;
}

static void test_registers(void)
{
	unsigned wrong_in = 0, wrong_out = 0;

	pvg_trap_register(X86_VEC_UD, change_registers, NULL);
	fill_and_trap();
	pvg_trap_register(X86_VEC_UD, NULL, NULL);
	for (unsigned i = 0; i < 15; i++) {
		wrong_in += seen[i] != i + 1;
		wrong_out += came_back[i] != i + 101;
	}
	pvg_test_equal(wrong_in, 0, "a handler sees the interrupted registers");
	pvg_test_equal(wrong_out, 0, "what a handler changes comes back");
}

/* The trap table has no IST: a broken stack is a triple fault there. */
static void test_double_fault(void)
{
	if (pvg_is_paravirt())
		pvg_test_skip("double fault", "no IST with pv=on");
	else
		check("a trap on a broken stack", do_bad_stack, 0, X86_VEC_DF, 0, at_bad_stack);
}

int main(const char *cmdline)
{
	(void)cmdline;
	test_exceptions();
	test_page_faults();
	test_int_n();
	test_registers();
	test_double_fault();
	return pvg_test_finish();
}

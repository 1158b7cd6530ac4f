/*
 * User mode just after a page fault and long after one: whatever a program does, it comes to the same. An engine may
 * execute the one otherwise than the other.
 */
#include <pvguest/pvguest.h>

#define USER_CODE  (PVG_SPACE_BASE + 0x200000)
#define USER_STACK (PVG_SPACE_BASE + 0x400000)
#define USER_HOLE  (PVG_SPACE_BASE + 0x600000)
#define USER_DATA  (PVG_SPACE_BASE + 0x800000)

#define USER_PAGE (X86_PTE_P | X86_PTE_U | X86_PTE_W)

/* More faults than an engine lets go by, and more system calls than it remembers a fault. */
#define FAULTS 100
#define CALLS  200

#define SYSCALL_STOP 0x1000

/*
 * Each begins with RSI system calls, stores to RDI pages from USER_HOLE on, and does with R8 and R9 what its name says.
 * Copied to USER_CODE, so they refer to nothing but themselves.
 */
#define BEGIN                                                                                                          \
	"	mov %rdi, %r10\n	movabs $0x8000600000, %rdi\n"                                                               \
	"1:	test %rsi, %rsi\n	jz 2f\n	mov $1, %eax\n	syscall\n	dec %rsi\n	jmp 1b\n"                                    \
	"2:	test %r10, %r10\n	jz 3f\n	movb $1, (%rdi)\n	add $4096, %rdi\n	dec %r10\n	jmp "                             \
	"2b\n"                                                                                                         \
	"3:	xor %edi, %edi\n	xor %ecx, %ecx\n	xor %r11d, %r11d\n	xor %eax, %eax\n"
#define END "	xor %eax, %eax\n	syscall\n"

_Static_assert(USER_HOLE == 0x8000600000, "as BEGIN has it");

#define ATTEMPTS(X)                                                                                                    \
	X(nothing, "nop\n")                                                                                            \
	X(flags, "cmp %r8, %r9\n pushf\n pop %rdx\n")                                                                  \
	X(trap_flag, "pushf\n orl $0x100, (%rsp)\n popf\n nop\n nop\n")                                                \
	X(popf, "pushq $0x78ed7\n andl $~0x40100, (%rsp)\n popf\n pushf\n pop %rdx\n andl $~0x200000, %edx\n")         \
	X(cpuid_machine, "mov $0x40000000, %eax\n cpuid\n mov %eax, %r8d\n")                                           \
	X(cpuid_features, "mov $7, %eax\n xor %ecx, %ecx\n cpuid\n mov %eax, %r8d\n")                                  \
	X(cpuid_vendor, "xor %eax, %eax\n cpuid\n mov %eax, %r8d\n")                                                   \
	X(xgetbv, "xor %ecx, %ecx\n xgetbv\n mov %eax, %r8d\n")                                                        \
	X(rdfsbase, "rdfsbase %rdx\n")                                                                                 \
	X(cli, "cli\n")                                                                                                \
	X(hlt, "hlt\n")                                                                                                \
	X(in, "in $0x60, %al\n")                                                                                       \
	X(rdmsr, "mov $0xc0000080, %ecx\n rdmsr\n")                                                                    \
	X(mov_cr, "mov %r8, %cr3\n")                                                                                   \
	X(lidt, "lidt (%r8)\n")                                                                                        \
	X(swapgs, "swapgs\n")                                                                                          \
	X(sysret, "sysretq\n")                                                                                         \
	X(ud2, "ud2\n")                                                                                                \
	X(int3, "int3\n nop\n")                                                                                        \
	X(int_kernel, "int $0x20\n")                                                                                   \
	X(icebp, ".byte 0xf1\n nop\n")                                                                                 \
	X(divide, "mov $1, %eax\n xor %edx, %edx\n div %edi\n")                                                        \
	X(overflow, "mov $1, %edx\n mov $1, %ecx\n div %ecx\n")                                                        \
	X(not_canonical, "movabs $0x8000000000000000, %rcx\n mov (%rcx), %rax\n")                                      \
	X(stack_not_canonical, "movabs $0x8000000000000000, %rbp\n mov (%rbp), %rax\n")                                \
	X(misaligned, "movaps 1(%r9), %xmm0\n")                                                                        \
	X(kernel_read, "mov (%r8), %rax\n")                                                                            \
	X(kernel_write, "movq $0, (%r8)\n")                                                                            \
	X(kernel_call, "call *%r8\n")                                                                                  \
	X(code_write, "movb $0, 3b(%rip)\n")                                                                           \
	X(data_call, "jmp *%r9\n")                                                                                     \
	X(prefetch, "prefetcht0 (%r8)\n")                                                                              \
	X(string, "mov %r9, %rdi\n mov $8192, %ecx\n mov $7, %al\n rep stosb\n")                                       \
	X(string_out, "lea 1(%r9), %rsi\n mov %r8, %rdi\n mov $64, %ecx\n rep movsb\n")                                \
	X(crossing, "lea 4093(%r9), %rcx\n movabs $0x1122334455667788, %rax\n mov %rax, (%rcx)\n")                     \
	X(long_loop, "mov $100000, %ecx\n4: add %rcx, %rdx\n rol $7, %rdx\n dec %ecx\n jnz 4b\n")                      \
	X(vector, "movq %r8, %xmm1\n paddb %xmm1, %xmm1\n pmovmskb %xmm1, %edx\n movq %xmm1, %rbx\n")                  \
	X(round, "mov $3, %eax\n cvtsi2sd %eax, %xmm0\n mov $1, %eax\n cvtsi2sd %eax, %xmm1\n divsd %xmm0, %xmm1\n"    \
		 "movq %xmm1, %rbx\n stmxcsr (%r9)\n mov (%r9), %edx\n")                                               \
	X(unmasked, "pushq $0\n ldmxcsr (%rsp)\n xorps %xmm0, %xmm0\n divss %xmm0, %xmm0\n")                           \
	X(x87, "fninit\n fld1\n fldpi\n fdivrp\n fstpl (%r9)\n mov (%r9), %rdx\n fnstsw %ax\n mov %eax, %ebx\n")       \
	X(state, "sub $4096, %rsp\n and $-64, %rsp\n mov $3, %eax\n xor %edx, %edx\n fxsave64 (%rsp)\n"                \
		 "movl 24(%rsp), %ebx\n")                                                                              \
	X(locked, "mov %r8, (%r9)\n lock xadd %r9, (%r9)\n mov %r9, %rdx\n")

#define PROGRAM(name, text) "attempt_" #name ":\n" BEGIN text END
__asm__(".pushsection .rodata\n"
	"user_program:\n" ATTEMPTS(PROGRAM) "user_program_end:\n"
					    ".popsection\n");
extern const char user_program[], user_program_end[];
#define DECLARE(name, text) extern const char attempt_##name[];
ATTEMPTS(DECLARE)

static const struct attempt {
	const char *name, *label;
} attempts[] = {
#define ENTRY(name, text) {#name, attempt_##name},
	ATTEMPTS(ENTRY)};

static struct pvg_space space;
static struct pvg_context kernel, runner;
static struct pvg_user user;
static struct pvg_frame begun, stop;
static uint64_t stop_address;
static unsigned faults;
static void *hole;
static uint8_t user_stack[16384] __attribute__((aligned(16)));
static uint8_t fpu_image[16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));

static void leave_user(struct pvg_frame *frame)
{
	stop = *frame;
	struct pvg_context gone;
	pvg_context_switch(&gone, &kernel);
}

static void on_syscall(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	if (frame->rax)
		return;
	stop_address = 0;
	frame->vector = SYSCALL_STOP;
	leave_user(frame);
}

/* A hole is filled, all of them with one page. */
static void on_fault(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "fault in the kernel");
	stop_address = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0;
	uint64_t page = stop_address & ~(uint64_t)(X86_PAGE_SIZE - 1);
	if (frame->vector != X86_VEC_PF || page - USER_HOLE >= FAULTS * X86_PAGE_SIZE) {
		leave_user(frame);
		return;
	}
	faults++;
	pvg_assert(!pvg_map(&space, page, pvg_ptr_to_gpa(hole), 1, USER_PAGE | X86_PTE_NX));
}

static void start_user(void *arg)
{
	struct pvg_frame *frame = pvg_user_frame(&user);
	(void)arg;
	*frame = begun;
	pvg_user_enter(frame);
}

static void run(const struct attempt *attempt, bool faulting)
{
	static uint8_t stack[16384] __attribute__((aligned(16)));

	pvg_unmap(&space, USER_HOLE, FAULTS);
	pvg_fpu_reset(fpu_image);
	begun = (struct pvg_frame){.rip = USER_CODE + (uint64_t)(attempt->label - user_program),
				   .cs = PVG_SEL_USER_CODE,
				   .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
				   .rsp = USER_STACK + 4 * X86_PAGE_SIZE,
				   .ss = PVG_SEL_USER_DATA,
				   .rdi = faulting ? FAULTS : 0,
				   .rsi = faulting ? 0 : CALLS,
				   .r8 = (uint64_t)&space,
				   .r9 = USER_DATA};
	faults = 0;
	pvg_user_load_fpu(&user);
	pvg_context_make(&runner, stack + sizeof(stack), start_user, NULL);
	pvg_context_switch(&kernel, &runner);
}

static void make_space(void)
{
	size_t pages = ((size_t)(user_program_end - user_program) + X86_PAGE_SIZE - 1) / X86_PAGE_SIZE;

	hole = pvg_page_alloc();
	pvg_assert(!pvg_space_create(&space));
	for (size_t n = 0; n < pages; n++) {
		size_t rest = (size_t)(user_program_end - user_program) - n * X86_PAGE_SIZE;
		char *code = pvg_page_alloc();

		memcpy(code, user_program + n * X86_PAGE_SIZE, rest < X86_PAGE_SIZE ? rest : X86_PAGE_SIZE);
		pvg_assert(!pvg_map(&space, USER_CODE + n * X86_PAGE_SIZE, pvg_ptr_to_gpa(code), 1,
				    X86_PTE_P | X86_PTE_U));
	}
	for (unsigned n = 0; n < 4; n++)
		pvg_assert(!pvg_map(&space, USER_STACK + n * X86_PAGE_SIZE, pvg_ptr_to_gpa(pvg_page_alloc()), 1,
				    USER_PAGE | X86_PTE_NX));
	/* Behind the one page of data lies nothing. */
	pvg_assert(!pvg_map(&space, USER_DATA, pvg_ptr_to_gpa(pvg_page_alloc()), 1, USER_PAGE | X86_PTE_NX));
	user = (struct pvg_user){
		.stack_top = (uint64_t)user_stack + sizeof(user_stack), .space = &space, .fpu = fpu_image};
	pvg_user_switch(NULL, &user);
}

/* But for what the two begin with. */
static bool same_frames(const struct pvg_frame *a, const struct pvg_frame *b)
{
	return a->vector == b->vector && a->error == b->error && a->rip == b->rip && a->cs == b->cs &&
	       a->rflags == b->rflags && a->rsp == b->rsp && a->ss == b->ss && a->rax == b->rax && a->rbx == b->rbx &&
	       a->rcx == b->rcx && a->rdx == b->rdx && a->rdi == b->rdi && a->rsi == b->rsi && a->rbp == b->rbp &&
	       a->r8 == b->r8 && a->r9 == b->r9 && a->r10 == b->r10 && a->r11 == b->r11;
}

static void compare(const struct attempt *attempt)
{
	run(attempt, false);
	struct pvg_frame calm = stop;
	uint64_t address = stop_address;
	run(attempt, true);
	pvg_test(faults == FAULTS && same_frames(&calm, &stop) && stop_address == address,
		 "%s: after %u faults as after %u calls", attempt->name, FAULTS, CALLS);
	if (!same_frames(&calm, &stop))
		pvg_printf("# vector %lx error %lx rip %lx rflags %lx rax %lx rbx %lx rcx %lx rdx %lx r11 %lx at %lx\n"
			   "# before %lx error %lx rip %lx rflags %lx rax %lx rbx %lx rcx %lx rdx %lx r11 %lx at %lx\n",
			   stop.vector, stop.error, stop.rip, stop.rflags, stop.rax, stop.rbx, stop.rcx, stop.rdx,
			   stop.r11, stop_address, calm.vector, calm.error, calm.rip, calm.rflags, calm.rax, calm.rbx,
			   calm.rcx, calm.rdx, calm.r11, address);
}

int main(const char *cmdline)
{
	(void)cmdline;
	make_space();
	pvg_syscall_register(on_syscall, NULL);
	for (unsigned vector = 0; vector < 32; vector++)
		pvg_trap_register(vector, on_fault, NULL);
	pvg_irq_disable();
	for (unsigned n = 0; n < sizeof(attempts) / sizeof(attempts[0]); n++)
		compare(&attempts[n]);
	return pvg_test_finish();
}

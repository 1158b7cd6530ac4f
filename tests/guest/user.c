/*
 * User mode as a guest kernel sees it: system calls keep every register, traps and interrupts arrive from it, FPU state
 * and segment bases follow the context, and it reaches neither the kernel nor the monitor.
 */
#include <pvguest/pvguest.h>

#define USER_CODE  (PVG_SPACE_BASE + 0x200000)
#define USER_STACK (PVG_SPACE_BASE + 0x400000)
#define USER_HOLE  (PVG_SPACE_BASE + 0x600000)

#define USER_PAGE (X86_PTE_P | X86_PTE_U | X86_PTE_W)

#define CALLS 20000

/* The program of user mode; copied to USER_CODE, so it refers to nothing but itself. */
extern const char user_program[], user_program_end[];
extern const char user_count[], user_spin[], user_fault[], user_vector[], user_bases[], user_gate[], user_kernel[],
	user_cli[], user_blocked[];

__asm__(".pushsection .rodata\n"
	"user_program:\n"
	/* RAX counts up by way of the kernel, all else must stay. */
	"user_count:\n"
	"	mov $0x1111, %ebx\n	mov $0x2222, %r8d\n	mov $0x3333, %r15d\n	mov $0x4444, %ebp\n"
	"	mov $0x5555, %r9d\n	mov $0x6666, %r12d\n	xor %eax, %eax\n"
	"1:	syscall\n"
	"	cmp $0x1111, %ebx\n	jne 2f\n	cmp $0x2222, %r8d\n	jne 2f\n	cmp $0x3333, "
	"%r15d\n	jne 2f\n"
	"	cmp $0x4444, %ebp\n	jne 2f\n	cmp $0x5555, %r9d\n	jne 2f\n	cmp $0x6666, "
	"%r12d\n	jne 2f\n"
	"	lea 1b(%rip), %rdx\n	add $2, %rdx\n	cmp %rdx, %rcx\n	jne 2f\n"
	"	cmp $20000, %eax\n	jne 1b\n"
	"	mov $-1, %rdi\n	syscall\n"
	"2:	mov $-2, %rdi\n	syscall\n"
	"user_spin:\n	jmp user_spin\n"
	"user_fault:\n	movb $7, (%rdi)\n	movzbl (%rdi), %eax\n	mov $-1, %rdi\n	syscall\n"
	/* Adds to XMM0 and to a register above it as long as the kernel says so. */
	"user_vector:\n	movq %rdi, %xmm7\n	movq %rdi, %xmm0\n"
	"1:	syscall\n	movq %xmm0, %rsi\n	movq %xmm7, %rdx\n	paddq %xmm7, %xmm0\n	jmp 1b\n"
	"user_bases:\n	wrfsbase %rdi\n	wrgsbase %rsi\n"
	"1:	syscall\n	rdfsbase %rdi\n	rdgsbase %rsi\n	jmp 1b\n"
	/* Some of what the gate does is to begin the program anew: not another time. */
	"user_gate:\n	mov %rdi, %r15\n	xor %edi, %edi\n	jmp *%r15\n"
	"user_kernel:\n	mov (%rdi), %rax\n	ud2\n"
	"user_cli:\n	cli\n	ud2\n"
	/* rt_sigreturn with the gate's cookie and a frame that blocks every signal, to a loop. */
	"user_blocked:\n	mov $0x3f80c0de, %r9d\n	mov $15, %eax\n	syscall\n	ud2\n"
	"user_program_end:\n"
	".popsection\n");

struct context {
	struct pvg_user user;
	struct pvg_frame saved; /* where it stands while others run */
};

static struct pvg_space spaces[2];
static struct pvg_context kernel, runner;
static struct context contexts[2], *current;
static uint8_t stacks[2][16384] __attribute__((aligned(16)));
static uint8_t fpu_images[2][16384] __attribute__((aligned(PVG_FPU_ALIGNMENT)));

/* What stopped user mode last: its frame, with the vector, or SYSCALL_STOP. */
#define SYSCALL_STOP 0x1000
static struct pvg_frame stop;
static uint64_t stop_address;
static unsigned calls;
static volatile unsigned ticks;
/* Exceptions of the kernel's own between SYSCALL and the return, and those that showed other segments than SYSCALL
 * loads. */
static unsigned inside, odd_segments;
static bool bare;

static uint64_t address_of(const char *label)
{
	return USER_CODE + (uint64_t)(label - user_program);
}

/* Back to run(): the frame is kept, the stack of the trap is given up. */
static void leave_user(struct pvg_frame *frame)
{
	stop = *frame;
	current->saved = *frame;
	struct pvg_context gone;
	pvg_context_switch(&gone, &kernel);
}

static void on_syscall(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	calls++;
	if (calls % 32 == 0)
		__asm__ volatile("int3" : : : "memory");
	if (frame->rdi == 0 && frame->rax < CALLS) {
		frame->rax++;
		return;
	}
	frame->vector = SYSCALL_STOP;
	leave_user(frame);
}

static void on_fault(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	if (!(frame->cs & X86_SEL_RPL))
		pvg_panic_frame(frame, "fault in the kernel");
	stop_address = frame->vector == X86_VEC_PF ? pvg_fault_address() : 0;
	leave_user(frame);
}

static void on_breakpoint(struct pvg_frame *frame, void *arg)
{
	if (frame->cs & X86_SEL_RPL) {
		on_fault(frame, arg);
		return;
	}
	const uint64_t cs = (PVG_STAR >> X86_STAR_SYSCALL_SHIFT) & 0xffff;
	inside++;
	odd_segments += frame->cs != cs || (bare && frame->ss != cs + 8);
}

static void tick(void *arg)
{
	(void)arg;
	ticks++;
}

/* A tick from user mode ends the stay there. */
static void on_return(struct pvg_frame *frame)
{
	if (ticks) {
		frame->vector = 0x2000;
		leave_user(frame);
	}
}

static void start_user(void *arg)
{
	struct pvg_frame *frame = pvg_user_frame(&current->user);
	(void)arg;
	*frame = current->saved;
	pvg_user_enter(frame);
}

/* Runs the context from its saved frame until it stops. */
static void resume(struct context *context)
{
	static struct context *loaded;

	pvg_user_switch(loaded ? &loaded->user : NULL, &context->user);
	loaded = current = context;
	/* The runner has a stack of its own, since the context's is where its traps arrive. */
	static uint8_t stack[16384] __attribute__((aligned(16)));
	pvg_context_make(&runner, stack + sizeof(stack), start_user, NULL);
	pvg_context_switch(&kernel, &runner);
}

static void run(struct context *context, const char *label, uint64_t rdi, uint64_t rsi)
{
	context->saved = (struct pvg_frame){.rip = address_of(label),
					    .cs = PVG_SEL_USER_CODE,
					    .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
					    .rsp = USER_STACK + X86_PAGE_SIZE,
					    .ss = PVG_SEL_USER_DATA,
					    .rdi = rdi,
					    .rsi = rsi};
	resume(context);
}

static void make_spaces(void)
{
	void *code = pvg_page_alloc(), *stack = pvg_page_alloc();

	memcpy(code, user_program, user_program_end - user_program);
	for (unsigned i = 0; i < 2; i++) {
		pvg_assert(!pvg_space_create(&spaces[i]));
		pvg_assert(!pvg_map(&spaces[i], USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_P | X86_PTE_U));
		pvg_assert(!pvg_map(&spaces[i], USER_STACK, pvg_ptr_to_gpa(stack), 1, USER_PAGE | X86_PTE_NX));
		contexts[i].user = (struct pvg_user){.stack_top = (uint64_t)stacks[i] + sizeof(stacks[i]),
						     .space = &spaces[i],
						     .fpu = fpu_images[i]};
		pvg_fpu_reset(fpu_images[i]);
	}
}

static void test_calls(void)
{
	calls = 0;
	run(&contexts[0], user_count, 0, 0);
	pvg_test_equal(stop.vector, SYSCALL_STOP, "user mode ends with a system call");
	pvg_test_equal(stop.rdi, (uint64_t)-1, "%u system calls kept all registers", CALLS);
	pvg_test_equal(calls, CALLS + 1, "each arrived once");
	pvg_test_equal(stop.cs, PVG_SEL_USER_CODE, "from user mode");
	pvg_test(stop.rflags & X86_RFLAGS_IF, "with interrupts enabled there");
}

static void test_interrupts(void)
{
	unsigned long long rounds = 0;

	for (unsigned i = 0; i < 20; i++) {
		ticks = 0;
		pvg_timer_at(pvg_clock_ns() + PVG_NS_PER_MS, tick, NULL);
		run(&contexts[0], i % 2 ? user_count : user_spin, 0, 0);
		while (!ticks && ++rounds)
			run(&contexts[0], i % 2 ? user_count : user_spin, 0, 0);
	}
	ticks = 0;
	pvg_test(true, "20 timer interrupts got through to user mode");
}

static void test_faults(void)
{
	void *page = pvg_page_alloc();

	run(&contexts[0], user_fault, USER_HOLE, 0);
	pvg_test_equal(stop.vector, X86_VEC_PF, "a hole gives #PF");
	pvg_test_equal(stop.error, X86_PF_W | X86_PF_U, "for a user write");
	pvg_test_equal(stop_address, USER_HOLE, "at the address");
	pvg_assert(!pvg_map(&spaces[0], USER_HOLE, pvg_ptr_to_gpa(page), 1, USER_PAGE | X86_PTE_NX));
	resume(&contexts[0]);
	pvg_test_equal(stop.vector, SYSCALL_STOP, "and goes on once it is mapped");
	pvg_test_equal(stop.rax, 7, "with what it stored");
	run(&contexts[0], user_cli, 0, 0);
	pvg_test_equal(stop.vector, X86_VEC_GP, "CLI in user mode is #GP");
	run(&contexts[0], user_gate, USER_STACK, 0);
	pvg_test(stop.vector == X86_VEC_PF && stop.error == (X86_PF_P | X86_PF_U | X86_PF_I), "NX holds");
}

static void test_walls(void)
{
	const uint64_t kernel_data = (uint64_t)&spaces, gate = 0x3f8000000000;

	run(&contexts[0], user_kernel, kernel_data, 0);
	pvg_test(stop.vector == X86_VEC_PF && stop.error & X86_PF_U, "kernel memory is out of reach");
	/* Reading the gate shows only what the process itself is run by; beyond it is nothing. */
	run(&contexts[0], user_kernel, gate + 0x8000000, 0);
	pvg_test_equal(stop.vector, X86_VEC_PF, "the window on other cells is not there");
	run(&contexts[0], user_kernel, 0xffff800000000000, 0);
	pvg_test(stop.vector == X86_VEC_PF || stop.vector == X86_VEC_GP, "nor is the upper half");
	for (uint64_t offset = 0; offset < 8192; offset += 7) {
		/* From the middle of an instruction on there may be a loop. */
		pvg_timer_every(50 * PVG_NS_PER_MS, tick, NULL);
		run(&contexts[0], user_gate, gate + offset, 0);
		pvg_timer_stop();
		ticks = 0;
		run(&contexts[0], user_vector, offset + 1, 0);
		if (stop.vector != SYSCALL_STOP || stop.rdi != offset + 1)
			break;
	}
	pvg_test_equal(stop.vector, SYSCALL_STOP,
		       "jumps into the gate end in a fault, a system call or by the clock, and leave no trace");
}

static void test_vector_state(void)
{
	bool right = true;

	run(&contexts[0], user_vector, 3, 0);
	run(&contexts[1], user_vector, 5, 0);
	for (uint64_t i = 1; i <= 50; i++)
		for (unsigned c = 0; c < 2; c++) {
			uint64_t step = c ? 5 : 3;

			contexts[c].saved.rdi = -1;
			resume(&contexts[c]);
			right &= stop.rsi == step * i && stop.rdx == step;
		}
	pvg_test(right, "two contexts have vector registers of their own");
}

/* SDM 1 13.4: where in an XSAVE image. */
#define IMAGE_MXCSR    24
#define IMAGE_XMM(n)   (160 + 16 * (n))
#define IMAGE_SOFTWARE 464
#define IMAGE_HEADER   512
#define IMAGE_END      576

/* Saved and loaded while the program waits, from images that no processor would take, and from and to what is none. */
static void test_images(void)
{
	struct context *context = &contexts[0];
	uint8_t *image = context->user.fpu;
	char pv[4];
	bool paravirtual = pvg_option("pv", pv, sizeof(pv)) && !pvg_strcmp(pv, "on");
	bool right = true;
	uint64_t word;

	run(context, user_vector, 3, 0);
	for (uint64_t i = 1; i <= 50; i++) {
		pvg_user_save_fpu(&context->user);
		memcpy(&word, image + IMAGE_XMM(0), sizeof(word));
		right &= word == (i == 1 ? 3 : 1003 + i);
		word = 1001 + i;
		memcpy(image + IMAGE_XMM(0), &word, sizeof(word));
		if (paravirtual) {
			memset(image + IMAGE_MXCSR + 2, 0xff, 2);
			memset(image + IMAGE_SOFTWARE, 0xff, IMAGE_HEADER - IMAGE_SOFTWARE);
			memset(image + IMAGE_HEADER + 7, 0xff, IMAGE_END - IMAGE_HEADER - 7);
			right &= pvg_hypercall2(R3_HC_fpu_switch, (uint64_t)image + 8, 0) == -R3_EINVAL;
			right &= pvg_hypercall2(R3_HC_fpu_switch, 0, (uint64_t)image + 8) == -R3_EINVAL;
			right &= pvg_hypercall2(R3_HC_fpu_switch, 0, R3_BIT(40)) == -R3_EFAULT;
			right &= pvg_hypercall2(R3_HC_fpu_switch, R3_BIT(40), (uint64_t)image) == -R3_EFAULT;
		}
		pvg_user_load_fpu(&context->user);
		context->saved.rdi = -1;
		resume(context);
		right &= stop.rsi == 1001 + i && stop.rdx == 3;
	}
	pvg_test(right, "images are saved and loaded, and made harmless");
}

/* Of a kernel that uses the FPU itself, as it can before it has user mode: also where it is what was saved last. */
static void test_own_image(void)
{
	struct pvg_user *user = &contexts[0].user;
	const uint64_t word = 0x1234567890abcdef;
	uint64_t got;

	__asm__ volatile("movq %0, %%xmm7" : : "r"(word));
	pvg_user_save_fpu(user);
	__asm__ volatile("pxor %%xmm7, %%xmm7" : :);
	pvg_user_load_fpu(user);
	__asm__ volatile("movq %%xmm7, %0" : "=r"(got));
	pvg_test_equal(got, word, "a kernel has the image that it loads");
}

static void test_bases(void)
{
	bool right = true;
	char text[2], transport[8];
	/* Under transport signal the gate sees them before the host forgets. */
	bool lost = pvg_option("no_bases", text, sizeof(text)) &&
		    pvg_option("transport", transport, sizeof(transport)) && !pvg_strcmp(transport, "ptrace");

	run(&contexts[0], user_bases, 0x1000, 0x2000);
	run(&contexts[1], user_bases, 0x3000, 0x4000);
	for (unsigned i = 0; i < 20; i++)
		for (unsigned c = 0; c < 2; c++) {
			contexts[c].saved.rdi = -1;
			resume(&contexts[c]);
			right &= stop.rdi == (c ? 0x3000 : 0x1000) && stop.rsi == (c ? 0x4000 : 0x2000);
		}
	if (lost)
		pvg_test_skip("and FS and GS bases", "the host does not keep what WRFSBASE writes");
	else
		pvg_test(right, "and FS and GS bases");
}

/* Through GS, with a base of the kernel's own; so often that whoever interprets a little behind WRMSR has stopped. */
static bool has_by_gs(const volatile uint64_t *word)
{
	const uint64_t base = pvg_rdmsr(X86_MSR_GS_BASE);
	uint64_t value;
	bool right = true;

	pvg_wrmsr(X86_MSR_GS_BASE, (uint64_t)word);
	for (unsigned n = 0; n < 1000; n++) {
		__asm__ volatile("movq %%gs:0, %0" : "=r"(value) : : "memory");
		right &= value == *word;
	}
	pvg_wrmsr(X86_MSR_GS_BASE, base);
	return right;
}

/* Before there is user mode the kernel may have the bases in its registers, and not from then on. */
static void test_kernel_base(bool between)
{
	bool right = true;

	for (uint64_t word = 1; word <= 20; word++) {
		right &= has_by_gs(&word);
		if (between)
			run(&contexts[word % 2], user_vector, word, 0);
	}
	pvg_test(right, between ? "and between its programs" : "a kernel has its own data by GS");
}

/* What user_switch does not take, while a program waits: nothing of it has happened. */
static void test_switch_refused(void)
{
	struct pvg_user *user = &contexts[0].user, *other = &contexts[1].user;
	struct r3_user_context from = {.fpu = (uint64_t)user->fpu}, good = {
									    .root = other->space->root,
									    .rsp0 = other->stack_top,
									    .fpu = (uint64_t)other->fpu,
								    };
	struct r3_user_context to[5] = {good, good, good, good, good};
	bool right = true;

	to[0].root = R3_BIT(60);
	to[1].rsp0 = R3_BIT(47);
	to[2].fs_base = R3_BIT(47);
	to[3].gs_base = R3_BIT(63);
	to[4].fpu = (uint64_t)other->fpu + 8;
	run(&contexts[0], user_vector, 3, 0);
	for (unsigned i = 0; i < 5; i++) {
		right &= pvg_hypercall2(R3_HC_user_switch, (uint64_t)&from, (uint64_t)&to[i]) == -R3_EINVAL;
		contexts[0].saved.rdi = -1;
		resume(&contexts[0]);
		right &= stop.rsi == 3 * (i + 1ull) && stop.rdx == 3;
	}
	to[0] = good;
	to[0].fpu = R3_BIT(40);
	right &= pvg_hypercall2(R3_HC_user_switch, (uint64_t)&from, (uint64_t)&to[0]) == -R3_EFAULT;
	right &= pvg_hypercall2(R3_HC_user_switch, (uint64_t)&from, R3_BIT(40)) == -R3_EFAULT;
	right &= pvg_hypercall2(R3_HC_user_switch, R3_BIT(40), (uint64_t)&good) == -R3_EFAULT;
	contexts[0].saved.rdi = -1;
	resume(&contexts[0]);
	pvg_test(right && stop.rsi == 3 * 6 && stop.rdx == 3, "contexts that are none are not switched to");
}

int main(const char *cmdline)
{
	char text[4];
	(void)cmdline;
	make_spaces();
	test_own_image();
	pvg_syscall_register(on_syscall, NULL);
	pvg_user_return_register(on_return);
	for (unsigned vector = 0; vector < 32; vector++)
		pvg_trap_register(vector, on_fault, NULL);
	pvg_trap_register(X86_VEC_BP, on_breakpoint, NULL);
	bare = pvg_option("pv", text, sizeof(text)) && !pvg_strcmp(text, "off");
	pvg_irq_disable();
	if (bare)
		test_kernel_base(false);
	test_calls();
	test_interrupts();
	test_faults();
	test_vector_state();
	test_images();
	test_bases();
	if (bare)
		test_kernel_base(true);
	if (pvg_option("pv", text, sizeof(text)) && !pvg_strcmp(text, "on"))
		test_switch_refused();
	test_walls();
	test_calls();
	pvg_test(inside && !odd_segments, "behind SYSCALL the kernel has its segments");
	return pvg_test_finish();
}

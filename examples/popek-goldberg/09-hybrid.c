/*
 * 09-hybrid: theorem 3. A kernel that uses POPF, and a user program that computes. An engine that interprets the kernel
 * and lets the user program run directly has the first right and the second fast. What the user program can still find
 * out is which sensitive instructions do not trap for it either.
 */
#include <pvguest/pvguest.h>

#define USER_CODE   PVG_SPACE_BASE
#define USER_STACK  (PVG_SPACE_BASE + 0x1000000)
#define ITERATIONS  10000000
#define VECTOR_DONE 0x40

/* The user program: RAX 1 + 2 + ... + ITERATIONS, RDX what SMSW shows, then a call of the kernel. */
extern const char user_program[], user_program_end[];
__asm__(".pushsection .rodata\n"
	"user_program:\n"
	"	xor	%eax, %eax\n"
	"	mov	$10000000, %ecx\n"
	"1:	add	%rcx, %rax\n"
	"	dec	%ecx\n"
	"	jnz	1b\n"
	"	smsw	%rdx\n"
	"	int	$0x40\n"
	"user_program_end:\n"
	".popsection\n");

static struct pvg_frame result;

static void done(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	result = *frame;
	frame->rip = 0; /* no user program is there: the fault ends it */
}

static void enter_user(void *arg)
{
	struct pvg_frame frame = {.rip = USER_CODE,
				  .cs = PVG_SEL_USER_CODE,
				  .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
				  .rsp = USER_STACK + X86_PAGE_SIZE,
				  .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

/* Masks interrupts by POPF and says whether they are masked, as the frame of a trap has it. */
static void mask_and_trap(void *arg)
{
	(void)arg;
	__asm__ volatile("pushfq\n\tandq %0, (%%rsp)\n\tpopfq\n\tint3" : : "i"(~X86_RFLAGS_IF) : "memory", "cc");
}

int main(const char *cmdline)
{
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	uint8_t *code = pvg_page_alloc(), *stack = pvg_page_alloc();
	struct pvg_caught caught;

	(void)cmdline;
	pvg_catch(mask_and_trap, NULL, &caught);
	pvg_printf("kernel: POPF masks interrupts       %s\n", caught.rflags & X86_RFLAGS_IF ? "NO" : "yes");

	memcpy(code, user_program, user_program_end - user_program);
	pvg_assert(!pvg_map(pvg_space_current(), USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
	pvg_assert(!pvg_map(pvg_space_current(), USER_STACK, pvg_ptr_to_gpa(stack), 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));
	pvg_trap_register(VECTOR_DONE, done, NULL);
	pvg_trap_allow_user(VECTOR_DONE);
	pvg_catch(enter_user, NULL, &caught);
	pvg_printf("user:   the sum is right            %s\n",
		   result.rax == (uint64_t)ITERATIONS * (ITERATIONS + 1) / 2 ? "yes" : "NO");
	pvg_printf("user:   SMSW shows the kernel's CR0 %s\n", result.rdx == pvg_read_cr0() ? "yes" : "NO");
	return 0;
}

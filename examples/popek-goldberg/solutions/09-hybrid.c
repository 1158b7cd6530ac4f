/*
 * Solution of 09-hybrid: which instructions are user-sensitive. The kernel knows what each should show its user
 * program; the program asks, in registers and on its stack, and the kernel compares.
 */
#include <pvguest/pvguest.h>

#define USER_CODE   PVG_SPACE_BASE
#define USER_STACK  (PVG_SPACE_BASE + 0x1000000)
#define VECTOR_DONE 0x40

extern const char user_program[], user_program_end[];
__asm__(".pushsection .rodata\n"
	"user_program:\n"
	/* EXERCISE: SGDT to RAX, SIDT to RBX (their bases), STR to RCX, SMSW to RDX, CS to RSI, flags to RDI */
	"	sgdt	-32(%rsp)\n"
	"	mov	-30(%rsp), %rax\n"
	"	sidt	-32(%rsp)\n"
	"	mov	-30(%rsp), %rbx\n"
	"	str	%rcx\n"
	"	smsw	%rdx\n"
	"	mov	%cs, %rsi\n"
	"	pushfq\n"
	"	pop	%rdi\n"
	/* END */
	"	int	$0x40\n"
	"user_program_end:\n"
	".popsection\n");

static struct pvg_frame result;

static void done(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	result = *frame;
	frame->rip = 0;
}

/* With interrupts masked, which a kernel may do. */
static void enter_user(void *arg)
{
	struct pvg_frame frame = {.rip = USER_CODE,
				  .cs = PVG_SEL_USER_CODE,
				  .rflags = X86_RFLAGS_FIXED,
				  .rsp = USER_STACK + X86_PAGE_SIZE,
				  .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

static void say(const char *what, bool right)
{
	pvg_printf("%-38s %s\n", what, right ? "right" : "WRONG");
}

int main(const char *cmdline)
{
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	uint8_t *code = pvg_page_alloc(), *stack = pvg_page_alloc();
	struct pvg_caught caught;

	(void)cmdline;
	memcpy(code, user_program, user_program_end - user_program);
	pvg_assert(!pvg_map(pvg_space_current(), USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
	pvg_assert(!pvg_map(pvg_space_current(), USER_STACK, pvg_ptr_to_gpa(stack), 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));
	pvg_trap_register(VECTOR_DONE, done, NULL);
	pvg_trap_allow_user(VECTOR_DONE);
	pvg_catch(enter_user, NULL, &caught);
	say("SGDT: base of the kernel's GDT", result.rax == (uint64_t)pvg_gdt);
	say("SIDT: base of an IDT in the image",
	    result.rbx >= (uint64_t)pvg_image_start && result.rbx < (uint64_t)pvg_image_end);
	say("STR: the selector that LTR loaded", result.rcx == PVG_SEL_TSS);
	say("SMSW: CR0", result.rdx == pvg_read_cr0());
	say("MOV from CS: the selector of IRETQ", result.rsi == PVG_SEL_USER_CODE);
	say("PUSHF: the interrupt flag of IRETQ", !(result.rdi & X86_RFLAGS_IF));
	return 0;
}

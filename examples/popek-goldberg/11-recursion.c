/*
 * 11-recursion: a monitor in a guest. This guest is itself one: it runs a kernel of its own, the sub-guest, in its user
 * mode, takes the #GP of each privileged instruction through its IDT, and performs it on a virtual processor of its
 * own.
 */
#include <pvguest/pvguest.h>

#define SUB_CODE  PVG_SPACE_BASE
#define SUB_STACK (PVG_SPACE_BASE + 0x1000000)

/* The sub-guest: a kernel that believes it has the machine. */
extern const char sub_kernel[], sub_kernel_end[];
__asm__(".pushsection .rodata\n"
	"sub_kernel:\n"
	"	cli\n"
	"	lea	3f(%rip), %rsi\n"
	"1:	lodsb\n"
	"	test	%al, %al\n"
	"	jz	2f\n"
	"	out	%al, $0xe9\n"
	"	jmp	1b\n"
	"2:	mov	%cr3, %rax\n"
	"	mov	%rax, %cr3\n"
	"	sti\n"
	"	pushfq\n" /* masks interrupts, as it believes */
	"	andq	$~0x200, (%rsp)\n"
	"	popfq\n"
	"	hlt\n"
	"3:	.asciz	\"hello from two monitors down\\n\"\n"
	"sub_kernel_end:\n"
	".popsection\n");

/* The sub-guest's virtual processor, as far as it differs from the user mode that it runs in. */
static struct {
	uint64_t cr3;
	bool interrupts;
	unsigned cli, sti, out, cr, hlt;
} sub;

/* Where RIP of the sub-guest leads: its code page, seen by the kernel. */
static uint8_t *code;

static void emulate(struct pvg_frame *frame, void *arg)
{
	uint64_t offset = frame->rip - SUB_CODE;
	const uint8_t *insn = code + offset;

	(void)arg;
	if (!(frame->cs & X86_SEL_RPL) || offset > X86_PAGE_SIZE - 3)
		pvg_panic_frame(frame, "not the sub-guest's");
	if (insn[0] == 0xfa) { /* CLI */
		sub.cli++;
		sub.interrupts = false;
		frame->rip += 1;
	} else if (insn[0] == 0xfb) { /* STI */
		sub.sti++;
		sub.interrupts = true;
		frame->rip += 1;
	} else if (insn[0] == 0xe6 && insn[1] == X86_PORT_DEBUGCON) { /* OUT imm8, AL */
		sub.out++;
		pvg_putc((char)frame->rax);
		frame->rip += 2;
	} else if (insn[0] == 0x0f && insn[1] == 0x20 && insn[2] == 0xd8) { /* MOV RAX, CR3 */
		sub.cr++;
		frame->rax = sub.cr3;
		frame->rip += 3;
	} else if (insn[0] == 0x0f && insn[1] == 0x22 && insn[2] == 0xd8) { /* MOV CR3, RAX */
		sub.cr++;
		sub.cr3 = frame->rax;
		frame->rip += 3;
	} else if (insn[0] == 0xf4) { /* HLT */
		sub.hlt++;
		frame->rip = 0; /* the sub-guest has ended: the fault at address 0 goes to main */
	} else {
		pvg_panic_frame(frame, "an instruction that this monitor does not know");
	}
}

static void enter(void *arg)
{
	struct pvg_frame frame = {.rip = SUB_CODE,
				  .cs = PVG_SEL_USER_CODE,
				  .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
				  .rsp = SUB_STACK + X86_PAGE_SIZE,
				  .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

int main(const char *cmdline)
{
	static uint8_t trap_stack[8192] __attribute__((aligned(16)));
	struct pvg_caught caught;
	void *stack = pvg_page_alloc();

	(void)cmdline;
	code = pvg_page_alloc();
	memcpy(code, sub_kernel, sub_kernel_end - sub_kernel);
	pvg_assert(!pvg_map(pvg_space_current(), SUB_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
	pvg_assert(!pvg_map(pvg_space_current(), SUB_STACK, pvg_ptr_to_gpa(stack), 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)trap_stack + sizeof(trap_stack));
	pvg_trap_register(X86_VEC_GP, emulate, NULL);
	pvg_catch(enter, NULL, &caught);
	pvg_printf("emulated: CLI %u, STI %u, OUT %u, MOV CR3 %u, HLT %u\n", sub.cli, sub.sti, sub.out, sub.cr,
		   sub.hlt);
	pvg_printf("the sub-kernel has cleared its interrupt flag by POPF; it is %u\n", sub.interrupts);
	return 0;
}

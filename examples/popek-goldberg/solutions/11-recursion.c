/*
 * Solution of 11-recursion: two sub-guests at the same addresses, each in an address space of its own. HLT means that
 * one has nothing to do: the monitor then runs the other. Switching is to exchange the trap frame and the root.
 */
#include <pvguest/pvguest.h>

#define SUBS	 2
#define SUB_CODE PVG_SPACE_BASE

/* Prints the letter in its data, waits, and again; three times. */
extern const char sub_kernel[], sub_kernel_end[];
__asm__(".pushsection .rodata\n"
	"sub_kernel:\n"
	"	mov	$3, %ecx\n"
	"1:	mov	2f(%rip), %al\n"
	"	out	%al, $0xe9\n"
	"	hlt\n"
	"	dec	%ecx\n"
	"	jnz	1b\n"
	"	ud2\n"
	"2:	.byte	'?'\n"
	"sub_kernel_end:\n"
	".popsection\n");

static struct {
	struct pvg_space space;
	struct pvg_frame frame; /* where it stands while the other runs */
	uint8_t *code;
} subs[SUBS];

static unsigned current;

static void emulate(struct pvg_frame *frame, void *arg)
{
	uint64_t offset = frame->rip - SUB_CODE;
	const uint8_t *insn = subs[current].code + offset;

	(void)arg;
	if (!(frame->cs & X86_SEL_RPL) || offset > X86_PAGE_SIZE - 2)
		pvg_panic_frame(frame, "not a sub-guest's");
	if (insn[0] == 0xe6 && insn[1] == X86_PORT_DEBUGCON) { /* OUT imm8, AL */
		pvg_putc((char)frame->rax);
		frame->rip += 2;
	} else if (insn[0] == 0xf4) { /* HLT */
		/* EXERCISE: past the HLT; keep this one, take the other: frame and address space */
		frame->rip += 1;
		subs[current].frame = *frame;
		current = (current + 1) % SUBS;
		*frame = subs[current].frame;
		pvg_space_switch(&subs[current].space);
		/* END */
	} else {
		pvg_panic_frame(frame, "an instruction that this monitor does not know");
	}
}

static void enter(void *arg)
{
	pvg_space_switch(&subs[0].space);
	pvg_user_enter(arg);
}

int main(const char *cmdline)
{
	static uint8_t trap_stack[8192] __attribute__((aligned(16)));
	struct pvg_caught caught;

	(void)cmdline;
	for (unsigned i = 0; i < SUBS; i++) {
		uint64_t size = sub_kernel_end - sub_kernel;

		subs[i].code = pvg_page_alloc();
		memcpy(subs[i].code, sub_kernel, size);
		subs[i].code[size - 1] = (uint8_t)('A' + i);
		pvg_assert(!pvg_space_create(&subs[i].space));
		pvg_assert(!pvg_map(&subs[i].space, SUB_CODE, pvg_ptr_to_gpa(subs[i].code), 1, X86_PTE_U));
		subs[i].frame = (struct pvg_frame){.rip = SUB_CODE,
						   .cs = PVG_SEL_USER_CODE,
						   .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
						   .ss = PVG_SEL_USER_DATA};
	}
	pvg_set_kernel_stack((uint64_t)trap_stack + sizeof(trap_stack));
	pvg_trap_register(X86_VEC_GP, emulate, NULL);
	pvg_catch(enter, &subs[0].frame, &caught);
	pvg_printf("\nsub-guest %c has ended (%s)\n", 'A' + current, pvg_vector_name(caught.vector));
	return 0;
}

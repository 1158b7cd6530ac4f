/*
 * 07-equivalence: a guest that traces itself. With the trap flag set the processor raises #DB after each instruction;
 * the handler prints what the machine looks like then. Popek and Goldberg call a monitor equivalent if this trace is
 * the one of the bare machine, but for time and for the resources that there are.
 */
#include <pvguest/pvguest.h>

#define SHOWN_FLAGS (X86_RFLAGS_CF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF | X86_RFLAGS_IF)

/* Each routine ends with INT3. */
extern const char routine_gcd[], routine_flags[];
__asm__(".pushsection .text\n"
	"routine_gcd:\n" /* of 42 and 30 */
	"	mov	$42, %eax\n"
	"	mov	$30, %ecx\n"
	"1:	cmp	%ecx, %eax\n"
	"	je	3f\n"
	"	ja	2f\n"
	"	sub	%eax, %ecx\n"
	"	jmp	1b\n"
	"2:	sub	%ecx, %eax\n"
	"	jmp	1b\n"
	"3:	int3\n"
	"routine_flags:\n" /* is the interrupt flag set after CLI? */
	"	xor	%eax, %eax\n"
	"	xor	%ecx, %ecx\n"
	"	cli\n"
	"	pushfq\n"
	"	pop	%rax\n"
	"	and	$0x200, %eax\n"
	"	setnz	%cl\n"
	"	int3\n"
	".popsection\n");

static const char *routine;
static unsigned steps;
static uint64_t hash = 0xcbf29ce484222325; /* FNV-1a, a word at a time */

static void mix(uint64_t value)
{
	hash = (hash ^ value) * 0x100000001b3;
}

static void step(struct pvg_frame *frame, void *arg)
{
	uint64_t offset = frame->rip - (uint64_t)routine, flags = frame->rflags & SHOWN_FLAGS;

	(void)arg;
	steps++;
	mix(offset);
	mix(frame->rax);
	mix(frame->rcx);
	mix(flags);
	if (steps <= 8)
		pvg_printf("%4u  +%02lx  rax %4lx  rcx %4lx  flags %3lx\n", steps, offset, frame->rax, frame->rcx,
			   flags);
}

static void enter(void *arg)
{
	static uint8_t stack[8192] __attribute__((aligned(16)));
	struct pvg_frame frame = {.rip = (uint64_t)routine,
				  .cs = PVG_SEL_KERNEL_CODE,
				  .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_TF | X86_RFLAGS_IF,
				  .rsp = (uint64_t)stack + sizeof(stack),
				  .ss = PVG_SEL_KERNEL_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

int main(const char *cmdline)
{
	struct pvg_caught caught;
	char name[8];

	(void)cmdline;
	pvg_option("routine", name, sizeof(name));
	routine = pvg_strcmp(name, "flags") ? routine_gcd : routine_flags;
	pvg_trap_register(X86_VEC_DB, step, NULL);
	pvg_printf("step   at  state after it\n");
	pvg_catch(enter, NULL, &caught);
	pvg_printf("%u steps, %s at the end, trace %016lx\n", steps, pvg_vector_name(caught.vector), hash);
	return 0;
}

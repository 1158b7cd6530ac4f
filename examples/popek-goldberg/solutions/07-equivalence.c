/*
 * Solution of 07-equivalence: the state of a machine is its memory too. After each step the routine's stack page goes
 * into the hash. The routine writes the flags to memory and overwrites the register, so that a trace of registers alone
 * would show no difference; that of memory does.
 */
#include <pvguest/pvguest.h>

#define WORDS (X86_PAGE_SIZE / sizeof(uint64_t))

extern const char routine[];
__asm__(".pushsection .text\n"
	"routine:\n"
	"	cli\n"
	"	pushfq\n"
	"	andq	$0x200, (%rsp)\n"
	"	int3\n"
	".popsection\n");

static uint64_t stack[WORDS] __attribute__((aligned(4096)));
static uint64_t registers = 0xcbf29ce484222325, memory = 0xcbf29ce484222325;

static void mix(uint64_t *hash, uint64_t value)
{
	*hash = (*hash ^ value) * 0x100000001b3;
}

/*
 * The trap's own frame lies on the routine's stack, below its RSP, and is not its memory. Flags are left out of the
 * registers here: the AND would show in them.
 */
static void step(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	mix(&registers, frame->rip - (uint64_t)routine);
	mix(&registers, frame->rax);
	mix(&registers, frame->rsp - (uint64_t)stack);
	/* EXERCISE: put the stack page into the other hash */
	for (const uint64_t *word = (const uint64_t *)frame->rsp; word < stack + WORDS; word++)
		mix(&memory, *word & X86_RFLAGS_IF);
	/* END */
}

static void enter(void *arg)
{
	struct pvg_frame frame = {.rip = (uint64_t)routine,
				  .cs = PVG_SEL_KERNEL_CODE,
				  .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_TF | X86_RFLAGS_IF,
				  .rsp = (uint64_t)(stack + WORDS),
				  .ss = PVG_SEL_KERNEL_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

int main(const char *cmdline)
{
	struct pvg_caught caught;

	(void)cmdline;
	pvg_trap_register(X86_VEC_DB, step, NULL);
	pvg_catch(enter, NULL, &caught);
	pvg_printf("trace of registers %016lx\n", registers);
	pvg_printf("trace of memory    %016lx\n", memory);
	return 0;
}

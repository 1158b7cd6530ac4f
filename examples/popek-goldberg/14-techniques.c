/*
 * 14-techniques: the seven nanobenchmarks of Adams and Agesen, each done TIMES times and seen to be right. `op=NAME`
 * does one of them alone, for who counts what it takes; with `time=on` it says how long one took.
 */
#include <pvguest/pvguest.h>

#define TIMES	  10000
#define USER_CODE PVG_SPACE_BASE
#define PAGE	  (USER_CODE + X86_PAGE_SIZE)
#define NOWHERE	  (PAGE + X86_PAGE_SIZE)
#define PIC_MASK  0x21
#define UNUSED	  R3_BIT(9) /* of a page-table entry: software's */

static unsigned long traps;

/* The instructions that fault here have two bytes each. */
static void go_on(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	traps++;
	frame->rip += 2;
}

static void answer(struct pvg_frame *frame, void *arg)
{
	(void)frame;
	(void)arg;
	traps++;
}

/* The user program: TIMES system calls, then INT3, which nobody handles. */
extern const char user_program[], user_program_end[];
__asm__(".pushsection .rodata\n"
	"user_program:\n"
	"	mov	$10000, %ebx\n"
	"1:	syscall\n"
	"	dec	%ebx\n"
	"	jnz	1b\n"
	"	int3\n"
	"user_program_end:\n"
	".popsection\n");

static void enter_user(void *arg)
{
	struct pvg_frame frame = {
		.rip = USER_CODE, .cs = PVG_SEL_USER_CODE, .rflags = X86_RFLAGS_FIXED, .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

static bool do_syscall(void)
{
	struct pvg_caught caught;

	pvg_catch(enter_user, NULL, &caught);
	return traps == TIMES && caught.vector == X86_VEC_BP;
}

static bool do_in(void)
{
	unsigned long sum = 0;

	pvg_outb(PIC_MASK, 0xa5);
	for (unsigned i = 0; i < TIMES; i++)
		sum += pvg_inb(PIC_MASK);
	return sum == TIMES * 0xa5ul;
}

static bool do_cr8wr(void)
{
	uint64_t value;

	for (uint64_t i = 0; i < TIMES; i++)
		__asm__ volatile("mov %0, %%cr8" : : "r"(i % 16));
	__asm__ volatile("mov %%cr8, %0" : "=r"(value));
	__asm__ volatile("mov %0, %%cr8" : : "r"(0ul));
	return value == (TIMES - 1) % 16;
}

static bool do_callret(void)
{
	unsigned long calls = 0;

	for (unsigned i = 0; i < TIMES; i++)
		__asm__ volatile("call 1f\n\t"
				 "jmp 2f\n"
				 "1:	inc %0\n\t"
				 "ret\n"
				 "2:"
				 : "+r"(calls)
				 :
				 : "memory", "cc");
	return calls == TIMES;
}

static bool do_pgfault(void)
{
	for (unsigned i = 0; i < TIMES; i++)
		__asm__ volatile("mov (%%rdi), %%eax" : : "D"(NOWHERE) : "rax");
	return traps == TIMES;
}

static bool do_divzero(void)
{
	for (unsigned i = 0; i < TIMES; i++)
		__asm__ volatile("div %%ecx" : : "c"(0), "a"(1), "d"(0) : "cc");
	return traps == TIMES;
}

static bool do_ptemod(void)
{
	unsigned level;
	volatile uint64_t *word = (uint64_t *)PAGE, *entry = pvg_lookup(pvg_space_current(), PAGE, &level);
	uint64_t before = *entry;

	*word = TIMES;
	for (unsigned i = 0; i < TIMES; i++)
		*entry ^= UNUSED;
	return *word == TIMES && (*entry | X86_PTE_A | X86_PTE_D) == (before | X86_PTE_A | X86_PTE_D);
}

static const struct {
	const char *name;
	bool (*run)(void);
} seven[] = {
	{"syscall", do_syscall}, {"in", do_in},		  {"cr8wr", do_cr8wr},	 {"callret", do_callret},
	{"pgfault", do_pgfault}, {"divzero", do_divzero}, {"ptemod", do_ptemod},
};

static void prepare(void)
{
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	uint8_t *code = pvg_page_alloc();

	memcpy(code, user_program, user_program_end - user_program);
	pvg_assert(!pvg_map(pvg_space_current(), USER_CODE, pvg_ptr_to_gpa(code), 1, X86_PTE_U));
	pvg_assert(!pvg_map(pvg_space_current(), PAGE, pvg_ptr_to_gpa(pvg_page_alloc()), 1, X86_PTE_W));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));
	pvg_syscall_register(answer, NULL);
	pvg_trap_register(X86_VEC_PF, go_on, NULL);
	pvg_trap_register(X86_VEC_DE, go_on, NULL);
}

int main(const char *cmdline)
{
	char only[16], text[4];
	bool timed;

	(void)cmdline;
	pvg_irq_disable(); /* for the interrupt controller's mask, which is changed */
	prepare();
	pvg_option("op", only, sizeof(only));
	timed = pvg_option("time", text, sizeof(text)) && !pvg_strcmp(text, "on");
	for (unsigned i = 0; i < sizeof(seven) / sizeof(seven[0]); i++) {
		uint64_t start = timed ? pvg_clock_ns() : 0;
		bool right;

		if (*only && pvg_strcmp(only, seven[i].name))
			continue;
		traps = 0;
		right = seven[i].run();
		pvg_printf("%-8s %s", seven[i].name, right ? "right" : "WRONG");
		if (timed)
			pvg_printf(", %lu ns each", (unsigned long)((pvg_clock_ns() - start) / TIMES));
		pvg_printf("\n");
	}
	return 0;
}

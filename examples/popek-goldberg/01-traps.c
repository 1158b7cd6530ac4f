/*
 * 01-traps: the definition itself. Each row is an instruction, executed once in kernel mode and once in user mode:
 * privileged is what traps in user mode and does not in kernel mode.
 */
#include <pvguest/pvguest.h>

#define KERNEL_VIEW PVG_SPACE_BASE		 /* the page below, supervisor */
#define USER_VIEW   (PVG_SPACE_BASE + 0x1000000) /* the same page, user */
#define NOP	    0x90			 /* begins every attempt, so that the trap is the instruction's own */
#define INT3	    0xcc			 /* ends it */
#define CODE_MAX    16

static const struct {
	const char *name;
	uint8_t code[CODE_MAX];
} instructions[] = {
	{"ADD RAX, RBX", {0x48, 0x01, 0xd8}},
	{"PUSH RAX", {0x50}},
	{"CLI", {0xfa}},
	{"STI", {0xfb}},
	{"CLTS", {0x0f, 0x06}},
	{"MOV RAX, CR0", {0x0f, 0x20, 0xc0}},
	{"MOV RAX, CR3", {0x0f, 0x20, 0xd8}},
	{"MOV RAX, DR7", {0x0f, 0x21, 0xf8}},
	{"INVLPG [RAX]", {0x0f, 0x01, 0x38}},
	{"OUT 80h, AL", {0xe6, 0x80}},
	{"WBINVD", {0x0f, 0x09}},
	{"SWAPGS", {0x0f, 0x01, 0xf8}},
};

struct attempt {
	uint64_t rip, cs, rsp, ss;
};

/* Goes to the attempt's code as a trap returns to what it interrupted: IRETQ sets code, mode and stack at once. */
static void enter(void *arg)
{
	const struct attempt *attempt = arg;
	struct pvg_frame frame = {.rip = attempt->rip,
				  .cs = attempt->cs,
				  .rflags = X86_RFLAGS_FIXED,
				  .rsp = attempt->rsp,
				  .ss = attempt->ss};

	pvg_user_enter(&frame);
}

/* Runs the page's code in one mode and says how that ended: at the INT3 behind it, or earlier. */
static const char *outcome(struct attempt attempt)
{
	static char text[16];
	struct pvg_caught caught;

	pvg_catch(enter, &attempt, &caught);
	if (caught.vector == X86_VEC_BP)
		return "executes";
	pvg_snprintf(text, sizeof(text), "%s(%lu)", pvg_vector_name(caught.vector), caught.error);
	return text;
}

int main(const char *cmdline)
{
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	uint8_t *page = pvg_page_alloc();
	uint64_t gpa = pvg_ptr_to_gpa(page);

	(void)cmdline;
	pvg_assert(!pvg_map(pvg_space_current(), KERNEL_VIEW, gpa, 1, X86_PTE_W));
	pvg_assert(!pvg_map(pvg_space_current(), USER_VIEW, gpa, 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));

	pvg_printf("%-14s %-14s %s\n", "", "kernel mode", "user mode");
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		memset(page, INT3, CODE_MAX + 2);
		page[0] = NOP;
		for (unsigned n = 0; n < CODE_MAX && instructions[i].code[n]; n++)
			page[n + 1] = instructions[i].code[n];
		pvg_printf("%-14s %-14s ", instructions[i].name,
			   outcome((struct attempt){KERNEL_VIEW, PVG_SEL_KERNEL_CODE, KERNEL_VIEW + X86_PAGE_SIZE,
						    PVG_SEL_KERNEL_DATA}));
		pvg_printf("%s\n", outcome((struct attempt){USER_VIEW, PVG_SEL_USER_CODE, USER_VIEW + X86_PAGE_SIZE,
							    PVG_SEL_USER_DATA}));
	}
	return 0;
}

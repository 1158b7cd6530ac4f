/*
 * Solution of 01-traps: five more rows, in user mode only. The first three trap; PUSHF and POPF do not, although a
 * kernel means something by them. They are the subject of the next lessons.
 */
#include <pvguest/pvguest.h>

#define USER_VIEW PVG_SPACE_BASE
#define INT3	  0xcc
#define CODE_MAX  16

static const struct {
	const char *name;
	uint8_t code[CODE_MAX];
} instructions[] = {
	/* EXERCISE: HLT, RDMSR, LMSW AX, PUSHF, and PUSHF; POPF: a name and the bytes of each */
	{"HLT", {0xf4}},   {"RDMSR", {0x0f, 0x32}},	  {"LMSW AX", {0x0f, 0x01, 0xf0}},
	{"PUSHF", {0x9c}}, {"PUSHF; POPF", {0x9c, 0x9d}},
	/* END */
};

static void enter(void *arg)
{
	struct pvg_frame frame = {.rip = USER_VIEW,
				  .cs = PVG_SEL_USER_CODE,
				  .rflags = X86_RFLAGS_FIXED,
				  .rsp = USER_VIEW + X86_PAGE_SIZE,
				  .ss = PVG_SEL_USER_DATA};

	(void)arg;
	pvg_user_enter(&frame);
}

int main(const char *cmdline)
{
	static uint8_t kernel_stack[8192] __attribute__((aligned(16)));
	uint8_t *page = pvg_page_alloc();

	(void)cmdline;
	pvg_assert(!pvg_map(pvg_space_current(), USER_VIEW, pvg_ptr_to_gpa(page), 1, X86_PTE_W | X86_PTE_U));
	pvg_set_kernel_stack((uint64_t)kernel_stack + sizeof(kernel_stack));
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]); i++) {
		struct pvg_caught caught;

		memset(page, INT3, CODE_MAX + 1);
		for (unsigned n = 0; n < CODE_MAX && instructions[i].code[n]; n++)
			page[n] = instructions[i].code[n];
		pvg_catch(enter, NULL, &caught);
		pvg_printf("%-12s %s\n", instructions[i].name,
			   caught.vector == X86_VEC_BP ? "executes" : pvg_vector_name(caught.vector));
	}
	return 0;
}

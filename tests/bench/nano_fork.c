/*
 * forkwait in the small: a process of PAGES pages forks, the child writes to WRITTEN of them and ends, the parent
 * writes to them as well; with copies on write, as a Unix does it.
 */
#include <pvguest/pvguest.h>

#include "tests/bench/nano.h"

#define CODE	PVG_SPACE_BASE
#define DATA	(PVG_SPACE_BASE + R3_BIT(X86_LARGE_SHIFT))
#define PAGES	32
#define WRITTEN 4

#define SYS_FORK 1
#define SYS_EXIT 2

#define PRIVATE (X86_PTE_U | X86_PTE_A | X86_PTE_D | X86_PTE_W)
#define SHARED	(X86_PTE_U | X86_PTE_A)

/* RBX forks, data from RBP on. */
extern const char fork_program[], fork_program_end[];
__asm__(".pushsection .rodata\n"
	"fork_program:\n"
	"1:	mov	$1, %eax\n"
	"	syscall\n"
	"	.set	page, 0\n"
	"	.rept	4\n"
	"	incq	page(%rbp)\n"
	"	.set	page, page + 4096\n"
	"	.endr\n"
	"	test	%eax, %eax\n"
	"	jz	2f\n"
	"	dec	%rbx\n"
	"	jnz	1b\n"
	"	int3\n"
	"2:	mov	$2, %eax\n"
	"	syscall\n"
	"fork_program_end:\n"
	".popsection\n");

struct process {
	struct pvg_user user;
	struct pvg_space space;
	void *page[PAGES];
};

static struct process parent, child;
static void *code;

static struct process *current(const struct pvg_frame *frame)
{
	return frame == pvg_user_frame(&child.user) ? &child : &parent;
}

/* A page of the child that is still the parent's is copied; any other may be written to again. */
static void write_fault(struct pvg_frame *frame, void *arg)
{
	struct process *process = current(frame);
	uint64_t gva = pvg_fault_address() & ~X86_PAGE_MASK, page = (gva - DATA) >> X86_PAGE_SHIFT;

	(void)arg;
	if (!(frame->error & X86_PF_U) || page >= PAGES)
		pvg_panic_frame(frame, "a page fault that is not part of the measurement, at 0x%lx", gva);
	if (process == &parent || child.page[page] != parent.page[page]) {
		pvg_assert(!pvg_protect(&process->space, gva, 1, PRIVATE));
		return;
	}
	child.page[page] = pvg_page_alloc();
	pvg_assert(child.page[page]);
	memcpy(child.page[page], parent.page[page], X86_PAGE_SIZE);
	pvg_assert(!pvg_map(&child.space, gva, pvg_ptr_to_gpa(child.page[page]), 1, PRIVATE));
}

static _Noreturn void do_fork(const struct pvg_frame *frame)
{
	pvg_assert(!pvg_space_create(&child.space));
	pvg_assert(!pvg_map(&child.space, CODE, pvg_ptr_to_gpa(code), 1, SHARED));
	for (unsigned i = 0; i < PAGES; i++) {
		child.page[i] = parent.page[i];
		pvg_assert(!pvg_map(&child.space, DATA + i * X86_PAGE_SIZE, pvg_ptr_to_gpa(child.page[i]), 1, SHARED));
	}
	pvg_assert(!pvg_protect(&parent.space, DATA, PAGES, SHARED));
	*pvg_user_frame(&child.user) = *frame;
	pvg_user_frame(&child.user)->rax = 0;
	pvg_user_switch(&parent.user, &child.user);
	pvg_user_enter(pvg_user_frame(&child.user));
}

static _Noreturn void do_exit(void)
{
	pvg_user_switch(&child.user, &parent.user);
	for (unsigned i = 0; i < PAGES; i++)
		if (child.page[i] != parent.page[i])
			pvg_page_free(child.page[i]);
	pvg_space_destroy(&child.space);
	pvg_user_enter(pvg_user_frame(&parent.user));
}

static void system_call(struct pvg_frame *frame, void *arg)
{
	(void)arg;
	if (frame->rax == SYS_EXIT)
		do_exit();
	do_fork(frame);
}

static void prepare(struct process *process)
{
	static char stacks[2][2 * X86_PAGE_SIZE] __attribute__((aligned(16)));
	static unsigned used;

	process->user = (struct pvg_user){
		.stack_top = (uint64_t)stacks[used++] + sizeof(stacks[0]),
		.space = &process->space,
		.fpu = pvg_pages_alloc((pvg_fpu_size() + X86_PAGE_MASK) >> X86_PAGE_SHIFT, 1),
	};
	pvg_assert(process->user.fpu);
	pvg_fpu_reset(process->user.fpu);
}

static void prepare_parent(void)
{
	prepare(&parent);
	prepare(&child);
	code = pvg_page_alloc();
	pvg_assert(code && !pvg_space_create(&parent.space));
	memcpy(code, fork_program, (size_t)(fork_program_end - fork_program));
	pvg_assert(!pvg_map(&parent.space, CODE, pvg_ptr_to_gpa(code), 1, SHARED));
	for (unsigned i = 0; i < PAGES; i++) {
		parent.page[i] = pvg_page_alloc();
		pvg_assert(parent.page[i]);
		pvg_assert(
			!pvg_map(&parent.space, DATA + i * X86_PAGE_SIZE, pvg_ptr_to_gpa(parent.page[i]), 1, PRIVATE));
	}
}

static void enter(void *arg)
{
	(void)arg;
	pvg_user_enter(pvg_user_frame(&parent.user));
}

uint64_t nano_forkwait(uint64_t count)
{
	struct pvg_caught caught;
	uint64_t start, ticks;

	if (!code)
		prepare_parent();
	pvg_syscall_register(system_call, NULL);
	pvg_trap_register(X86_VEC_PF, write_fault, NULL);
	*pvg_user_frame(&parent.user) = (struct pvg_frame){.rip = CODE,
							   .cs = PVG_SEL_USER_CODE,
							   .rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF,
							   .ss = PVG_SEL_USER_DATA,
							   .rbp = DATA,
							   .rbx = count};
	pvg_user_switch(NULL, &parent.user);
	start = pvg_rdtsc();
	pvg_catch(enter, NULL, &caught);
	ticks = pvg_rdtsc() - start;
	pvg_assert(caught.vector == X86_VEC_BP);
	pvg_user_unload();
	pvg_trap_register(X86_VEC_PF, NULL, NULL);
	return ticks;
}

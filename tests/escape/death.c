/*
 * A program claims an exit, runs on, and dies while its kernel answers: before, between and after what the kernel asks
 * of the monitor.
 */
#include "forge.h"

#define LAZY	    R3_BIT(40)
#define DEATH_TICKS 40000000 /* of the time stamp counter: until the host has ended the process, ten times over */

static volatile unsigned step, last_step;

/* By a fault with the stack pointer in the signal stack: the host finds no room there for a frame. */
static void die_at(uint64_t when)
{
	uint64_t start;

	raw_syscall(1, 0, 0, 0, 0, 0, 0);
	start = pvg_rdtsc();
	forge_frame()->rip = (uint64_t)die_at;
	forge_frame()->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	forge_frame()->signo = HOST_SIGSEGV;
	forge_frame()->code = 1;
	forge_frame()->trapno = X86_VEC_PF;
	forge_frame()->error = X86_PF_U;
	forge_frame()->cr2 = LAZY;
	forge_handover(GATE_KIND_SIGNAL);
	while (step < when && pvg_rdtsc() - start < 10 * (uint64_t)DEATH_TICKS)
		;
	__asm__ volatile("mov %0, %%rsp\n\tud2" : : "r"(GATE_STACK + 0x200));
}

static void honest(uint64_t arg)
{
}

static void next_step(void)
{
	uint64_t start = pvg_rdtsc();

	step++;
	if (step == last_step)
		while (pvg_rdtsc() - start < DEATH_TICKS)
			;
}

/* What a kernel does about a page fault, and then some. */
static void answer(struct pvg_frame *frame, void *page)
{
	const uint64_t rights = X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D;
	struct pvg_space *space = pvg_space_boot(), other;

	next_step();
	pvg_assert(!pvg_map(space, LAZY, pvg_ptr_to_gpa(page), 1, rights));
	next_step();
	pvg_assert(!pvg_protect(space, LAZY, 1, rights & ~X86_PTE_W));
	next_step();
	pvg_unmap(space, LAZY, 1);
	next_step();
	pvg_write_cr3(pvg_read_cr3());
	next_step();
	pvg_assert(!pvg_space_create(&other));
	pvg_space_switch(&other);
	next_step();
	pvg_space_switch(space);
	pvg_space_destroy(&other);
	next_step();
	pvg_wrmsr(X86_MSR_FS_BASE, pvg_rdmsr(X86_MSR_FS_BASE));
	next_step();
	pvg_assert(!pvg_map(space, LAZY, pvg_ptr_to_gpa(page), 1, rights));
	next_step();
	pvg_unmap(space, LAZY, 1);
	frame->rip = (uint64_t)honest; /* a program that is dead does not get there */
}

void attack_death(void)
{
	void *page = pvg_page_alloc();
	struct pvg_caught caught;
	char text[8];
	bool traced = pvg_option("transport", text, sizeof(text)) && text[0] == 'p';

	user_init();
	for (last_step = 1; last_step < 11; last_step++) {
		step = 0;
		pvg_trap_register(X86_VEC_PF, answer, page);
		user_run(die_at, last_step, &caught);
		pvg_trap_register(X86_VEC_PF, NULL, NULL);
		/* Under ptrace nothing is believed: it ends by its own #UD. */
		pvg_test_equal(caught.vector, traced ? X86_VEC_UD : X86_VEC_GP, "death at step %u is the program's own",
			       last_step);
		pvg_test(user_run(honest, 0, &caught), "and the next program runs");
	}
}

/*
 * What an exit is to the guest whose SYSCALL was made cheap, for each byte between the place and the gate: the moments
 * are too short for a guest to be met there often.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "monitor/engine/trap/sites_internal.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vcpu.h"

#define PAGE	0x400000
#define ENTRIES 0x6467000
#define OFFSET	64
#define LENGTH	7
#define END	(PAGE + OFFSET + LENGTH + SYSCALL_LENGTH)
#define AT	(ENTRIES + OFFSET + JMP_LENGTH + LEAD_OFFSET) /* the entry */
#define NOWHERE 0x123456789abcdef0

static struct trap trap;
static struct cell cell = {.owner = &trap.cells, .sites = {.count = 1}};
static struct vcpu vcpu;

static int set_up(void **state)
{
	trap.cells.sites.slot[0] = (struct sites_slot){
		.gpa = 0x1000, .gva = PAGE, .entries = ENTRIES, .cells = 1, .count = 1, .site = {{OFFSET, LENGTH}}};
	return 0;
}

static struct vm_exit leave(uint64_t rip, struct vm_exit exit)
{
	vcpu.rip = rip;
	vcpu.gpr[RCX] = NOWHERE;
	sites_take_exit(&trap, &cell, &vcpu, &exit);
	assert_int_equal(cell.sites.count, 1);
	return exit;
}

static void kicked(uint64_t rip, unsigned reason, uint64_t shown)
{
	struct vm_exit exit = leave(rip, (struct vm_exit){.reason = EXIT_KICK});

	assert_int_equal(exit.reason, reason);
	assert_int_equal(vcpu.rip, shown);
}

/* Before the instruction, behind it, or with the SYSCALL made, whose RCX the gate's entry has loaded. */
static void test_kicks(void **state)
{
	kicked(AT, EXIT_KICK, PAGE + OFFSET);
	kicked(AT + LENGTH, EXIT_KICK, PAGE + OFFSET + LENGTH);
	kicked(AT + LENGTH + LEA_LENGTH, EXIT_SYSCALL, NOWHERE);
	kicked(ENTRIES + TAIL, EXIT_SYSCALL, NOWHERE);
	kicked(ENTRIES + TAIL_JMP, EXIT_SYSCALL, NOWHERE);
	/* No kick of the host's comes within an instruction. */
	kicked(AT + 1, EXIT_KICK, AT + 1);
	kicked(PAGE + OFFSET, EXIT_KICK, PAGE + OFFSET);
	kicked(END, EXIT_KICK, END);
}

static void faulted(uint64_t rip, uint8_t vector, uint64_t gva, uint8_t shown, uint64_t at)
{
	struct vm_exit exit = leave(rip, (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = vector, .gva = gva});

	assert_int_equal(exit.reason, EXIT_EXCEPTION);
	assert_int_equal(exit.vector, shown);
	assert_int_equal(vcpu.rip, at);
}

/* What the instruction did is told of the place; all else there is a jump to where nothing is. */
static void test_faults(void **state)
{
	faulted(AT, X86_VEC_PF, NOWHERE, X86_VEC_PF, PAGE + OFFSET);
	faulted(AT, X86_VEC_GP, 0, X86_VEC_GP, PAGE + OFFSET);
	for (uint64_t rip = ENTRIES; rip < ENTRIES + GATE_PAGE; rip++) {
		if (rip == AT)
			continue;
		faulted(rip, X86_VEC_UD, 0, X86_VEC_PF, rip);
		struct vm_exit exit = leave(rip, (struct vm_exit){.reason = EXIT_SYSCALL});
		assert_int_equal(exit.vector, X86_VEC_PF);
		assert_int_equal(exit.error, X86_PF_I);
		assert_int_equal(exit.gva, rip);
	}
	faulted(PAGE + OFFSET, X86_VEC_UD, 0, X86_VEC_UD, PAGE + OFFSET); /* the jump itself is none */
	faulted(PAGE + OFFSET + LENGTH, X86_VEC_UD, 0, X86_VEC_UD, PAGE + OFFSET + LENGTH);
	faulted(END, X86_VEC_PF, NOWHERE, X86_VEC_PF, END);
}

/* A cell that is gone says nothing. */
static void test_death(void **state)
{
	struct vm_exit exit = leave(AT, (struct vm_exit){.reason = EXIT_DEAD});

	assert_int_equal(exit.reason, EXIT_DEAD);
	assert_int_equal(vcpu.rip, AT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kicks, set_up),
		cmocka_unit_test_setup(test_faults, set_up),
		cmocka_unit_test_setup(test_death, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * What an exit is to the guest whose SYSCALL was made cheap, for each byte between the place and the gate: the moments
 * are too short for a guest to be met there often. And which code is executed in two ways.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/* A place in a page of NOPs, with `code` from `at` on. */
static bool has_one_way(unsigned offset, unsigned at, const char *code, unsigned len)
{
	static const uint8_t place[] = {0xb8, 0x25, 0, 0, 0, 0x0f, 0x05, 0xc3};
	const struct site site = {(uint16_t)offset, JMP_LENGTH};
	uint8_t page[GATE_PAGE];

	memset(page, 0x90, sizeof(page));
	memcpy(page + offset, place, sizeof(place));
	memcpy(page + at, code, len);
	return sites_has_one_way(page, &site);
}
#define ONE_WAY(at, code) has_one_way(1000, at, code, sizeof(code) - 1)

static void test_ways(void **state)
{
	assert_true(ONE_WAY(0, ""));
	/* Before it stands an instruction that ends there, or reaches in, or may be one. */
	assert_true(ONE_WAY(998, "\xb2\xb1"));
	assert_false(ONE_WAY(999, "\x41"));
	assert_false(ONE_WAY(999, "\xb1"));
	assert_false(ONE_WAY(999, "\x0f"));
	assert_false(ONE_WAY(998, "\x66\x66"));
	/* Jumps to its last byte, which is another instruction's beginning, from either side; or to its first one. */
	assert_false(ONE_WAY(996, "\x75\x01\xb2\xb1"));
	assert_true(ONE_WAY(996, "\x75\x00\xb2\xb1"));
	assert_false(ONE_WAY(990, "\xeb\x07\x90\x90\x90\x90\x90\x90\xb2\xb1"));
	assert_false(ONE_WAY(998, "\xb2\xb1\xb8\x25\0\0\0\x0f\x05\xc3\xeb\xf5"));
	assert_false(ONE_WAY(998, "\xb2\xb1\xb8\x25\0\0\0\x0f\x05\xc3\xe3\xf5"));
	assert_true(ONE_WAY(998, "\xb2\xb1\xb8\x25\0\0\0\x0f\x05\xc3\xe3\xf6"));
	/* The byte that is jumped to ends where the place begins. */
	assert_true(ONE_WAY(996, "\x75\x01\xb2\x90"));
}

/* Of 32 bits from anywhere in the page, in the middle of something else too. */
static void test_far_ways(void **state)
{
	for (unsigned at = 16; at < GATE_PAGE - 8; at += 16) {
		uint8_t page[GATE_PAGE];
		const struct site site = {2000, JMP_LENGTH};
		const int32_t distance = 1999 - (int32_t)(at + 6);
		static const uint8_t place[] = {0xb2, 0xb1, 0xb8, 0x25, 0, 0, 0, 0x0f, 0x05};
		static const uint8_t jumps[][2] = {{0x90, 0xe8}, {0xb0, 0xe9}, {0x0f, 0x84}};
		if (at + 6 > 1998 && at < 2010)
			continue;
		for (unsigned n = 0; n < 3; n++) {
			memset(page, 0x90, sizeof(page));
			memcpy(page + 1998, place, sizeof(place));
			assert_true(sites_has_one_way(page, &site));
			memcpy(page + at, jumps[n], 2);
			memcpy(page + at + 2, &distance, sizeof(distance));
			assert_false(sites_has_one_way(page, &site));
		}
	}
}

/* What lies in the page before may reach as far as that, and what lies in the next one is not read. */
static void test_ends_of_ways(void **state)
{
	assert_false(has_one_way(X86_INSN_MAX - 1, 0, "", 0));
	for (unsigned offset = X86_INSN_MAX; offset <= GATE_PAGE - 8; offset++)
		assert_true(has_one_way(offset, 0, "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_kicks, set_up),
		cmocka_unit_test_setup(test_faults, set_up),
		cmocka_unit_test_setup(test_death, set_up),
		cmocka_unit_test(test_ways),
		cmocka_unit_test(test_far_ways),
		cmocka_unit_test(test_ends_of_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The cause that a crash report gives: one test for each way in which a delivery can fail, on a machine that dies of
 * it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/debug/crash/report.h"
#include "monitor/run/inject.h"
#include "monitor/vm/layout.h"
#include "tests/unit/capture.h"
#include "tests/unit/machine_fixture.h"

#define ABSENT 0xdead000 /* no page table maps it */

static struct capture said;

static void cause(struct machine_fixture *m)
{
	capture_start(&said, stderr);
	report_cause(m->vcpu, stderr);
	capture_end(&said);
}

/* The fragments come in this order. */
static void expect_list(const char *const *fragments)
{
	const char *at = said.text;

	for (; *fragments; fragments++) {
		at = strstr(at, *fragments);
		if (!at)
			fail_msg("no \"%s\", or not in order, in:\n%s", *fragments, said.text);
		at += strlen(*fragments);
	}
}
#define expect(...) expect_list((const char *const[]){__VA_ARGS__, NULL})

/* Whose double fault finds no gate: the first exception decides what is said. */
static void die(struct machine_fixture *m)
{
	inject_event(m->vcpu);
	assert_true(m->vm.ended);
	cause(m);
}

static void die_of_page_fault(struct machine_fixture *m)
{
	vcpu_raise_page_fault(m->vcpu, ABSENT, X86_PF_W);
	die(m);
	expect("Cause:\n  The page fault at 0xdead000 (write by the kernel, not mapped) could not be delivered: ");
}

static struct fix_gate good(unsigned vector)
{
	return (struct fix_gate){
		.address = FIX_HANDLER + vector * 16u, .selector = FIX_KCODE, .type = X86_GATE_INTERRUPT};
}

/* The gates of the page fault is as given, all others that count are not present. */
static void gates(struct machine_fixture *m, struct fix_gate gate)
{
	struct fix_gate absent = good(0);

	absent.absent = true;
	fix_gate(m, X86_VEC_DF, absent);
	fix_gate(m, X86_VEC_NP, absent);
	fix_gate(m, X86_VEC_GP, absent);
	fix_gate(m, X86_VEC_TS, absent);
	fix_gate(m, X86_VEC_SS, absent);
	fix_gate(m, X86_VEC_PF, gate);
}

static void gate_absent(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.absent = true;
	gates(m, gate);
	die_of_page_fault(m);
	expect("the guest's IDT entry 14 is not present.\n",
	       "  That raised #NP, and a second exception on the way to the first one's handler is a double fault.\n",
	       "  The double fault could not be delivered either: the guest's IDT entry 8 is not present.\n",
	       "a triple fault.\n");
}

static void idt_missing(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->idtr = (struct vcpu_table){0};
	die_of_page_fault(m);
	expect("the guest has no IDT: it never executed LIDT", "That raised #GP");
}

static void idt_short(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->idtr.limit = 8 * X86_GATE_SIZE - 1;
	die_of_page_fault(m);
	expect("the guest's IDT is too short: its limit 0x7f leaves room for 8 entries, entry 14 lies beyond",
	       "entry 8 lies beyond");
}

static void idt_unmapped(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->idtr.base = ABSENT;
	die_of_page_fault(m);
	expect("the guest's IDT entry 14 lies at 0xdead0e0, which the page tables do not map", "That raised #PF");
	m->vcpu->idtr.base = FIX_NONCANONICAL;
	cause(m);
	expect("entry 14 lies at 0x8000000000e0, which is no canonical address");
}

static void gate_empty(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	fix_put64(m, FIX_IDT + X86_VEC_PF * X86_GATE_SIZE, 0);
	fix_put64(m, FIX_IDT + X86_VEC_PF * X86_GATE_SIZE + 8, 0);
	die_of_page_fault(m);
	expect("the guest's IDT entry 14 is empty");
}

static void gate_type(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.type = 5;
	gates(m, gate);
	die_of_page_fault(m);
	expect("the guest's IDT entry 14 is of type 0x5, which is neither an interrupt gate (0xe) nor a trap gate");
}

/* INT n from user mode: #GP, for which there is no gate; a single fault is no double one. */
static void gate_dpl(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	fix_gate(m, 0x30, good(0x30));
	fix_user(m);
	vcpu_raise_soft(m->vcpu, 0x30, 2);
	die(m);
	expect("The INT 0x30 could not be delivered: the guest's IDT entry 48 has DPL 0, and INT 0x30 was executed at "
	       "CPL 3.\n",
	       "  That raised #GP.\n", "The #GP (vector 13) could not be delivered either: ", "entry 13 is not present",
	       "double fault");
}

static void code_selector(void **state)
{
	static const struct {
		uint16_t selector;
		const char *text;
	} cases[] = {
		{0, "has a null selector for its code segment"},
		{FIX_KDATA, "which is no code segment"},
		{FIX_CODE32, "which is not 64-bit code"},
		{FIX_ABSENT_CODE, "which is not present"},
		{FIX_UCODE, "of DPL 3, and an exception at CPL 0 cannot go to less privilege"},
		{0xff8, "which lies beyond its table (the GDT's limit is 0x"},
	};
	struct machine_fixture *m = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fix_gate gate = good(X86_VEC_PF);
		gate.selector = cases[i].selector;
		fix_reset(m);
		gates(m, gate);
		die_of_page_fault(m);
		expect("the handler of vector 14 ", cases[i].text);
	}
}

static void code_address(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.address = FIX_NONCANONICAL;
	gates(m, gate);
	die_of_page_fault(m);
	expect("names code selector 0x8, and address 0x800000000000, which is not canonical");
}

static void gdt_unmapped(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	m->vcpu->gdtr.base = ABSENT;
	die_of_page_fault(m);
	expect("and the descriptor table at 0xdead000 is not mapped");
}

static void stack_unmapped(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	m->vcpu->gpr[RSP] = FIX_HOLE + X86_PAGE_SIZE;
	die_of_page_fault(m);
	expect("the exception frame belongs below 0x1f1000 (RSP), which the page tables do not map; the page above it "
	       "is mapped, so the stack has probably overflowed");
}

static void stack_readonly(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	fix_map(m, FIX_STACK - X86_PAGE_SIZE, (FIX_STACK - X86_PAGE_SIZE) | X86_PTE_P);
	m->vcpu->cr0 |= X86_CR0_WP;
	m->vcpu->gpr[RSP] = FIX_STACK;
	die_of_page_fault(m);
	expect("(RSP), which the page tables map read-only.\n");
}

static void ist_unmapped(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.ist = 2;
	gates(m, gate);
	fix_put64(m, FIX_TSS + X86_TSS_IST1 + 8, ABSENT);
	die_of_page_fault(m);
	expect("the exception frame belongs below 0xdead000 (IST2), which the page tables do not map.\n");
	fix_put64(m, FIX_TSS + X86_TSS_IST1 + 8, FIX_NONCANONICAL + 0x1000);
	cause(m);
	expect("(IST2), which is no canonical address.\n");
}

static void rsp0(void **state)
{
	struct machine_fixture *m = *state;

	gates(m, good(X86_VEC_PF));
	fix_user(m);
	fix_put64(m, FIX_TSS + X86_TSS_RSP0, FIX_HOLE + 64);
	vcpu_raise_page_fault(m->vcpu, ABSENT, X86_PF_U);
	die(m);
	expect("The page fault at 0xdead000 (read by user mode, not mapped) could not be delivered: ",
	       "belongs below 0x1f0040 (RSP0), which the page tables do not map");
	m->vcpu->tr.present = false;
	cause(m);
	expect("RSP0 is taken from the TSS, and the guest has none: it never executed LTR");
	m->vcpu->tr.present = true;
	m->vcpu->tr.limit = 4;
	cause(m);
	expect("RSP0 lies beyond the end of the TSS (limit 0x4)");
	m->vcpu->tr.limit = 0x67;
	m->vcpu->tr.base = ABSENT;
	cause(m);
	expect("RSP0 in the TSS lies at 0xdead004, which the page tables do not map");
}

/* The page-fault handler is itself not there: frames eat the stack until that is gone, too. */
static void handler_unmapped(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.address = FIX_HOLE + 0x10;
	gates(m, gate);
	m->vcpu->gpr[RSP] = FIX_HOLE + X86_PAGE_SIZE + 64;
	for (unsigned i = 0; i < 4 && !m->vm.ended; i++) {
		vcpu_raise_page_fault(m->vcpu, i ? FIX_HOLE + 0x10 : ABSENT, i ? X86_PF_I : X86_PF_W);
		inject_event(m->vcpu);
	}
	assert_true(m->vm.ended);
	cause(m);
	expect("Cause:\n  The handler of vector 14 is at 0x1f0010, which the page tables do not map: each attempt to "
	       "run it faulted again, until no stack was left.\n",
	       "(fetch by the kernel, not mapped) could not be delivered: the exception frame belongs below");
}

static void handler_not_executable(void **state)
{
	struct machine_fixture *m = *state;
	struct fix_gate gate = good(X86_VEC_PF);

	gate.address = FIX_DATA;
	gates(m, gate);
	m->vcpu->efer |= X86_EFER_NXE;
	fix_map(m, FIX_DATA, FIX_DATA | X86_PTE_P | X86_PTE_W | X86_PTE_NX);
	m->vcpu->rip = FIX_DATA;
	m->vcpu->gpr[RSP] = FIX_HOLE + 16;
	vcpu_raise_page_fault(m->vcpu, FIX_DATA, X86_PF_I | X86_PF_P);
	die(m);
	expect("The handler of vector 14 is at 0x18000, which the page tables map as not executable: ");
}

static void trap_table(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->pv.has_traps = true;
	die_of_page_fault(m);
	expect("the guest's trap table (hypercall set_trap_table) has no handler for vector 14", "vector 8");
	fix_reset(m);
	m->vcpu->pv.has_traps = true;
	fix_user(m);
	vcpu_raise_soft(m->vcpu, 0x30, 2);
	die(m);
	expect("the guest's trap table permits INT 0x30 from CPL 0 at most, and it was executed at CPL 3");
}

static void halted(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->halted = true;
	vcpu_set_if(m->vcpu, false);
	cause(m);
	expect("executed HLT (or the hypercall block) with its interrupt flag clear", "STI; HLT");
}

static void in_the_gate(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->rip = GATE_HOLE_START + 0x123;
	cause(m);
	expect("in the monitor's part of the address space", "a hypercall was made with RSP pointing to no stack");
}

/* What is no mystery is not explained. */
static void nothing_to_say(void **state)
{
	struct machine_fixture *m = *state;

	cause(m);
	assert_string_equal(said.text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gate_absent),  TEST(idt_missing),	TEST(idt_short),	TEST(idt_unmapped),
		TEST(gate_empty),   TEST(gate_type),	TEST(gate_dpl),		TEST(code_selector),
		TEST(code_address), TEST(gdt_unmapped), TEST(stack_unmapped),	TEST(stack_readonly),
		TEST(ist_unmapped), TEST(rsp0),		TEST(handler_unmapped), TEST(handler_not_executable),
		TEST(trap_table),   TEST(halted),	TEST(in_the_gate),	TEST(nothing_to_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

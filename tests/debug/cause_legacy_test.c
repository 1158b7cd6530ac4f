/*
 * The cause that a crash report gives outside long mode: one case for each way in which a delivery can fail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/debug/crash/report.h"
#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/capture.h"
#include "tests/unit/legacy_fixture.h"

static struct capture said;

/* No gate of any other vector: what comes of the page fault kills. */
static int setup(void **state)
{
	struct machine_fixture *m;

	legacy_setup(state);
	m = *state;
	for (unsigned v = 0; v < X86_VEC_COUNT; v++)
		fix_put64(m, FIX_IDT + v * 8, 0);
	return 0;
}

static void gate(struct machine_fixture *m, uint16_t selector, unsigned type)
{
	legacy_put_idt_gate(m, X86_VEC_PF, selector, type, 0);
}

static void expect_death(struct machine_fixture *m, const char *why)
{
	vcpu_raise_page_fault(m->vcpu, 0xdead000, X86_PF_W);
	inject_event(m->vcpu);
	assert_true(m->vm.ended);
	capture_start(&said, stderr);
	report_cause(m->vcpu, stderr);
	capture_end(&said);
	if (!strstr(said.text, why) || !strstr(said.text, "a triple fault"))
		fail_msg("no \"%s\" in:\n%s", why, said.text);
}

static void gates(void **state)
{
	struct machine_fixture *m = *state;

	expect_death(m, "could not be delivered: the guest's IDT entry 14 is empty.\n");
}

static void no_idt(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->idtr.limit = 0;
	expect_death(m, "the guest has no IDT");
}

static void short_idt(void **state)
{
	struct machine_fixture *m = *state;

	m->vcpu->idtr.limit = 14 * 8;
	expect_death(m, "its limit 0x70 leaves room for 14 entries, entry 14 lies beyond");
}

static void wrong_type(void **state)
{
	struct machine_fixture *m = *state;

	gate(m, CODE0, X86_SYSTYPE_LDT);
	expect_death(m, "entry 14 is of type 0x2, which is no interrupt, trap or task gate");
}

static void absent_gate(void **state)
{
	struct machine_fixture *m = *state;

	gate(m, CODE0, X86_GATE_TRAP & ~X86_SYSTYPE_32);
	fix_put64(m, FIX_IDT + 14 * 8, fix_get64(m, FIX_IDT + 14 * 8) & ~X86_DESC_P);
	expect_death(m, "entry 14, a 16-bit trap gate, is not present");
}

static void task_gate(void **state)
{
	struct machine_fixture *m = *state;

	gate(m, TASK_A, X86_GATE_TASK);
	expect_death(m, "a task, by TSS selector 0x28, that could not be switched to");
}

static void code(void **state)
{
	static const struct {
		uint16_t selector;
		const char *why;
	} cases[] = {
		{0, "code selector 0x0 is null"},
		{LAST + 8, "code selector 0x70 lies beyond its table"},
		{DATA0, "code selector 0x10 is no code segment"},
		{CODE3 & ~3, "code selector 0x18 is of less privilege"},
	};
	struct machine_fixture *m = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		m->vm.ended = false;
		gate(m, cases[i].selector, X86_GATE_INTERRUPT);
		expect_death(m, cases[i].why);
	}
	m->vm.ended = false;
	gate(m, CODE16, X86_GATE_INTERRUPT);
	fix_put64(m, FIX_GDT + CODE16, DESC32(0, 0xfff, 0x1b, 0));
	expect_death(m, "code selector 0x50 ends before the handler's offset");
}

static void stacks(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;

	gate(m, CODE0, X86_GATE_INTERRUPT);
	c->sreg[SREG_SS] = seg_make(DOWN, fix_get64(m, FIX_GDT + DOWN));
	c->gpr[RSP] = 0x1008;
	expect_death(m, "belongs below 0x60:0x1008 (SS:ESP), beyond that segment's limit 0xfff");
	m->vm.ended = false;
	legacy_to_user(c);
	legacy_put32(m, TSS_A + 8, DATA3);
	expect_death(m, "the TSS names stack selector 0x23 for privilege 0, which is no stack of that");
	m->vm.ended = false;
	c->tr.limit = 4;
	expect_death(m, "the stack of privilege 0 cannot be read from the TSS (limit 0x4)");
	m->vm.ended = false;
	c->tr.present = false;
	expect_death(m, "never executed LTR");
}

static void real_mode(void **state)
{
	struct machine_fixture *m = *state;

	legacy_to_real(m->vcpu);
	m->vcpu->idtr.limit = 7;
	expect_death(m, "the guest's interrupt table is too short: its limit 0x7 leaves room for 2 entries");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(gates),     T(no_idt), T(short_idt), T(wrong_type), T(absent_gate),
		T(task_gate), T(code),	 T(stacks),    T(real_mode),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Faults while an event is delivered: SDM 3A table 6-5 in full, the triple fault and what is reported of it; and IRET.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/exits.h"
#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

static unsigned arrived(const struct vcpu *c)
{
	return (unsigned)(c->rip - FIX_HANDLER) / 16;
}

static uint64_t top(struct machine_fixture *m, unsigned word)
{
	return fix_get64(m, m->vcpu->gpr[RSP] + word * 8);
}

/* How delivery of a vector is made to fail. */
enum sabotage { GATE_ABSENT, CODE_BAD, STACK_MISSING, SABOTAGE_COUNT };

/* The exception each gives: #NP, #GP (contributory) and #PF. */
static const uint8_t sabotage_vector[SABOTAGE_COUNT] = {X86_VEC_NP, X86_VEC_GP, X86_VEC_PF};

static void sabotage(struct machine_fixture *m, uint8_t vector, enum sabotage how)
{
	struct fix_gate gate = {
		.address = FIX_HANDLER + vector * 16u, .selector = FIX_KCODE, .type = X86_GATE_INTERRUPT};
	if (how == GATE_ABSENT)
		gate.absent = true;
	else if (how == CODE_BAD)
		gate.selector = FIX_CODE32;
	else
		gate.ist = 2;
	fix_put64(m, FIX_TSS + X86_TSS_IST1 + 8, FIX_HOLE + 0x800);
	fix_gate(m, vector, gate);
}

enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum class class_of(unsigned vector) {
	static const uint8_t contributory[] = {0, 10, 11, 12, 13, 21}; if (vector == X86_VEC_PF) return PAGE_FAULT;
	return memchr(contributory, (int)vector, sizeof(contributory)) ? CONTRIBUTORY : BENIGN;
}

static void table_6_5(void **state)
{
	struct machine_fixture *m = *state;
	for (unsigned first = 0; first < 22; first++) {
		if (first == X86_VEC_DF || first == X86_VEC_DB)
			continue;
		for (enum sabotage how = 0; how < SABOTAGE_COUNT; how++) {
			unsigned second = sabotage_vector[how];
			/* The second one must itself be deliverable. */
			if (first == second)
				continue;
			fix_reset(m);
			sabotage(m, (uint8_t)first, how);
			vcpu_raise(m->vcpu, (uint8_t)first);
			inject_event(m->vcpu);
			bool doubled = class_of(first) == PAGE_FAULT ||
				       (class_of(first) == CONTRIBUTORY && class_of(second) == CONTRIBUTORY);
			assert_false(m->vm.ended);
			assert_int_equal(arrived(m->vcpu), doubled ? X86_VEC_DF : second);
			assert_int_equal(m->vcpu->last_chain_len, doubled ? 3 : 2);
			if (doubled)
				assert_int_equal(top(m, 0), 0);
			assert_int_equal(top(m, 1), FIX_CODE);
		}
	}
}

/* The same exception again: #PF in #PF, #GP in #GP. */
static void same_twice(void **state)
{
	struct machine_fixture *m = *state;
	sabotage(m, X86_VEC_PF, STACK_MISSING);
	vcpu_raise_page_fault(m->vcpu, 0x1000, 0);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_DF);
	assert_int_equal(m->vcpu->cr2, 0x1000);
	fix_reset(m);
	sabotage(m, X86_VEC_GP, CODE_BAD);
	vcpu_raise_error(m->vcpu, X86_VEC_GP, 0);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_DF);
}

/* Software and devices are benign whatever their vector. */
static void software_is_benign(void **state)
{
	struct machine_fixture *m = *state;
	sabotage(m, X86_VEC_TS, GATE_ABSENT);
	m->vcpu->rip += 2;
	vcpu_raise_soft(m->vcpu, X86_VEC_TS, 2);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_NP);
	assert_int_equal(top(m, 0), X86_VEC_TS * 8 + 2);
	assert_int_equal(top(m, 1), FIX_CODE);
	fix_reset(m);
	sabotage(m, X86_VEC_TS, GATE_ABSENT);
	vcpu_raise_interrupt(m->vcpu, X86_VEC_TS);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_NP);
	assert_int_equal(top(m, 0), X86_VEC_TS * 8 + 3);
}

/* Benign, contributory, page fault, double: as long as a chain can get. */
static void longest_chain(void **state)
{
	struct machine_fixture *m = *state;
	sabotage(m, X86_VEC_UD, GATE_ABSENT);
	sabotage(m, X86_VEC_NP, STACK_MISSING);
	sabotage(m, X86_VEC_PF, CODE_BAD);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_DF);
	assert_int_equal(m->vcpu->last_chain_len, 5);

	fix_reset(m);
	sabotage(m, X86_VEC_UD, GATE_ABSENT);
	sabotage(m, X86_VEC_NP, STACK_MISSING);
	sabotage(m, X86_VEC_PF, CODE_BAD);
	sabotage(m, X86_VEC_DF, GATE_ABSENT);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_true(m->vm.ended);
	assert_int_equal(m->vm.status, VM_STATUS_CRASH);
	assert_int_equal(m->vcpu->chain_len, 6);
	assert_string_equal(m->vm.reason, "triple fault: #UD 6 -> #NP(0x33) -> #PF(0x2 at 0x1f07d0) -> #GP(0x59) -> "
					  "#DF(0) -> #NP(0x43)");
}

static void no_idt_is_a_triple_fault(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->idtr = (struct vcpu_table){0};
	m->vcpu->rip += 1;
	vcpu_raise_soft(m->vcpu, X86_VEC_BP, 1);
	inject_event(m->vcpu);
	assert_true(m->vm.ended);
	assert_int_equal(m->vcpu->rip, FIX_CODE);
	assert_string_equal(m->vm.reason, "triple fault: INT 3 -> #GP(0x1a) -> #GP(0x6b) -> #DF(0) -> #GP(0x43)");
}

/* A processor's #BP comes after the instruction; a fault of its delivery is to return to it. */
static void both_codings_of_int_3(void **state)
{
	struct machine_fixture *m = *state;
	static const uint8_t code[] = {X86_VEC_BP, 0xcc, 0xcd, X86_VEC_BP};
	static const uint8_t length[] = {[2] = 1, [4] = 2};
	const struct vm_exit exit = {.reason = EXIT_EXCEPTION, .vector = X86_VEC_BP};
	gm_write(&m->vm.mem, FIX_CODE, code, sizeof(code));
	for (unsigned end = 2; end <= sizeof(code); end += 2) {
		m->vcpu->rip = FIX_CODE + end;
		m->vcpu->event_pending = false;
		exit_handle(m->vcpu, &exit);
		assert_true(m->vcpu->event_pending);
		assert_int_equal(m->vcpu->event.length, length[end]);
	}
}

/* --------------------------------------------------------------------------------------------------------- IRET */

static const uint64_t to_user[5] = {FIX_USER_CODE, FIX_UCODE, X86_RFLAGS_IF, FIX_USER_STACK, FIX_UDATA};

static void iret_outward_and_back(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	emu_return(c, to_user);
	assert_false(c->event_pending);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, FIX_USER_CODE);
	assert_int_equal(c->gpr[RSP], FIX_USER_STACK);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_UCODE);
	assert_int_equal(c->sreg[SREG_SS].selector, FIX_UDATA);
	assert_true(vcpu_if(c));
	/* Kernel data segments are gone. */
	assert_false(c->sreg[SREG_DS].present);
	assert_int_equal(c->sreg[SREG_DS].selector, 0);

	vcpu_raise(c, X86_VEC_UD);
	inject_event(c);
	assert_int_equal(c->cpl, 0);
	uint64_t frame[5];
	for (unsigned i = 0; i < 5; i++)
		frame[i] = top(m, i);
	emu_return(c, frame);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, FIX_USER_CODE);
}

/* Conforming code may be read from anywhere, so a return to less privilege leaves it in place. */
static void iret_keeps_conforming(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->sreg[SREG_DS] = seg_make(FIX_CONFORMING, fix_get64(m, FIX_GDT + FIX_CONFORMING));
	emu_return(m->vcpu, to_user);
	assert_true(m->vcpu->sreg[SREG_DS].present);
	assert_false(m->vcpu->sreg[SREG_ES].present);
}

static void iret_same_privilege(void **state)
{
	struct machine_fixture *m = *state;
	const uint64_t frame[5] = {FIX_CODE + 8, FIX_KCODE, X86_RFLAGS_IF | X86_RFLAGS_CF, FIX_STACK - 8, 0};
	emu_return(m->vcpu, frame);
	assert_false(m->vcpu->event_pending);
	assert_int_equal(m->vcpu->cpl, 0);
	assert_int_equal(m->vcpu->gpr[RSP], FIX_STACK - 8);
	assert_int_equal(vcpu_rflags(m->vcpu), X86_RFLAGS_IF | X86_RFLAGS_CF | X86_RFLAGS_FIXED);
	assert_true(m->vcpu->sreg[SREG_DS].present);
}

static void iret_faults(void **state)
{
	static const struct {
		uint64_t rip, cs, ss;
		uint8_t vector;
		uint32_t error;
	} cases[] = {
		{FIX_CODE, 0, FIX_KDATA, X86_VEC_GP, 0},
		{FIX_CODE, FIX_GDT_END, FIX_KDATA, X86_VEC_GP, FIX_GDT_END},
		{FIX_CODE, FIX_KDATA, FIX_KDATA, X86_VEC_GP, FIX_KDATA},
		{FIX_CODE, FIX_KCODE | 3, FIX_UDATA, X86_VEC_GP, FIX_KCODE},
		{FIX_CODE, FIX_UCODE & ~3, FIX_KDATA, X86_VEC_GP, FIX_UCODE & ~3},
		{FIX_CODE, FIX_CODE32, FIX_KDATA, X86_VEC_GP, FIX_CODE32},
		{FIX_CODE, FIX_CODE_LD, FIX_KDATA, X86_VEC_GP, FIX_CODE_LD},
		{FIX_CODE, FIX_CONFORMING3, FIX_KDATA, X86_VEC_GP, FIX_CONFORMING3},
		{FIX_CODE, FIX_ABSENT_CODE, FIX_KDATA, X86_VEC_NP, FIX_ABSENT_CODE},
		{FIX_CODE, FIX_ABSENT_UCODE, FIX_UDATA, X86_VEC_NP, FIX_ABSENT_UCODE & ~3},
		{FIX_NONCANONICAL, FIX_KCODE, FIX_KDATA, X86_VEC_GP, 0},
		{FIX_CODE, FIX_UCODE, 0, X86_VEC_GP, 0},
		{FIX_CODE, FIX_UCODE, FIX_KDATA, X86_VEC_GP, FIX_KDATA},
		{FIX_CODE, FIX_UCODE, FIX_UDATA & ~3, X86_VEC_GP, FIX_UDATA & ~3},
		{FIX_CODE, FIX_KCODE, FIX_READONLY, X86_VEC_GP, FIX_READONLY},
		{FIX_CODE, FIX_KCODE, FIX_KCODE, X86_VEC_GP, FIX_KCODE},
		{FIX_CODE, FIX_KCODE, FIX_ABSENT_DATA, X86_VEC_SS, FIX_ABSENT_DATA},
	};
	struct machine_fixture *m = *state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fix_reset(m);
		struct vcpu before = *m->vcpu;
		const uint64_t frame[5] = {cases[i].rip, cases[i].cs, X86_RFLAGS_IF, FIX_STACK, cases[i].ss};
		emu_return(m->vcpu, frame);
		assert_true(m->vcpu->event_pending);
		assert_int_equal(m->vcpu->event.vector, cases[i].vector);
		assert_int_equal(m->vcpu->event.error, cases[i].error);
		m->vcpu->event_pending = false;
		m->vcpu->event = before.event;
		assert_memory_equal(m->vcpu, &before, sizeof(before));
	}
	fix_reset(m);
	m->vcpu->rflags |= X86_RFLAGS_NT;
	emu_return(m->vcpu, to_user);
	assert_int_equal(m->vcpu->event.vector, X86_VEC_GP);
}

/* From user mode nothing of IOPL, and IF only as IOPL permits; inward never. */
static void iret_flags_by_privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint64_t all = UINT64_MAX & ~(X86_RFLAGS_NT | X86_RFLAGS_TF);
	const uint64_t flags[5] = {FIX_USER_CODE, FIX_UCODE, all, FIX_USER_STACK, FIX_UDATA};
	fix_user(m);
	emu_return(c, flags);
	assert_false(c->event_pending);
	assert_int_equal(vcpu_rflags(c) & (X86_RFLAGS_IOPL | X86_RFLAGS_IF | X86_RFLAGS_VM), 0);
	assert_true(c->rflags & X86_RFLAGS_AC);
	c->rflags |= X86_RFLAGS_IOPL;
	emu_return(c, flags);
	assert_true(vcpu_rflags(c) & X86_RFLAGS_IF);

	const uint64_t inward[5] = {FIX_CODE, FIX_KCODE, 0, FIX_STACK, FIX_KDATA};
	emu_return(c, inward);
	assert_int_equal(c->event.vector, X86_VEC_GP);
	assert_int_equal(c->event.error, FIX_KCODE);
	assert_int_equal(c->cpl, 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(table_6_5),
		T(same_twice),
		T(software_is_benign),
		T(longest_chain),
		T(no_idt_is_a_triple_fault),
		T(both_codings_of_int_3),
		T(iret_outward_and_back),
		T(iret_keeps_conforming),
		T(iret_same_privilege),
		T(iret_faults),
		T(iret_flags_by_privilege),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

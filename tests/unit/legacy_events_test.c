/*
 * Events and tasks outside long mode: gates of 32 and 16 bits, stacks, task gates, task switches (SDM 3A chapters 6,
 * 7).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/legacy_fixture.h"

/* --------------------------------------------------------------------------------------------------------- events */

static void same_privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	vcpu_raise_error(c, X86_VEC_GP, 0x1234);
	inject_event(c);
	assert_int_equal(c->rip, FIX_HANDLER + X86_VEC_GP * 16);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 16);
	assert_int_equal(legacy_get32(m, FIX_STACK - 16), 0x1234);
	assert_int_equal(legacy_get32(m, FIX_STACK - 12), FIX_CODE);
	assert_int_equal(legacy_get32(m, FIX_STACK - 8), CODE0);
	assert_int_equal(legacy_get32(m, FIX_STACK - 4), X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_RF);
	assert_false(vcpu_if(c));
	/* And back. */
	c->gpr[RSP] += 4;
	DONE(c, 32, IRET);
	assert_int_equal(c->rip, FIX_CODE);
	assert_int_equal(c->gpr[RSP], FIX_STACK);
	assert_true(vcpu_if(c));
}

static void trap_gates_and_narrow_ones(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_put_idt_gate(m, VECTOR, CODE0, X86_GATE_TRAP, 0);
	vcpu_raise_soft(c, VECTOR, 2);
	inject_event(c);
	assert_true(vcpu_if(c));
	c->gpr[RSP] = FIX_STACK;
	legacy_put_gate(m, FIX_IDT + VECTOR * 8, CODE16, 0x8765, X86_GATE_INTERRUPT & ~X86_SYSTYPE_32, 0, 0);
	c->rip = 0x12345678;
	vcpu_raise_soft(c, VECTOR, 2);
	inject_event(c);
	assert_int_equal(c->rip, 0x8765);
	assert_int_equal(vcpu_code_bits(c), 16);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 6);
	assert_int_equal(legacy_get32(m, FIX_STACK - 6), 0x5678 | CODE0 << 16);
	assert_false(vcpu_if(c));
}

static void to_inner_privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_user(c);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->sreg[SREG_SS].selector, DATA0);
	assert_int_equal(c->gpr[RSP], STACK0 - 20);
	assert_int_equal(legacy_get32(m, STACK0 - 20), FIX_USER_CODE);
	assert_int_equal(legacy_get32(m, STACK0 - 16), CODE3);
	assert_int_equal(legacy_get32(m, STACK0 - 8), FIX_USER_STACK);
	assert_int_equal(legacy_get32(m, STACK0 - 4), DATA3);
	assert_int_equal(c->sreg[SREG_DS].selector, DATA3);
	c->sreg[SREG_ES] = seg_make(DATA0, SEG_FLAT_DATA(0));
	DONE(c, 32, IRET);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->gpr[RSP], FIX_USER_STACK);
	assert_int_equal(c->rip, FIX_USER_CODE);
	/* What user mode may not use is taken away. */
	assert_false(c->sreg[SREG_ES].present);
	assert_true(c->sreg[SREG_DS].present);
}

static void bad_gates(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_user(c);
	legacy_put_idt_gate(m, VECTOR, CODE0, X86_SYSTYPE_LDT, 3);
	vcpu_raise_soft(c, VECTOR, 2);
	legacy_expect_second(c, X86_VEC_GP, VECTOR * 8 + 2);
	legacy_to_user(c);
	legacy_put_idt_gate(m, VECTOR, CODE0, X86_GATE_INTERRUPT, 0);
	vcpu_raise_soft(c, VECTOR, 2);
	legacy_expect_second(c, X86_VEC_GP, VECTOR * 8 + 2);
	/* RIP is at the instruction. */
	assert_int_equal(legacy_get32(m, STACK0 - 20), FIX_USER_CODE - 2);
	legacy_to_user(c);
	legacy_put_idt_gate(m, VECTOR, DATA0, X86_GATE_INTERRUPT, 0);
	vcpu_raise_interrupt(c, VECTOR);
	legacy_expect_second(c, X86_VEC_GP, DATA0 | 1);
	legacy_to_user(c);
	legacy_put_idt_gate(m, VECTOR, CODE0, X86_GATE_INTERRUPT, 0);
	legacy_put32(m, TSS_A + 8, CODE0);
	/* So that the second fault finds a stack. */
	legacy_put_idt_gate(m, X86_VEC_TS, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	legacy_expect_second(c, X86_VEC_TS, CODE0 | 1);
	assert_int_equal(c->cpl, 3);
	legacy_to_user(c);
	legacy_put32(m, TSS_A + 8, ABSENT);
	legacy_put_idt_gate(m, X86_VEC_SS, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	legacy_expect_second(c, X86_VEC_SS, ABSENT | 1);
	/* A new stack that ends before the frame does. */
	legacy_to_user(c);
	legacy_put32(m, TSS_A + 4, 0x1008);
	legacy_put32(m, TSS_A + 8, DOWN);
	vcpu_raise_interrupt(c, VECTOR);
	legacy_expect_second(c, X86_VEC_SS, DOWN | 1);
}

/* A stack that ends: pushes wrap at 16 bits where SS has 16, and #SS beyond the limit. */
static void stack_limits(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->sreg[SREG_SS] = seg_make(DATA16, fix_get64(m, FIX_GDT + DATA16));
	c->gpr[RSP] = 0xaaaa0004;
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->gpr[RSP], 0xaaaafff8);
	assert_int_equal(legacy_get32(m, 0xfff8), FIX_CODE);
	assert_int_equal(legacy_get32(m, 0), X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	c->sreg[SREG_SS] = seg_make(DOWN, fix_get64(m, FIX_GDT + DOWN));
	c->gpr[RSP] = 0x1008;
	c->rip = FIX_CODE;
	/* Through a task gate there is a stack for the second fault. */
	legacy_put_idt_gate(m, X86_VEC_SS, TASK_B, X86_GATE_TASK, 0);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->tr.selector, TASK_B);
	assert_int_equal(c->last_chain[1].vector, X86_VEC_SS);
	assert_int_equal(legacy_get32(m, c->gpr[RSP]), 1);
}

/* ---------------------------------------------------------------------------------------------------------- tasks */

static unsigned type_of(struct machine_fixture *m, uint16_t selector)
{
	return seg_type(fix_get64(m, FIX_GDT + selector));
}

static void task_gate_and_back(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_put_idt_gate(m, X86_VEC_GP, TASK_B, X86_GATE_TASK, 0);
	c->gpr[RBX] = 0xcafe;
	vcpu_raise_error(c, X86_VEC_GP, 0x77);
	inject_event(c);
	assert_int_equal(c->tr.selector, TASK_B);
	assert_int_equal(c->rip, FIX_CODE_800);
	assert_int_equal(c->gpr[RSP], STACK_B - 4);
	assert_int_equal(legacy_get32(m, STACK_B - 4), 0x77);
	assert_int_equal(c->gpr[RCX], 0x101);
	assert_true(c->rflags & X86_RFLAGS_NT);
	assert_true(c->cr0 & X86_CR0_TS);
	assert_int_equal(legacy_get32(m, TSS_B) & 0xffff, TASK_A);
	assert_int_equal(legacy_get32(m, TSS_A + 32), FIX_CODE);
	assert_int_equal(legacy_get32(m, TSS_A + 52), 0xcafe);
	assert_int_equal(type_of(m, TASK_A), X86_SYSTYPE_TSS_BUSY);
	assert_int_equal(type_of(m, TASK_B), X86_SYSTYPE_TSS_BUSY);

	c->gpr[RSP] += 4;
	DONE(c, 32, IRET);
	assert_int_equal(c->tr.selector, TASK_A);
	assert_int_equal(c->rip, FIX_CODE);
	assert_int_equal(c->gpr[RBX], 0xcafe);
	assert_false(c->rflags & X86_RFLAGS_NT);
	assert_int_equal(type_of(m, TASK_B), X86_SYSTYPE_TSS_AVAIL);
	/* Where the task stopped, and without NT. */
	assert_int_equal(legacy_get32(m, TSS_B + 32), FIX_CODE_800 + 1);
	assert_false(legacy_get32(m, TSS_B + 36) & X86_RFLAGS_NT);
}

static void task_jumps(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	FAULTS(c, X86_VEC_GP, TASK_A, 32, FAR32(JMP_FAR, TASK_A)); /* busy */
	DONE(c, 32, FAR32(JMP_FAR, TASK_B));
	assert_int_equal(c->tr.selector, TASK_B);
	assert_false(c->rflags & X86_RFLAGS_NT);
	assert_int_equal(type_of(m, TASK_A), X86_SYSTYPE_TSS_AVAIL);
	assert_int_equal(legacy_get32(m, TSS_A + 32), FIX_CODE + 7);
	DONE(c, 32, FAR32(CALL_FAR, TASK_A));
	assert_true(c->rflags & X86_RFLAGS_NT);
	assert_int_equal(legacy_get32(m, TSS_A) & 0xffff, TASK_B);
	/* Through the gate, which user mode may use, to a task that is busy. */
	legacy_to_user(c);
	FAULTS(c, X86_VEC_GP, TASK_B, 32, FAR32(CALL_FAR, TASK_GATE));
	FAULTS(c, X86_VEC_GP, TASK_B, 32, FAR32(CALL_FAR, TASK_B));
}

static void task_of_16_bits(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint16_t tss[22] = {[7] = 0x1234,	 [8] = X86_RFLAGS_FIXED, [9] = 0xa,	[13] = 0x4000,
				  [17] = DATA16, [18] = CODE16,		 [19] = DATA16, [20] = DATA16};
	fix_put(m, TSS_C16, tss, sizeof(tss));
	DONE(c, 32, FAR32(CALL_FAR, TASK_C));
	assert_int_equal(c->tr.selector, TASK_C);
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->gpr[RAX] & 0xffff, 0xa);
	assert_int_equal(c->gpr[RSP] & 0xffff, 0x4000);
	assert_int_equal(vcpu_code_bits(c), 16);
	assert_false(c->sreg[SREG_FS].present);
	DONE(c, 16, IRET);
	assert_int_equal(c->tr.selector, TASK_A);
	assert_int_equal(c->rip, FIX_CODE + 7);
	assert_int_equal(vcpu_code_bits(c), 32);
}

/* A fault of what the new task has is the new task's. */
static void task_that_cannot_be_loaded(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_put32(m, TSS_B + 80, CODE0); /* SS */
	assert_int_equal(RUN(c, 32, FAR32(JMP_FAR, TASK_B)), EMU_RAISED);
	assert_int_equal(c->event.vector, X86_VEC_TS);
	assert_int_equal(c->event.error, CODE0);
	assert_int_equal(c->tr.selector, TASK_B);
	assert_int_equal(c->rip, FIX_CODE_800);
	/* One that is too short is the old one's. */
	fix_put64(m, FIX_GDT + TASK_A, DESC32(TSS_A, 102, X86_SYSTYPE_TSS_AVAIL, 0));
	FAULTS(c, X86_VEC_TS, TASK_A, 32, FAR32(JMP_FAR, TASK_A));
	assert_int_equal(c->tr.selector, TASK_B);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, legacy_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(same_privilege),
		T(trap_gates_and_narrow_ones),
		T(to_inner_privilege),
		T(bad_gates),
		T(stack_limits),
		T(task_gate_and_back),
		T(task_jumps),
		T(task_of_16_bits),
		T(task_that_cannot_be_loaded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

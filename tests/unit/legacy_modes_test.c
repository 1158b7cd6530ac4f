/*
 * Call gates, virtual 8086 mode, real mode, and changes of mode (SDM 3A chapters 5, 9; 3B chapter 20).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/legacy_fixture.h"

/* ------------------------------------------------------------------------------------------------------ call gates */

static void call_gate_copies_parameters(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_user(c);
	legacy_put32(m, FIX_USER_STACK, 0x11111111);
	legacy_put32(m, FIX_USER_STACK + 4, 0x22222222);
	DONE(c, 32, FAR32(CALL_FAR, CALL_GATE));
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->rip, FIX_HANDLER);
	assert_int_equal(c->gpr[RSP], STACK0 - 24);
	assert_int_equal(legacy_get32(m, STACK0 - 24), FIX_USER_CODE + 7);
	assert_int_equal(legacy_get32(m, STACK0 - 20), CODE3);
	assert_int_equal(legacy_get32(m, STACK0 - 16), 0x11111111);
	assert_int_equal(legacy_get32(m, STACK0 - 12), 0x22222222);
	assert_int_equal(legacy_get32(m, STACK0 - 8), FIX_USER_STACK);
	assert_int_equal(legacy_get32(m, STACK0 - 4), DATA3);
	DONE(c, 32, 0xca, 8, 0); /* RETF 8 */
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, FIX_USER_CODE + 7);
	assert_int_equal(c->gpr[RSP], FIX_USER_STACK + 8);
}

static void far_between_widths(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	DONE(c, 32, FAR16(CALL_FAR, CODE16));
	assert_int_equal(c->rip, 0x800);
	assert_int_equal(vcpu_code_bits(c), 16);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 4);
	assert_int_equal(legacy_get32(m, FIX_STACK - 4), (uint16_t)(FIX_CODE + 6) | CODE0 << 16);
	/* Beyond the segment's end. */
	fix_put64(m, FIX_GDT + CODE16, DESC32(0, 0x7ff, 0x1b, 0));
	FAULTS(c, X86_VEC_GP, 0, 16, JMP_FAR, 0x00, 0x08, CODE16, 0);
	FAULTS(c, X86_VEC_GP, 0, 16, JMP_FAR, 0x00, 0x08, 0, 0);
	FAULTS(c, X86_VEC_GP, DATA0, 16, JMP_FAR, 0x00, 0x08, DATA0, 0);
}

/* -------------------------------------------------------------------------------------- virtual 8086, real mode */

static void v86_and_back(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_v86(c);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->cpl, 0);
	assert_false(c->rflags & X86_RFLAGS_VM);
	assert_int_equal(c->gpr[RSP], STACK0 - 36);
	assert_int_equal(legacy_get32(m, STACK0 - 36), 0x123);
	assert_int_equal(legacy_get32(m, STACK0 - 32), 0x1001);
	assert_int_equal(legacy_get32(m, STACK0 - 28), X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_VM);
	assert_int_equal(legacy_get32(m, STACK0 - 24), 0x8000);
	assert_int_equal(legacy_get32(m, STACK0 - 20), 0x1002);
	assert_int_equal(legacy_get32(m, STACK0 - 16), 0x1000);
	assert_int_equal(legacy_get32(m, STACK0 - 4), 0x1005);
	assert_false(c->sreg[SREG_DS].present);
	DONE(c, 32, IRET);
	assert_true(vcpu_is_v86(c));
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, 0x123);
	assert_int_equal(c->sreg[SREG_CS].base, 0x10010);
	assert_int_equal(c->sreg[SREG_GS].base, 0x10050);
	assert_int_equal(c->gpr[RSP], 0x8000);
	assert_int_equal(vcpu_code_bits(c), 16);
}

static void v86_is_watched_over(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_v86(c);
	FAULTS(c, X86_VEC_GP, 0, 16, 0xfa); /* CLI */
	FAULTS(c, X86_VEC_GP, 0, 16, IRET);
	FAULTS(c, X86_VEC_GP, 0, 16, 0xcd, VECTOR);	/* INT */
	FAULTS(c, X86_VEC_GP, 0, 16, 0xf4);		/* HLT */
	FAULTS(c, X86_VEC_UD, 0, 16, 0x0f, 0x00, 0xd8); /* LTR AX */
	FAULTS(c, X86_VEC_UD, 0, 16, 0x0f, 0x02, 0xc0); /* LAR AX, AX */
	c->gpr[RAX] = 0x1234;
	DONE(c, 16, 0x8e, 0xd8); /* MOV DS, AX */
	assert_int_equal(c->sreg[SREG_DS].base, 0x12340);
	c->rflags |= X86_RFLAGS_IOPL;
	DONE(c, 16, 0xfa);
	assert_false(vcpu_if(c));
	DONE(c, 16, JMP_FAR, 0x34, 0x12, 0x00, 0x20);
	assert_int_equal(c->sreg[SREG_CS].base, 0x20000);
	assert_int_equal(c->rip, 0x1234);
	/* A handler must be of privilege 0. */
	legacy_put_idt_gate(m, VECTOR, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	legacy_expect_second(c, X86_VEC_GP, (CODE3 & ~3) | 1);
}

static void real_mode(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	legacy_to_real(c);
	legacy_put32(m, VECTOR * 4, 0x20001234);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->sreg[SREG_CS].base, 0x20000);
	assert_int_equal(c->gpr[RSP], 0xdeadfffc);
	assert_int_equal(legacy_get32(m, 0x1fffc), 0x123 | 0x10000000);
	assert_int_equal(legacy_get32(m, 0x10000) & 0xffff, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	assert_false(vcpu_if(c));
	DONE(c, 16, IRET);
	assert_int_equal(c->rip, 0x123);
	assert_int_equal(c->sreg[SREG_CS].base, 0x10000);
	assert_int_equal(c->gpr[RSP], 0xdead0002);
	assert_true(vcpu_if(c));
	/* The table ends before #GP and #DF too. */
	c->idtr.limit = X86_VEC_DF * 4;
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_true(m->vm.ended);
	assert_non_null(strstr(m->vm.reason, "triple fault"));
}

/* "Big real mode": limits outlive the way back to real mode and loads there. */
static void limits_survive(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint32_t linear;
	c->gpr[RAX] = c->cr0 & ~X86_CR0_PE;
	DONE(c, 32, 0x0f, 0x22, 0xc0); /* MOV CR0, EAX */
	c->gpr[RAX] = 0x1000;
	DONE(c, 16, 0x8e, 0xd8); /* MOV DS, AX */
	assert_int_equal(c->sreg[SREG_DS].base, 0x10000);
	assert_true(seg_linear(&c->sreg[SREG_DS], 0x100000, 4, true, &linear));
	assert_int_equal(linear, 0x110000);
}

/* ---------------------------------------------------------------------------------------------------------- modes */

static void long_mode_and_back(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->cr3 = FIX_PML4;
	c->efer = X86_EFER_LME;
	c->gpr[RAX] = c->cr0 | X86_CR0_PG;
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x22, 0xc0); /* without PAE */
	c->cr4 |= X86_CR4_PAE;
	DONE(c, 32, 0x0f, 0x22, 0xc0);
	assert_true(vcpu_is_long(c));
	assert_int_equal(vcpu_code_bits(c), 32);
	c->gpr[RAX] = c->cr4 & ~X86_CR4_PAE;
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x22, 0xe0); /* MOV CR4, EAX */
	/* To 64-bit code, from where paging cannot be switched off. */
	fix_put64(m, FIX_GDT + CODE16, SEG_FLAT_CODE(0));
	DONE(c, 32, FAR32(JMP_FAR, CODE16));
	assert_int_equal(vcpu_code_bits(c), 64);
	c->gpr[RAX] = c->cr0 & ~X86_CR0_PG;
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x22, 0xc0);
	c->sreg[SREG_CS] = seg_make(CODE0, SEG_FLAT_CODE_32(0));
	DONE(c, 32, 0x0f, 0x22, 0xc0);
	assert_false(vcpu_is_long(c));
	/* From real mode not to paging. */
	c->gpr[RAX] = X86_CR0_PG;
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x22, 0xc0);
}

static void machines_without_other_modes(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	m->vm.cpu.legacy_modes = false;
	c->gpr[RAX] = c->cr0 | X86_CR0_PG;
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x22, 0xc0);
	c->cr3 = FIX_PML4;
	c->cr4 |= X86_CR4_PAE;
	c->cr0 |= X86_CR0_PG;
	c->efer = X86_EFER_LME | X86_EFER_LMA;
	FAULTS(c, X86_VEC_GP, CODE0, 32, FAR32(JMP_FAR, CODE0));
}

static void sysenter(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	m->vm.cpu.has[CPU_sep] = true;
	legacy_to_user(c);
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x34); /* no selector */
	c->sysenter_cs = CODE0;
	c->sysenter_esp = STACK0;
	c->sysenter_eip = FIX_HANDLER;
	DONE(c, 32, 0x0f, 0x34);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->rip, FIX_HANDLER);
	assert_int_equal(c->gpr[RSP], STACK0);
	assert_int_equal(c->sreg[SREG_SS].selector, DATA0);
	assert_false(vcpu_if(c));
	c->gpr[RDX] = FIX_USER_CODE;
	c->gpr[RCX] = FIX_USER_STACK;
	DONE(c, 32, 0x0f, 0x35);
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->sreg[SREG_CS].selector, CODE3);
	assert_int_equal(c->sreg[SREG_SS].selector, DATA3);
	assert_int_equal(c->rip, FIX_USER_CODE);
	FAULTS(c, X86_VEC_GP, 0, 32, 0x0f, 0x35);
	m->vm.cpu.has[CPU_sep] = false;
	FAULTS(c, X86_VEC_UD, 0, 32, 0x0f, 0x34);
}

static void into(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	DONE(c, 32, 0xce);
	c->rflags |= X86_RFLAGS_OF;
	c->rip = FIX_CODE;
	assert_int_equal(RUN(c, 32, 0xce), EMU_RAISED);
	assert_int_equal(c->event.vector, X86_VEC_OF);
	assert_int_equal(c->event.kind, EVENT_SOFT);
	assert_int_equal(c->rip, FIX_CODE + 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, legacy_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
		T(call_gate_copies_parameters),
		T(far_between_widths),
		T(v86_and_back),
		T(v86_is_watched_over),
		T(real_mode),
		T(limits_survive),
		T(long_mode_and_back),
		T(machines_without_other_modes),
		T(sysenter),
		T(into),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Delivery of events through the IDT and the trap table: a matrix of gates, the frame, and every fault on the way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "tests/unit/machine_fixture.h"

#define USER_RSP 0x10fff8 /* deliberately not aligned to 16 */

static void raise(struct vcpu *c, uint8_t vector, bool soft)
{
	if (soft) {
		c->rip += 2;
		vcpu_raise_soft(c, vector, 2);
	} else {
		vcpu_raise(c, vector);
	}
}

/* The vector of the handler that RIP stands at. */
static unsigned arrived(const struct vcpu *c)
{
	assert_in_range(c->rip, FIX_HANDLER, FIX_HANDLER + 255 * 16);
	assert_int_equal(c->rip % 16, 0);
	return (unsigned)(c->rip - FIX_HANDLER) / 16;
}

static uint64_t top(struct machine_fixture *m, unsigned word)
{
	return fix_get64(m, m->vcpu->gpr[RSP] + word * 8);
}

/* One cell of the matrix: what the processor does with this gate at this privilege. */
struct cell {
	unsigned type, dpl, cpl, ist, vector;
	bool soft, absent;
};

static unsigned expected_vector(const struct cell *x)
{
	bool forbidden = x->soft && x->dpl < x->cpl;
	if ((x->type != X86_GATE_INTERRUPT && x->type != X86_GATE_TRAP) || forbidden)
		return X86_VEC_GP;
	return x->absent ? X86_VEC_NP : x->vector;
}

static void check_frame(struct machine_fixture *m, const struct cell *x, const struct vcpu *before, bool has_error)
{
	struct vcpu *c = m->vcpu;
	uint64_t stack = x->ist ? FIX_IST1 : x->cpl == 3 ? FIX_RSP0 : before->gpr[RSP] & ~15ULL;
	unsigned e = has_error ? 1 : 0;
	uint64_t rflags = before->rflags | X86_RFLAGS_IF | (x->soft ? 0 : X86_RFLAGS_RF);

	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->gpr[RSP], stack - 8 * (5 + e));
	assert_int_equal(top(m, e), before->rip + (x->soft ? 2 : 0));
	assert_int_equal(top(m, e + 1), before->sreg[SREG_CS].selector);
	assert_int_equal(top(m, e + 2), rflags);
	assert_int_equal(top(m, e + 3), before->gpr[RSP]);
	assert_int_equal(top(m, e + 4), before->sreg[SREG_SS].selector);
	if (has_error)
		assert_int_equal(top(m, 0), 0);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_KCODE);
	assert_int_equal(c->sreg[SREG_SS].selector, x->cpl == 3 ? 0 : FIX_KDATA);
	assert_int_equal(c->sreg[SREG_SS].present, x->cpl != 3);
	assert_int_equal(vcpu_if(c), x->type == X86_GATE_TRAP);
	assert_int_equal(c->rflags & (X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_RF), 0);
	assert_int_equal(c->rflags & X86_RFLAGS_DF, X86_RFLAGS_DF);
}

static void check_cell(struct machine_fixture *m, const struct cell *x)
{
	struct vcpu *c;
	fix_reset(m);
	c = m->vcpu;
	if (x->cpl == 3) {
		fix_user(m);
		c->gpr[RSP] = USER_RSP;
	}
	fix_gate(m, (uint8_t)x->vector,
		 (struct fix_gate){.address = FIX_HANDLER + x->vector * 16,
				   .selector = FIX_KCODE,
				   .type = x->type,
				   .dpl = x->dpl,
				   .ist = x->ist,
				   .absent = x->absent});
	c->rflags |= X86_RFLAGS_TF | X86_RFLAGS_NT | X86_RFLAGS_DF;
	vcpu_set_if(c, true);
	struct vcpu before = *c;
	raise(c, (uint8_t)x->vector, x->soft);
	inject_event(c);

	assert_false(m->vm.ended);
	assert_false(c->event_pending);
	unsigned vector = expected_vector(x);
	if (vector != x->vector) {
		assert_int_equal(arrived(c), vector);
		assert_int_equal(top(m, 0), x->vector * 8 + 2 + (x->soft ? 0 : 1));
		/* The instruction as if not executed. */
		assert_int_equal(top(m, 1), before.rip);
		assert_int_equal(c->last_chain_len, 2);
		return;
	}
	assert_int_equal(arrived(c), vector);
	check_frame(m, x, &before, !x->soft && x->vector == X86_VEC_AC);
	assert_int_equal(c->last_chain_len, 1);
}

/* Vectors that are benign, so that a fault on the way is delivered itself: with (#AC) and without (#UD) error code. */
static void matrix(void **state)
{
	static const unsigned types[] = {X86_GATE_INTERRUPT, X86_GATE_TRAP, X86_GATE_CALL, 5, 6, 7, 9, 0, 0x1e};
	static const unsigned vectors[] = {X86_VEC_UD, X86_VEC_AC, 0x40};
	unsigned cells = 0;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		for (unsigned v = 0; v < 3; v++)
			for (unsigned n = 0; n < 4 * 2 * 2 * 2 * 2; n++) {
				struct cell x = {.type = types[i],
						 .vector = vectors[v],
						 .dpl = n & 3,
						 .cpl = n & 4 ? 3 : 0,
						 .ist = n & 8 ? 1 : 0,
						 .soft = n & 16,
						 .absent = n & 32};
				check_cell(*state, &x);
				cells++;
			}
	assert_int_equal(cells, 9 * 3 * 64);
}

static void external_interrupt(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->halted = c->interrupt_shadow = true;
	vcpu_raise_interrupt(c, 0x21);
	inject_event(c);
	assert_int_equal(arrived(c), 0x21);
	assert_false(c->halted || c->interrupt_shadow);
	/* Not a fault: RF stays clear in the frame. */
	assert_int_equal(top(m, 2), X86_RFLAGS_FIXED);
}

static void page_fault_sets_cr2(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	vcpu_raise_page_fault(c, 0xdead000, X86_PF_W | X86_PF_U);
	inject_event(c);
	assert_int_equal(arrived(c), X86_VEC_PF);
	assert_int_equal(c->cr2, 0xdead000);
	assert_int_equal(top(m, 0), X86_PF_W | X86_PF_U);
	/* INT 14 has neither address nor error code. */
	c->rip = FIX_CODE + 2;
	vcpu_raise_soft(c, X86_VEC_PF, 2);
	inject_event(c);
	assert_int_equal(c->cr2, 0xdead000);
	assert_int_equal(top(m, 0), FIX_CODE + 2);
}

static void debug_clears_gd(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->dr[7] |= X86_DR7_GD;
	vcpu_raise(m->vcpu, X86_VEC_DB);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_DB);
	assert_int_equal(m->vcpu->dr[7], X86_DR7_FIXED);
	assert_int_equal(top(m, 2), X86_RFLAGS_FIXED);
}

static void icebp_ignores_dpl(void **state)
{
	struct machine_fixture *m = *state;
	fix_user(m);
	m->vcpu->rip += 1;
	vcpu_raise_icebp(m->vcpu, 1);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_DB);
	assert_int_equal(top(m, 0), FIX_USER_CODE + 1);
}

/* Targets that a gate may not have, reached by #UD so that the fault itself is delivered. */
static void bad_code_segments(void **state)
{
	static const struct {
		uint16_t selector;
		uint8_t vector;
		uint32_t error;
	} cases[] = {
		{0, X86_VEC_GP, 0},
		{3, X86_VEC_GP, 0},
		{FIX_GDT_END, X86_VEC_GP, FIX_GDT_END},
		{FIX_KDATA, X86_VEC_GP, FIX_KDATA},
		{FIX_UCODE, X86_VEC_GP, FIX_UCODE & ~3},
		{FIX_CODE32, X86_VEC_GP, FIX_CODE32},
		{FIX_CODE_LD, X86_VEC_GP, FIX_CODE_LD},
		{FIX_ABSENT_CODE, X86_VEC_NP, FIX_ABSENT_CODE},
		{FIX_TSS_SEL, X86_VEC_GP, FIX_TSS_SEL},
		{4, X86_VEC_GP, 4},
	};
	struct machine_fixture *m = *state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fix_reset(m);
		fix_gate(m, X86_VEC_UD,
			 (struct fix_gate){
				 .address = FIX_HANDLER, .selector = cases[i].selector, .type = X86_GATE_TRAP});
		vcpu_raise(m->vcpu, X86_VEC_UD);
		inject_event(m->vcpu);
		assert_int_equal(arrived(m->vcpu), cases[i].vector);
		assert_int_equal(top(m, 0), cases[i].error | X86_SELERR_EXT);
	}
}

static void conforming_keeps_privilege(void **state)
{
	struct machine_fixture *m = *state;
	fix_user(m);
	fix_map(m, FIX_HANDLER, FIX_HANDLER | X86_PTE_P | X86_PTE_U);
	fix_gate(m, X86_VEC_UD,
		 (struct fix_gate){.address = FIX_HANDLER, .selector = FIX_CONFORMING, .type = X86_GATE_TRAP});
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(m->vcpu->cpl, 3);
	assert_int_equal(m->vcpu->sreg[SREG_CS].selector, FIX_CONFORMING | 3);
	assert_int_equal(m->vcpu->gpr[RSP], FIX_USER_STACK - 40);
	assert_int_equal(m->vcpu->sreg[SREG_SS].selector, FIX_UDATA);
}

static void idt_limit(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->idtr.limit = 0x40 * 16 + 14;
	m->vcpu->rip += 2;
	vcpu_raise_soft(m->vcpu, 0x40, 2);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_GP);
	assert_int_equal(top(m, 0), 0x40 * 8 + 2);
	fix_reset(m);
	m->vcpu->idtr.limit = 0x40 * 16 + 15;
	m->vcpu->rip += 2;
	vcpu_raise_soft(m->vcpu, 0x40, 2);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), 0x40);
}

static void bad_stacks(void **state)
{
	struct machine_fixture *m = *state;
	const struct fix_gate ist = {
		.address = FIX_HANDLER + X86_VEC_TS * 16, .selector = FIX_KCODE, .type = X86_GATE_TRAP, .ist = 1};

	/* RSP0 lies above the TSS's limit: #TS(selector), which an IST stack can still take. */
	fix_user(m);
	m->vcpu->tr.limit = X86_TSS_RSP0 + 6;
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_true(m->vm.ended);

	/* The stack of #UD is non-canonical: #SS(EXT) on a good stack. */
	fix_reset(m);
	fix_put64(m, FIX_TSS + X86_TSS_IST1 + 8, FIX_NONCANONICAL);
	struct fix_gate bad = ist;
	bad.ist = 2;
	fix_gate(m, X86_VEC_UD, bad);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_SS);
	assert_int_equal(top(m, 0), X86_SELERR_EXT);

	/* No TSS at all: #TS(0 | EXT) on the present stack. */
	fix_reset(m);
	m->vcpu->tr = (struct vcpu_segment){0};
	fix_gate(m, X86_VEC_UD, ist);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_TS);
	assert_int_equal(top(m, 0), X86_SELERR_EXT);

	/* The stack page is missing: #PF with the address of the lowest byte of the frame. */
	fix_reset(m);
	fix_put64(m, FIX_TSS + X86_TSS_IST1, FIX_HOLE + 0x100);
	fix_gate(m, X86_VEC_UD, ist);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_PF);
	assert_int_equal(m->vcpu->cr2, FIX_HOLE + 0x100 - 40);
	assert_int_equal(top(m, 0), X86_PF_W);

	/* A kernel stack in user pages is no error, a user's stack is not used. */
	fix_reset(m);
	fix_user(m);
	fix_put64(m, FIX_TSS + X86_TSS_RSP0, FIX_USER_DATA + 8);
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(m->vcpu->gpr[RSP], FIX_USER_DATA - 40);
}

/* The IDT or the GDT is not there: the processor's own read faults. */
static void tables_missing(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->idtr.base = FIX_HOLE - X86_VEC_PF * X86_GATE_SIZE - X86_GATE_SIZE;
	fix_put64(m, m->vcpu->idtr.base + X86_VEC_PF * X86_GATE_SIZE,
		  fix_get64(m, FIX_IDT + X86_VEC_PF * X86_GATE_SIZE));
	vcpu_raise(m->vcpu, X86_VEC_MF);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_PF);
	assert_int_equal(m->vcpu->cr2, FIX_HOLE + X86_GATE_SIZE);
	assert_int_equal(top(m, 0), 0);

	fix_reset(m);
	m->vcpu->gdtr.base = FIX_HOLE;
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_true(m->vm.ended);
}

static void noncanonical_handler(void **state)
{
	struct machine_fixture *m = *state;
	fix_gate(m, X86_VEC_UD,
		 (struct fix_gate){.address = FIX_NONCANONICAL, .selector = FIX_KCODE, .type = X86_GATE_TRAP});
	vcpu_raise(m->vcpu, X86_VEC_UD);
	inject_event(m->vcpu);
	assert_int_equal(arrived(m->vcpu), X86_VEC_GP);
	assert_int_equal(top(m, 0), X86_SELERR_EXT);
}

static void trap_table(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	struct r3_shared_info *info = gm_ptr(&m->vm.mem, FIX_SHARED, sizeof(*info));
	fix_user(m);
	c->pv.has_traps = true;
	c->pv.shared_gpa = FIX_SHARED;
	c->pv.rsp0 = FIX_STACK - 0x100;
	c->pv.traps[X86_VEC_PF] = (struct r3_trap_entry){.selector = FIX_KCODE, .address = FIX_HANDLER + 14 * 16};
	c->pv.traps[X86_VEC_GP] = (struct r3_trap_entry){.selector = FIX_KCODE, .address = FIX_HANDLER + 13 * 16};
	c->pv.traps[X86_VEC_NP] = (struct r3_trap_entry){.selector = FIX_KCODE, .address = FIX_HANDLER + 11 * 16};
	c->pv.traps[0x30] = (struct r3_trap_entry){
		.selector = FIX_KCODE, .address = FIX_HANDLER + 0x30 * 16, .flags = 3 | R3_TRAP_MASK};
	info->vcpu[0].vif = 1;

	vcpu_raise_page_fault(c, 0xabc000, X86_PF_U);
	inject_event(c);
	assert_int_equal(arrived(c), X86_VEC_PF);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 0x100 - 48);
	assert_true(info->vcpu[0].cr2 == 0xabc000);
	assert_int_equal(info->vcpu[0].vif, 1);
	assert_true(top(m, 3) & X86_RFLAGS_IF);

	/* INT n as the DPL permits; a masking entry clears the shared flag. */
	fix_user(m);
	c->rip += 2;
	vcpu_raise_soft(c, 0x30, 2);
	inject_event(c);
	assert_int_equal(arrived(c), 0x30);
	assert_int_equal(info->vcpu[0].vif, 0);

	fix_user(m);
	c->rip += 2;
	vcpu_raise_soft(c, X86_VEC_GP, 2);
	inject_event(c);
	assert_int_equal(top(m, 0), X86_VEC_GP * 8 + 2);

	/* An entry that is missing is a gate not present. */
	vcpu_raise_interrupt(c, 0x31);
	inject_event(c);
	assert_int_equal(arrived(c), X86_VEC_NP);
	assert_int_equal(top(m, 0), 0x31 * 8 + 3);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(matrix),
		T(external_interrupt),
		T(page_fault_sets_cr2),
		T(debug_clears_gd),
		T(icebp_ignores_dpl),
		T(bad_code_segments),
		T(conforming_keeps_privilege),
		T(idt_limit),
		T(bad_stacks),
		T(tables_missing),
		T(noncanonical_handler),
		T(trap_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

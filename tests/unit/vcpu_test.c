/*
 * The virtual processor's reset state, its interrupt flag in both homes, and how events are queued.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "tests/unit/machine_fixture.h"

static struct r3_vcpu_info *shared(struct machine_fixture *m)
{
	struct r3_shared_info *info = gm_ptr(&m->vm.mem, FIX_SHARED, sizeof(*info));
	return &info->vcpu[0];
}

static void reset(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	assert_int_equal(c->rflags, X86_RFLAGS_FIXED);
	assert_true(c->efer == (X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE));
	assert_true(c->cr0 == 0x80010033);
	assert_int_equal(c->cr4 & ~X86_CR4_OSXSAVE, 0x106a0 & ~0);
	assert_true(c->xcr0 & X86_XCR0_X87);
	assert_int_equal(c->sreg[SREG_CS].selector, 8);
	assert_int_equal(c->sreg[SREG_SS].selector, 0x10);
	assert_int_equal(c->sreg[SREG_CS].limit, UINT32_MAX);
	assert_true(c->apic_base == 0xfee00900);
	struct vcpu *second = vcpu_create(&m->vm, 1);
	assert_true(second->apic_base == 0xfee00800);
	vcpu_free(second);
}

/* What ends a guest in kernel mode is #GP in user mode, but for a processor that shuts down. */
static void kill_asks_cpl(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;

	c->cpl = 3;
	vm_kill(&m->vm, "a word of user mode");
	assert_false(m->vm.ended);
	assert_true(c->event_pending);
	assert_int_equal(c->event.vector, X86_VEC_GP);
	vm_shutdown(&m->vm, "nobody handles it");
	assert_true(m->vm.ended);
	assert_int_equal(m->vm.status, VM_STATUS_CRASH);
	assert_string_equal(m->vm.reason, "nobody handles it");
}

static void kill_ends_kernels(void **state)
{
	struct machine_fixture *m = *state;

	vm_kill(&m->vm, "a word of the kernel's");
	vm_kill(&m->vm, "too late");
	assert_int_equal(m->vm.status, VM_STATUS_CRASH);
	assert_string_equal(m->vm.reason, "a word of the kernel's");
}

static void interrupt_flag(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;

	vcpu_set_if(c, true);
	assert_true(vcpu_if(c));
	assert_int_equal(vcpu_rflags(c), X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	assert_int_equal(shared(m)->vif, 0);

	/* From now on the page alone decides, and what lies in rflags is stale. */
	c->pv.shared_gpa = FIX_SHARED;
	assert_false(vcpu_if(c));
	assert_int_equal(vcpu_rflags(c), X86_RFLAGS_FIXED);
	shared(m)->vif = 0x80;
	assert_true(vcpu_if(c));
	vcpu_set_if(c, false);
	assert_int_equal(shared(m)->vif, 0);

	/* A page outside RAM is as if there were none. */
	c->pv.shared_gpa = FIX_RAM;
	vcpu_set_if(c, true);
	assert_true(vcpu_if(c));
}

static void rflags_image(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	vcpu_set_rflags(c, UINT64_MAX);
	assert_int_equal(vcpu_rflags(c), 0x257fd7);
	assert_int_equal(vcpu_iopl(c), 3);
	vcpu_set_rflags(c, 0);
	assert_int_equal(vcpu_rflags(c), X86_RFLAGS_FIXED);
}

static void queueing(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->halted = true;
	vcpu_raise(c, X86_VEC_GP);
	assert_true(c->event_pending && c->event.has_error && c->event.kind == EVENT_FAULT && !c->halted);
	vcpu_raise(c, X86_VEC_UD);
	assert_false(c->event.has_error);
	vcpu_raise(c, X86_VEC_DB);
	assert_true(c->event.kind == EVENT_TRAP && !c->event.has_error && (c->dr[6] & X86_DR6_BS));
	vcpu_raise_page_fault(c, 0x1234, 7);
	assert_true(c->event.vector == X86_VEC_PF && c->event.cr2 == 0x1234 && c->event.error == 7);
	vcpu_raise_soft(c, 13, 2);
	assert_true(c->event.kind == EVENT_SOFT && !c->event.has_error && c->event.length == 2);
	vcpu_raise_interrupt(c, 14);
	assert_true(c->event.kind == EVENT_INTERRUPT && !c->event.has_error);
	assert_string_equal(vcpu_vector_name(X86_VEC_GP), "#GP");
	assert_string_equal(vcpu_vector_name(15), "interrupt");
	assert_string_equal(vcpu_vector_name(255), "interrupt");
}

static void window(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	assert_false(inject_window_open(c));
	vcpu_set_if(c, true);
	assert_true(inject_window_open(c));
	c->interrupt_shadow = true;
	assert_false(inject_window_open(c));
	c->interrupt_shadow = false;
	vcpu_raise(c, X86_VEC_UD);
	assert_false(inject_window_open(c));
}

static void paging_modes(void **state)
{
	struct vcpu *c = ((struct machine_fixture *)*state)->vcpu;
	assert_int_equal(vcpu_paging_mode(c), SPT_4_LEVEL);
	c->efer &= ~X86_EFER_LMA;
	assert_int_equal(vcpu_paging_mode(c), SPT_PAE);
	assert_true(vcpu_paging(c).nxe);
	c->cr4 = X86_CR4_PSE;
	assert_int_equal(vcpu_paging_mode(c), SPT_32_BIT);
	assert_true(vcpu_paging(c).pse && !vcpu_paging(c).nxe);
	c->cr0 &= ~X86_CR0_PG;
	assert_int_equal(vcpu_paging_mode(c), SPT_NO_PAGING);
}

/* All four or none; reserved bits count in those that are present alone. */
static void pdptes(void **state)
{
	static const uint64_t reserved[] = {2, 4, 0x20, 0x40, 0x80, 0x100, R3_BIT(46), R3_BIT(52), R3_BIT(63)};
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t table[4] = {0x1e19, R3_BIT(63), 0, 0x2001};
	assert_true(gm_write(&m->vm.mem, FIX_DATA + 32, table, sizeof(table)));
	assert_true(vcpu_load_pdptes(c, FIX_DATA + 32));
	assert_true(c->pdpte[0] == 0);
	c->efer &= ~X86_EFER_LMA;
	/* PWT and PCD are not the address's, nor is what lies above 4 GiB. */
	assert_true(vcpu_load_pdptes(c, (FIX_DATA + 32) | X86_CR3_PWT | X86_CR3_PCD | R3_BIT(32)));
	assert_memory_equal(c->pdpte, table, sizeof(table));
	assert_memory_equal(vcpu_paging(c).pdpte, table, sizeof(table));
	for (unsigned i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		const uint64_t bad[4] = {0, 0, 0, 1 | reserved[i]};
		assert_true(gm_write(&m->vm.mem, FIX_DATA, bad, sizeof(bad)));
		assert_false(vcpu_load_pdptes(c, FIX_DATA));
		assert_memory_equal(c->pdpte, table, sizeof(table));
	}
	assert_true(vcpu_load_pdptes(c, FIX_RAM));
	assert_true(c->pdpte[0] == 0 && c->pdpte[3] == 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(reset),	    T(interrupt_flag), T(kill_asks_cpl), T(kill_ends_kernels),
					   T(rflags_image), T(queueing),       T(window),	 T(paging_modes),
					   T(pdptes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

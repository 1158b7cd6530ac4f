/*
 * Segment registers, far transfers, software interrupts and IRET, as instructions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/machine_fixture.h"

static void load_data(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t *rax = &c->gpr[RAX];

	*rax = FIX_FRESH_DATA;
	FIX_DONE(m, "mov ds, eax");
	assert_int_equal(c->sreg[SREG_DS].selector, FIX_FRESH_DATA);
	assert_true(fix_get64(m, FIX_GDT + FIX_FRESH_DATA) & X86_DESC_ACCESSED);
	*rax = FIX_UDATA;
	FIX_DONE(m, "mov es, eax");
	*rax = FIX_READONLY;
	FIX_DONE(m, "mov fs, eax");
	*rax = FIX_KCODE;
	FIX_DONE(m, "mov gs, eax");
	c->sreg[SREG_FS].base = 0x1000;
	*rax = 3;
	FIX_DONE(m, "mov fs, eax");
	assert_false(c->sreg[SREG_FS].present);
	assert_int_equal(c->sreg[SREG_FS].base, 0);
	FIX_DONE(m, "mov ecx, ds");
	assert_int_equal(c->gpr[RCX], FIX_FRESH_DATA);
	c->gpr[RBX] = FIX_DATA;
	fix_put64(m, FIX_DATA, UINT64_MAX);
	FIX_DONE(m, "mov word ptr [rbx], ds");
	assert_true(fix_get64(m, FIX_DATA) == (UINT64_MAX << 16 | FIX_FRESH_DATA));
	FIX_DONE(m, "mov ds, word ptr [rbx]");
}

static void load_data_faults(void **state)
{
	struct machine_fixture *m = *state;
	uint64_t *rax = &m->vcpu->gpr[RAX];
	*rax = FIX_ABSENT_DATA;
	FIX_FAULTS(m, "mov ds, eax", X86_VEC_NP, FIX_ABSENT_DATA);
	*rax = FIX_GDT_END | 3;
	FIX_FAULTS(m, "mov es, eax", X86_VEC_GP, FIX_GDT_END);
	*rax = FIX_EXEC_ONLY;
	FIX_FAULTS(m, "mov fs, eax", X86_VEC_GP, FIX_EXEC_ONLY);
	*rax = FIX_TSS_SEL;
	FIX_FAULTS(m, "mov gs, eax", X86_VEC_GP, FIX_TSS_SEL);
	*rax = FIX_KDATA | 3;
	FIX_FAULTS(m, "mov gs, eax", X86_VEC_GP, FIX_KDATA);
	FIX_FAULTS(m, ".byte 0x8e, 0xc8", X86_VEC_UD, 0); /* MOV CS, EAX */
	FIX_FAULTS(m, ".byte 0x8e, 0xf0", X86_VEC_UD, 0); /* no such register */
	/* No LDT. */
	*rax = 4;
	FIX_FAULTS(m, "mov ds, eax", X86_VEC_GP, 4);
	/* The GDT lies in a hole. */
	m->vcpu->gdtr.base = FIX_HOLE;
	*rax = FIX_KDATA;
	FIX_FAULTS(m, "mov ds, eax", X86_VEC_PF, 0);
	assert_int_equal(m->vcpu->event.cr2, FIX_HOLE + FIX_KDATA);
	fix_user(m);
	m->vcpu->gdtr.base = FIX_GDT;
	FIX_FAULTS(m, "mov ds, eax", X86_VEC_GP, FIX_KDATA);
	*rax = FIX_CONFORMING | 3;
	FIX_DONE(m, "mov ds, eax");
}

static void load_stack(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	uint64_t *rax = &c->gpr[RAX];
	*rax = FIX_KDATA;
	FIX_DONE(m, "mov ss, eax");
	assert_true(c->interrupt_shadow);
	*rax = 0;
	FIX_DONE(m, "mov ss, eax");
	assert_false(c->sreg[SREG_SS].present);
	*rax = 3;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, 0);
	*rax = FIX_UDATA;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, FIX_UDATA & ~3);
	*rax = FIX_UDATA & ~3;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, FIX_UDATA & ~3);
	*rax = FIX_KDATA | 3;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, FIX_KDATA);
	*rax = FIX_READONLY;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, FIX_READONLY);
	*rax = FIX_KCODE;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, FIX_KCODE);
	*rax = FIX_ABSENT_DATA;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_SS, FIX_ABSENT_DATA);
	fix_user(m);
	*rax = 3;
	FIX_FAULTS(m, "mov ss, eax", X86_VEC_GP, 0);
	*rax = FIX_UDATA;
	FIX_DONE(m, "mov ss, eax");
}

static void ldt_entries(void **state)
{
	struct machine_fixture *m = *state;
	m->vcpu->gpr[RAX] = FIX_LDT_SEL;
	FIX_DONE(m, "lldt ax");
	m->vcpu->gpr[RAX] = 4;
	FIX_DONE(m, "mov ds, eax");
	assert_int_equal(m->vcpu->sreg[SREG_DS].selector, 4);
	m->vcpu->gpr[RAX] = 12;
	FIX_FAULTS(m, "mov ds, eax", X86_VEC_GP, 12);
}

static void push_pop(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->sreg[SREG_GS].selector = 0x1234;
	FIX_DONE(m, "push gs");
	assert_int_equal(c->gpr[RSP], FIX_STACK - 8);
	assert_int_equal(fix_get64(m, FIX_STACK - 8), 0x1234);
	fix_put64(m, FIX_STACK - 8, 0xffff0000 | FIX_KDATA);
	FIX_DONE(m, "pop fs");
	assert_int_equal(c->gpr[RSP], FIX_STACK);
	assert_int_equal(c->sreg[SREG_FS].selector, FIX_KDATA);
	fix_put64(m, FIX_STACK, FIX_ABSENT_DATA);
	FIX_FAULTS(m, "pop gs", X86_VEC_NP, FIX_ABSENT_DATA);
	assert_int_equal(c->gpr[RSP], FIX_STACK);
	FIX_DONE(m, ".byte 0x66, 0x0f, 0xa8"); /* PUSH GS, 16 bits */
	assert_int_equal(c->gpr[RSP], FIX_STACK - 2);
	c->gpr[RSP] = FIX_NONCANONICAL;
	FIX_FAULTS(m, "pop fs", X86_VEC_SS, 0);
	c->gpr[RSP] = FIX_HOLE + 8;
	FIX_FAULTS(m, "push fs", X86_VEC_PF, X86_PF_W);
	assert_int_equal(c->gpr[RSP], FIX_HOLE + 8);
}

static void far_pointers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RBX] = FIX_DATA;
	fix_put64(m, FIX_DATA, 0x1122334455667788);
	fix_put64(m, FIX_DATA + 8, FIX_KDATA);
	FIX_DONE(m, ".byte 0x48, 0x0f, 0xb4, 0x03"); /* LFS RAX, [RBX] */
	assert_true(c->gpr[RAX] == 0x1122334455667788);
	assert_int_equal(c->sreg[SREG_FS].selector, FIX_KDATA);
	fix_put64(m, FIX_DATA + 4, FIX_ABSENT_DATA);
	FIX_FAULTS(m, ".byte 0x0f, 0xb5, 0x03", X86_VEC_NP, FIX_ABSENT_DATA); /* LGS EAX, [RBX] */
	assert_true(c->gpr[RAX] == 0x1122334455667788);
	fix_put64(m, FIX_DATA + 2, FIX_KDATA);
	FIX_DONE(m, ".byte 0x66, 0x0f, 0xb2, 0x03"); /* LSS AX, [RBX] */
	assert_true(c->gpr[RAX] == 0x1122334455667788);
}

/* Operands: address size, RIP-relative, segment base, index, and which exception a bad address gives. */
static void addressing(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RBX] = FIX_DATA | R3_BIT(40);
	FIX_DONE(m, "sidt [ebx]");
	assert_int_equal(fix_get64(m, FIX_DATA) & 0xffff, 0xfff);
	c->gpr[RBX] = 0xfffffff8;
	FIX_DONE(m, "sidt [ebx + 0x18308]");
	assert_int_equal(fix_get64(m, 0x18300) & 0xffff, 0xfff);
	c->gpr[RSI] = 2;
	c->sreg[SREG_GS].base = 0x100;
	c->gpr[RBX] = FIX_DATA;
	FIX_DONE(m, "sidt gs:[rbx + rsi * 8 + 4]");
	assert_int_equal(fix_get64(m, FIX_DATA + 0x114) & 0xffff, 0xfff);
	c->gpr[RBX] = -8;
	c->gpr[RSI] = FIX_DATA + 0x208;
	FIX_DONE(m, "sidt [rbx + rsi]");
	assert_int_equal(fix_get64(m, FIX_DATA + 0x200) & 0xffff, 0xfff);
	c->rip = FIX_CODE;
	FIX_DONE(m, "sidt [rip + 0x1000]");
	assert_int_equal(fix_get64(m, FIX_CODE + 0x1007) & 0xffff, 0xfff);
	c->gpr[RBX] = c->gpr[RBP] = FIX_NONCANONICAL;
	FIX_FAULTS(m, "sidt [rbx]", X86_VEC_GP, 0);
	FIX_FAULTS(m, "sidt [rbp]", X86_VEC_SS, 0);
	FIX_FAULTS(m, "sidt gs:[rbp]", X86_VEC_GP, 0);
	c->gpr[RBX] = FIX_HOLE - 4;
	FIX_FAULTS(m, "sidt [rbx]", X86_VEC_PF, X86_PF_W);
	assert_int_equal(c->event.cr2, FIX_HOLE);
}

static void far_transfers(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	static const struct {
		uint16_t selector;
		uint8_t vector;
		uint32_t error;
	} bad[] = {
		{0, X86_VEC_GP, 0},
		{FIX_KDATA, X86_VEC_GP, FIX_KDATA},
		{FIX_UCODE, X86_VEC_GP, FIX_UCODE & ~3},
		{FIX_KCODE | 3, X86_VEC_GP, FIX_KCODE},
		{FIX_CODE32, X86_VEC_GP, FIX_CODE32},
		{FIX_CODE_LD, X86_VEC_GP, FIX_CODE_LD},
		{FIX_CONFORMING3, X86_VEC_GP, FIX_CONFORMING3},
		{FIX_TSS_SEL, X86_VEC_GP, FIX_TSS_SEL},
		{FIX_ABSENT_CODE, X86_VEC_NP, FIX_ABSENT_CODE},
		{FIX_GDT_END, X86_VEC_GP, FIX_GDT_END},
	};
	c->gpr[RBX] = FIX_DATA;
	fix_put64(m, FIX_DATA, FIX_CODE + 0x200);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fix_put64(m, FIX_DATA + 8, bad[i].selector);
		FIX_FAULTS(m, ".byte 0x48, 0xff, 0x2b", bad[i].vector, bad[i].error); /* JMP FAR [RBX] */
		FIX_FAULTS(m, ".byte 0x48, 0xff, 0x1b", bad[i].vector, bad[i].error); /* CALL FAR [RBX] */
	}
	assert_int_equal(c->gpr[RSP], FIX_STACK);
	fix_put64(m, FIX_DATA + 8, FIX_CONFORMING);
	FIX_DONE(m, ".byte 0x48, 0xff, 0x1b");
	assert_int_equal(c->rip, FIX_CODE + 0x200);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_CONFORMING);
	assert_int_equal(fix_get64(m, FIX_STACK - 8), FIX_KCODE);
	assert_int_equal(fix_get64(m, FIX_STACK - 16), FIX_CODE + 3);
	FIX_DONE(m, ".byte 0x48, 0xca, 0x20, 0x00"); /* RETF 32 */
	assert_int_equal(c->rip, FIX_CODE + 3);
	assert_int_equal(c->gpr[RSP], FIX_STACK + 0x20);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_KCODE);
	fix_put64(m, FIX_DATA + 8, FIX_KCODE);
	FIX_DONE(m, ".byte 0x48, 0xff, 0x2b");
	assert_int_equal(c->rip, FIX_CODE + 0x200);
	fix_put64(m, FIX_DATA, FIX_NONCANONICAL);
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x2b", X86_VEC_GP, 0);
	c->gpr[RBX] = FIX_HOLE;
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x2b", X86_VEC_PF, 0);
	c->gpr[RBX] = FIX_DATA;
	/* A stack that takes the selector but not the offset. */
	fix_put64(m, FIX_DATA, FIX_CODE + 0x200);
	c->gpr[RSP] = FIX_HOLE + 0x1008;
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x1b", X86_VEC_PF, X86_PF_W);
	assert_int_equal(c->gpr[RSP], FIX_HOLE + 0x1008);
}

static void call_gates(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	c->gpr[RBX] = FIX_DATA;
	fix_put64(m, FIX_DATA + 8, FIX_CALL_GATE);
	FIX_DONE(m, ".byte 0x48, 0xff, 0x1b"); /* CALL FAR [RBX] */
	assert_int_equal(c->rip, FIX_HANDLER);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 16);
	assert_int_equal(fix_get64(m, FIX_STACK - 16), FIX_CODE + 3);
	assert_int_equal(fix_get64(m, FIX_STACK - 8), FIX_KCODE);
	fix_reset(m);

	c = m->vcpu;
	fix_user(m);
	c->gpr[RBX] = FIX_USER_DATA;
	fix_put64(m, FIX_USER_DATA + 8, FIX_CALL_GATE | 3);
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x2b", X86_VEC_GP, FIX_KCODE); /* JMP FAR raises no privilege */
	FIX_DONE(m, ".byte 0x48, 0xff, 0x1b");
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->sreg[SREG_CS].selector, FIX_KCODE);
	assert_int_equal(c->sreg[SREG_SS].selector, 0);
	assert_false(c->sreg[SREG_SS].present);
	assert_int_equal(c->gpr[RSP], FIX_RSP0 - 32);
	assert_int_equal(fix_get64(m, FIX_RSP0 - 32), FIX_USER_CODE + 3);
	assert_int_equal(fix_get64(m, FIX_RSP0 - 24), FIX_UCODE);
	assert_int_equal(fix_get64(m, FIX_RSP0 - 16), FIX_USER_STACK);
	assert_int_equal(fix_get64(m, FIX_RSP0 - 8), FIX_UDATA);

	/* The gate's upper half has a type; it is not present; it is not for this privilege. */
	fix_user(m);
	fix_put64(m, FIX_GDT + FIX_CALL_GATE + 8, R3_U64(0x0c00) << 32);
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x1b", X86_VEC_GP, FIX_CALL_GATE);
	fix_put64(m, FIX_GDT + FIX_CALL_GATE + 8, 0);
	fix_put64(m, FIX_GDT + FIX_CALL_GATE, fix_get64(m, FIX_GDT + FIX_CALL_GATE) & ~X86_DESC_P);
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x1b", X86_VEC_NP, FIX_CALL_GATE);
	fix_put64(m, FIX_GDT + FIX_CALL_GATE,
		  fix_get64(m, FIX_GDT + FIX_CALL_GATE) & ~(R3_U64(3) << X86_DESC_DPL_SHIFT));
	FIX_FAULTS(m, ".byte 0x48, 0xff, 0x1b", X86_VEC_GP, FIX_CALL_GATE);
}

static void far_return_outward(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint64_t frame[] = {FIX_USER_CODE, FIX_UCODE, 0, FIX_USER_STACK, FIX_UDATA};
	c->gpr[RSP] = FIX_DATA;
	fix_put(m, FIX_DATA, frame, sizeof(frame));
	FIX_DONE(m, ".byte 0x48, 0xca, 0x08, 0x00"); /* RETF 8 */
	assert_int_equal(c->cpl, 3);
	assert_int_equal(c->rip, FIX_USER_CODE);
	assert_int_equal(c->gpr[RSP], FIX_USER_STACK + 8);
	assert_int_equal(c->sreg[SREG_SS].selector, FIX_UDATA);
	assert_false(c->sreg[SREG_DS].present);
	/* A bad stack to go back to, a bad address, nothing to read. */
	fix_reset(m);
	c = m->vcpu;
	c->gpr[RSP] = FIX_DATA;
	fix_put(m, FIX_DATA, frame, sizeof(frame));
	fix_put64(m, FIX_DATA + 32, FIX_KDATA);
	FIX_FAULTS(m, ".byte 0x48, 0xca, 0x08, 0x00", X86_VEC_GP, FIX_KDATA);
	fix_put64(m, FIX_DATA, FIX_NONCANONICAL);
	fix_put64(m, FIX_DATA + 32, FIX_UDATA);
	FIX_FAULTS(m, ".byte 0x48, 0xca, 0x08, 0x00", X86_VEC_GP, 0);
	fix_put(m, FIX_HOLE - 16, frame, 16);
	c->gpr[RSP] = FIX_HOLE - 16;
	FIX_FAULTS(m, ".byte 0x48, 0xcb", X86_VEC_PF, 0);
	assert_int_equal(c->gpr[RSP], FIX_HOLE - 16);
	c->gpr[RSP] = FIX_HOLE;
	FIX_FAULTS(m, ".byte 0x48, 0xcb", X86_VEC_PF, 0);
	assert_int_equal(c->cpl, 0);
	/* And never inward. */
	fix_user(m);
	const uint64_t inward[] = {FIX_CODE, FIX_KCODE};
	c->gpr[RSP] = FIX_USER_DATA;
	fix_put(m, FIX_USER_DATA, inward, sizeof(inward));
	FIX_FAULTS(m, ".byte 0x48, 0xcb", X86_VEC_GP, FIX_KCODE);
}

static void software_interrupts(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	assert_int_equal(FIX_RUN(m, "int 0x42"), EMU_RAISED);
	assert_true(c->event.vector == 0x42 && c->event.kind == EVENT_SOFT && c->event.length == 2);
	assert_int_equal(c->rip, FIX_CODE + 2);
	assert_int_equal(FIX_RUN(m, ".byte 0xcc"), EMU_RAISED);
	assert_true(c->event.vector == X86_VEC_BP && c->event.kind == EVENT_SOFT && c->event.length == 1);
	assert_int_equal(FIX_RUN(m, ".byte 0xf1"), EMU_RAISED);
	assert_true(c->event.vector == X86_VEC_DB && c->event.kind == EVENT_PRIVILEGED_SOFT);
	assert_int_equal(c->rip, FIX_CODE + 4);
}

static void iret(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	const uint64_t frame64[] = {FIX_CODE + 0x40, FIX_KCODE, X86_RFLAGS_CF, FIX_STACK - 64, FIX_KDATA};
	fix_put(m, FIX_STACK, frame64, sizeof(frame64));
	FIX_DONE(m, "iretq");
	assert_int_equal(c->rip, FIX_CODE + 0x40);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 64);

	const uint32_t frame32[] = {FIX_CODE + 0x80, FIX_KCODE, X86_RFLAGS_ZF, FIX_STACK - 128, FIX_KDATA};
	fix_put(m, FIX_STACK - 64, frame32, sizeof(frame32));
	FIX_DONE(m, ".byte 0xcf");
	assert_int_equal(c->rip, FIX_CODE + 0x80);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 128);
	assert_int_equal(c->rflags, X86_RFLAGS_FIXED | X86_RFLAGS_ZF);

	c->gpr[RSP] = FIX_HOLE - 8;
	FIX_FAULTS(m, "iretq", X86_VEC_PF, 0);
	c->gpr[RSP] = FIX_DATA;
	FIX_FAULTS(m, "iretq", X86_VEC_GP, 0);
	c->gpr[RSP] = FIX_NONCANONICAL - 8;
	FIX_FAULTS(m, "iretq", X86_VEC_PF, 0);
	c->gpr[RSP] = FIX_NONCANONICAL;
	FIX_FAULTS(m, "iretq", X86_VEC_SS, 0);

	/* 16 bits of flags leave the others alone. */
	const uint16_t frame16[] = {0x1234, FIX_KCODE, X86_RFLAGS_CF, 0x2000, FIX_KDATA};
	c->gpr[RSP] = FIX_DATA;
	c->rflags |= X86_RFLAGS_ID;
	fix_put(m, FIX_DATA, frame16, sizeof(frame16));
	FIX_DONE(m, ".byte 0x66, 0xcf");
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->rflags, X86_RFLAGS_FIXED | X86_RFLAGS_CF | X86_RFLAGS_ID);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(load_data),	 T(load_data_faults),	 T(load_stack),	   T(ldt_entries),	  T(push_pop),
		T(far_pointers), T(addressing),		 T(far_transfers), T(far_return_outward), T(iret),
		T(call_gates),	 T(software_interrupts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Events, gates, tasks, returns and mode changes outside long mode: 32- and 16-bit protected mode, virtual 8086 mode
 * and real mode (SDM 3A chapters 5 to 7, 9; 3B chapter 20).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/stack.h"
#include "tests/unit/machine_fixture.h"

#define TSS_A	0x7000
#define TSS_B	0x7800
#define TSS_C16 0x8800
#define STACK0	0x34000 /* of privilege 0 in TSS_A */
#define STACK_B 0x36000
#define VECTOR	0x40

enum {
	CODE0 = 0x08,
	DATA0 = 0x10,
	CODE3 = 0x18 | 3,
	DATA3 = 0x20 | 3,
	TASK_A = 0x28,
	TASK_B = 0x30,
	TASK_C = 0x38,
	CALL_GATE = 0x40, /* to CODE0:FIX_HANDLER with two parameters */
	TASK_GATE = 0x48, /* to TASK_B */
	CODE16 = 0x50,
	DATA16 = 0x58,
	DOWN = 0x60,   /* expand-down data above 0xfff */
	ABSENT = 0x68, /* data that is not present */
	LAST = 0x68,
};

#define DESC32(base, limit, type, dpl)                                                                                 \
	((uint64_t)((limit)&0xffff) | (uint64_t)((base)&0xffffff) << 16 | (uint64_t)(type) << X86_DESC_TYPE_SHIFT |    \
	 (uint64_t)(dpl) << X86_DESC_DPL_SHIFT | X86_DESC_P | (uint64_t)((limit) >> 16 & 15) << 48)

static uint32_t get32(struct machine_fixture *m, uint64_t gpa)
{
	return (uint32_t)fix_get64(m, gpa);
}

static void put32(struct machine_fixture *m, uint64_t gpa, uint32_t value)
{
	fix_put(m, gpa, &value, sizeof(value));
}

static void put_gate(struct machine_fixture *m, uint64_t at, uint16_t selector, uint32_t offset, unsigned type,
		     unsigned dpl, unsigned parameters)
{
	fix_put64(m, at,
		  (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32 |
			  (uint64_t)type << X86_DESC_TYPE_SHIFT | (uint64_t)dpl << X86_DESC_DPL_SHIFT | X86_DESC_P |
			  (uint64_t)(offset >> 16) << 48);
}

static void put_idt_gate(struct machine_fixture *m, unsigned vector, uint16_t selector, unsigned type, unsigned dpl)
{
	put_gate(m, FIX_IDT + vector * 8, selector, FIX_HANDLER + vector * 16, type, dpl, 0);
}

static void put_tss32(struct machine_fixture *m, uint64_t at, uint32_t eip, uint32_t esp, uint16_t cs, uint16_t data)
{
	put32(m, at + 4, STACK0);
	put32(m, at + 8, DATA0);
	put32(m, at + 32, eip);
	put32(m, at + 36, X86_RFLAGS_FIXED);
	for (unsigned n = 0; n < 8; n++)
		put32(m, at + 40 + 4 * n, 0x100 + n);
	put32(m, at + 56, esp);
	for (unsigned n = 0; n < SREG_COUNT; n++)
		put32(m, at + 72 + 4 * n, n == SREG_CS ? cs : data);
}

/* A vCPU in 32-bit protected mode without paging, at CODE0:FIX_CODE, in task A. */
static int protected_setup(void **state)
{
	const uint64_t flat = SEG_FLAT & ~X86_DESC_L;
	struct machine_fixture *m = fix_make();
	struct vcpu *c = m->vcpu;
	const uint64_t gdt[] = {
		[CODE0 / 8] = SEG_FLAT_CODE_32(0),
		[DATA0 / 8] = SEG_FLAT_DATA(0),
		[CODE3 / 8] = SEG_FLAT_CODE_32(3),
		[DATA3 / 8] = SEG_FLAT_DATA(3),
		[TASK_A / 8] = DESC32(TSS_A, 103, X86_SYSTYPE_TSS_BUSY, 0),
		[TASK_B / 8] = DESC32(TSS_B, 103, X86_SYSTYPE_TSS_AVAIL, 0),
		[TASK_C / 8] = DESC32(TSS_C16, 43, X86_SYSTYPE_TSS_AVAIL & ~X86_SYSTYPE_32, 0),
		[CODE16 / 8] = DESC32(0, 0x3ffff, 0x1b, 0),
		[DATA16 / 8] = DESC32(0, 0x3ffff, 0x13, 0),
		[DOWN / 8] = DESC32(0, 0xfff, 0x17, 0) | X86_DESC_DB,
		[ABSENT / 8] = flat & ~X86_DESC_P,
	};
	m->vm.cpu.legacy_modes = true;
	fix_put(m, FIX_GDT, gdt, sizeof(gdt));
	put_gate(m, FIX_GDT + CALL_GATE, CODE0, FIX_HANDLER, X86_GATE_CALL, 3, 2);
	put_gate(m, FIX_GDT + TASK_GATE, TASK_B, 0, X86_GATE_TASK, 3, 0);
	for (unsigned v = 0; v < X86_VEC_COUNT; v++)
		put_idt_gate(m, v, CODE0, X86_GATE_INTERRUPT, 3);
	put_tss32(m, TSS_A, 0, 0, CODE0, DATA0);
	put_tss32(m, TSS_B, FIX_CODE + 0x800, STACK_B, CODE0, DATA0);
	c->cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_NE;
	c->cr4 &= ~X86_CR4_PAE;
	c->efer = 0;
	c->gdtr = (struct vcpu_table){.base = FIX_GDT, .limit = LAST + 7};
	c->idtr = (struct vcpu_table){.base = FIX_IDT, .limit = X86_VEC_COUNT * 8 - 1};
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make(DATA0, gdt[DATA0 / 8]);
	c->sreg[SREG_CS] = seg_make(CODE0, gdt[CODE0 / 8]);
	c->tr = seg_make(TASK_A, gdt[TASK_A / 8]);
	c->rflags = X86_RFLAGS_FIXED | X86_RFLAGS_IF;
	*state = m;
	return 0;
}

static void to_user(struct vcpu *c)
{
	c->cpl = 3;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make(DATA3, SEG_FLAT_DATA(3));
	c->sreg[SREG_CS] = seg_make(CODE3, SEG_FLAT_CODE_32(3));
	c->rip = FIX_USER_CODE;
	c->gpr[RSP] = FIX_USER_STACK;
}

static void to_v86(struct vcpu *c)
{
	c->cpl = 3;
	c->rflags |= X86_RFLAGS_VM;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make_8086((uint16_t)(0x1000 + n), true);
	c->rip = 0x123;
	c->gpr[RSP] = 0x8000;
}

static void to_real(struct vcpu *c)
{
	c->cr0 = X86_CR0_ET;
	c->idtr = (struct vcpu_table){.base = 0, .limit = 0x3ff};
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make_8086(0x1000, false);
	c->rip = 0x123;
	c->gpr[RSP] = 0xdead0002;
}

/* Executes one instruction of `bits`, which is nowhere in memory. */
static enum emu_result run(struct vcpu *c, unsigned bits, const uint8_t *bytes, size_t len)
{
	ZydisDecoder decoder;
	struct emu_insn insn = {0};
	ZydisDecoderInit(&decoder, bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32 : ZYDIS_MACHINE_MODE_LEGACY_16,
			 bits == 32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_16);
	c->event_pending = false;
	memcpy(insn.bytes, bytes, len);
	assert_true(ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes, len, &insn.info, insn.operands)));
	return emu_execute(c, &insn);
}
#define RUN(c, bits, ...)                                                                                              \
	({                                                                                                             \
		static const uint8_t code_[] = {__VA_ARGS__};                                                          \
		run(c, bits, code_, sizeof(code_));                                                                    \
	})
#define DONE(c, bits, ...) assert_int_equal(RUN(c, bits, __VA_ARGS__), EMU_DONE)
#define FAULTS(c, number, code, bits, ...)                                                                             \
	do {                                                                                                           \
		assert_int_equal(RUN(c, bits, __VA_ARGS__), EMU_RAISED);                                               \
		assert_int_equal((c)->event.vector, number);                                                           \
		assert_int_equal((c)->event.error, code);                                                              \
		(c)->event_pending = false;                                                                            \
	} while (0)

#define IRET	     0xcf
#define FAR16(op, s) 0x66, op, 0x00, 0x08, (s)&0xff, (s) >> 8	    /* to s:0x800, 16-bit offset in 32-bit code */
#define FAR32(op, s) op, 0x00, 0x08, 0x01, 0x00, (s)&0xff, (s) >> 8 /* to s:0x10800 */
#define JMP_FAR	     0xea
#define CALL_FAR     0x9a
#define FIX_CODE_800 (FIX_CODE + 0x800)

/* --------------------------------------------------------------------------------------------------------- events */

static void same_privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	vcpu_raise_error(c, X86_VEC_GP, 0x1234);
	inject_event(c);
	assert_int_equal(c->rip, FIX_HANDLER + X86_VEC_GP * 16);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 16);
	assert_int_equal(get32(m, FIX_STACK - 16), 0x1234);
	assert_int_equal(get32(m, FIX_STACK - 12), FIX_CODE);
	assert_int_equal(get32(m, FIX_STACK - 8), CODE0);
	assert_int_equal(get32(m, FIX_STACK - 4), X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_RF);
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
	put_idt_gate(m, VECTOR, CODE0, X86_GATE_TRAP, 0);
	vcpu_raise_soft(c, VECTOR, 2);
	inject_event(c);
	assert_true(vcpu_if(c));
	c->gpr[RSP] = FIX_STACK;
	put_gate(m, FIX_IDT + VECTOR * 8, CODE16, 0x8765, X86_GATE_INTERRUPT & ~X86_SYSTYPE_32, 0, 0);
	c->rip = 0x12345678;
	vcpu_raise_soft(c, VECTOR, 2);
	inject_event(c);
	assert_int_equal(c->rip, 0x8765);
	assert_int_equal(vcpu_code_bits(c), 16);
	assert_int_equal(c->gpr[RSP], FIX_STACK - 6);
	assert_int_equal(get32(m, FIX_STACK - 6), 0x5678 | CODE0 << 16);
	assert_false(vcpu_if(c));
}

static void to_inner_privilege(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	to_user(c);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->sreg[SREG_SS].selector, DATA0);
	assert_int_equal(c->gpr[RSP], STACK0 - 20);
	assert_int_equal(get32(m, STACK0 - 20), FIX_USER_CODE);
	assert_int_equal(get32(m, STACK0 - 16), CODE3);
	assert_int_equal(get32(m, STACK0 - 8), FIX_USER_STACK);
	assert_int_equal(get32(m, STACK0 - 4), DATA3);
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

/* The chain of an event that could not be delivered: vector and error code of what came of it. */
static void expect_second(struct vcpu *c, uint8_t vector, uint32_t error)
{
	inject_event(c);
	assert_int_equal(c->last_chain_len, 2);
	assert_int_equal(c->last_chain[1].vector, vector);
	assert_int_equal(c->last_chain[1].error, error);
	assert_int_equal(c->rip, FIX_HANDLER + vector * 16);
}

static void bad_gates(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	to_user(c);
	put_idt_gate(m, VECTOR, CODE0, X86_SYSTYPE_LDT, 3);
	vcpu_raise_soft(c, VECTOR, 2);
	expect_second(c, X86_VEC_GP, VECTOR * 8 + 2);
	to_user(c);
	put_idt_gate(m, VECTOR, CODE0, X86_GATE_INTERRUPT, 0);
	vcpu_raise_soft(c, VECTOR, 2);
	expect_second(c, X86_VEC_GP, VECTOR * 8 + 2);
	/* RIP is at the instruction. */
	assert_int_equal(get32(m, STACK0 - 20), FIX_USER_CODE - 2);
	to_user(c);
	put_idt_gate(m, VECTOR, DATA0, X86_GATE_INTERRUPT, 0);
	vcpu_raise_interrupt(c, VECTOR);
	expect_second(c, X86_VEC_GP, DATA0 | 1);
	to_user(c);
	put_idt_gate(m, VECTOR, CODE0, X86_GATE_INTERRUPT, 0);
	put32(m, TSS_A + 8, CODE0);
	/* So that the second fault finds a stack. */
	put_idt_gate(m, X86_VEC_TS, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	expect_second(c, X86_VEC_TS, CODE0 | 1);
	assert_int_equal(c->cpl, 3);
	to_user(c);
	put32(m, TSS_A + 8, ABSENT);
	put_idt_gate(m, X86_VEC_SS, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	expect_second(c, X86_VEC_SS, ABSENT | 1);
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
	assert_int_equal(get32(m, 0xfff8), FIX_CODE);
	assert_int_equal(get32(m, 0), X86_RFLAGS_FIXED | X86_RFLAGS_IF);
	c->sreg[SREG_SS] = seg_make(DOWN, fix_get64(m, FIX_GDT + DOWN));
	c->gpr[RSP] = 0x1008;
	c->rip = FIX_CODE;
	/* Through a task gate there is a stack for the second fault. */
	put_idt_gate(m, X86_VEC_SS, TASK_B, X86_GATE_TASK, 0);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->tr.selector, TASK_B);
	assert_int_equal(c->last_chain[1].vector, X86_VEC_SS);
	assert_int_equal(get32(m, c->gpr[RSP]), 1);
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
	put_idt_gate(m, X86_VEC_GP, TASK_B, X86_GATE_TASK, 0);
	c->gpr[RBX] = 0xcafe;
	vcpu_raise_error(c, X86_VEC_GP, 0x77);
	inject_event(c);
	assert_int_equal(c->tr.selector, TASK_B);
	assert_int_equal(c->rip, FIX_CODE_800);
	assert_int_equal(c->gpr[RSP], STACK_B - 4);
	assert_int_equal(get32(m, STACK_B - 4), 0x77);
	assert_int_equal(c->gpr[RCX], 0x101);
	assert_true(c->rflags & X86_RFLAGS_NT);
	assert_true(c->cr0 & X86_CR0_TS);
	assert_int_equal(get32(m, TSS_B) & 0xffff, TASK_A);
	assert_int_equal(get32(m, TSS_A + 32), FIX_CODE);
	assert_int_equal(get32(m, TSS_A + 52), 0xcafe);
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
	assert_int_equal(get32(m, TSS_B + 32), FIX_CODE_800 + 1);
	assert_false(get32(m, TSS_B + 36) & X86_RFLAGS_NT);
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
	assert_int_equal(get32(m, TSS_A + 32), FIX_CODE + 7);
	DONE(c, 32, FAR32(CALL_FAR, TASK_A));
	assert_true(c->rflags & X86_RFLAGS_NT);
	assert_int_equal(get32(m, TSS_A) & 0xffff, TASK_B);
	/* Through the gate, which user mode may use, to a task that is busy. */
	to_user(c);
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
	put32(m, TSS_B + 80, CODE0); /* SS */
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

/* ------------------------------------------------------------------------------------------------------ call gates */

static void call_gate_copies_parameters(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	to_user(c);
	put32(m, FIX_USER_STACK, 0x11111111);
	put32(m, FIX_USER_STACK + 4, 0x22222222);
	DONE(c, 32, FAR32(CALL_FAR, CALL_GATE));
	assert_int_equal(c->cpl, 0);
	assert_int_equal(c->rip, FIX_HANDLER);
	assert_int_equal(c->gpr[RSP], STACK0 - 24);
	assert_int_equal(get32(m, STACK0 - 24), FIX_USER_CODE + 7);
	assert_int_equal(get32(m, STACK0 - 20), CODE3);
	assert_int_equal(get32(m, STACK0 - 16), 0x11111111);
	assert_int_equal(get32(m, STACK0 - 12), 0x22222222);
	assert_int_equal(get32(m, STACK0 - 8), FIX_USER_STACK);
	assert_int_equal(get32(m, STACK0 - 4), DATA3);
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
	assert_int_equal(get32(m, FIX_STACK - 4), (uint16_t)(FIX_CODE + 6) | CODE0 << 16);
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
	to_v86(c);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->cpl, 0);
	assert_false(c->rflags & X86_RFLAGS_VM);
	assert_int_equal(c->gpr[RSP], STACK0 - 36);
	assert_int_equal(get32(m, STACK0 - 36), 0x123);
	assert_int_equal(get32(m, STACK0 - 32), 0x1001);
	assert_int_equal(get32(m, STACK0 - 28), X86_RFLAGS_FIXED | X86_RFLAGS_IF | X86_RFLAGS_VM);
	assert_int_equal(get32(m, STACK0 - 24), 0x8000);
	assert_int_equal(get32(m, STACK0 - 20), 0x1002);
	assert_int_equal(get32(m, STACK0 - 16), 0x1000);
	assert_int_equal(get32(m, STACK0 - 4), 0x1005);
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
	to_v86(c);
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
	put_idt_gate(m, VECTOR, CODE3, X86_GATE_INTERRUPT, 3);
	vcpu_raise_interrupt(c, VECTOR);
	expect_second(c, X86_VEC_GP, (CODE3 & ~3) | 1);
}

static void real_mode(void **state)
{
	struct machine_fixture *m = *state;
	struct vcpu *c = m->vcpu;
	to_real(c);
	put32(m, VECTOR * 4, 0x20001234);
	vcpu_raise_interrupt(c, VECTOR);
	inject_event(c);
	assert_int_equal(c->rip, 0x1234);
	assert_int_equal(c->sreg[SREG_CS].base, 0x20000);
	assert_int_equal(c->gpr[RSP], 0xdeadfffc);
	assert_int_equal(get32(m, 0x1fffc), 0x123 | 0x10000000);
	assert_int_equal(get32(m, 0x10000) & 0xffff, X86_RFLAGS_FIXED | X86_RFLAGS_IF);
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
	to_user(c);
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
#define T(name) cmocka_unit_test_setup_teardown(name, protected_setup, fix_teardown)
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

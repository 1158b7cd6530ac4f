/*
 * A small machine outside long mode.
 */
#include "tests/unit/legacy_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "monitor/run/inject.h"
#include "monitor/vm/segment.h"

uint32_t legacy_get32(struct machine_fixture *m, uint64_t gpa)
{
	return (uint32_t)fix_get64(m, gpa);
}

void legacy_put32(struct machine_fixture *m, uint64_t gpa, uint32_t value)
{
	fix_put(m, gpa, &value, sizeof(value));
}

void legacy_put_gate(struct machine_fixture *m, uint64_t at, uint16_t selector, uint32_t offset, unsigned type,
		     unsigned dpl, unsigned parameters)
{
	fix_put64(m, at,
		  (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)parameters << 32 |
			  (uint64_t)type << X86_DESC_TYPE_SHIFT | (uint64_t)dpl << X86_DESC_DPL_SHIFT | X86_DESC_P |
			  (uint64_t)(offset >> 16) << 48);
}

void legacy_put_idt_gate(struct machine_fixture *m, unsigned vector, uint16_t selector, unsigned type, unsigned dpl)
{
	legacy_put_gate(m, FIX_IDT + vector * 8, selector, FIX_HANDLER + vector * 16, type, dpl, 0);
}

static void put_tss32(struct machine_fixture *m, uint64_t at, uint32_t eip, uint32_t esp, uint16_t cs, uint16_t data)
{
	legacy_put32(m, at + 4, STACK0);
	legacy_put32(m, at + 8, DATA0);
	legacy_put32(m, at + 32, eip);
	legacy_put32(m, at + 36, X86_RFLAGS_FIXED);
	for (unsigned n = 0; n < 8; n++)
		legacy_put32(m, at + 40 + 4 * n, 0x100 + n);
	legacy_put32(m, at + 56, esp);
	for (unsigned n = 0; n < SREG_COUNT; n++)
		legacy_put32(m, at + 72 + 4 * n, n == SREG_CS ? cs : data);
}

void legacy_make(struct machine_fixture *m)
{
	const uint64_t flat = SEG_FLAT & ~X86_DESC_L;
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
	legacy_put_gate(m, FIX_GDT + CALL_GATE, CODE0, FIX_HANDLER, X86_GATE_CALL, 3, 2);
	legacy_put_gate(m, FIX_GDT + TASK_GATE, TASK_B, 0, X86_GATE_TASK, 3, 0);
	for (unsigned v = 0; v < X86_VEC_COUNT; v++)
		legacy_put_idt_gate(m, v, CODE0, X86_GATE_INTERRUPT, 3);
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
}

int legacy_setup(void **state)
{
	struct machine_fixture *m = fix_make();

	legacy_make(m);
	*state = m;
	return 0;
}

void legacy_to_16(struct vcpu *c)
{
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make(DATA16, DESC32(0, 0x3ffff, 0x13, 0));
	c->sreg[SREG_CS] = seg_make(CODE16, DESC32(0, 0x3ffff, 0x1b, 0));
	c->rip = 0xa000;
	c->gpr[RSP] = 0xf000;
}

void legacy_to_user(struct vcpu *c)
{
	c->cpl = 3;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make(DATA3, SEG_FLAT_DATA(3));
	c->sreg[SREG_CS] = seg_make(CODE3, SEG_FLAT_CODE_32(3));
	c->rip = FIX_USER_CODE;
	c->gpr[RSP] = FIX_USER_STACK;
}

void legacy_to_v86(struct vcpu *c)
{
	c->cpl = 3;
	c->rflags |= X86_RFLAGS_VM;
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make_8086((uint16_t)(0x1000 + n), true);
	c->rip = 0x123;
	c->gpr[RSP] = 0x8000;
}

void legacy_to_real(struct vcpu *c)
{
	c->cr0 = X86_CR0_ET;
	c->idtr = (struct vcpu_table){.base = 0, .limit = 0x3ff};
	for (unsigned n = 0; n < SREG_COUNT; n++)
		c->sreg[n] = seg_make_8086(0x1000, false);
	c->rip = 0x123;
	c->gpr[RSP] = 0xdead0002;
}

/* Executes one instruction of `bits`, which is nowhere in memory. */
enum emu_result legacy_run(struct vcpu *c, unsigned bits, const uint8_t *bytes, size_t len)
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
void legacy_expect_second(struct vcpu *c, uint8_t vector, uint32_t error)
{
	inject_event(c);
	assert_int_equal(c->last_chain_len, 2);
	assert_int_equal(c->last_chain[1].vector, vector);
	assert_int_equal(c->last_chain[1].error, error);
	assert_int_equal(c->rip, FIX_HANDLER + vector * 16);
}

/*
 * WRMSR of 64-bit code: the bases of FS, GS and KERNEL_GS, which kernels set when they switch between programs; and
 * what each tick of a timer takes, the deadline of the next one and the x2APIC's EOI.
 */
#include "monitor/engine/translate/internal.h"
#include "monitor/vm/vcpu.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A jump to where emit_patch says, however far. */
static unsigned leap(struct compiler *c)
{
	emit_jump(&c->e, 0);
	return c->e.len - (unsigned)sizeof(uint32_t);
}

/* RCX = EDX:EAX; the number is in the slot `msr`. */
static void load_value(struct compiler *c)
{
	emit_store(&c->e, RCX, SLOT(msr));
	emit_load(&c->e, RCX, SLOT(rax));
	emit_store(&c->e, RCX, SLOT(scratch));
	emit_store(&c->e, RDX, SLOT(scratch) + sizeof(uint32_t));
	emit_load(&c->e, RCX, SLOT(scratch));
}

/* Not 0 is #GP. */
static void write_end(struct compiler *c, struct virtual *v)
{
	EMIT(REX_W, OPCODE_TEST, 0xc9); /* TEST RCX, RCX */
	virtual_unless(c, v, OPCODE_JNZ);
	emit_compare_zero(&c->e, SLOT(end.by_msr));
	virtual_unless(c, v, OPCODE_JZ);
	emit_store_imm(&c->e, c->e.place->state + SLOT(end.by_msr), 0);
	MARK(.rip = c->next, .undo = BT_STATUS);
}

static void write_deadline(struct compiler *c, struct virtual *v)
{
	emit_state(&c->e, OPCODE_COMPARE, RCX, SLOT(deadline.from));
	virtual_unless(c, v, OPCODE_JB);
	emit_store(&c->e, RCX, SLOT(deadline.written));
	MARK(.rip = c->next, .undo = BT_STATUS);
}

/* The local APIC's. Returns where the jump to behind the sequence ends; what is not the plain case is v's. */
static unsigned write_apic(struct compiler *c, struct virtual *v)
{
	struct virtual here = {0};
	emit_compare(&c->e, SLOT(msr), X86_MSR_TSC_DEADLINE);
	unsigned deadline = emit_hop(&c->e, OPCODE_JZ);
	emit_compare(&c->e, SLOT(msr), X86_MSR_X2APIC_EOI);
	unsigned other = emit_hop(&c->e, OPCODE_JNZ);
	write_end(c, &here);
	unsigned ended = leap(c);
	emit_skip_end(&c->e, deadline);
	MARK(.rip = c->rip, .undo = BT_STATUS);
	write_deadline(c, &here);
	emit_patch(&c->e, ended, c->e.len);
	unsigned done = leap(c);
	for (unsigned n = 0; n < here.count; n++)
		emit_skip_end(&c->e, here.check[n]);
	MARK(.rip = c->rip, .undo = BT_STATUS);
	v->leap = leap(c);
	emit_skip_end(&c->e, other);
	return done;
}

static void write_bases(struct compiler *c, struct virtual *v)
{
	virtual_canonical(c, v);
	emit_compare(&c->e, SLOT(msr), X86_MSR_FS_BASE);
	unsigned fs = emit_hop(&c->e, OPCODE_JZ);
	emit_compare(&c->e, SLOT(msr), X86_MSR_GS_BASE);
	unsigned gs = emit_hop(&c->e, OPCODE_JZ);
	emit_compare(&c->e, SLOT(msr), X86_MSR_KERNEL_GS_BASE);
	virtual_unless(c, v, OPCODE_JNZ);
	virtual_plain(c, v);
	emit_state(&c->e, OPCODE_ADD, RCX, SLOT(upper));
	emit_store(&c->e, RCX, SLOT(kernel_gs));
	MARK(.rip = c->next, .undo = BT_STATUS);
	unsigned kernel_done = emit_skip(&c->e);
	emit_skip_end(&c->e, gs);
	MARK(.rip = c->rip, .undo = BT_STATUS);
	virtual_load_gs(c);
	MARK(.rip = c->next, .undo = BT_STATUS);
	unsigned gs_done = emit_skip(&c->e);
	emit_skip_end(&c->e, fs);
	MARK(.rip = c->rip, .undo = BT_STATUS);
	virtual_load_fs(c);
	emit_skip_end(&c->e, kernel_done);
	emit_skip_end(&c->e, gs_done);
}

bool compile_write_msr(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, NULL);
	load_value(c);
	unsigned done = write_apic(c, &v);
	if (c->source->flavour & BT_SWAPS) {
		write_bases(c, &v);
	} else {
		virtual_unless(c, &v, OPCODE_JMP);
		virtual_plain(c, &v);
	}
	emit_patch(&c->e, done, c->e.len);
	virtual_end(c, c->next);
	return true;
}

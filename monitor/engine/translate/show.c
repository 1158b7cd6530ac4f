/*
 * Instructions of 64-bit code that show what the machine has: CPUID, RDMSR, SGDT, SIDT, PUSH of a segment register.
 */
#include <stddef.h>

#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* -------------------------------------------------------------------------------------------------------- identity */

/* RCX = the question; RBX = where the answer would lie. */
static void find_identity(struct compiler *c)
{
	emit_store(&c->e, RAX, SLOT(address));
	emit_store(&c->e, RCX, SLOT(address) + sizeof(uint32_t));
	emit_load(&c->e, RCX, SLOT(address));
	EMIT(0x0f, 0xb6, 0xd0);				 /* MOVZX EDX, AL */
	EMIT(0x0f, 0xc8);				 /* BSWAP EAX */
	EMIT(0x0f, 0xb6, 0xc0);				 /* MOVZX EAX, AL */
	EMIT(OPCODE_LEA, 0x14, 0x02);			 /* LEA EDX, [RDX + RAX] */
	EMIT(REX_W, OPCODE_LEA, 0x14, 0xd5, 0, 0, 0, 0); /* LEA RDX, [RDX * 8] */
	emit_constant64(&c->e, RBX, c->e.place->identity);
	EMIT(REX_W, OPCODE_LEA, 0x1c, 0x93); /* LEA RBX, [RBX + RDX * 4] */
}

static void restore_four(struct compiler *c)
{
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	emit_load(&c->e, RDX, SLOT(scratch));
	emit_load(&c->e, RBX, SLOT(scratch2));
	compiler_mark_exact(c, c->rip);
}

/* CPUID, if the monitor has answered that before. No flag is touched. */
bool show_identity(struct compiler *c)
{
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	emit_store(&c->e, RDX, SLOT(scratch));
	emit_store(&c->e, RBX, SLOT(scratch2));
	MARK(.rip = c->rip, .undo = BT_FOUR);
	find_identity(c);
	EMIT(REX_W, OPCODE_LOAD, 0x13);	     /* MOV RDX, [RBX] */
	EMIT(REX_W, OPCODE_LEA, 0x0c, 0x11); /* LEA RCX, [RCX + RDX] */
	unsigned known = emit_hop(&c->e, OPCODE_JRCXZ);
	restore_four(c);
	emit_pad_for_patch(&c->e, 1);
	emit_jump(&c->e, 0);
	compiler_patch(c, compiler_exit(c, BT_INSN, c->rip));
	emit_skip_end(&c->e, known);
	MARK(.rip = c->rip, .undo = BT_FOUR);
	EMIT(OPCODE_LOAD, 0x43, offsetof(struct bt_identity, eax)); /* MOV EAX, [RBX + disp8] */
	EMIT(OPCODE_LOAD, 0x4b, offsetof(struct bt_identity, ecx));
	EMIT(OPCODE_LOAD, 0x53, offsetof(struct bt_identity, edx));
	EMIT(OPCODE_LOAD, 0x5b, offsetof(struct bt_identity, ebx));
	compiler_mark_exact(c, c->next);
	return true;
}

/* ------------------------------------------------------------------------------------------------------------- MSRs */

/* Goes on at the next one if it is another; at the place that is returned with RCX loaded. */
static unsigned answer(struct compiler *c, uint32_t number, void (*load)(struct compiler *c))
{
	emit_compare(&c->e, SLOT(msr), number);
	unsigned other = emit_hop(&c->e, OPCODE_JNZ);
	load(c);
	unsigned found = emit_skip(&c->e);
	emit_skip_end(&c->e, other);
	return found;
}

static void load_efer(struct compiler *c)
{
	emit_load(&c->e, RCX, SLOT(efer));
}

static void load_fs(struct compiler *c)
{
	if (c->source->flavour & BT_UPPER)
		emit_load(&c->e, RCX, SLOT(fs));
	else
		EMIT(0xf3, REX_W, 0x0f, 0xae, 0xc1); /* RDFSBASE RCX */
}

static void load_gs(struct compiler *c)
{
	virtual_read_gs(c, RCX);
	emit_state(&c->e, OPCODE_SUB, RCX, SLOT(upper));
}

static void load_kernel_gs(struct compiler *c)
{
	emit_load(&c->e, RCX, SLOT(kernel_gs));
	emit_state(&c->e, OPCODE_SUB, RCX, SLOT(upper));
}

bool show_msr(struct compiler *c)
{
	struct virtual v;
	virtual_begin(c, &v, NULL);
	emit_store(&c->e, RCX, SLOT(msr));
	const unsigned found[] = {
		answer(c, X86_MSR_FS_BASE, load_fs),
		answer(c, X86_MSR_GS_BASE, load_gs),
		answer(c, X86_MSR_KERNEL_GS_BASE, load_kernel_gs),
		answer(c, X86_MSR_EFER, load_efer),
	};
	virtual_unless(c, &v, OPCODE_JMP);
	virtual_plain(c, &v);
	for (unsigned n = 0; n < sizeof(found) / sizeof(found[0]); n++)
		emit_skip_end(&c->e, found[n]);
	emit_store(&c->e, RCX, SLOT(scratch));
	virtual_flags(c);
	emit_load_half(&c->e, RAX, SLOT(scratch));
	MARK(.rip = c->rip, .undo = BT_BOTH);
	emit_load(&c->e, RCX, SLOT(rcx));
	emit_load_half(&c->e, RDX, SLOT(scratch) + sizeof(uint32_t));
	compiler_mark_exact(c, c->next);
	return true;
}

/* ---------------------------------------------------------------------------------------------------------- tables */

static void move_through_rcx(struct compiler *c, bool through_fs, uint8_t opcode)
{
	if (through_fs)
		emit8(&c->e, PREFIX_FS);
	EMIT(0x66, opcode, 0x01); /* MOV AX, [RCX]; MOV [RCX], AX */
}

/* The limit and, behind it, the base. What it cannot store as a whole it does not store at all. */
bool show_table(struct compiler *c, size_t slot)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	const bool upper = c->source->flavour & BT_UPPER;
	if (c->insn.info.address_width != 64 || bt_uses_base(&c->insn) || compiler_is_rip_relative(&c->insn) || c->user)
		return false;
	const bool through_fs = upper && op->mem.base != ZYDIS_REGISTER_RSP;
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	MARK(.rip = c->rip, .undo = BT_BOTH);
	compiler_operand_lea(c, RCX, op);
	move_through_rcx(c, through_fs, OPCODE_LOAD);
	move_through_rcx(c, through_fs, OPCODE_STORE);
	emit_load(&c->e, RAX, slot + sizeof(uint64_t));
	if (through_fs)
		emit8(&c->e, PREFIX_FS);
	EMIT(REX_W, OPCODE_STORE, 0x41, sizeof(uint16_t)); /* MOV [RCX + 2], RAX */
	emit_load(&c->e, RAX, slot);
	move_through_rcx(c, through_fs, OPCODE_STORE);
	MARK(.rip = c->next, .undo = BT_BOTH);
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	return true;
}

bool show_segment(struct compiler *c)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || ZydisRegisterGetClass(op->reg.value) != ZYDIS_REGCLASS_SEGMENT ||
	    c->insn.info.operand_width != 64)
		return false;
	emit_state(&c->e, OPCODE_GROUP_FF, FF_PUSH,
		   SLOT(selector) + (size_t)ZydisRegisterGetId(op->reg.value) * sizeof(uint64_t));
	return true;
}

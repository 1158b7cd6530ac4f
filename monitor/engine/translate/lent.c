/*
 * XSAVE and XRSTOR of a kernel that has left the FPU to user mode, whose state lies in the signal frame of its cell,
 * which the kernel's cell sees. What the kernel's own has in the registers is of no interest: so the state is loaded
 * from there, the guest's instruction executed, and what it loaded put back.
 */
#include <stddef.h>

#include "monitor/engine/translate/internal.h"

#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define MODRM_SAVE 4 /* of 0F AE: the field that makes it XSAVE, XRSTOR */
#define MODRM_LOAD 5

static bool loads(const struct compiler *c)
{
	return c->insn.info.mnemonic == ZYDIS_MNEMONIC_XRSTOR || c->insn.info.mnemonic == ZYDIS_MNEMONIC_XRSTOR64;
}

static bool is_known(const struct compiler *c)
{
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_XSAVE:
	case ZYDIS_MNEMONIC_XSAVE64:
	case ZYDIS_MNEMONIC_XSAVEC:
	case ZYDIS_MNEMONIC_XSAVEC64:
	case ZYDIS_MNEMONIC_XSAVEOPT:
	case ZYDIS_MNEMONIC_XSAVEOPT64:
		return true;
	default:
		return loads(c);
	}
}

/* RBX = where the cell has the operand, but for UPPER_BASE where a prefix is to add that: true. */
static bool find_operand(struct compiler *c)
{
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	const bool upper = c->source->flavour & BT_UPPER, stack = op->mem.base == ZYDIS_REGISTER_RSP;
	if (compiler_is_rip_relative(&c->insn))
		emit_constant64(&c->e, RBX, compiler_operand_address(c));
	else
		compiler_operand_lea(c, RBX, op);
	if (!upper || stack)
		return false;
	if (!c->user)
		return true;
	upper_reach_user(c, RBX, RCX);
	return false;
}

static void give_up_here(struct compiler *c)
{
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	emit_load(&c->e, RDX, SLOT(scratch));
	emit_load(&c->e, RBX, SLOT(scratch2));
	compiler_mark_exact(c, c->rip);
	emit_pad_for_patch(&c->e, 1);
	emit_jump(&c->e, 0);
	compiler_patch(c, compiler_exit(c, BT_INSN, c->rip));
}

/* MOVQ XMM, [RBX + disp32] */
static void load_header(struct compiler *c, bool prefixed, unsigned xmm, unsigned disp)
{
	if (prefixed)
		emit8(&c->e, PREFIX_FS);
	EMIT(0xf3, 0x0f, 0x7e, (uint8_t)(0x83 | xmm << 3));
	emit32(&c->e, disp);
}

/* Goes on where the state can be had; for XRSTOR, where the image has nothing that the guest has not enabled. */
static void check(struct compiler *c, bool prefixed)
{
	emit_load(&c->e, RCX, SLOT(fpu.at));
	const unsigned nowhere = emit_hop(&c->e, OPCODE_JRCXZ);
	unsigned plain;
	if (loads(c)) {
		load_header(c, prefixed, 0, X86_FPU_HEADER);
		load_header(c, prefixed, 1, X86_FPU_HEADER + sizeof(uint64_t));
		EMIT(0x66, 0x0f, 0xeb, 0xc1); /* POR XMM0, XMM1 */
		emit_load_vector(&c->e, 1, SLOT(fpu.refused));
		EMIT(0x66, 0x0f, 0xdb, 0xc1);	     /* PAND XMM0, XMM1 */
		EMIT(0x66, REX_W, 0x0f, 0x7e, 0xc1); /* MOVQ RCX, XMM0 */
		plain = emit_hop(&c->e, OPCODE_JRCXZ);
	} else {
		plain = emit_skip(&c->e);
	}
	emit_skip_end(&c->e, nowhere);
	give_up_here(c);
	emit_skip_end(&c->e, plain);
	MARK(.rip = c->rip, .undo = BT_LENT);
}

/* What the guest asks for, as far as it has enabled that. */
static void limit(struct compiler *c)
{
	emit_store(&c->e, RAX, SLOT(fpu.asked));
	emit_store(&c->e, RDX, SLOT(fpu.asked) + sizeof(uint32_t));
	emit_load_vector(&c->e, 0, SLOT(fpu.asked));
	emit_load_vector(&c->e, 1, SLOT(fpu.enabled));
	EMIT(0x66, 0x0f, 0xdb, 0xc1); /* PAND XMM0, XMM1 */
	emit_store_vector(&c->e, 0, SLOT(fpu.asked));
}

/* All of the state, where user mode has it. */
static void move_state(struct compiler *c, unsigned field)
{
	emit_load(&c->e, RCX, SLOT(fpu.at));
	emit_load_half(&c->e, RAX, SLOT(fpu.components));
	emit_load_half(&c->e, RDX, SLOT(fpu.components) + sizeof(uint32_t));
	EMIT(REX_W, 0x0f, 0xae, (uint8_t)(field << 3 | RCX));
}

/* The guest's instruction, with [RBX] for its operand. */
static void execute(struct compiler *c, bool prefixed)
{
	const ZydisDecodedInstruction *info = &c->insn.info;
	emit_load_half(&c->e, RAX, SLOT(fpu.asked));
	emit_load_half(&c->e, RDX, SLOT(fpu.asked) + sizeof(uint32_t));
	if (prefixed)
		emit8(&c->e, PREFIX_FS);
	EMIT(info->raw.rex.W ? REX_W : REX, 0x0f, info->opcode, (uint8_t)(info->raw.modrm.reg << 3 | RBX));
}

bool compile_lent(struct compiler *c)
{
	if ((c->source->flavour & (BT_FPU | BT_X87 | BT_READ)) != BT_READ || !is_known(c) ||
	    c->insn.info.address_width != 64 || bt_uses_base(&c->insn))
		return false;
	emit_store(&c->e, RCX, SLOT(rcx));
	emit_store(&c->e, RAX, SLOT(rax));
	emit_store(&c->e, RDX, SLOT(scratch));
	emit_store(&c->e, RBX, SLOT(scratch2));
	MARK(.rip = c->rip, .undo = BT_LENT);
	const bool prefixed = find_operand(c);
	check(c, prefixed);
	limit(c);
	move_state(c, MODRM_LOAD);
	execute(c, prefixed);
	if (loads(c))
		move_state(c, MODRM_SAVE);
	MARK(.rip = c->next, .undo = BT_FOUR);
	emit_load(&c->e, RAX, SLOT(rax));
	emit_load(&c->e, RCX, SLOT(rcx));
	emit_load(&c->e, RDX, SLOT(scratch));
	emit_load(&c->e, RBX, SLOT(scratch2));
	compiler_mark_exact(c, c->next);
	return true;
}

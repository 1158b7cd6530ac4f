/*
 * Sensitive instructions of 32-bit code done where they stand: as in inside.c, but for what needs the stack, and
 * segment registers, which are virtual.
 */
#include <stddef.h>

#include "monitor/engine/translate/narrow.h"
#include "monitor/vm/vcpu.h"

#define HERE	  .rip = c->rip
#define NEXT_RIP  .rip = c->next
#define MARK(...) compiler_mark(c, (struct bt_locus){__VA_ARGS__})
#define EMIT(...) emit_bytes(&c->e, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define MOVZX_WORD 0x0fb7

/* The host's stack pointer points to a few words of the state meanwhile; the guest's is in R9. */
static void borrow_stack(struct compiler *c)
{
	EMIT(0x49, 0x89, 0xe1); /* MOV R9, RSP */
	MARK(HERE, .undo = BT_BORROWED);
	emit_state(&c->e, OPCODE_LEA, RSP,
		   offsetof(struct bt_state, stack) + sizeof(((struct bt_state *)0)->stack)); /* LEA */
}

static bool push_flags(struct compiler *c)
{
	borrow_stack(c);
	EMIT(0x9c, 0x41, 0x58); /* PUSHFQ; POP R8 */
	EMIT(0x4c, 0x89, 0xcc); /* MOV RSP, R9 */
	compiler_mark_exact(c, c->rip);
	emit_load(&c->e, R10, SLOT(iflag));
	EMIT(0x4f, 0x8d, 0x04, 0x10); /* LEA R8, [R8 + R10] */
	emit_load(&c->e, R10, SLOT(pushed));
	EMIT(0x4f, 0x8d, 0x04, 0x10);
	narrow_stack(c, OPCODE_STORE, R8, -WORD);
	narrow_move_stack(c, -WORD);
	return true;
}

static void give_up(struct compiler *c)
{
	compiler_mark_exact(c, c->rip);
	emit_pad_for_patch(&c->e, 1);
	emit_jump(&c->e, 0);
	compiler_patch(c, compiler_exit(c, BT_INSN, c->rip));
}

static void restore_counter(struct compiler *c)
{
	EMIT(0x44, OPCODE_STORE, 0xd1); /* MOV ECX, R10D */
}

static void keep_counter(struct compiler *c)
{
	EMIT(0x41, OPCODE_STORE, 0xca); /* MOV R10D, ECX */
	MARK(HERE, .undo = BT_KEPT);
}

/* As inside_sti. */
static bool set_interrupts(struct compiler *c)
{
	if (!c->followed)
		return false;
	keep_counter(c);
	emit_load(&c->e, RCX, SLOT(hold));
	unsigned go = emit_hop(&c->e, OPCODE_JRCXZ);
	restore_counter(c);
	give_up(c);
	emit_skip_end(&c->e, go);
	MARK(HERE, .undo = BT_KEPT);
	restore_counter(c);
	compiler_mark_exact(c, c->rip);
	emit_store_imm(&c->e, c->e.place->state + SLOT(iflag), X86_RFLAGS_IF);
	c->sti = true;
	return true;
}

/* As inside_popf. */
static bool pop_flags(struct compiler *c)
{
	narrow_stack(c, OPCODE_LOAD, R8, 0);
	EMIT(0x41, 0xf7, 0xc0); /* TEST R8D, imm32 */
	emit32(&c->e, ~(uint32_t)BT_POPF_FREE);
	unsigned odd = emit_hop(&c->e, OPCODE_JNZ);
	EMIT(0x41, 0x83, 0xc8, X86_RFLAGS_FIXED); /* OR R8D, imm8 */
	emit_state(&c->e, OPCODE_TEST, R8, SLOT(hold));
	unsigned go = emit_hop(&c->e, OPCODE_JZ);
	emit_skip_end(&c->e, odd);
	give_up(c);
	emit_skip_end(&c->e, go);
	compiler_mark_exact(c, c->rip);
	EMIT(0x45, 0x89, 0xc2); /* MOV R10D, R8D */
	EMIT(0x41, 0x81, 0xe0); /* AND R8D, imm32 */
	emit32(&c->e, X86_RFLAGS_IF);
	borrow_stack(c);
	EMIT(0x41, 0x52, 0x9d); /* PUSH R10; POPFQ */
	MARK(NEXT_RIP, .undo = BT_FLAGS, .rsp = WORD);
	emit_store(&c->e, R8, SLOT(iflag));
	EMIT(0x41, 0x8d, 0x61, WORD); /* LEA ESP, [R9 + 4] */
	return true;
}

/* ------------------------------------------------------------------------------------------------ segment registers */

static bool push_segment(struct compiler *c, unsigned sreg)
{
	emit_load(&c->e, R8, SLOT(selector) + sreg * sizeof(uint64_t));
	narrow_stack(c, OPCODE_STORE, R8, -WORD);
	narrow_move_stack(c, -WORD);
	return true;
}

/* R8D = the operand, of 16 bits. False: nothing was emitted. */
static bool load_selector(struct compiler *c, const ZydisDecodedOperand *from)
{
	if (from->type == ZYDIS_OPERAND_TYPE_REGISTER) {
		EMIT(0x44, 0x0f, 0xb7); /* MOVZX R8D, r16 */
		emit8(&c->e, 0xc0 | ZydisRegisterGetId(from->reg.value));
		return true;
	}
	unsigned prefix = narrow_prefix(c, from);
	if (prefix)
		narrow_operand(c, prefix, MOVZX_WORD, R8);
	return prefix;
}

#define KNOWN(field) ((uint8_t)offsetof(struct bt_known, field))

/*
 * ECX is a selector whose descriptor the monitor has seen, R9 its struct bt_known: goes on if R8D is the same and the
 * descriptor as it was. NOT and LEA subtract, since flags are the guest's.
 */
static void check_known(struct compiler *c)
{
	EMIT(0xf7, 0xd1);			  /* NOT ECX */
	EMIT(0x41, OPCODE_LEA, 0x4c, 0x08, 0x01); /* LEA ECX, [R8 + RCX + 1] */
	unsigned same = emit_hop(&c->e, OPCODE_JRCXZ), other = emit_skip(&c->e);
	emit_skip_end(&c->e, same);
	EMIT(0x4d, OPCODE_LOAD, 0x59, KNOWN(descriptor.at)); /* MOV R11, [R9 + disp8] */
	EMIT(0x4d, OPCODE_LOAD, 0x1b);			     /* MOV R11, [R11] */
	EMIT(0x49, 0xf7, 0xd3);				     /* NOT R11 */
	EMIT(0x49, OPCODE_LOAD, 0x49, KNOWN(descriptor.is)); /* MOV RCX, [R9 + disp8] */
	EMIT(0x49, OPCODE_LEA, 0x4c, 0x0b, 0x01);	     /* LEA RCX, [R11 + RCX + 1] */
	unsigned equal = emit_hop(&c->e, OPCODE_JRCXZ);
	emit_skip_end(&c->e, other);
	restore_counter(c);
	give_up(c);
	emit_skip_end(&c->e, equal);
	MARK(HERE, .undo = BT_KEPT);
	restore_counter(c);
	compiler_mark_exact(c, c->rip);
}

/* R8D has the selector: loads it if the monitor knows what that does. The store to `loaded` is what makes it done. */
static void load_known(struct compiler *c, unsigned sreg)
{
	const size_t at = sreg * sizeof(uint64_t);
	bool based = sreg == SREG_FS || sreg == SREG_GS;
	keep_counter(c);
	EMIT(0x45, 0x0f, 0xb6, 0xc8); /* MOVZX R9D, R8B */
	emit_state(&c->e, OPCODE_LEA, R11, 0);
	EMIT(0x47, 0x0f, 0xb7, 0x8c, 0x4b); /* MOVZX R9D, WORD [R11 + R9 * 2 + disp32] */
	emit32(&c->e, SLOT(known_at));
	EMIT(0x4f, OPCODE_LEA, 0x0c, 0x0b);				      /* LEA R9, [R11 + R9] */
	EMIT(0x41, OPCODE_LOAD, 0x49, based ? KNOWN(selector) : KNOWN(flat)); /* MOV ECX, [R9 + disp8] */
	check_known(c);
	emit_store(&c->e, R8, SLOT(selector) + at);
	EMIT(0x4d, OPCODE_LOAD, 0x59, KNOWN(privileged)); /* MOV R11, [R9 + disp8] */
	emit_store(&c->e, R11, SLOT(privileged) + at);
	if (based) {
		EMIT(0x4d, OPCODE_LOAD, 0x59, sreg == SREG_FS ? KNOWN(base[0]) : KNOWN(base[1]));
		emit_store(&c->e, R11, SLOT(fs_base) + (sreg == SREG_FS ? 0 : sizeof(uint64_t)));
	}
	if (sreg == SREG_FS)
		EMIT(0xf3, 0x49, 0x0f, 0xae, 0xd3); /* WRFSBASE R11 */
	emit_store(&c->e, R9, SLOT(loaded) + at);
}

/*
 * VERW of the selector that the kernel has in SS: it can be written, as the host's own SS can. ZF alone changes, and
 * what kernels execute it for, clearing the processor's buffers before user mode runs, is done too.
 */
static bool verify_write(struct compiler *c)
{
	static const size_t segment = SLOT(cross_segment) + BT_KERNEL_SS * sizeof(struct bt_described);
	const ZydisDecodedOperand *op = &c->insn.operands[0];
	if (!load_selector(c, op))
		return false;
	keep_counter(c);
	emit_load(&c->e, RCX, SLOT(cross_selector) + BT_KERNEL_SS * sizeof(uint64_t));
	emit_state(&c->e, OPCODE_LEA, R9, segment - offsetof(struct bt_known, descriptor));
	check_known(c);
	EMIT(0x41, 0x8c, 0xd0);	      /* MOV R8D, SS */
	EMIT(0x41, 0x0f, 0x00, 0xe8); /* VERW R8W */
	return true;
}

/* Those without an interrupt shadow; descriptors are the kernel's to see. */
static bool is_known(const struct compiler *c, unsigned sreg)
{
	return sreg != SREG_SS && sreg != SREG_CS && !(c->source->flavour & BT_USER) &&
	       (sreg != SREG_FS || c->e.place->sets_bases);
}

static bool pop_segment(struct compiler *c, unsigned sreg)
{
	if (!is_known(c, sreg))
		return false;
	narrow_stack(c, MOVZX_WORD, R8, 0);
	load_known(c, sreg);
	MARK(NEXT_RIP, .rsp = WORD);
	narrow_move_stack(c, WORD);
	return true;
}

static bool load_segment(struct compiler *c, unsigned sreg)
{
	if (!is_known(c, sreg) || !load_selector(c, &c->insn.operands[1]))
		return false;
	load_known(c, sreg);
	return true;
}

/* The segment register that the operand is; SREG_COUNT: it is none. */
static unsigned segment_of(const ZydisDecodedOperand *op)
{
	bool is = op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		  ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_SEGMENT;
	return is ? (unsigned)ZydisRegisterGetId(op->reg.value) : SREG_COUNT;
}

bool narrow_system(struct compiler *c)
{
	const unsigned flavour = c->source->flavour;
	bool flags = flavour & BT_IF, reads = flavour & BT_READ, user = flavour & BT_USER;
	unsigned to = segment_of(&c->insn.operands[0]), from = segment_of(&c->insn.operands[1]);
	switch (c->insn.info.mnemonic) {
	case ZYDIS_MNEMONIC_PUSHFD:
		return flags && push_flags(c);
	case ZYDIS_MNEMONIC_POPFD:
		return flags && !user && pop_flags(c);
	case ZYDIS_MNEMONIC_STI:
		return flags && !user && set_interrupts(c);
	case ZYDIS_MNEMONIC_PUSH:
		return reads && to != SREG_COUNT && c->insn.info.operand_width == 32 && push_segment(c, to);
	case ZYDIS_MNEMONIC_POP:
		return reads && to != SREG_COUNT && c->insn.info.operand_width == 32 && pop_segment(c, to);
	case ZYDIS_MNEMONIC_VERW:
		return reads && !user && verify_write(c);
	case ZYDIS_MNEMONIC_MOV:
		if (to != SREG_COUNT)
			return reads && load_segment(c, to);
		return (!user || from != SREG_COUNT) && compile_inside(c);
	default:
		return !user && compile_inside(c);
	}
}

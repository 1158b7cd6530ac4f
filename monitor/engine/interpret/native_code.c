/*
 * The copies of guest instructions that run natively: the memory operand is led to the buffer, and RSP, which stays the
 * monitor's, is replaced by a register that the instruction does not use.
 */
#include <string.h>

#include "monitor/engine/interpret/native.h"

static bool is_long(const struct emu_insn *emu)
{
	return emu->info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
}

/* Code whose operands have 16 bits without a prefix. */
static bool is_narrow(const struct emu_insn *emu)
{
	return !is_long(emu) && emu->info.machine_mode != ZYDIS_MACHINE_MODE_LEGACY_32;
}

/* ----------------------------------------------------------------------------------------------------------- RSP */

static bool is_rsp(const ZydisDecodedOperand *op)
{
	return op->type == ZYDIS_OPERAND_TYPE_REGISTER &&
	       ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value) == ZYDIS_REGISTER_RSP;
}

static bool uses_rsp(const struct emu_insn *emu)
{
	for (unsigned n = 0; n < emu->info.operand_count; n++)
		if (is_rsp(&emu->operands[n]))
			return true;
	return false;
}

/* One of the first eight, whose numbers need no more bits than RSP's, that is no operand. */
static uint8_t find_stand_in(const struct emu_insn *emu)
{
	static const uint8_t candidates[] = {RBX, RBP, RSI, RDI, RDX, RCX};
	unsigned used = 0;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value);
		if (ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64)
			used |= 1u << ZydisRegisterGetId(whole);
	}
	for (unsigned n = 0; n < sizeof(candidates); n++)
		if (!(used >> candidates[n] & 1))
			return candidates[n];
	return 0;
}

/* Where VEX and XOP keep vvvv: their last byte. */
static unsigned last_prefix_byte(const ZydisDecodedInstruction *info)
{
	return info->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ? info->raw.xop.offset + 2u
								: info->raw.vex.offset + info->raw.vex.size - 1u;
}

static bool replace_rsp(struct insn_detail *d, uint8_t *bytes)
{
	const struct emu_insn *emu = &d->emu;
	const ZydisDecodedInstruction *info = &emu->info;
	d->stand_in = find_stand_in(emu);
	if (!d->stand_in)
		return false;
	for (unsigned n = 0; n < info->operand_count; n++) {
		uint8_t *modrm = &bytes[info->raw.modrm.offset], *opcode = &bytes[info->length - 1], *vvvv;
		if (!is_rsp(&emu->operands[n]))
			continue;
		switch (emu->operands[n].encoding) {
		case ZYDIS_OPERAND_ENCODING_MODRM_REG:
			*modrm = (uint8_t)((*modrm & ~0x38) | d->stand_in << 3);
			break;
		case ZYDIS_OPERAND_ENCODING_MODRM_RM:
			*modrm = (uint8_t)((*modrm & ~7) | d->stand_in);
			break;
		case ZYDIS_OPERAND_ENCODING_OPCODE:
			*opcode = (uint8_t)((*opcode & ~7) | d->stand_in);
			break;
		case ZYDIS_OPERAND_ENCODING_NDSNDD:
			if (info->encoding != ZYDIS_INSTRUCTION_ENCODING_VEX &&
			    info->encoding != ZYDIS_INSTRUCTION_ENCODING_XOP)
				return false;
			vvvv = &bytes[last_prefix_byte(info)];
			*vvvv = (uint8_t)((*vvvv & ~0x78) | (~d->stand_in & 15) << 3);
			break;
		default:
			return false;
		}
	}
	return true;
}

/* --------------------------------------------------------------------------------- from narrow code to 64-bit code */

/*
 * Outside 64-bit mode the bits that would name the upper half of the registers do not count: those that VEX, XOP and
 * EVEX keep inverted are set. Nor does W where it would say how wide a general register is: `turned` clears it.
 */
static void widen(const struct emu_insn *emu, bool turned, uint8_t *bytes)
{
	enum { B = 0x20, R_X_B = 0xe0, B_AND_HIGH_R = 0x30, VVVV_TOP = 0x40, W = 0x80, HIGH_V = 0x08, IS4_TOP = 0x80 };
	const ZydisDecodedInstruction *info = &emu->info;
	uint8_t *prefix = NULL;
	if (is_long(emu))
		return;
	if (info->encoding == ZYDIS_INSTRUCTION_ENCODING_VEX && info->raw.vex.size == 3) {
		prefix = bytes + info->raw.vex.offset;
		prefix[1] |= B;
	} else if (info->encoding == ZYDIS_INSTRUCTION_ENCODING_XOP) {
		prefix = bytes + info->raw.xop.offset;
		prefix[1] |= R_X_B;
	} else if (info->encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX) {
		prefix = bytes + info->raw.evex.offset;
		prefix[1] |= B_AND_HIGH_R;
		prefix[3] |= HIGH_V;
	}
	if (prefix)
		prefix[2] = (uint8_t)((prefix[2] | VVVV_TOP) & (turned ? ~W : 0xff));
	for (unsigned n = 0; n < info->operand_count; n++)
		if (emu->operands[n].encoding == ZYDIS_OPERAND_ENCODING_IS4)
			bytes[info->length - 1] &= (uint8_t)~IS4_TOP;
}

/* ---------------------------------------------------------------------------------------------------- emitting */

static bool add_memory(struct engine_vcpu *c, struct insn_detail *d, const ZydisDecodedOperand *op)
{
	bool state = native_is_state(&d->emu), implied = native_is_through_rdi(&d->emu);
	if (d->size || op->mem.type != ZYDIS_MEMOP_TYPE_MEM ||
	    (op->encoding != ZYDIS_OPERAND_ENCODING_MODRM_RM && !implied))
		return false;
	d->size = (uint16_t)(state ? c->fpu_size : op->size / 8u);
	d->masked = native_is_masked(&d->emu);
	d->writes = op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE;
	/* What is written in part, or perhaps, keeps the rest. */
	d->reads = true;
	d->align = native_alignment(&d->emu, d->size);
	return d->size && d->size <= ENGINE_FPU_MAX;
}

/*
 * The prefixes that decoding found a meaning for, and no other: not those of segments and of address size, since a
 * copy's operand lies where the copy says; not LOCK, since nobody else sees that operand. `turned`: with one that the
 * copy of 16-bit code needs, being 64-bit code, to have operands of 16 bits.
 */
static unsigned emit_prefixes(const struct emu_insn *emu, const uint8_t *bytes, bool turned, uint8_t *out)
{
	enum { OPERAND_SIZE = 0x66, REPNE = 0xf2, REP = 0xf3 };
	const ZydisDecodedInstruction *info = &emu->info;
	unsigned len = 0;
	if (turned && is_narrow(emu) && info->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		out[len++] = OPERAND_SIZE;
	for (unsigned n = 0; n < info->raw.prefix_count; n++) {
		ZydisPrefixType type = info->raw.prefixes[n].type;
		bool means = bytes[n] == OPERAND_SIZE ? type == ZYDIS_PREFIX_TYPE_MANDATORY ||
								(type != ZYDIS_PREFIX_TYPE_IGNORED && !is_narrow(emu))
			     : bytes[n] == REP || bytes[n] == REPNE ? type == ZYDIS_PREFIX_TYPE_MANDATORY
								    : false;
		/* REX counts where nothing stands between it and the opcode. */
		bool rex = (bytes[n] & 0xf0) == 0x40 && n + 1u == info->raw.prefix_count && is_long(emu);
		if (means || rex)
			out[len++] = bytes[n];
	}
	return len;
}

/* The instruction for execution at `at`, with its ModRM operand, if it has one in memory, at `operand`. */
static unsigned emit(const struct insn_detail *d, const uint8_t *bytes, bool turned, uint64_t at, uint64_t operand,
		     uint8_t *out)
{
	const ZydisDecodedInstruction *info = &d->emu.info;
	unsigned len = emit_prefixes(&d->emu, bytes, turned, out), from = info->raw.prefix_count;
	if (!d->size || native_is_through_rdi(&d->emu)) {
		memcpy(out + len, bytes + from, info->length - from);
		return len + info->length - from;
	}
	while (from < info->raw.modrm.offset)
		out[len++] = bytes[from++];
	out[len++] = (bytes[info->raw.modrm.offset] & 0x38) | 5; /* RIP-relative */
	unsigned tail = info->raw.modrm.offset + 1;
	if (info->raw.sib.offset)
		tail = info->raw.sib.offset + 1;
	if (info->raw.disp.size)
		tail = info->raw.disp.offset + info->raw.disp.size / 8;
	unsigned rest = info->length - tail;
	int32_t displacement = (int32_t)(operand - (at + len + sizeof(displacement) + rest));
	memcpy(out + len, &displacement, sizeof(displacement));
	len += sizeof(displacement);
	memcpy(out + len, bytes + tail, rest);
	return len + rest;
}

/* ---------------------------------------------------------------------------------------------------- looked at again
 */

static bool same_register(const struct insn_detail *d, const ZydisDecodedOperand *copy, const ZydisDecodedOperand *op)
{
	if (!native_register_allowed(copy->reg.value) || is_rsp(copy))
		return false;
	if (ZydisRegisterGetClass(copy->reg.value) == ZYDIS_REGCLASS_FLAGS)
		return ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_FLAGS;
	if (!is_rsp(op))
		return copy->reg.value == op->reg.value;
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, copy->reg.value);
	return d->stand_in && whole == (ZydisRegister)(ZYDIS_REGISTER_RAX + d->stand_in) && copy->size == op->size;
}

static bool same_memory(const struct insn_detail *d, const struct emu_insn *copy, const ZydisDecodedOperand *op,
			uint64_t at, uint64_t operand)
{
	const ZydisDecodedOperandMem *mem = &op->mem;
	if (mem->type != ZYDIS_MEMOP_TYPE_MEM || mem->segment == ZYDIS_REGISTER_FS ||
	    mem->segment == ZYDIS_REGISTER_GS || copy->info.address_width != 64)
		return false;
	if (native_is_through_rdi(&d->emu))
		return mem->base == ZYDIS_REGISTER_RDI && mem->index == ZYDIS_REGISTER_NONE && !mem->disp.value;
	return op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM && mem->base == ZYDIS_REGISTER_RIP &&
	       mem->index == ZYDIS_REGISTER_NONE && at + copy->info.length + (uint64_t)mem->disp.value == operand;
}

static bool same_operand(const struct insn_detail *d, const struct emu_insn *copy, unsigned n, uint64_t at,
			 uint64_t operand)
{
	const ZydisDecodedOperand *op = &d->emu.operands[n], *again = &copy->operands[n];
	/* FLAGS, EFLAGS and RFLAGS are one. */
	bool flags = again->type == ZYDIS_OPERAND_TYPE_REGISTER &&
		     ZydisRegisterGetClass(again->reg.value) == ZYDIS_REGCLASS_FLAGS;
	if (op->type != again->type || (op->size != again->size && !flags) || op->actions != again->actions)
		return false;
	switch (op->type) {
	case ZYDIS_OPERAND_TYPE_REGISTER:
		return same_register(d, again, op);
	case ZYDIS_OPERAND_TYPE_MEMORY:
		return same_memory(d, copy, again, at, operand);
	case ZYDIS_OPERAND_TYPE_IMMEDIATE:
		return op->imm.value.u == again->imm.value.u;
	default:
		return false;
	}
}

bool native_copy_is_sound(const struct insn_detail *d, const uint8_t *bytes, unsigned len, uint64_t at,
			  uint64_t operand)
{
	const ZydisDecodedInstruction *info = &d->emu.info;
	struct emu_insn copy;
	if (ZYAN_FAILED(emu_decode_bytes(ZYDIS_MACHINE_MODE_LONG_64, bytes, len, &copy)) || copy.info.length != len ||
	    copy.info.mnemonic != info->mnemonic || copy.info.encoding != info->encoding ||
	    copy.info.operand_count != info->operand_count ||
	    (is_long(&d->emu) && copy.info.operand_width != info->operand_width) ||
	    copy.info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE ||
	    copy.info.avx.vector_length != info->avx.vector_length || copy.info.avx.mask.mode != info->avx.mask.mode ||
	    copy.info.avx.mask.reg != info->avx.mask.reg || copy.info.avx.broadcast.mode != info->avx.broadcast.mode ||
	    copy.info.avx.rounding.mode != info->avx.rounding.mode || native_kind_of(&copy) == NATIVE_FORBIDDEN)
		return false;
	for (unsigned n = 0; n < copy.info.operand_count; n++)
		if (!same_operand(d, &copy, n, at, operand))
			return false;
	return true;
}

/* --------------------------------------------------------------------------------------------------- the whole copy */

uint64_t native_operand_address(const struct insn_detail *d, unsigned slot)
{
	return TASK_XCHG + (d->size <= TASK_SMALL ? TASK_OPERAND + slot % TASK_BATCH * TASK_SMALL
						  : offsetof(struct task_xchg, large));
}

static bool changes_gpr(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER || !(op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE))
		return false;
	ZydisRegister whole = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, op->reg.value);
	return ZydisRegisterGetClass(whole) == ZYDIS_REGCLASS_GPR64;
}

/* Sorts the operands. False: one of them is not for a copy. */
static bool take_operands(struct engine_vcpu *c, struct insn_detail *d, enum native_kind kind)
{
	const struct emu_insn *emu = &d->emu;
	for (unsigned n = 0; n < emu->info.operand_count; n++) {
		const ZydisDecodedOperand *op = &emu->operands[n];
		bool reg = op->type == ZYDIS_OPERAND_TYPE_REGISTER;
		bool bad = op->type == ZYDIS_OPERAND_TYPE_POINTER || (reg && !native_register_allowed(op->reg.value)) ||
			   (op->type == ZYDIS_OPERAND_TYPE_MEMORY && !add_memory(c, d, op));
		if (bad)
			return false;
		d->fpu |= emu_is_vector(op);
		d->x87 |= native_is_mmx(op);
		d->wide |= reg && ZydisRegisterGetClass(op->reg.value) == ZYDIS_REGCLASS_MASK;
		d->ends |= changes_gpr(op);
	}
	d->fpu |= kind == NATIVE_VECTOR;
	d->x87 |= native_is_x87(emu) || native_is_unsorted(emu);
	d->wide |= emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX || native_is_state(emu);
	d->ends |= d->writes;
	/* What is lent other registers, or looks at what those before it left. */
	d->alone = d->stand_in || emu_is_random(emu) || d->masked || native_is_through_rdi(emu) ||
		   native_is_state(emu) || native_is_fxsave(emu) || native_is_environment(emu) || d->size > TASK_SMALL;
	return true;
}

bool native_prepare(struct engine_vcpu *c, struct insn_detail *d, bool single)
{
	const struct emu_insn *emu = &d->emu;
	struct native *native = c->native;
	enum native_kind kind = native_kind_of(emu);
	uint8_t code[2 * NATIVE_SLOT_SIZE], bytes[sizeof(emu->bytes)];
	if (kind == NATIVE_FORBIDDEN || emu->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE)
		return false;
	memcpy(bytes, emu->bytes, sizeof(bytes));
	if ((uses_rsp(emu) && !replace_rsp(d, bytes)) || !take_operands(c, d, kind))
		return false;
	unsigned slot = single ? 0 : native->used;
	uint64_t at = TASK_CODE + slot * NATIVE_SLOT_SIZE, operand = native_operand_address(d, slot);
	unsigned len = 0;
	bool sound = false;
	for (unsigned turned = 0; !sound && turned < (is_long(emu) ? 1 : 2); turned++) {
		widen(emu, turned, bytes);
		len = emit(d, bytes, turned, at, operand, code);
		sound = len < NATIVE_SLOT_SIZE && native_copy_is_sound(d, code, len, at, operand);
	}
	if (!sound || slot >= NATIVE_SLOT_COUNT)
		return false;
	code[len] = 0xc3; /* RET */
	memcpy(native->task.code + slot * NATIVE_SLOT_SIZE, code, len + 1);
	d->code = at;
	native->used += !single;
	return true;
}

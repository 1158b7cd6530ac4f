/*
 * What becomes of which instruction. A list of what is known to do in ring 3 what it does in ring 0: everything else
 * leaves to the monitor.
 */
#include "monitor/engine/translate/compile.h"

/* Unprivileged instructions on general registers and memory, which do not ask what the machine is. */
static bool is_plain(const struct emu_insn *insn)
{
	switch (insn->info.meta.category) {
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_BMI1:
	case ZYDIS_CATEGORY_BMI2:
	case ZYDIS_CATEGORY_CMOV:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_DATAXFER:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_LZCNT:
	case ZYDIS_CATEGORY_ADOX_ADCX:
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_POP:
	case ZYDIS_CATEGORY_PREFETCH:
	case ZYDIS_CATEGORY_PUSH:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_SETCC:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_STRINGOP:
	case ZYDIS_CATEGORY_WIDENOP:
		return true;
	default:
		break;
	}
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_CLC:
	case ZYDIS_MNEMONIC_STC:
	case ZYDIS_MNEMONIC_CMC:
	case ZYDIS_MNEMONIC_CLD:
	case ZYDIS_MNEMONIC_STD:
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_SAHF:
	case ZYDIS_MNEMONIC_LEA:
	case ZYDIS_MNEMONIC_XLAT:
	case ZYDIS_MNEMONIC_LEAVE:
	case ZYDIS_MNEMONIC_ENTER:
	case ZYDIS_MNEMONIC_ENDBR32:
	case ZYDIS_MNEMONIC_ENDBR64:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_SERIALIZE:
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_MOVDIRI:
		return true;
	default:
		return false;
	}
}

static bool is_flags_image(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_PUSHF:
	case ZYDIS_MNEMONIC_PUSHFD:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_POPF:
	case ZYDIS_MNEMONIC_POPFD:
	case ZYDIS_MNEMONIC_POPFQ:
		return true;
	default:
		return false;
	}
}

/* Came with SSE, and touches none of its registers. */
static bool is_sse_plain(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_LFENCE:
	case ZYDIS_MNEMONIC_MFENCE:
	case ZYDIS_MNEMONIC_SFENCE:
	case ZYDIS_MNEMONIC_PAUSE:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
		return true;
	default:
		return insn->info.meta.category == ZYDIS_CATEGORY_PREFETCH;
	}
}

/* The flavour that makes an FPU instruction one to copy; 0: it is none. */
static unsigned fpu_flavour(const struct emu_insn *insn)
{
	if (is_sse_plain(insn))
		return 0;
	switch (insn->info.meta.isa_ext) {
	case ZYDIS_ISA_EXT_X87:
	case ZYDIS_ISA_EXT_MMX:
		return BT_X87;
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_SSE4A:
	case ZYDIS_ISA_EXT_AES:
	case ZYDIS_ISA_EXT_PCLMULQDQ:
	case ZYDIS_ISA_EXT_SHA:
		return BT_FPU;
	case ZYDIS_ISA_EXT_AVX:
	case ZYDIS_ISA_EXT_AVX2:
	case ZYDIS_ISA_EXT_AVX2GATHER:
	case ZYDIS_ISA_EXT_AVXAES:
	case ZYDIS_ISA_EXT_F16C:
	case ZYDIS_ISA_EXT_FMA:
	case ZYDIS_ISA_EXT_AVX512EVEX:
	case ZYDIS_ISA_EXT_AVX512VEX:
		return BT_FPU | BT_AVX;
	default:
		return 0;
	}
}

/* What manages the FPU's state as a whole is left to those who know what the guest has enabled, and where its code is.
 */
static bool is_fpu_plain(const struct emu_insn *insn)
{
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_FNSTENV:
	case ZYDIS_MNEMONIC_FNSAVE:
	case ZYDIS_MNEMONIC_FXSAVE:
	case ZYDIS_MNEMONIC_FXSAVE64:
		return false;
	default:
		return insn->info.meta.category != ZYDIS_CATEGORY_XSAVE &&
		       insn->info.meta.category != ZYDIS_CATEGORY_XSAVEOPT;
	}
}

bool bt_uses_fpu(const struct emu_insn *insn)
{
	return fpu_flavour(insn) && is_fpu_plain(insn);
}

static bool is_memory(const struct emu_insn *insn, unsigned operand)
{
	return insn->operands[operand].type == ZYDIS_OPERAND_TYPE_MEMORY;
}

/* SDM 2A appendix A: 70 to 7F and 0F 80 to 0F 8F. */
static bool is_jcc(const struct emu_insn *insn)
{
	unsigned row = insn->info.opcode & 0xf0u;
	return insn->info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT
		       ? row == 0x70
		       : insn->info.opcode_map == ZYDIS_OPCODE_MAP_0F && row == 0x80;
}

/* With addresses and targets of the mode's own size. */
static enum bt_class classify_branch(const struct emu_insn *insn, unsigned flavour)
{
	unsigned bits = flavour & BT_NARROW ? 32 : 64;
	bool direct = insn->operands[0].type == ZYDIS_OPERAND_TYPE_IMMEDIATE;
	bool narrow = insn->info.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE;
	bool odd = is_memory(insn, 0) && insn->info.address_width != bits;
	if (narrow || odd)
		return BT_LEAVE;
	switch (insn->info.mnemonic) {
	case ZYDIS_MNEMONIC_JMP:
		return direct ? BT_JUMP : BT_JUMP_INDIRECT;
	case ZYDIS_MNEMONIC_CALL:
		return direct ? BT_CALL : BT_CALL_INDIRECT;
	case ZYDIS_MNEMONIC_RET:
		return BT_RETURN;
	case ZYDIS_MNEMONIC_LOOP:
	case ZYDIS_MNEMONIC_LOOPE:
	case ZYDIS_MNEMONIC_LOOPNE:
	case ZYDIS_MNEMONIC_JRCXZ:
	case ZYDIS_MNEMONIC_JECXZ:
		return BT_COUNT;
	default:
		return is_jcc(insn) ? BT_BRANCH : BT_LEAVE;
	}
}

bool bt_uses_base(const struct emu_insn *insn)
{
	return insn->info.attributes & (ZYDIS_ATTRIB_HAS_SEGMENT_FS | ZYDIS_ATTRIB_HAS_SEGMENT_GS);
}

static bool may_use(unsigned flavour, unsigned fpu)
{
	return fpu == BT_X87 ? flavour & (BT_FPU | BT_X87) : (flavour & fpu) == fpu;
}

enum bt_class bt_classify(const struct emu_insn *insn, unsigned flavour)
{
	if (bt_uses_base(insn) && !(flavour & BT_BASES))
		return BT_LEAVE;
	/* Where time stands still, nothing but the guest decides what happens. */
	if (insn->info.mnemonic == ZYDIS_MNEMONIC_RDTSC || emu_is_random(insn))
		return flavour & BT_CLOCK ? BT_COPY : BT_LEAVE;
	if (emu_is_sensitive(insn) || is_flags_image(insn) || insn->info.meta.category == ZYDIS_CATEGORY_RDWRFSGS ||
	    insn->info.mnemonic == ZYDIS_MNEMONIC_CPUID)
		return BT_INSIDE;
	if (insn->info.meta.branch_type != ZYDIS_BRANCH_TYPE_NONE || insn->info.mnemonic == ZYDIS_MNEMONIC_RET)
		return classify_branch(insn, flavour);
	unsigned fpu = fpu_flavour(insn);
	if (fpu)
		return is_fpu_plain(insn) && may_use(flavour, fpu) ? BT_COPY : BT_LEAVE;
	/* With a vector register it is of an extension that is not listed above. */
	return is_plain(insn) && !emu_has_vector(insn) ? BT_COPY : BT_LEAVE;
}

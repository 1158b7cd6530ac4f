/*
 * What may run natively, and on which conditions: a list of what is known to be harmless, not of what is not.
 */
#include "monitor/engine/interpret/native.h"

#include "monitor/vm/cpu.h"
#include "monitor/vm/vcpu.h"

bool native_is_state(const struct emu_insn *emu)
{
	return emu->info.meta.category == ZYDIS_CATEGORY_XSAVE || emu->info.meta.category == ZYDIS_CATEGORY_XSAVEOPT;
}

bool native_is_x87(const struct emu_insn *emu)
{
	/* FISTTP came with SSE3. */
	return emu->info.meta.isa_ext == ZYDIS_ISA_EXT_X87 || emu->info.meta.isa_ext == ZYDIS_ISA_EXT_MMX ||
	       emu->info.mnemonic == ZYDIS_MNEMONIC_FISTTP;
}

bool native_is_fxsave(const struct emu_insn *emu)
{
	return emu->info.mnemonic == ZYDIS_MNEMONIC_FXSAVE || emu->info.mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
	       emu->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR || emu->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR64;
}

bool native_is_environment(const struct emu_insn *emu)
{
	return emu->info.mnemonic == ZYDIS_MNEMONIC_FNSTENV || emu->info.mnemonic == ZYDIS_MNEMONIC_FNSAVE ||
	       emu->info.mnemonic == ZYDIS_MNEMONIC_FLDENV || emu->info.mnemonic == ZYDIS_MNEMONIC_FRSTOR;
}

enum native_class native_class_of(const struct emu_insn *emu)
{
	if (native_is_state(emu))
		return NATIVE_CLASS_XSAVE;
	if (emu->info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
		return NATIVE_CLASS_VEX;
	if (native_is_fxsave(emu))
		return NATIVE_CLASS_FXSAVE;
	if (emu->info.meta.isa_ext == ZYDIS_ISA_EXT_MMX || emu->info.meta.isa_ext == ZYDIS_ISA_EXT_AMD3DNOW)
		return NATIVE_CLASS_MMX;
	return native_is_x87(emu) ? NATIVE_CLASS_X87 : NATIVE_CLASS_SSE;
}

bool native_is_unsorted(const struct emu_insn *emu)
{
	switch (emu->info.meta.isa_ext) {
	case ZYDIS_ISA_EXT_SSE:
	case ZYDIS_ISA_EXT_SSE2:
	case ZYDIS_ISA_EXT_SSE3:
	case ZYDIS_ISA_EXT_SSSE3:
	case ZYDIS_ISA_EXT_SSE4:
	case ZYDIS_ISA_EXT_SSE4A:
	case ZYDIS_ISA_EXT_AES:
	case ZYDIS_ISA_EXT_PCLMULQDQ:
	case ZYDIS_ISA_EXT_SHA:
	case ZYDIS_ISA_EXT_GFNI:
		return emu->info.meta.category == ZYDIS_CATEGORY_MMX || native_is_fxsave(emu);
	default:
		return true;
	}
}

bool native_is_mmx(const ZydisDecodedOperand *op)
{
	ZydisRegisterClass class =
		op->type == ZYDIS_OPERAND_TYPE_REGISTER ? ZydisRegisterGetClass(op->reg.value) : ZYDIS_REGCLASS_INVALID;
	return class == ZYDIS_REGCLASS_MMX || class == ZYDIS_REGCLASS_X87;
}

bool native_is_through_rdi(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
		return true;
	default:
		return false;
	}
}

/* SDM 2A 2.8: the classes of EVEX instructions by their exceptions. */
static bool suppresses_faults(const struct emu_insn *emu)
{
	switch (emu->info.meta.exception_class) {
	case ZYDIS_EXCEPTION_CLASS_E1:
	case ZYDIS_EXCEPTION_CLASS_E2:
	case ZYDIS_EXCEPTION_CLASS_E3:
	case ZYDIS_EXCEPTION_CLASS_E4:
	case ZYDIS_EXCEPTION_CLASS_E5:
	case ZYDIS_EXCEPTION_CLASS_E6:
	case ZYDIS_EXCEPTION_CLASS_E10:
		return true;
	default:
		return false;
	}
}

/* An element of memory for each bit of the mask: else it takes all of the operand, or nothing. */
static bool masks_elements(const struct emu_insn *emu)
{
	const ZydisDecodedOperand *to = &emu->operands[0], *from = &emu->operands[0];
	while (from->type != ZYDIS_OPERAND_TYPE_MEMORY && from < &emu->operands[emu->info.operand_count - 1])
		from++;
	return !emu_is_vector(to) || ZydisRegisterGetClass(to->reg.value) == ZYDIS_REGCLASS_MASK ||
	       emu->info.avx.broadcast.mode != ZYDIS_BROADCAST_MODE_INVALID || from->element_count == to->element_count;
}

bool native_is_masked(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_VMASKMOVPS:
	case ZYDIS_MNEMONIC_VMASKMOVPD:
	case ZYDIS_MNEMONIC_VPMASKMOVD:
	case ZYDIS_MNEMONIC_VPMASKMOVQ:
		return true;
	default:
		break;
	}
	return emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && suppresses_faults(emu) && masks_elements(emu) &&
	       emu->info.avx.mask.mode != ZYDIS_MASK_MODE_INVALID &&
	       emu->info.avx.mask.mode != ZYDIS_MASK_MODE_DISABLED;
}

enum native_kind native_kind_of(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_MOVDIRI:
	case ZYDIS_MNEMONIC_MOVNTI:
	case ZYDIS_MNEMONIC_PAUSE:
		return NATIVE_INTEGER;
	/* Privileged, or of no use to user mode. */
	case ZYDIS_MNEMONIC_XSAVES:
	case ZYDIS_MNEMONIC_XSAVES64:
	case ZYDIS_MNEMONIC_XRSTORS:
	case ZYDIS_MNEMONIC_XRSTORS64:
	case ZYDIS_MNEMONIC_XSETBV:
		return NATIVE_FORBIDDEN;
	default:
		break;
	}
	switch (emu->info.meta.category) {
	case ZYDIS_CATEGORY_ADOX_ADCX:
	case ZYDIS_CATEGORY_BINARY:
	case ZYDIS_CATEGORY_BITBYTE:
	case ZYDIS_CATEGORY_BMI1:
	case ZYDIS_CATEGORY_BMI2:
	case ZYDIS_CATEGORY_LOGICAL:
	case ZYDIS_CATEGORY_LZCNT:
	case ZYDIS_CATEGORY_RDRAND:
	case ZYDIS_CATEGORY_RDSEED:
	case ZYDIS_CATEGORY_ROTATE:
	case ZYDIS_CATEGORY_SEMAPHORE:
	case ZYDIS_CATEGORY_SHIFT:
	case ZYDIS_CATEGORY_TBM:
		return NATIVE_INTEGER;
	case ZYDIS_CATEGORY_DATAXFER:
		return emu->info.mnemonic == ZYDIS_MNEMONIC_MOVBE || emu->info.mnemonic == ZYDIS_MNEMONIC_BSWAP
			       ? NATIVE_INTEGER
			       : NATIVE_VECTOR;
	case ZYDIS_CATEGORY_AES:
	case ZYDIS_CATEGORY_AMD3DNOW:
	case ZYDIS_CATEGORY_AVX:
	case ZYDIS_CATEGORY_AVX2:
	case ZYDIS_CATEGORY_AVX512:
	case ZYDIS_CATEGORY_AVX512_4FMAPS:
	case ZYDIS_CATEGORY_AVX512_4VNNIW:
	case ZYDIS_CATEGORY_AVX512_BITALG:
	case ZYDIS_CATEGORY_AVX512_VBMI:
	case ZYDIS_CATEGORY_AVX512_VP2INTERSECT:
	case ZYDIS_CATEGORY_BLEND:
	case ZYDIS_CATEGORY_BROADCAST:
	case ZYDIS_CATEGORY_COMPRESS:
	case ZYDIS_CATEGORY_CONFLICT:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_EXPAND:
	case ZYDIS_CATEGORY_FCMOV:
	case ZYDIS_CATEGORY_FMA4:
	case ZYDIS_CATEGORY_FP16:
	case ZYDIS_CATEGORY_GFNI:
	case ZYDIS_CATEGORY_IFMA:
	case ZYDIS_CATEGORY_KMASK:
	case ZYDIS_CATEGORY_LOGICAL_FP:
	case ZYDIS_CATEGORY_MMX:
	case ZYDIS_CATEGORY_PCLMULQDQ:
	case ZYDIS_CATEGORY_SHA:
	case ZYDIS_CATEGORY_SSE:
	case ZYDIS_CATEGORY_STTNI:
	case ZYDIS_CATEGORY_VAES:
	case ZYDIS_CATEGORY_VBMI2:
	case ZYDIS_CATEGORY_VEX:
	case ZYDIS_CATEGORY_VFMA:
	case ZYDIS_CATEGORY_VPCLMULQDQ:
	case ZYDIS_CATEGORY_X87_ALU:
	case ZYDIS_CATEGORY_XOP:
	case ZYDIS_CATEGORY_XSAVE:
	case ZYDIS_CATEGORY_XSAVEOPT:
		return NATIVE_VECTOR;
	/* Only the host knows whether it takes them for hints, or has them. */
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
	case ZYDIS_CATEGORY_SERIALIZE:
		return NATIVE_INTEGER;
	default:
		return NATIVE_FORBIDDEN;
	}
}

/* A register that native code runs with the guest's value of, and may change. */
bool native_register_allowed(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
	case ZYDIS_REGCLASS_MASK:
	case ZYDIS_REGCLASS_FLAGS:
		return true;
	default:
		return reg == ZYDIS_REGISTER_MXCSR || reg == ZYDIS_REGISTER_X87CONTROL ||
		       reg == ZYDIS_REGISTER_X87STATUS || reg == ZYDIS_REGISTER_X87TAG || reg == ZYDIS_REGISTER_XCR0 ||
		       reg == ZYDIS_REGISTER_NONE;
	}
}

/* SDM 1 14.9, 2A 2.4: of the legacy SSE instructions with 16 bytes in memory only these take them unaligned. */
static bool takes_unaligned(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_MOVUPS:
	case ZYDIS_MNEMONIC_MOVUPD:
	case ZYDIS_MNEMONIC_MOVDQU:
	case ZYDIS_MNEMONIC_LDDQU:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return true;
	default:
		return false;
	}
}

/* AMD's processors do not ask it of these, for all that the manuals say. */
static bool sha_demands_aligned(void)
{
	return !cpu_host_is_amd();
}

static bool demands_aligned(ZydisMnemonic m)
{
	switch (m) {
	case ZYDIS_MNEMONIC_CMPXCHG16B:
	case ZYDIS_MNEMONIC_VMOVAPS:
	case ZYDIS_MNEMONIC_VMOVAPD:
	case ZYDIS_MNEMONIC_VMOVDQA:
	case ZYDIS_MNEMONIC_VMOVDQA32:
	case ZYDIS_MNEMONIC_VMOVDQA64:
	case ZYDIS_MNEMONIC_VMOVNTPS:
	case ZYDIS_MNEMONIC_VMOVNTPD:
	case ZYDIS_MNEMONIC_VMOVNTDQ:
	case ZYDIS_MNEMONIC_VMOVNTDQA:
		return true;
	default:
		return false;
	}
}

uint16_t native_alignment(const struct emu_insn *emu, uint16_t size)
{
	bool state =
		emu->info.meta.category == ZYDIS_CATEGORY_XSAVE || emu->info.meta.category == ZYDIS_CATEGORY_XSAVEOPT;
	if (state)
		return 64;
	if (native_is_fxsave(emu))
		return 16;
	if (demands_aligned(emu->info.mnemonic))
		return size;
	if (emu->info.meta.category == ZYDIS_CATEGORY_SHA)
		return sha_demands_aligned() ? size : 0;
	bool legacy = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && size == 16;
	return legacy && !takes_unaligned(emu->info.mnemonic) ? 16 : 0;
}

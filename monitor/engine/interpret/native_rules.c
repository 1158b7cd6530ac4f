/*
 * What may run natively, and on which conditions: a list of what is known to be harmless, not of what is not.
 */
#include "monitor/engine/interpret/native.h"

#include "monitor/vm/vcpu.h"

bool native_is_state(const struct emu_insn *emu)
{
	return emu->info.meta.category == ZYDIS_CATEGORY_XSAVE || emu->info.meta.category == ZYDIS_CATEGORY_XSAVEOPT;
}

enum native_kind native_kind_of(const struct emu_insn *emu)
{
	switch (emu->info.mnemonic) {
	case ZYDIS_MNEMONIC_CRC32:
	case ZYDIS_MNEMONIC_POPCNT:
	case ZYDIS_MNEMONIC_MOVNTI:
		return NATIVE_INTEGER;
	/* These reach memory through RDI. */
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MASKMOVDQU:
	case ZYDIS_MNEMONIC_VMASKMOVDQU:
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
	case ZYDIS_CATEGORY_AVX:
	case ZYDIS_CATEGORY_AVX2:
	case ZYDIS_CATEGORY_AVX512:
	case ZYDIS_CATEGORY_AVX512_BITALG:
	case ZYDIS_CATEGORY_AVX512_VBMI:
	case ZYDIS_CATEGORY_AVX512_VP2INTERSECT:
	case ZYDIS_CATEGORY_BLEND:
	case ZYDIS_CATEGORY_BROADCAST:
	case ZYDIS_CATEGORY_CONFLICT:
	case ZYDIS_CATEGORY_CONVERT:
	case ZYDIS_CATEGORY_FCMOV:
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
	case ZYDIS_CATEGORY_VFMA:
	case ZYDIS_CATEGORY_VPCLMULQDQ:
	case ZYDIS_CATEGORY_X87_ALU:
	case ZYDIS_CATEGORY_XSAVE:
	case ZYDIS_CATEGORY_XSAVEOPT:
		return NATIVE_VECTOR;
	default:
		return NATIVE_FORBIDDEN;
	}
}

/* A register that native code runs with the guest's value of, and may change. */
bool native_register_allowed(ZydisRegister reg)
{
	switch (ZydisRegisterGetClass(reg)) {
	case ZYDIS_REGCLASS_GPR8:
		return reg != ZYDIS_REGISTER_SPL;
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return ZydisRegisterGetId(reg) != RSP;
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

/* A vector register makes it an instruction of the FPU, whatever its category (PXOR is "logical"). */
bool native_is_vector(const ZydisDecodedOperand *op)
{
	if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
		return false;
	switch (ZydisRegisterGetClass(op->reg.value)) {
	case ZYDIS_REGCLASS_X87:
	case ZYDIS_REGCLASS_MMX:
	case ZYDIS_REGCLASS_XMM:
	case ZYDIS_REGCLASS_YMM:
	case ZYDIS_REGCLASS_ZMM:
	case ZYDIS_REGCLASS_MASK:
		return true;
	default:
		return false;
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
	case ZYDIS_MNEMONIC_PCMPESTRI:
	case ZYDIS_MNEMONIC_PCMPESTRM:
	case ZYDIS_MNEMONIC_PCMPISTRI:
	case ZYDIS_MNEMONIC_PCMPISTRM:
		return true;
	default:
		return false;
	}
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
	bool fxsave = emu->info.mnemonic == ZYDIS_MNEMONIC_FXSAVE || emu->info.mnemonic == ZYDIS_MNEMONIC_FXSAVE64 ||
		      emu->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR || emu->info.mnemonic == ZYDIS_MNEMONIC_FXRSTOR64;
	if (state)
		return 64;
	if (fxsave)
		return 16;
	if (demands_aligned(emu->info.mnemonic))
		return size;
	bool legacy = emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && size == 16;
	return legacy && !takes_unaligned(emu->info.mnemonic) ? 16 : 0;
}

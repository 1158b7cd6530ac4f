/*
 * What the host's processor executes and the machine's, by its model, does not have: #UD, but for LZCNT and TZCNT,
 * whose prefix means nothing to a processor that does not know them (SDM 2A, there).
 */
#include <string.h>

#include "monitor/emulate/emulate.h"
#include "monitor/vm/cpu.h"

static const struct {
	uint8_t set; /* ZydisISASet */
	uint8_t feature;
} sets[] = {
	{ZYDIS_ISA_SET_ADOX_ADCX, CPU_adx},
	{ZYDIS_ISA_SET_AES, CPU_aes},
	{ZYDIS_ISA_SET_AVX, CPU_avx},
	{ZYDIS_ISA_SET_AVX2, CPU_avx2},
	{ZYDIS_ISA_SET_AVX2GATHER, CPU_avx2},
	{ZYDIS_ISA_SET_AVXAES, CPU_aes},
	{ZYDIS_ISA_SET_AVX_GFNI, CPU_gfni},
	{ZYDIS_ISA_SET_AVX_VNNI, CPU_avx_vnni},
	{ZYDIS_ISA_SET_BMI1, CPU_bmi1},
	{ZYDIS_ISA_SET_BMI2, CPU_bmi2},
	{ZYDIS_ISA_SET_CLFLUSHOPT, CPU_clflushopt},
	{ZYDIS_ISA_SET_CLFSH, CPU_clflush},
	{ZYDIS_ISA_SET_CLWB, CPU_clwb},
	{ZYDIS_ISA_SET_CLZERO, CPU_clzero},
	{ZYDIS_ISA_SET_CMOV, CPU_cmov},
	{ZYDIS_ISA_SET_CMPXCHG16B, CPU_cx16},
	{ZYDIS_ISA_SET_F16C, CPU_f16c},
	{ZYDIS_ISA_SET_FCMOV, CPU_cmov},
	{ZYDIS_ISA_SET_FMA, CPU_fma},
	{ZYDIS_ISA_SET_FMA4, CPU_fma4},
	{ZYDIS_ISA_SET_FXSAVE, CPU_fxsr},
	{ZYDIS_ISA_SET_FXSAVE64, CPU_fxsr},
	{ZYDIS_ISA_SET_GFNI, CPU_gfni},
	{ZYDIS_ISA_SET_MOVBE, CPU_movbe},
	{ZYDIS_ISA_SET_PCLMULQDQ, CPU_pclmulqdq},
	{ZYDIS_ISA_SET_PENTIUMMMX, CPU_mmx},
	{ZYDIS_ISA_SET_POPCNT, CPU_popcnt},
	{ZYDIS_ISA_SET_RDPID, CPU_rdpid},
	{ZYDIS_ISA_SET_RDRAND, CPU_rdrand},
	{ZYDIS_ISA_SET_RDSEED, CPU_rdseed},
	{ZYDIS_ISA_SET_RDTSCP, CPU_rdtscp},
	{ZYDIS_ISA_SET_RDWRFSGS, CPU_fsgsbase},
	{ZYDIS_ISA_SET_SERIALIZE, CPU_serialize},
	{ZYDIS_ISA_SET_SHA, CPU_sha_ni},
	{ZYDIS_ISA_SET_SSE, CPU_sse},
	{ZYDIS_ISA_SET_SSE2, CPU_sse2},
	{ZYDIS_ISA_SET_SSE2MMX, CPU_sse2},
	{ZYDIS_ISA_SET_SSE3, CPU_sse3},
	{ZYDIS_ISA_SET_SSE3X87, CPU_sse3},
	{ZYDIS_ISA_SET_SSE4, CPU_sse4_1},
	{ZYDIS_ISA_SET_SSE42, CPU_sse4_2},
	{ZYDIS_ISA_SET_SSE4A, CPU_sse4a},
	{ZYDIS_ISA_SET_SSEMXCSR, CPU_sse},
	{ZYDIS_ISA_SET_SSSE3, CPU_ssse3},
	{ZYDIS_ISA_SET_SSSE3MMX, CPU_ssse3},
	{ZYDIS_ISA_SET_TBM, CPU_tbm},
	{ZYDIS_ISA_SET_VAES, CPU_vaes},
	{ZYDIS_ISA_SET_VPCLMULQDQ, CPU_vpclmulqdq},
	{ZYDIS_ISA_SET_XOP, CPU_xop},
	{ZYDIS_ISA_SET_XSAVE, CPU_xsave},
	{ZYDIS_ISA_SET_XSAVEC, CPU_xsavec},
	{ZYDIS_ISA_SET_XSAVEOPT, CPU_xsaveopt},
};

/* AVX-512's, as they stand in Zydis's list; all want avx512f, and avx512vl where vectors are shorter. */
static const struct {
	uint8_t first, last; /* ZydisISASet */
	uint8_t feature;
} extensions[] = {
	{ZYDIS_ISA_SET_AVX512BW_128, ZYDIS_ISA_SET_AVX512BW_KOP, CPU_avx512bw},
	{ZYDIS_ISA_SET_AVX512CD_128, ZYDIS_ISA_SET_AVX512CD_512, CPU_avx512cd},
	{ZYDIS_ISA_SET_AVX512DQ_128, ZYDIS_ISA_SET_AVX512DQ_SCALAR, CPU_avx512dq},
	{ZYDIS_ISA_SET_AVX512F_128, ZYDIS_ISA_SET_AVX512F_SCALAR, CPU_avx512f},
	{ZYDIS_ISA_SET_AVX512_BF16_128, ZYDIS_ISA_SET_AVX512_BF16_512, CPU_avx512_bf16},
	{ZYDIS_ISA_SET_AVX512_BITALG_128, ZYDIS_ISA_SET_AVX512_BITALG_512, CPU_avx512_bitalg},
	{ZYDIS_ISA_SET_AVX512_FP16_128, ZYDIS_ISA_SET_AVX512_FP16_SCALAR, CPU_avx512_fp16},
	{ZYDIS_ISA_SET_AVX512_GFNI_128, ZYDIS_ISA_SET_AVX512_GFNI_512, CPU_gfni},
	{ZYDIS_ISA_SET_AVX512_IFMA_128, ZYDIS_ISA_SET_AVX512_IFMA_512, CPU_avx512ifma},
	{ZYDIS_ISA_SET_AVX512_VAES_128, ZYDIS_ISA_SET_AVX512_VAES_512, CPU_vaes},
	{ZYDIS_ISA_SET_AVX512_VBMI2_128, ZYDIS_ISA_SET_AVX512_VBMI2_512, CPU_avx512_vbmi2},
	{ZYDIS_ISA_SET_AVX512_VBMI_128, ZYDIS_ISA_SET_AVX512_VBMI_512, CPU_avx512vbmi},
	{ZYDIS_ISA_SET_AVX512_VNNI_128, ZYDIS_ISA_SET_AVX512_VNNI_512, CPU_avx512_vnni},
	{ZYDIS_ISA_SET_AVX512_VP2INTERSECT_128, ZYDIS_ISA_SET_AVX512_VP2INTERSECT_512, CPU_avx512_vp2intersect},
	{ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_128, ZYDIS_ISA_SET_AVX512_VPCLMULQDQ_512, CPU_vpclmulqdq},
	{ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_128, ZYDIS_ISA_SET_AVX512_VPOPCNTDQ_512, CPU_avx512_vpopcntdq},
};

_Static_assert(ZYDIS_ISA_SET_MAX_VALUE <= UINT8_MAX && CPU_FEATURE_COUNT <= UINT8_MAX, "both fit");

/* Sets of vectors of 128 and 256 bits are named so; single elements (128N, SCALAR) and mask registers (KOP) are not. */
static bool is_shorter(ZydisISASet set)
{
	const char *length = strrchr(ZydisISASetGetString(set), '_');
	return length && (!strcmp(length, "_128") || !strcmp(length, "_256"));
}

/* By set, or AVX-512's extension; instructions that share a set, or depend on the mode, by name. */
static bool has_set(const struct cpu *cpu, const struct emu_insn *insn)
{
	ZydisISASet set = insn->info.meta.isa_set;
	if (set == ZYDIS_ISA_SET_MOVDIR)
		return cpu->has[insn->info.mnemonic == ZYDIS_MNEMONIC_MOVDIRI ? CPU_movdiri : CPU_movdir64b];
	if (set == ZYDIS_ISA_SET_LAHF)
		return insn->info.machine_mode != ZYDIS_MACHINE_MODE_LONG_64 || cpu->has[CPU_lahf_lm];
	for (unsigned n = 0; n < sizeof(sets) / sizeof(sets[0]); n++)
		if (sets[n].set == set)
			return cpu->has[sets[n].feature];
	for (unsigned n = 0; n < sizeof(extensions) / sizeof(extensions[0]); n++)
		if (set >= extensions[n].first && set <= extensions[n].last)
			return cpu->has[CPU_avx512f] && cpu->has[extensions[n].feature] &&
			       (!is_shorter(set) || cpu->has[CPU_avx512vl]);
	return insn->info.encoding != ZYDIS_INSTRUCTION_ENCODING_EVEX;
}

bool emu_is_absent(const struct cpu *cpu, const struct emu_insn *insn)
{
	return cpu->chosen && !emu_ignores_prefix(cpu, insn) && !has_set(cpu, insn);
}

bool emu_ignores_prefix(const struct cpu *cpu, const struct emu_insn *insn)
{
	if (!cpu->chosen)
		return false;
	return (insn->info.mnemonic == ZYDIS_MNEMONIC_LZCNT && !cpu->has[CPU_abm]) ||
	       (insn->info.mnemonic == ZYDIS_MNEMONIC_TZCNT && !cpu->has[CPU_bmi1]);
}

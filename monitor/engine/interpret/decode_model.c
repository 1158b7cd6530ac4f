/*
 * What the host's processor executes and the machine's, by its model, does not have. LZCNT and TZCNT are left out:
 * where they are not there, their prefix means nothing and BSR and BSF are executed.
 */
#include "monitor/engine/interpret/decode.h"
#include "monitor/vm/vm.h"

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
	{ZYDIS_ISA_SET_BMI1, CPU_bmi1},
	{ZYDIS_ISA_SET_BMI2, CPU_bmi2},
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
	{ZYDIS_ISA_SET_MOVDIR, CPU_movdiri},
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
	{ZYDIS_ISA_SET_VAES, CPU_vaes},
	{ZYDIS_ISA_SET_VPCLMULQDQ, CPU_vpclmulqdq},
	{ZYDIS_ISA_SET_XSAVE, CPU_xsave},
	{ZYDIS_ISA_SET_XSAVEC, CPU_xsavec},
	{ZYDIS_ISA_SET_XSAVEOPT, CPU_xsaveopt},
};

_Static_assert(ZYDIS_ISA_SET_MAX_VALUE <= UINT8_MAX && CPU_FEATURE_COUNT <= UINT8_MAX, "both fit");

bool decode_is_absent(const struct engine_vcpu *c, const struct emu_insn *emu)
{
	const struct cpu *cpu = &c->vm->cpu;
	if (!cpu->chosen)
		return false;
	if (emu->info.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX && !cpu->has[CPU_avx512f])
		return true;
	for (unsigned n = 0; n < sizeof(sets) / sizeof(sets[0]); n++)
		if (sets[n].set == emu->info.meta.isa_set)
			return !cpu->has[sets[n].feature];
	return false;
}

/*
 * Which function executes an instruction that has to do with the system: flags, identification, clocks, hints, and what
 * this machine does not have.
 */
#include <cpuid.h>

#include "monitor/engine/interpret/decode.h"
#include "monitor/host/cpuid.h"

/* A feature of CPUID leaf 7, EBX. */
static bool host_has(unsigned feature)
{
	return host_cpuid(7, 0).ebx & feature;
}

/* Leaf 7, EDX. */
static bool host_has_serialize(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & bit_SERIALIZE);
}

/* Of extensions that no processor which runs this has, or that a guest cannot turn on. */
static bool is_of_no_processor(const struct emu_insn *emu)
{
	switch (emu->info.meta.isa_ext) {
	case ZYDIS_ISA_EXT_KNC:
	case ZYDIS_ISA_EXT_KNCE:
	case ZYDIS_ISA_EXT_KNCV:
	case ZYDIS_ISA_EXT_MCOMMIT:
	case ZYDIS_ISA_EXT_SNP:
	case ZYDIS_ISA_EXT_TDX:
		return true;
	default:
		return false;
	}
}

insn_function *decode_system(const struct emu_insn *emu)
{
	if (is_of_no_processor(emu))
		return op_undefined;
	switch (emu->info.mnemonic) {
		DECODE_PLAIN(CLC, op_clc)
		DECODE_PLAIN(STC, op_stc)
		DECODE_PLAIN(CMC, op_cmc)
		DECODE_PLAIN(CLD, op_cld)
		DECODE_PLAIN(STD, op_std)
		DECODE_PLAIN(LAHF, op_lahf)
		DECODE_PLAIN(SAHF, op_sahf)
		DECODE_PLAIN(PUSHF, op_pushf)
		DECODE_PLAIN(PUSHFD, op_pushf)
		DECODE_PLAIN(PUSHFQ, op_pushf)
		DECODE_PLAIN(CPUID, op_cpuid)
		DECODE_PLAIN(RDTSC, op_rdtsc)
		DECODE_PLAIN(RDTSCP, op_rdtscp)
		DECODE_PLAIN(RDPID, op_rdpid)
		DECODE_PLAIN(XGETBV, op_xgetbv)
		DECODE_PLAIN(RDFSBASE, op_base)
		DECODE_PLAIN(RDGSBASE, op_base)
		DECODE_PLAIN(WRFSBASE, op_base)
		DECODE_PLAIN(WRGSBASE, op_base)
		DECODE_PLAIN(RDPMC, op_protected)
		DECODE_PLAIN(MFENCE, op_nop)
		DECODE_PLAIN(LFENCE, op_nop)
		DECODE_PLAIN(SFENCE, op_nop)
	case ZYDIS_MNEMONIC_PAUSE:
		/* With REX.B it is XCHG R8, RAX to some processors. */
		return emu->info.attributes & ZYDIS_ATTRIB_HAS_REX && emu->info.raw.rex.B ? NULL : op_nop;
		DECODE_PLAIN(ENDBR32, op_nop)
		DECODE_PLAIN(ENDBR64, op_nop)
		DECODE_PLAIN(RDSSPD, op_nop)
		DECODE_PLAIN(RDSSPQ, op_nop)
		DECODE_PLAIN(CLFLUSH, op_touch)
	case ZYDIS_MNEMONIC_SERIALIZE:
		return host_has_serialize() ? op_nop : op_undefined;
	case ZYDIS_MNEMONIC_ARPL:
		return OPERAND(emu, 0, MEMORY) ? op_arpl_mem : op_arpl_reg;
		DECODE_PLAIN(UD0, op_undefined)
		DECODE_PLAIN(UD1, op_undefined)
		DECODE_PLAIN(UD2, op_undefined)
		DECODE_PLAIN(MONITOR, op_undefined)
		DECODE_PLAIN(MWAIT, op_undefined)
		DECODE_PLAIN(MOVDIR64B, op_movdir64b)
		DECODE_PLAIN(CLZERO, op_clzero)
	default:
		break;
	}
	switch (emu->info.meta.category) {
	case ZYDIS_CATEGORY_NOP:
	case ZYDIS_CATEGORY_WIDENOP:
		/* 0F 0D on a register is a hint to some processors and undefined to others. */
		return emu->info.opcode == 0x0d && emu->info.raw.modrm.mod == 3 ? NULL : op_nop;
	case ZYDIS_CATEGORY_PREFETCH:
	case ZYDIS_CATEGORY_PREFETCHWT1:
	case ZYDIS_CATEGORY_CLDEMOTE:
	case ZYDIS_CATEGORY_MPX: /* these machines are too new to have it: then its opcodes are hints */
		return op_nop;
	case ZYDIS_CATEGORY_CLFLUSHOPT:
		return host_has(bit_CLFLUSHOPT) ? op_touch : op_undefined;
	case ZYDIS_CATEGORY_CLWB:
		return host_has(bit_CLWB) ? op_touch : op_undefined;
	/* None of these is a part of this machine: to its guest the opcode does not exist. */
	case ZYDIS_CATEGORY_VTX:
	case ZYDIS_CATEGORY_SMAP:
	case ZYDIS_CATEGORY_SGX:
	case ZYDIS_CATEGORY_PKU:
	case ZYDIS_CATEGORY_SYSCALL:
	case ZYDIS_CATEGORY_SYSRET:
	case ZYDIS_CATEGORY_SYSTEM:
	case ZYDIS_CATEGORY_WAITPKG:
	case ZYDIS_CATEGORY_RDPRU:
	case ZYDIS_CATEGORY_UINTR:
	case ZYDIS_CATEGORY_ENQCMD:
	case ZYDIS_CATEGORY_HRESET:
	case ZYDIS_CATEGORY_KEYLOCKER:
	case ZYDIS_CATEGORY_KEYLOCKER_WIDE:
	case ZYDIS_CATEGORY_PADLOCK:
	case ZYDIS_CATEGORY_PCONFIG:
	case ZYDIS_CATEGORY_PT:
	case ZYDIS_CATEGORY_TSX_LDTRK:
	case ZYDIS_CATEGORY_UFMA:
	case ZYDIS_CATEGORY_CET:
		return op_undefined;
	default:
		return NULL;
	}
}

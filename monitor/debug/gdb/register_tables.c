/*
 * Registers as the debugger sees them: GDB's own features in their order, for 64-bit and for 32-bit code, then a
 * feature of what the system part of the processor adds. Those of the system are read-only where writing them has
 * consequences beyond the value.
 */
#include "monitor/debug/gdb/registers.h"

#include "monitor/debug/gdb/fpu.h"

#define GPR(name, n)                                                                                                   \
	{                                                                                                              \
		name, "int64", FEATURE_CORE, 8, KIND_GPR, n, 0, false                                                  \
	}
#define SEG(name, n)                                                                                                   \
	{                                                                                                              \
		name, "int32", FEATURE_CORE, 4, KIND_FIELD, offsetof(struct vcpu, sreg[n].selector), 2, true           \
	}
#define ST(n)                                                                                                          \
	{                                                                                                              \
		"st" #n, "i387_ext", FEATURE_CORE, 10, KIND_ST, n, 0, false                                            \
	}
#define X87(name, at, width)                                                                                           \
	{                                                                                                              \
		name, "int", FEATURE_CORE, 4, KIND_X87, at, width, false                                               \
	}
#define XMM(n)                                                                                                         \
	{                                                                                                              \
		"xmm" #n, "vec128", FEATURE_SSE, 16, KIND_XMM, n, 0, false                                             \
	}
/* The upper half: the debugger puts both together. */
#define YMM(n)                                                                                                         \
	{                                                                                                              \
		"ymm" #n "h", "uint128", FEATURE_AVX, 16, KIND_YMM, n, 0, false                                        \
	}
#define FIELD(name, field)                                                                                             \
	{                                                                                                              \
		name, "int64", FEATURE_SYSTEM, 8, KIND_FIELD, offsetof(struct vcpu, field),                            \
			sizeof(((struct vcpu *)0)->field), false                                                       \
	}
#define FIXED(name, field)                                                                                             \
	{                                                                                                              \
		name, "int64", FEATURE_SYSTEM, 8, KIND_FIELD, offsetof(struct vcpu, field),                            \
			sizeof(((struct vcpu *)0)->field), true                                                        \
	}
#define GPR32(name, type, n)                                                                                           \
	{                                                                                                              \
		name, type, FEATURE_CORE, 4, KIND_GPR, n, 0, false                                                     \
	}

/* clang-format off */
#define SEGMENTS \
	SEG("cs", SREG_CS), \
	SEG("ss", SREG_SS), \
	SEG("ds", SREG_DS), \
	SEG("es", SREG_ES), \
	SEG("fs", SREG_FS), \
	SEG("gs", SREG_GS)
#define X87_REGISTERS \
	ST(0), \
	ST(1), \
	ST(2), \
	ST(3), \
	ST(4), \
	ST(5), \
	ST(6), \
	ST(7), \
	X87("fctrl", X86_FPU_FCW, 2), \
	X87("fstat", X86_FPU_FSW, 2), \
	X87("ftag", X86_FPU_FTW, 1), \
	X87("fiseg", X86_FPU_FIP + 4, 4), \
	X87("fioff", X86_FPU_FIP, 4), \
	X87("foseg", X86_FPU_FDP + 4, 4), \
	X87("fooff", X86_FPU_FDP, 4), \
	X87("fop", X86_FPU_FOP, 2)
#define SYSTEM \
	{"cr0", "cr0_flags", FEATURE_SYSTEM, 8, KIND_FIELD, offsetof(struct vcpu, cr0), 8, true}, \
	FIELD("cr2", cr2), \
	FIXED("cr3", cr3), \
	{"cr4", "cr4_flags", FEATURE_SYSTEM, 8, KIND_FIELD, offsetof(struct vcpu, cr4), 8, true}, \
	FIXED("cr8", cr8), \
	FIXED("xcr0", xcr0), \
	{"efer", "efer_flags", FEATURE_SYSTEM, 8, KIND_FIELD, offsetof(struct vcpu, efer), 8, true}, \
	FIXED("cpl", cpl), \
	FIELD("star", star), \
	FIELD("lstar", lstar), \
	FIELD("cstar", cstar), \
	FIELD("sfmask", sfmask), \
	FIELD("k_gs_base", kernel_gs_base), \
	FIXED("apic_base", apic_base), \
	FIXED("pat", pat), \
	FIXED("gdtr_base", gdtr.base), \
	FIXED("gdtr_limit", gdtr.limit), \
	FIXED("idtr_base", idtr.base), \
	FIXED("idtr_limit", idtr.limit), \
	FIXED("ldtr", ldtr.selector), \
	FIXED("ldtr_base", ldtr.base), \
	FIXED("tr", tr.selector), \
	FIXED("tr_base", tr.base), \
	FIXED("dr0", dr[0]), \
	FIXED("dr1", dr[1]), \
	FIXED("dr2", dr[2]), \
	FIXED("dr3", dr[3]), \
	FIXED("dr6", dr[6]), \
	FIXED("dr7", dr[7]), \
	FIXED("pv_rsp0", pv.rsp0), \
	FIXED("pv_syscall_entry", pv.syscall_entry), \
	FIXED("pv_user_root", pv.user_root), \
	FIXED("pv_shared", pv.shared_gpa)
/* clang-format on */

/* YMM registers are last in a list, so that one of a machine without AVX ends before. */
static const struct reg regs_64[] = {
	{"rax", "int64", FEATURE_CORE, 8, KIND_GPR, RAX, 0, false},
	GPR("rbx", RBX),
	GPR("rcx", RCX),
	GPR("rdx", RDX),
	GPR("rsi", RSI),
	GPR("rdi", RDI),
	{"rbp", "data_ptr", FEATURE_CORE, 8, KIND_GPR, RBP, 0, false},
	{"rsp", "data_ptr", FEATURE_CORE, 8, KIND_GPR, RSP, 0, false},
	GPR("r8", R8),
	GPR("r9", R9),
	GPR("r10", R10),
	GPR("r11", R11),
	GPR("r12", R12),
	GPR("r13", R13),
	GPR("r14", R14),
	GPR("r15", R15),
	{"rip", "code_ptr", FEATURE_CORE, 8, KIND_RIP, 0, 0, false},
	{"eflags", "i386_eflags", FEATURE_CORE, 4, KIND_RFLAGS, 0, 0, false},
	SEGMENTS,
	X87_REGISTERS,
	{"xmm0", "vec128", FEATURE_SSE, 16, KIND_XMM, 0, 0, false},
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	XMM(8),
	XMM(9),
	XMM(10),
	XMM(11),
	XMM(12),
	XMM(13),
	XMM(14),
	XMM(15),
	{"mxcsr", "i386_mxcsr", FEATURE_SSE, 4, KIND_MXCSR, 0, 0, false},
	{"fs_base", "int64", FEATURE_SEGMENTS, 8, KIND_FIELD, offsetof(struct vcpu, sreg[SREG_FS].base), 8, false},
	{"gs_base", "int64", FEATURE_SEGMENTS, 8, KIND_FIELD, offsetof(struct vcpu, sreg[SREG_GS].base), 8, false},
	SYSTEM,
	YMM(0),
	YMM(1),
	YMM(2),
	YMM(3),
	YMM(4),
	YMM(5),
	YMM(6),
	YMM(7),
	YMM(8),
	YMM(9),
	YMM(10),
	YMM(11),
	YMM(12),
	YMM(13),
	YMM(14),
	YMM(15),
};

static const struct reg regs_32[] = {
	{"eax", "int32", FEATURE_CORE, 4, KIND_GPR, RAX, 0, false},
	GPR32("ecx", "int32", RCX),
	GPR32("edx", "int32", RDX),
	GPR32("ebx", "int32", RBX),
	GPR32("esp", "data_ptr", RSP),
	GPR32("ebp", "data_ptr", RBP),
	GPR32("esi", "int32", RSI),
	GPR32("edi", "int32", RDI),
	{"eip", "code_ptr", FEATURE_CORE, 4, KIND_RIP, 0, 0, false},
	{"eflags", "i386_eflags", FEATURE_CORE, 4, KIND_RFLAGS, 0, 0, false},
	SEGMENTS,
	X87_REGISTERS,
	{"xmm0", "vec128", FEATURE_SSE, 16, KIND_XMM, 0, 0, false},
	XMM(1),
	XMM(2),
	XMM(3),
	XMM(4),
	XMM(5),
	XMM(6),
	XMM(7),
	{"mxcsr", "i386_mxcsr", FEATURE_SSE, 4, KIND_MXCSR, 0, 0, false},
	SYSTEM,
	YMM(0),
	YMM(1),
	YMM(2),
	YMM(3),
	YMM(4),
	YMM(5),
	YMM(6),
	YMM(7),
};
#define YMM_COUNT_32 8

const struct reg *registers_list(const struct gdb *gdb, size_t *count)
{
	bool avx = gdb->vm->cpu.has[CPU_avx];

	if (gdb->bits < 64) {
		*count = sizeof(regs_32) / sizeof(regs_32[0]) - (avx ? 0 : YMM_COUNT_32);
		return regs_32;
	}
	*count = sizeof(regs_64) / sizeof(regs_64[0]) - (avx ? 0 : FPU_YMM_COUNT);
	return regs_64;
}

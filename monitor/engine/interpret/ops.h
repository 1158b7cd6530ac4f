/*
 * The functions that execute instructions, by how decode.c picks them. Private to engine/interpret/.
 */
#ifndef MONITOR_ENGINE_INTERPRET_OPS_H
#define MONITOR_ENGINE_INTERPRET_OPS_H

#include "monitor/engine/interpret/interp.h"

/*
 * interpret.c: in a stay of user mode the instruction is left to the cell that user mode runs in otherwise, and has not
 * happened. True: so it is.
 */
bool interp_leaves_to_cell(struct engine_vcpu *c, const struct insn *i);

/* Condition codes in the order the encoding numbers them (SDM 2D B.1.4.7), the even ones; odd ones are the opposite. */
static inline bool condition(uint32_t flags, unsigned code)
{
	switch (code) {
	case 0:
		return flags & FLAG_OF;
	case 2:
		return flags & FLAG_CF;
	case 4:
		return flags & FLAG_ZF;
	case 6:
		return flags & (FLAG_CF | FLAG_ZF);
	case 8:
		return flags & FLAG_SF;
	case 10:
		return flags & FLAG_PF;
	case 12:
		return (flags >> 15 ^ flags) & 1;
	case 14:
		return ((flags >> 15 ^ flags) & 1) | (flags & FLAG_ZF);
	default:
		return !condition(flags, code & ~1u);
	}
}

/* pairs.c: has one function execute two instructions where it can; op_end is among the `count`. */
void pairs_make(struct insn *i, unsigned count);

/* Operand forms: register or memory, then register or immediate; memory is the destination in MR and MI. */
enum form { FORM_RR, FORM_RI, FORM_RM, FORM_MR, FORM_MI, FORM_COUNT };
/* By operand size: 8, 16, 32, 64 bits. */
enum width { WIDTH_8, WIDTH_16, WIDTH_32, WIDTH_64, WIDTH_COUNT };

enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP, ALU_TEST, ALU_COUNT };
extern insn_function *const alu_table[ALU_COUNT][WIDTH_COUNT][FORM_COUNT];
enum unary { UNARY_INC, UNARY_DEC, UNARY_NEG, UNARY_NOT, UNARY_COUNT };
extern insn_function *const unary_table[UNARY_COUNT][WIDTH_COUNT][2]; /* register, memory */
enum shift { SHIFT_SHL, SHIFT_SHR, SHIFT_SAR, SHIFT_ROL, SHIFT_ROR, SHIFT_COUNT };
extern insn_function *const shift_table[SHIFT_COUNT][WIDTH_COUNT][2]; /* by immediate, by CL */
/* IMUL of two operands: register, memory; of three: register, memory. Not for 8 bits. */
extern insn_function *const imul_table[WIDTH_COUNT][4];

extern insn_function *const mov_table[WIDTH_COUNT][FORM_COUNT];
/* MOVZX, MOVSX: by width of the result, of the source (8, 16, 32), register or memory. */
extern insn_function *const movzx_table[WIDTH_COUNT][3][2], *const movsx_table[WIDTH_COUNT][3][2];
extern insn_function *const lea_table[WIDTH_COUNT];
extern insn_function *const xchg_table[WIDTH_COUNT][2]; /* register, memory */
extern insn_function *const cmov_table[16][WIDTH_COUNT][2], *const setcc_table[16][2], *const jcc_table[16];
insn_function op_cbw, op_cwde, op_cdqe, op_cwd, op_cdq, op_cqo, op_xlat;

/* stack.c */
enum stack_op {
	STACK_PUSH,
	STACK_PUSH_IMM,
	STACK_PUSH_MEM,
	STACK_POP,
	STACK_POP_MEM,
	STACK_LEAVE,
	STACK_ENTER,
	STACK_PUSHA,
	STACK_POPA,
	STACK_COUNT,
};
extern insn_function *const stack_table[STACK_KINDS][WIDTH_COUNT][STACK_COUNT];

/* Ends of blocks. */
insn_function op_end, op_jmp, op_jmp_reg, op_jmp_mem, op_call, op_call_reg, op_call_mem, op_ret;
insn_function op_loop, op_jrcxz, op_jmp16, op_call16, op_ret16, op_branch16;

/*
 * near.c: outside 64-bit mode, by operand size. The target is cut to it and must lie within the limit of CS. Of
 * conditional ones, `dst` is the operand size, and `src` the condition, or as of op_loop.
 */
enum near_op { NEAR_JMP, NEAR_JMP_REG, NEAR_JMP_MEM, NEAR_CALL, NEAR_CALL_REG, NEAR_CALL_MEM, NEAR_RET, NEAR_COUNT };
extern insn_function *const near_table[STACK_KINDS][WIDTH_COUNT][NEAR_COUNT];
insn_function op_near_jcc, op_near_loop, op_near_jcxz;

/* legacy.c: instructions that 64-bit mode lacks; imm is the base of AAM and AAD. */
insn_function op_aaa, op_aas, op_aam, op_aad, op_daa, op_das, op_salc, op_arpl_reg, op_arpl_mem;
insn_function op_bound16, op_bound32;

/* Bit instructions whose bit lies anywhere in memory; imm holds which: 0 BT, 1 BTS, 2 BTR, 3 BTC. */
extern insn_function *const bit_table[WIDTH_COUNT];

/* String instructions; imm holds the size, REP, address size and segment of the source as string.c packs them. */
#define STRING_SIZE	  15
#define STRING_REPE	  16
#define STRING_REPNE	  32
#define STRING_A32	  64
#define STRING_A16	  128
#define STRING_SREG_SHIFT 8
insn_function op_movs, op_stos, op_lods, op_scas, op_cmps;
insn_function op_movdir64b, op_clzero;

/* system.c */
insn_function op_nop, op_touch, op_clc, op_stc, op_cmc, op_cld, op_std, op_lahf, op_sahf, op_pushf, op_popf;
insn_function op_sensitive, op_syscall, op_int80, op_hypercall, op_undefined, op_protected;
insn_function op_cpuid, op_rdtsc, op_rdtscp, op_rdpid, op_xgetbv, op_base;

#endif

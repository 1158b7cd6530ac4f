/*
 * Which instructions form pairs: for pairs.c, and for the test of each of them.
 */
#ifndef MONITOR_ENGINE_INTERPRET_PAIRS_H
#define MONITOR_ENGINE_INTERPRET_PAIRS_H

/* clang-format off */
/* Of kernels and programs, by how often they are executed: X(name) or X(name, first). */
#define FIRSTS(X) \
	X(mov64_rr) X(mov32_rr) X(mov64_rm) X(mov32_rm) X(mov64_mr) X(mov32_mr) X(mov64_mi) X(mov32_ri) \
	X(lea64) X(add64_rr) X(add64_ri) X(add64_rm) X(add32_ri) X(sub64_rr) X(sub64_ri) X(adc64_rr) \
	X(imul64_r) X(shl64_imm) X(shr64_imm) X(shr32_imm) X(and32_ri) X(and64_rr) X(xor32_rr) X(or64_rr) \
	X(cmp64_rr) X(cmp64_ri) X(cmp64_rm) X(cmp32_rr) X(cmp32_ri) X(cmp8_ri) X(cmp8_mi) X(test64_rr) \
	X(test32_rr) X(test8_rr) X(test8_mi) X(movzx32_8_r) X(movzx32_8_m) X(movzx32_16_m) X(movsx64_32_r) \
	X(push64w_reg) X(pop64w_reg) X(set2_r) X(cmov3_64_r)
/* What follows them, and what ends a block behind them. */
#define SECONDS(X, first) \
	X(mov64_rr, first) X(mov32_rr, first) X(mov64_rm, first) X(mov32_rm, first) X(mov64_mr, first) \
	X(mov32_mr, first) X(lea64, first) X(add64_rr, first) X(add64_ri, first) X(add64_rm, first) \
	X(add32_ri, first) X(sub64_rr, first) X(adc64_rr, first) X(imul64_r, first) X(shl64_imm, first) \
	X(shr64_imm, first) X(and32_ri, first) X(xor32_rr, first) X(cmp64_rr, first) X(cmp64_ri, first) \
	X(cmp32_rr, first) X(cmp32_ri, first) X(cmp8_ri, first) X(cmp8_mi, first) X(test64_rr, first) \
	X(test32_rr, first) X(test8_rr, first) X(test8_mi, first) X(movzx32_8_r, first) \
	X(movzx32_8_m, first) X(movzx32_16_m, first) X(movsx64_32_r, first) X(push64w_reg, first) \
	X(pop64w_reg, first) X(set2_r, first) X(cmov3_64_r, first)
#define ENDS(X, first) \
	X(op_end, first) X(op_jmp, first) X(op_call, first) X(op_ret, first) X(jcc2, first) X(jcc3, first) \
	X(jcc4, first) X(jcc5, first) X(jcc6, first) X(jcc7, first) X(jcc8, first) X(jcc9, first) \
	X(jcc12, first) X(jcc13, first) X(jcc14, first) X(jcc15, first)
/* clang-format on */

#endif

/*
 * What a C caller expects to be kept (System V ABI, AMD64 supplement, 3.2.1), on the stack and back, for unwinders too.
 * The order is a context's: context.c makes first frames by it.
 */

	.macro push_callee_saved
	.irp	reg, rbx, rbp, r12, r13, r14, r15
	push	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endr
	.endm

	.macro pop_callee_saved
	.irp	reg, r15, r14, r13, r12, rbp, rbx
	pop	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endr
	.endm


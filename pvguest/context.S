/*
 * pvg_context_switch(from, to): what a C caller expects to be kept goes on the old stack, and comes from the new one.
 */
	.text
	.globl	pvg_context_switch
	.type	pvg_context_switch, @function
pvg_context_switch:
	.cfi_startproc
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	mov	%rsp, (%rdi)
	mov	(%rsi), %rsp
	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	ret
	.cfi_endproc
	.size	pvg_context_switch, . - pvg_context_switch

	/* Where a new context begins: context.c put start in RBX and arg in R12. */
	.globl	pvg_context_begin
	.type	pvg_context_begin, @function
pvg_context_begin:
	.cfi_startproc
	.cfi_undefined rip	/* the outermost frame */
	mov	%r12, %rdi
	call	*%rbx
	ud2
	.cfi_endproc
	.size	pvg_context_begin, . - pvg_context_begin

	.section .note.GNU-stack, "", @progbits

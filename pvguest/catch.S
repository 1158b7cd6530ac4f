/*
 * pvg_catch_call(point, function, arg): calls function(arg) and returns 0, or returns 1 when catch.c sent the trapping
 * context to pvg_catch_land with RSP = point->rsp.
 */
	.text
	.globl	pvg_catch_call
	.type	pvg_catch_call, @function
pvg_catch_call:
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
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	mov	%rsp, (%rdi)		/* point->rsp */
	mov	%rdx, %rdi
	call	*%rsi
	xor	%eax, %eax
	jmp	1f
	.globl	pvg_catch_land
pvg_catch_land:
	mov	$1, %eax
1:	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%r15
	.cfi_adjust_cfa_offset -8
	pop	%r14
	.cfi_adjust_cfa_offset -8
	pop	%r13
	.cfi_adjust_cfa_offset -8
	pop	%r12
	.cfi_adjust_cfa_offset -8
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	pvg_catch_call, . - pvg_catch_call

	.section .note.GNU-stack, "", @progbits

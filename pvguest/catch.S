/*
 * pvg_catch_call(point, function, arg): calls function(arg) and returns 0, or returns 1 when catch.c sent the trapping
 * context to pvg_catch_land with RSP = point->rsp.
 */
#include "pvguest/callee_saved.S"

	.text
	.globl	pvg_catch_call
	.type	pvg_catch_call, @function
pvg_catch_call:
	.cfi_startproc
	push_callee_saved
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
	pop_callee_saved
	ret
	.cfi_endproc
	.size	pvg_catch_call, . - pvg_catch_call

	.section .note.GNU-stack, "", @progbits

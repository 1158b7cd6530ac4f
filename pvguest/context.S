/*
 * pvg_context_switch(from, to): what a C caller expects to be kept goes on the old stack, and comes from the new one.
 */
#include "pvguest/callee_saved.S"

	.text
	.globl	pvg_context_switch
	.type	pvg_context_switch, @function
pvg_context_switch:
	.cfi_startproc
	push_callee_saved
	mov	%rsp, (%rdi)
	mov	(%rsi), %rsp
	pop_callee_saved
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

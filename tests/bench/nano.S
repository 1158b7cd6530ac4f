/*
 * The nanobenchmarks that need no privilege; see nano.h.
 */
#include "tests/bench/nano.h"

	.text
	.balign	64
nothing:
	ret

	.globl	nano_call_ret
	.balign	64
nano_call_ret:
	.rept	NANO_STEP
	call	nothing
	.endr
	sub	$NANO_STEP, %rdi
	jnz	nano_call_ret
	ret

	.globl	nano_flags
	.balign	64
nano_flags:
	.rept	NANO_STEP
	pushf
	popf
	.endr
	sub	$NANO_STEP, %rdi
	jnz	nano_flags
	ret

	.globl	nano_store
	.balign	64
nano_store:
	mov	(%rsi), %rax
1:	.rept	NANO_STEP
	xor	%rdx, %rax
	mov	%rax, (%rsi)
	.endr
	sub	$NANO_STEP, %rdi
	jnz	1b
	ret

	.section .note.GNU-stack, "", @progbits

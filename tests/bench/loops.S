/*
 * The loops of loops.h: position-independent, so that a guest, a boot image and a program can have the same bytes. Each
 * turn executes a fixed number of instructions, whichever way its branches go.
 */
#include "tests/bench/loops.h"

	.text
	.globl	loop_integer
	.balign	64
loop_integer:
	movabs	$0x2545f4914f6cdd1d, %rax
	xor	%edx, %edx
1:	mov	%rax, %rcx
	shl	$13, %rcx
	xor	%rcx, %rax
	mov	%rax, %rcx
	shr	$7, %rcx
	xor	%rcx, %rax
	mov	%rax, %rcx
	shl	$17, %rcx
	xor	%rcx, %rax
	test	$1, %al
	jnz	2f
	add	%rax, %rdx
	jmp	3f
2:	lea	5(%rdx,%rax,2), %rdx
	xor	%rcx, %rdx
3:	dec	%rdi
	jnz	1b
	mov	%rdx, %rax
	ret

	.globl	loop_memory
	.balign	64
loop_memory:
	xor	%eax, %eax
	xor	%ecx, %ecx
1:	add	56(%rsi,%rcx,8), %rax
	add	$97, %ecx
	and	$(LOOPS_WINDOW_WORDS - 1), %ecx
	mov	%rax, (%rsi,%rcx,8)
	movzbl	3(%rsi,%rcx,8), %edx
	push	%rdx
	add	%rdi, %rax
	pop	%rdx
	dec	%rdi
	jnz	1b
	ret

	.globl	loop_float
	.balign	64
loop_float:
	mov	$0x3ff0000000000000, %rax	/* 1.0 */
	movq	%rax, %xmm0
	movq	%rax, %xmm1
	xorpd	%xmm2, %xmm2
1:	cvtsi2sd %rdi, %xmm3
	movapd	%xmm3, %xmm4
	mulsd	%xmm0, %xmm4
	addsd	%xmm1, %xmm4
	divsd	%xmm3, %xmm4
	movsd	%xmm4, 8(%rsi)
	addsd	%xmm4, %xmm2
	sqrtsd	8(%rsi), %xmm0
	ucomisd	%xmm1, %xmm0
	jb	2f
	movapd	%xmm1, %xmm0
	jmp	3f
2:	addsd	%xmm1, %xmm0
	mulsd	%xmm0, %xmm0
3:	dec	%rdi
	jnz	1b
	movq	%xmm2, %rax
	ret

	.section .note.GNU-stack, "", @progbits

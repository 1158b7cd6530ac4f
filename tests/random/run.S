/*
 * Into a sequence and out of it: all registers are loaded, by IRETQ for user mode and single steps and by a jump else,
 * lest an exit decide how the engine goes on; the exception that ends it stores them.
 */
#include "hypercalls/x86.h"
#include "tests/random/run.h"

#define WITH_ERROR                                                                                                     \
	(1 << X86_VEC_DF | 1 << X86_VEC_TS | 1 << X86_VEC_NP | 1 << X86_VEC_SS | 1 << X86_VEC_GP | 1 << X86_VEC_PF |   \
	 1 << X86_VEC_AC)

	.bss
	.balign	16
registers:
	.quad	0
home:
	.quad	0		/* RSP to come back to; 0: no sequence runs */
	.globl	run_steps_left, run_stepped
run_steps_left:
	.quad	0
run_stepped:
	.quad	0
user_rsp:
	.quad	0
entry:
	.quad	0
	.skip	4096
syscall_stack:

	/* All but RSP and RDI, which points to them; flags stay. */
	.macro	load
	mov	0 * 8(%rdi), %rax
	mov	1 * 8(%rdi), %rcx
	mov	2 * 8(%rdi), %rdx
	mov	3 * 8(%rdi), %rbx
	mov	5 * 8(%rdi), %rbp
	mov	6 * 8(%rdi), %rsi
	mov	8 * 8(%rdi), %r8
	mov	9 * 8(%rdi), %r9
	mov	10 * 8(%rdi), %r10
	mov	11 * 8(%rdi), %r11
	mov	12 * 8(%rdi), %r12
	mov	13 * 8(%rdi), %r13
	mov	14 * 8(%rdi), %r14
	mov	15 * 8(%rdi), %r15
	.endm

	.text
	.globl	run_sequence
	.type	run_sequence, @function
run_sequence:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rdi, registers(%rip)
	mov	%rsp, home(%rip)
	testb	$3, RUN_CS(%rdi)
	jnz	1f
	testl	$X86_RFLAGS_TF, RUN_RFLAGS(%rdi)
	jz	2f
1:
	pushq	RUN_SS(%rdi)
	pushq	4 * 8(%rdi)
	pushq	RUN_RFLAGS(%rdi)
	pushq	RUN_CS(%rdi)
	pushq	RUN_RIP(%rdi)
	load
	mov	7 * 8(%rdi), %rdi
	iretq
2:	mov	RUN_RIP(%rdi), %rax
	mov	%rax, entry(%rip)
	pushq	RUN_RFLAGS(%rdi)
	popfq
	load
	mov	4 * 8(%rdi), %rsp
	mov	7 * 8(%rdi), %rdi
	jmp	*entry(%rip)
	.size	run_sequence, . - run_sequence

	.balign	RUN_STUB
	.globl	run_stubs
run_stubs:
	.set	vector, 0
	.rept	X86_VEC_COUNT
	.balign	RUN_STUB
	.if	!(vector < 32 && (WITH_ERROR >> (vector & 31)) & 1)
	push	$0
	.endif
	push	$vector
	jmp	ended
	.set	vector, vector + 1
	.endr

	.globl	run_syscall
run_syscall:
	mov	%rsp, user_rsp(%rip)
	lea	syscall_stack(%rip), %rsp
	push	$0
	pushq	user_rsp(%rip)
	push	%r11
	push	$0
	push	%rcx
	push	$0
	push	$RUN_SYSCALL

	/* On the stack: vector, error code, RIP, CS, RFLAGS, RSP, SS. */
ended:
	cmpq	$X86_VEC_DB, (%rsp)
	jne	1f
	testl	$X86_RFLAGS_TF, 4 * 8(%rsp)
	jz	1f
	cmpq	$0, run_steps_left(%rip)
	jne	step
1:	push	%rax
	mov	registers(%rip), %rax
	cmpq	$0, home(%rip)
	je	2f
	mov	%rcx, 1 * 8(%rax)
	mov	%rdx, 2 * 8(%rax)
	mov	%rbx, 3 * 8(%rax)
	mov	%rbp, 5 * 8(%rax)
	mov	%rsi, 6 * 8(%rax)
	mov	%rdi, 7 * 8(%rax)
	mov	%r8, 8 * 8(%rax)
	mov	%r9, 9 * 8(%rax)
	mov	%r10, 10 * 8(%rax)
	mov	%r11, 11 * 8(%rax)
	mov	%r12, 12 * 8(%rax)
	mov	%r13, 13 * 8(%rax)
	mov	%r14, 14 * 8(%rax)
	mov	%r15, 15 * 8(%rax)
	pop	0 * 8(%rax)
	pop	RUN_VECTOR(%rax)
	pop	RUN_ERROR(%rax)
	pop	RUN_RIP(%rax)
	pop	RUN_CS(%rax)
	pop	RUN_RFLAGS(%rax)
	pop	4 * 8(%rax)
	pop	RUN_SS(%rax)
	mov	home(%rip), %rsp
	movq	$0, home(%rip)
	cld
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

step:
	push	%rax
	push	%rcx
	mov	4 * 8(%rsp), %rcx
	mov	run_stepped(%rip), %rax
	xor	%rcx, %rax
	movabs	$0x9e3779b97f4a7c15, %rcx
	imul	%rcx, %rax
	mov	%rax, run_stepped(%rip)
	pop	%rcx
	pop	%rax
	decq	run_steps_left(%rip)
	add	$16, %rsp
	iretq

2:	mov	8(%rsp), %rdi
	mov	24(%rsp), %rsi
	and	$-16, %rsp
	call	run_unexpected

	.section .note.GNU-stack, "", @progbits

/*
 * For the mapper and the nursery: makes the system call of the struct gate_op at R15 and goes on to the next, R14 counting
 * down. The result is in RAX, and the flags are such that JB goes where there was no error.
 */
.macro CALL_OP
	mov	(%r15), %rax
	mov	OP_ARGS + 8 * 0(%r15), %rdi
	mov	OP_ARGS + 8 * 1(%r15), %rsi
	mov	OP_ARGS + 8 * 2(%r15), %rdx
	mov	OP_ARGS + 8 * 3(%r15), %r10
	mov	OP_ARGS + 8 * 4(%r15), %r8
	mov	OP_ARGS + 8 * 5(%r15), %r9
	syscall
	add	$OP_SIZE, %r15
	dec	%r14d
	cmp	$-4095, %rax
.endm

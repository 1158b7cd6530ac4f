/*
 * Runs one instruction on the registers it is given. RSP stays the test's: a signal may come at any time.
 */
#include "tests/unit/native_run.h"

	/* XMM0 to XMM15 from or to the image at RCX: much faster than XRSTOR and XSAVE. */
	.macro each_xmm direction
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.ifc \direction, load
	movaps X86_FPU_XMM + 16 * \n(%rcx), %xmm\n
	.else
	movaps %xmm\n, X86_FPU_XMM + 16 * \n(%rcx)
	.endif
	.endr
	.endm

	.text
	.globl native_run, native_fault
	.type native_run, @function
	.type native_fault, @function
native_run:
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
	push %rdi
	push %rsi
	mov NATIVE_FPU(%rdi), %rcx
	test %rcx, %rcx
	jz 1f
	mov NATIVE_MASK(%rdi), %eax
	mov NATIVE_MASK + 4(%rdi), %edx
	cmp $NATIVE_SSE_ONLY, %eax
	je 4f
	xrstor64 (%rcx)
	jmp 1f
4:	ldmxcsr X86_FPU_MXCSR(%rcx)
	each_xmm load
1:	mov NATIVE_FLAGS(%rdi), %eax
	addb $0x7f, %al
	sahf
	mov 0(%rdi), %rax
	mov 8(%rdi), %rcx
	mov 16(%rdi), %rdx
	mov 24(%rdi), %rbx
	mov 40(%rdi), %rbp
	mov 48(%rdi), %rsi
	mov 64(%rdi), %r8
	mov 72(%rdi), %r9
	mov 80(%rdi), %r10
	mov 88(%rdi), %r11
	mov 96(%rdi), %r12
	mov 104(%rdi), %r13
	mov 112(%rdi), %r14
	mov 120(%rdi), %r15
	mov 56(%rdi), %rdi
	call *(%rsp)

	xchg %rdi, 8(%rsp)
	mov %rax, 0(%rdi)
	lahf
	seto %al
	movzwl %ax, %eax
	mov %rax, NATIVE_FLAGS(%rdi)
	mov %rcx, 8(%rdi)
	mov %rdx, 16(%rdi)
	mov %rbx, 24(%rdi)
	mov %rbp, 40(%rdi)
	mov %rsi, 48(%rdi)
	mov 8(%rsp), %rax
	mov %rax, 56(%rdi)
	mov %r8, 64(%rdi)
	mov %r9, 72(%rdi)
	mov %r10, 80(%rdi)
	mov %r11, 88(%rdi)
	mov %r12, 96(%rdi)
	mov %r13, 104(%rdi)
	mov %r14, 112(%rdi)
	mov %r15, 120(%rdi)
	xor %ebx, %ebx
	jmp 2f

native_fault:
	add $8, %rsp
	mov 8(%rsp), %rdi
	mov $1, %ebx

2:	cld
	mov NATIVE_FPU(%rdi), %rcx
	test %rcx, %rcx
	jz 3f
	mov NATIVE_MASK(%rdi), %eax
	mov NATIVE_MASK + 4(%rdi), %edx
	cmp $NATIVE_SSE_ONLY, %eax
	je 5f
	xsave64 (%rcx)
	/* The test's own: exceptions masked, nothing in the registers. */
	fninit
	jmp 6f
5:	stmxcsr X86_FPU_MXCSR(%rcx)
	each_xmm store
6:
	pushq $0x1f80
	ldmxcsr (%rsp)
	add $8, %rsp
3:	mov %ebx, %eax
	add $16, %rsp
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbp
	pop %rbx
	ret
	.size native_run, . - native_run
	.section .note.GNU-stack, "", @progbits

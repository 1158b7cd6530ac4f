/*
 * The nanobenchmarks of a kernel, and its handlers, as short as they can be; see nano.h.
 */
#include "hypercalls/x86.h"
#include "pvguest/include/pvguest/trap.h"
#include "tests/bench/nano.h"

#define INSN_SIZE 2	/* of the two that fault */
#define LAST	  1	/* user.S */
#define PIC_MASK  (X86_PORT_PIC1 + 1)

	.text
	.globl	nano_mask
	.balign	64
nano_mask:
	.rept	NANO_STEP
	cli
	sti
	.endr
	sub	$NANO_STEP, %rdi
	jnz	nano_mask
	cli
	ret

	.globl	nano_in
	.balign	64
nano_in:
	.rept	NANO_STEP
	in	$PIC_MASK, %al
	.endr
	sub	$NANO_STEP, %rdi
	jnz	nano_in
	ret

	.globl	nano_cr8
	.balign	64
nano_cr8:
	xor	%eax, %eax
1:	.rept	NANO_STEP
	mov	%rax, %cr8
	.endr
	sub	$NANO_STEP, %rdi
	jnz	1b
	ret

	.globl	nano_divide
	.balign	64
nano_divide:
	xor	%ecx, %ecx
1:	.rept	NANO_STEP
	div	%ecx
	.endr
	sub	$NANO_STEP, %rdi
	jnz	1b
	ret

	.globl	nano_touch
	.balign	64
nano_touch:
	.rept	NANO_STEP
	mov	(%rsi), %eax
	.endr
	sub	$NANO_STEP, %rdi
	jnz	nano_touch
	ret

	.globl	nano_de_native, nano_pf_native, nano_de_paravirt, nano_pf_paravirt
nano_de_native:
	addq	$INSN_SIZE, (%rsp)
	iretq
nano_pf_native:
	add	$8, %rsp		/* the error code */
	addq	$INSN_SIZE, (%rsp)
	iretq
nano_pf_paravirt:
	add	$8, %rsp
nano_de_paravirt:
	addq	$INSN_SIZE, (%rsp)
	jmp	pvg_trap_return_hypercall

	.globl	nano_user_run
nano_user_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, kernel_rsp(%rip)
	mov	%rsi, %rbx
	push	$PVG_SEL_USER_DATA
	push	$0
	push	$(X86_RFLAGS_FIXED | X86_RFLAGS_IF)
	push	$PVG_SEL_USER_CODE
	push	%rdi
	iretq

	.globl	nano_syscall_native
nano_syscall_native:
	cmp	$LAST, %eax
	je	1f
	sysretq
1:	mov	kernel_rsp(%rip), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.bss
	.balign	8
kernel_rsp:
	.skip	8

	.section .note.GNU-stack, "", @progbits

/*
 * User mode for the bench guest, see user.h. The kernel returns from each SYSCALL through the iret hypercall, with the
 * frame it was entered on. RAX tells a call to be returned from (0) from the last one (1).
 */
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "pvguest/include/pvguest/trap.h"

#define LAST 1

	.text
	.globl	user_run
user_run:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, kernel_rsp(%rip)
	mov	%rsi, %rbx
	mov	%rdi, %rcx
	mov	$(X86_RFLAGS_FIXED | X86_RFLAGS_IF), %r11d
	xor	%eax, %eax
	push	$PVG_SEL_USER_DATA	/* struct r3_iret_frame */
	push	$0
	push	%r11
	push	$PVG_SEL_USER_CODE
	push	%rcx
user_return:
	push	%r11
	push	%rcx
	push	%rax
	mov	$R3_HC_iret, %eax
	call	pvg_hypercall_page
	ud2

	.globl	user_entry
user_entry:
	cmp	$LAST, %eax
	jne	user_return
	mov	kernel_rsp(%rip), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .rodata
	.globl	user_code, user_code_end
user_code:
1:	xor	%eax, %eax
	syscall
	dec	%rbx
	jnz	1b
	mov	$LAST, %eax
	syscall
	ud2
user_code_end:

	.bss
	.balign	8
kernel_rsp:
	.skip	8

	.section .note.GNU-stack, "", @progbits

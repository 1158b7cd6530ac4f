/*
 * Where SYSCALL arrives. pv=on: the monitor has pushed the frame already. pv=off: the processor leaves RSP the user's,
 * and interrupts are masked, so a scratch word of the one processor serves to change stacks.
 */
#include "hypercalls/x86.h"
#include "pvguest/traps.h"

	.text
	.globl	pvg_syscall_native
	.type	pvg_syscall_native, @function
pvg_syscall_native:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_undefined rip
	mov	%rsp, user_rsp(%rip)
	mov	pvg_syscall_stack(%rip), %rsp
	push	$PVG_USER_DATA
	push	user_rsp(%rip)
	push	%r11
	push	$PVG_USER_CODE
	push	%rcx
	jmp	pvg_syscall_paravirt
	.cfi_endproc
	.size	pvg_syscall_native, . - pvg_syscall_native

	.globl	pvg_syscall_paravirt
	.type	pvg_syscall_paravirt, @function
pvg_syscall_paravirt:
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 40
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	push	$0			/* no error code */
	.cfi_adjust_cfa_offset 8
	push	$PVG_TRAP_SYSCALL_NUMBER
	.cfi_adjust_cfa_offset 8
	jmp	pvg_trap_common
	.cfi_endproc
	.size	pvg_syscall_paravirt, . - pvg_syscall_paravirt

	.bss
	.balign	8
user_rsp:
	.skip	8
	.globl	pvg_syscall_stack
pvg_syscall_stack:		/* top of the kernel stack; native.c */
	.skip	8

	.section .note.GNU-stack, "", @progbits

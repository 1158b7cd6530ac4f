/*
 * Entries from gates, and the way into user mode and back out of it.
 */
	.text
	.code32

	/* What lies on the stack, and all registers, as a struct frame. */
	.macro	HANDLE
	pusha
	push	%ds
	push	%es
	push	%fs
	push	%gs
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	push	%esp
	call	handle
	add	$4, %esp
	pop	%gs
	pop	%fs
	pop	%es
	pop	%ds
	popa
	.endm

	.macro	STUB name vector error
	.globl	stub_\name
stub_\name:
	.ifeq	\error
	pushl	$0
	.endif
	pushl	$\vector
	jmp	all
	.endm

	STUB	db 1 0
	STUB	ud 6 0
	STUB	ss 12 1
	STUB	gp 13 1
	STUB	pf 14 1
	STUB	timer 32 0
	STUB	call 0x40 0
	STUB	other 0x43 0

all:
	HANDLE
	add	$8, %esp
	iret

	.globl	stub_null
stub_null:
	iret

	/* As a frame of a gate, but for EIP and ESP, which the program keeps in EDX and ECX. */
	.globl	entry_fast
entry_fast:
	pushl	$0x23
	pushl	%ecx
	pushfl
	pushl	$0x1b
	pushl	%edx
	pushl	$0
	pushl	$0x45
	HANDLE
	add	$16, %esp
	andl	$~0x200, (%esp)
	popfl
	sti
	sysexit

	.globl	entry_null
entry_null:
	sti
	sysexit

	/* Goes back with a segment that user mode may not have. */
	.globl	stub_leaky
stub_leaky:
	push	%eax
	mov	$0x10, %eax
	mov	%eax, %ds
	pop	%eax
	iret

	/* run_user(entry, flags), registers zero: what it returns is the program's EAX at its last call. */
	.globl	run_user
run_user:
	push	%ebp
	push	%ebx
	push	%esi
	push	%edi
	pushfl
	mov	%esp, resume
	mov	24(%esp), %eax
	mov	28(%esp), %edx
	mov	$0x23, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	push	%ecx
	push	$user_stack_top
	push	%edx
	push	$0x1b
	push	%eax
	.irp	reg, eax, ebx, ecx, edx, ebp, esi, edi
	xor	%\reg, %\reg
	.endr
	iret

	.globl	stub_end
stub_end:
	mov	$0x10, %ecx
	mov	%ecx, %ds
	mov	%ecx, %es
	mov	resume, %esp
	popfl
	pop	%edi
	pop	%esi
	pop	%ebx
	pop	%ebp
	ret

	.bss
resume:
	.skip	4
	.section .note.GNU-stack, "", @progbits

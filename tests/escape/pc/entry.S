/*
 * Where the kernel is entered, in 64-bit mode as a vmlinux is, and where its interrupts and exceptions arrive: one stub
 * for each vector, which the hostile device chooses. A stack on a boundary of 16 bytes tells whether there is an error
 * code.
 */
#define DATA   0x18
#define ERROR  8    /* bit of RSP behind them: one was pushed */

	.section .note.Linux, "a", @note
	.long	6, 0, 1
	.asciz	"Linux"
	.balign	4

	.section .start, "ax"
	.globl	start
start:
	mov	$stack_top, %esp
	lgdt	gdt_pointer(%rip)
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%rsi, %rdi
	call	kernel
1:	hlt
	jmp	1b

	.text

	.balign	16
	.globl	stubs
stubs:
	.set	vector, 0
	.rept	256
	.balign	16
	push	$vector
	jmp	common
	.set	vector, vector + 1
	.endr

common:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%rbx
	mov	%rsp, %rbx
	mov	%rsp, %rdi
	mov	%rsp, %rsi
	and	$ERROR, %esi
	cld
	and	$-16, %rsp
	call	handle
	mov	%rbx, %rsp
	mov	%rbx, %rax
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	test	$ERROR, %al
	jnz	1f
	pop	%rax
	add	$8, %rsp
	iretq
1:	pop	%rax
	add	$16, %rsp
	iretq

	.data
	.balign	8
gdt:	.quad	0, 0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.short	. - gdt - 1
	.quad	gdt

	.bss
	.balign	16
	.skip	16384
stack_top:
	.section .note.GNU-stack, "", @progbits

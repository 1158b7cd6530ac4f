/*
 * A kernel entered in 64-bit mode, as vmlinux is, that goes down to 32-bit compatibility mode, from there to protected
 * mode without paging, and back up.
 */
	.section .note.Linux, "a", @note
	.long	6, 0, 1
	.asciz	"Linux"
	.balign	4

	.section .start, "ax"
	.code64
	.globl	start
start:
	lgdt	gdt_pointer(%rip)
	mov	$stack_top, %esp
	push	$8
	push	$down
	lretq

	.code32
down:
	mov	$16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$compatible, %esi
	call	print
	mov	%cr0, %eax
	btr	$31, %eax
	mov	%eax, %cr0
	mov	$flat, %esi
	call	print
	mov	%cr0, %eax
	bts	$31, %eax
	mov	%eax, %cr0
	ljmp	$24, $up

print:
	mov	$0x3f8, %edx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	ret

	.code64
up:
	mov	$0x1234567890, %rax
	mov	%rax, %rbx
	shr	$32, %rbx
	cmp	$0x12, %bl
	jne	1f
	mov	$long, %esi
	mov	$0x3f8, %edx
2:	lodsb
	test	%al, %al
	jz	3f
	out	%al, %dx
	jmp	2b
3:	xor	%eax, %eax
	out	%al, $0xf4
1:	mov	$99, %al
	out	%al, $0xf4
	hlt

compatible:	.asciz	"compatibility mode\n"
flat:		.asciz	"protected mode, paging off\n"
long:		.asciz	"64-bit mode again\n"

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 8: flat code, 32 bits */
	.quad	0x00cf93000000ffff	/* 16: flat data */
	.quad	0x00af9b000000ffff	/* 24: code, 64 bits */
gdt_pointer:
	.short	. - gdt - 1
	.quad	gdt

	.bss
	.balign	16
	.skip	4096
stack_top:
	.section .note.GNU-stack, "", @progbits

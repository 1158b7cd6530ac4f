/*
 * A boot sector, in real mode: says what it finds, goes to flat 32-bit protected mode and comes back.
 */
#include "tests/modes/boot_sector.S"

	.code16
	.text
	.globl	start
start:
	mov	%dl, %bl
	mov	%cs, %ax
	or	%ax, %bx		/* CS must be 0 */
	call	1f
1:	pop	%ax
	cmp	$1b, %ax
	jne	bad
	cmp	$0x80, %bx
	jne	bad
	pushf
	pop	%ax
	test	$0x200, %ax
	jnz	bad
	mov	$real, %si
	call	print

	/* A segment's limit is no matter of the selector: data at 1 MiB through a segment of 4 GiB kept from there. */
	lgdtl	gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmp	$8, $flat
	.code32
flat:
	mov	$16, %ax
	mov	%ax, %ds
	mov	%ax, %ss
	movl	$0x12345678, 0x100000
	mov	$0xa11, %edx
	push	%edx
	pop	%eax
	cmp	%eax, %edx
	jne	bad32
	movl	$1, 0xfec00000		/* the I/O APIC's version has its last pin in the third byte */
	cmpb	$23, 0xfec00012
	jne	bad32
	ljmp	$24, $back
bad32:	jmp	bad32
	.code16
back:
	mov	%cr0, %eax
	and	$0xfe, %al
	mov	%eax, %cr0
	ljmp	$0, $home
home:
	xor	%ax, %ax
	mov	%ax, %ss
	mov	%ax, %es
	mov	$0x100000, %esi
	cmpl	$0x12345678, (%esi)	/* DS is as protected mode left it */
	jne	bad
	mov	%ax, %ds
	mov	$again, %si
	call	print
	xor	%ax, %ax
	out	%al, $0xf4
bad:	end_wrong

print:	print_serial

real:	.asciz	"boot sector: real mode, drive 0x80\n"
again:	.asciz	"boot sector: protected mode and back\n"
wrong:	.asciz	"boot sector: not as it should be\n"

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 8: flat code, 32 bits */
	.quad	0x00cf93000000ffff	/* 16: flat data */
	.quad	0x00009b000000ffff	/* 24: code, 16 bits */
gdt_pointer:
	.short	. - gdt - 1
	.long	gdt

	.org	510
	.short	0xaa55
	.section .note.GNU-stack, "", @progbits

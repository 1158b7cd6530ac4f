/*
 * Firmware of 64 KiB, in real mode from the reset vector on: runs where the ROM is below 4 GiB, then in its shadow below
 * 1 MiB, which can be written, as the ROM cannot.
 */
	.code16
	.text
	.globl	start
start:
	/* At 0xffff0000 + IP still: CS is not its selector times 16. */
	cli
	mov	%cs, %ax
	cmp	$0xf000, %ax
	jne	bad
	xor	%ax, %ax
	mov	%ax, %ss
	mov	$0x7000, %sp
	mov	$high, %si
	call	print_cs

	/* A flat DS, to look at the ROM and write to it. */
	lgdtl	%cs:gdt_pointer
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	mov	$8, %bx
	mov	%bx, %ds
	and	$0xfe, %al
	mov	%eax, %cr0
	mov	$0xfffffff0, %esi
	mov	(%esi), %ebx
	mov	$0xffff0, %edi
	cmp	(%edi), %ebx
	jne	bad
	movl	$0x12345678, (%esi)
	cmp	(%esi), %ebx
	jne	bad
	mov	$0xffff0, %esi
	movl	$0x12345678, (%esi)
	cmpl	$0x12345678, (%esi)
	jne	bad

	ljmp	$0xf000, $below
below:	mov	%cs, %ax
	mov	%ax, %ds
	movb	$'S', shadow		/* a store that changes this code's own memory */
	mov	$shadow, %si
	call	print_cs
	xor	%al, %al
	out	%al, $0xf4

bad:	mov	$99, %al
	out	%al, $0xf4
	hlt

print_cs:
	mov	$0x3f8, %dx
1:	mov	%cs:(%si), %al
	inc	%si
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	ret

high:	.asciz	"ROM: from the reset vector\n"
shadow:	.asciz	"shadow: below 1 MiB\n"

	.balign	8
gdt:	.quad	0
	.quad	0x00cf93000000ffff
gdt_pointer:
	.short	. - gdt - 1
	.long	0xffff0000 + gdt

	.org	0xfff0
	jmp	start
	.org	0x10000
	.section .note.GNU-stack, "", @progbits

/*
 * A boot sector with QEMU's test device: the tick that firmware leaves on wakes it from HLT, twice, and comes back by
 * the vector table that firmware leaves.
 */
	.code16
	.text
	.globl	start
start:
	mov	$2, %cx
1:	sti
	hlt
	cli
	loop	1b
	mov	$ticked, %si
	mov	$0x3f8, %dx
2:	lodsb
	test	%al, %al
	jz	3f
	out	%al, %dx
	jmp	2b
3:	out	%al, $0xf4

ticked:	.asciz	"two ticks came\n"

	.org	510
	.short	0xaa55
	.section .note.GNU-stack, "", @progbits

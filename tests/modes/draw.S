/*
 * A boot sector that draws: sets mode 13h by the VGA's registers, fills all 64,000 pixels, finds them as it left them,
 * and shuts the processor down, so that a crash report says what is on the screen.
 */
	.code16
	.text
	.globl	start
start:
	mov	$0x3ce, %dx
	mov	$0x4005, %ax		/* 256 colours */
	out	%ax, %dx
	mov	$0x0506, %ax		/* graphics at 0xa0000 */
	out	%ax, %dx
	mov	$0x3d4, %dx
	mov	$0x4109, %ax		/* two lines a pixel */
	out	%ax, %dx

	mov	$0xa000, %ax
	mov	%ax, %es
	xor	%di, %di
	mov	$64000, %cx
1:	mov	%di, %ax
	stosb
	loop	1b
	xor	%di, %di
	mov	$64000, %cx
2:	mov	%di, %ax
	scasb
	jne	bad
	loop	2b

	lidt	nowhere
	int	$3
bad:	mov	$99, %al
	out	%al, $0xf4
	hlt

nowhere: .short	0, 0, 0
	.org	510
	.short	0xaa55
	.section .note.GNU-stack, "", @progbits

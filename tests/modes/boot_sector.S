/*
 * How boot sectors that firmware starts begin, whatever segment it had for them, and end when something is not as it
 * should be: they define `print`, which prints SI, and `wrong`.
 */
	.macro begin_by_firmware
	ljmp	$0, $1f
1:	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	sti
	.endm

	/* SI, on the first serial line. */
	.macro print_serial
	mov	$0x3f8, %dx
1:	lodsb
	test	%al, %al
	jz	2f
	out	%al, %dx
	jmp	1b
2:	ret
	.endm

	.macro end_wrong
	mov	$wrong, %si
	call	print
	mov	$99, %al
	out	%al, $0xf4
	hlt
	.endm

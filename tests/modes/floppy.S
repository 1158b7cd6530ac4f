/*
 * A floppy of 1.44M that firmware boots: its first sector asks INT 13h for the drive, has it read the second sector,
 * the last one, and a whole track of the far side, write one sector and read it back, and reset the controller. It says
 * so on the serial line.
 */
#include "tests/modes/boot_sector.S"

	.set	track, 18 * 512
	.set	side, 40 * 2 + 1	/* cylinder 40, head 1 */
	.set	buffer, 0x8000

	.code16
	.text
	.globl	start
start:
	begin_by_firmware
	test	%dl, %dl		/* the first floppy */
	jnz	bad

	mov	$0x08, %ah
	int	$0x13
	jc	bad
	cmp	$0x4f12, %cx		/* cylinders up to 79, 18 sectors */
	jne	bad
	cmp	$0x0101, %dx		/* heads up to 1, one drive */
	jne	bad
	cmp	$4, %bl
	jne	bad
	mov	$drive, %si
	call	print

	xor	%ax, %ax
	mov	%ax, %es
	mov	$0x0002, %cx
	xor	%dx, %dx
	call	read
	mov	$buffer, %si
	call	print
	mov	$0x4f12, %cx
	mov	$0x0100, %dx
	call	read
	mov	$buffer, %si
	call	print

	/* Sector n of the track is all n. */
	mov	$0x0212, %ax
	mov	$0x2801, %cx
	mov	$0x0100, %dx
	call	disk
	mov	$buffer, %si
	mov	$1, %dl
1:	mov	$512, %cx
2:	lodsb
	cmp	%dl, %al
	jne	bad
	loop	2b
	inc	%dl
	cmp	$18, %dl
	jbe	1b
	mov	$whole, %si
	call	print

	/* What is written comes back, by way of another cylinder. */
	mov	$0x0301, %ax
	mov	$0x0a05, %cx
	xor	%dx, %dx
	call	disk
	movw	$0, buffer
	mov	$0x0001, %cx
	call	read
	mov	$0x0a05, %cx
	call	read
	cmpw	$0x0101, buffer
	jne	bad
	mov	$written, %si
	call	print

	xor	%ax, %ax
	xor	%dx, %dx
	int	$0x13
	jc	bad
	mov	$0x0002, %cx
	call	read
	mov	$again, %si
	call	print
	xor	%al, %al
	out	%al, $0xf4

read:	mov	$0x0201, %ax
disk:	mov	$buffer, %bx
	int	$0x13
	jc	bad
	ret

bad:	end_wrong

print:	print_serial

drive:	.asciz	"floppy: drive\n"
whole:	.asciz	"floppy: whole track\n"
written: .asciz	"floppy: written\n"
again:	.asciz	"floppy: reset\n"
wrong:	.asciz	"floppy: not as it should be\n"
	.org	510
	.short	0xaa55

	.asciz	"floppy: second sector\n"
	.org	side * track
	.set	n, 1
	.rept	18
	.fill	512, 1, n
	.set	n, n + 1
	.endr
	.org	159 * track + 17 * 512
	.asciz	"floppy: last sector\n"
	.org	160 * track
	.section .note.GNU-stack, "", @progbits

/*
 * A floppy's boot sector that switches the machine off by its firmware's APM (1.2, section 4): connect, enable, off.
 */
#include "tests/modes/boot_sector.S"

	.set	connect, 0x5301
	.set	set_state, 0x5307
	.set	enable, 0x5308
	.set	driver_version, 0x530e
	.set	all_devices, 1
	.set	off, 3

	.code16
	.text
	.globl	start
start:
	begin_by_firmware
	mov	$connect, %ax
	xor	%bx, %bx
	int	$0x15
	jc	bad
	mov	$driver_version, %ax
	xor	%bx, %bx
	mov	$0x0102, %cx
	int	$0x15
	jc	bad
	mov	$enable, %ax
	mov	$all_devices, %bx
	mov	$1, %cx
	int	$0x15
	jc	bad
	mov	$connected, %si
	call	print
	mov	$set_state, %ax
	mov	$all_devices, %bx
	mov	$off, %cx
	int	$0x15
bad:	end_wrong

print:	print_serial

connected: .asciz "apm: connected\n"
wrong:	.asciz	"apm: not as it should be\n"
	.org	510
	.short	0xaa55
	.org	1440 * 1024
	.section .note.GNU-stack, "", @progbits

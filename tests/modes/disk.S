/*
 * A disk that firmware boots: its first sector prints by INT 10h, asks INT 15h for memory, has INT 13h read the second
 * one and a copy of it, both ways, prints what they say, and echoes keys by INT 16h until q.
 */
#include "tests/modes/boot_sector.S"

	.code16
	.text
	.globl	start
start:
	begin_by_firmware
	mov	%dl, drive
	mov	$hello, %si
	call	print

	/* The memory map has an entry of RAM at 0, and RAM above 1 MiB that the old call tells of too. */
	xor	%ebx, %ebx
	mov	$0xe820, %eax
	mov	$0x534d4150, %edx
	mov	$24, %ecx
	mov	$buffer, %di
	int	$0x15
	jc	bad
	cmp	$0x534d4150, %eax
	jne	bad
	cmpl	$1, buffer + 16
	jne	bad
	mov	$0x88, %ah
	int	$0x15
	jc	bad
	cmp	$0x3c00, %ax		/* 15 MiB, or more */
	jb	bad
	mov	$memory, %si
	call	print

	/* By cylinder, head and sector. */
	mov	$0x0201, %ax
	mov	$0x0002, %cx
	xor	%dh, %dh
	call	disk
	mov	$buffer, %si
	call	print
	/* By number: what is written to the third comes back. */
	incb	buffer + (count - second)
	mov	$0x4300, %ax
	call	packet
	movb	$'?', buffer + (count - second)
	mov	$0x42, %ah
	call	packet
	mov	$buffer, %si
	call	print

keys:	xor	%ah, %ah
	int	$0x16
	cmp	$'q', %al
	je	done
	mov	%al, typed
	mov	$key, %si
	call	print
	jmp	keys
	/* The BIOS's serial screen holds back what comes last, until its timer ticks. */
done:	mov	0x46c, %bx
1:	hlt
	mov	0x46c, %ax
	sub	%bx, %ax
	cmp	$3, %ax
	jb	1b
	xor	%al, %al
	out	%al, $0xf4

packet:	mov	$request, %si
disk:	mov	drive, %dl
	mov	$buffer, %bx
	int	$0x13
	jc	bad
	ret

bad:	end_wrong

print:	lodsb
	test	%al, %al
	jz	1f
	mov	$0x0e, %ah
	mov	$7, %bx
	int	$0x10
	jmp	print
1:	ret

	.balign	4
request:
	.byte	16, 0
	.short	1, buffer, 0
	.quad	2
drive:	.byte	0
hello:	.asciz	"boot sector: INT 10h\r\n"
memory:	.asciz	"boot sector: INT 15h\r\n"
wrong:	.asciz	"boot sector: not as it should be\r\n"
key:	.ascii	"key "
typed:	.asciz	" \r\n"
	.org	510
	.short	0xaa55

second:
	.ascii	"second sector, read "
count:	.asciz	"1\r\n"
	.org	0x100000		/* a cylinder and more, as the BIOS counts */
	.set	buffer, 0x8000
	.section .note.GNU-stack, "", @progbits

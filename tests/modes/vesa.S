/*
 * A boot sector that draws by its BIOS's VBE: finds a mode of 640 by 480 with linear memory, sets it, and fills it from
 * protected mode; each pixel is its column and its line.
 */
#define LISTED 0x8000
#define MODE   0x8200

	.code16
	.text
	.globl	start
start:
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$0x7c00, %sp
	mov	$LISTED, %di
	mov	$0x4f00, %ax
	int	$0x10
	cmp	$0x004f, %ax
	jne	bad
	lfs	LISTED + 14, %si	/* the modes there are */
1:	mov	%fs:(%si), %cx
	add	$2, %si
	cmp	$0xffff, %cx
	je	bad
	mov	$MODE, %di
	mov	$0x4f01, %ax
	int	$0x10
	cmpw	$640, MODE + 18
	jne	1b
	cmpw	$480, MODE + 20
	jne	1b
	cmpb	$32, MODE + 25
	jne	1b
	mov	%cx, %bx
	or	$0x4000, %bx
	mov	$0x4f02, %ax
	int	$0x10
	cmp	$0x004f, %ax
	jne	bad
	cli
	lgdt	gdtr
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmp	$8, $draw
bad:	mov	$99, %al
	out	%al, $0xf4
	hlt

	.code32
draw:	mov	$16, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	MODE + 40, %edi
	xor	%edx, %edx
2:	xor	%ecx, %ecx
3:	movzbl	%cl, %eax
	mov	%dl, %ah
	or	$0x400000, %eax
	mov	%eax, (%edi, %ecx, 4)
	inc	%ecx
	cmp	$640, %ecx
	jb	3b
	movzwl	MODE + 16, %eax
	add	%eax, %edi
	inc	%edx
	cmp	$480, %edx
	jb	2b
	xor	%eax, %eax
	out	%al, $0xf4
	hlt

	.balign	8
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdtr:	.short	23
	.long	gdt
	.org	510
	.short	0xaa55
	.section .note.GNU-stack, "", @progbits

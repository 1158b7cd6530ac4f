/*
 * A kernel that draws: each pixel of the picture that Multiboot tells it of is its column and its line; then it shows
 * the lower half alone, by the display's own registers.
 */
#define FRAMEBUFFER 88 /* in the information */
#define PITCH	    96
#define WIDTH	    100
#define HEIGHT	    104
#define TYPE	    109
#define DISPLAY	    0x1ce

	.section .start, "a"
	.balign	4
	.long	0x1badb002, 4, -(0x1badb002 + 4)
	.long	0, 0, 0, 0, 0
	.long	0, 640, 480, 32		/* graphics, of this size */
	.text
	.globl	start
start:
	cmpb	$1, TYPE(%ebx)
	jne	bad
	mov	FRAMEBUFFER(%ebx), %edi
	xor	%edx, %edx
1:	xor	%ecx, %ecx
2:	movzbl	%cl, %eax
	mov	%dl, %ah
	or	$0x400000, %eax
	mov	%eax, (%edi, %ecx, 4)
	cmp	%eax, (%edi, %ecx, 4)
	jne	bad
	inc	%ecx
	cmp	WIDTH(%ebx), %ecx
	jb	2b
	add	PITCH(%ebx), %edi
	inc	%edx
	cmp	HEIGHT(%ebx), %edx
	jb	1b
	mov	HEIGHT(%ebx), %ecx
	shr	%ecx
	mov	$DISPLAY, %edx
	mov	$2, %eax		/* as many lines */
	out	%ax, %dx
	mov	%ecx, %eax
	inc	%edx
	out	%ax, %dx
	dec	%edx
	mov	$9, %eax		/* from that one on */
	out	%ax, %dx
	mov	%ecx, %eax
	inc	%edx
	out	%ax, %dx
	xor	%eax, %eax
	out	%al, $0xf4
bad:	mov	$99, %al
	out	%al, $0xf4
	hlt
	.section .note.GNU-stack, "", @progbits

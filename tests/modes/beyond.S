/*
 * A kernel of the lower half that keeps data in the upper one: the first 512 GiB are also the last, and what it stores
 * by one address it reads by the other.
 */
#define TOP   0xffffff8000000000
#define DATA  0x400000
#define BYTES 50000

	.section .note.Linux, "a", @note
	.long	6, 0, 1
	.asciz	"Linux"
	.balign	4

	.section .start, "ax"
	.globl	start
start:
	mov	%cr3, %rax
	mov	(%rax), %rcx
	mov	%rcx, 511 * 8(%rax)
	mov	%rax, %cr3
	mov	$TOP, %rbx
	xor	%ecx, %ecx
1:	mov	%cl, DATA(%rbx, %rcx)
	cmp	DATA(%rcx), %cl
	jne	3f
	inc	%ecx
	cmp	$BYTES, %ecx
	jne	1b
	lea	said(%rip), %rsi
	mov	$0x3f8, %edx
2:	lodsb
	test	%al, %al
	jz	4f
	out	%al, %dx
	jmp	2b
3:	mov	$1, %al
	out	%al, $0xf4
4:	xor	%eax, %eax
	out	%al, $0xf4
	hlt
said:	.asciz	"the same at both addresses\n"
	.section .note.GNU-stack, "", @progbits

/*
 * The loops of loops.h as a floppy disk that boots itself, for emulators of a whole PC: real mode, long mode with 2 MiB
 * pages, the loops with interrupts masked. It speaks through the debug console (port 0xe9) and ends in HLT.
 */
#include "hypercalls/x86.h"
#include "tests/bench/loops.h"

#define BOOT		0x7c00
#define SECTORS		4	/* of the image, boot sector included */
#define PML4		0x10000
#define PDPT		0x11000
#define PD		0x12000
#define STACK		0x80000	/* far from code: emulators watch pages that hold both */
#define TABLE		0x400000
#define PD_ENTRIES	16	/* 32 MiB, identity-mapped */
#define DEBUGCON	0xe9

#define SEL_CODE	0x08
#define SEL_DATA	0x10

	.section .boot, "ax"
	.code16
	.globl	_start
_start:
	ljmp	$0, $1f
1:	cli
	cld
	xor	%ax, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	$BOOT, %sp
	mov	$(0x0200 | (SECTORS - 1)), %ax	/* INT 13h, function 2: read sectors */
	mov	$0x0002, %cx			/* cylinder 0, sector 2 */
	mov	$0x0000, %dx			/* head 0, first floppy drive */
	mov	$(BOOT + 512), %bx
	int	$0x13
	jc	halt
	mov	$0x2401, %ax			/* INT 15h: gate A20 on */
	int	$0x15
	cli

	mov	$(PML4 >> 4), %ax	/* the tables, through a segment that reaches them */
	mov	%ax, %es
	xor	%di, %di
	xor	%eax, %eax
	mov	$((PD + 0x1000 - PML4) / 4), %cx
	rep stosl
	movl	$(PDPT | X86_PTE_P | X86_PTE_W), %es:0
	movl	$(PD | X86_PTE_P | X86_PTE_W), %es:(PDPT - PML4)
	mov	$(PD - PML4), %di
	mov	$(X86_PTE_P | X86_PTE_W | X86_PTE_PS), %eax
	mov	$PD_ENTRIES, %cx
1:	stosl
	add	$4, %di
	add	$0x200000, %eax
	loop	1b

	mov	$(X86_CR4_PAE | X86_CR4_OSFXSR), %eax
	mov	%eax, %cr4
	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	$X86_MSR_EFER, %ecx
	rdmsr
	or	$X86_EFER_LME, %eax
	wrmsr
	mov	%cr0, %eax
	and	$~X86_CR0_EM, %eax
	or	$(X86_CR0_PG | X86_CR0_PE | X86_CR0_MP), %eax
	lgdt	gdt_pointer
	mov	%eax, %cr0
	ljmp	$SEL_CODE, $long_mode
halt:	hlt
	jmp	halt

	.balign	8
gdt:	.quad	0, 0x00209a0000000000, 0x0000920000000000
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt

	.org	510
	.word	0xaa55

	.section .text
	.code64
long_mode:
	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$STACK, %esp
	mov	$LOOPS_ROUNDS, %ebx
1:	mov	$'i', %ebp
	call	begin
	mov	$LOOPS_TURNS, %edi
	call	loop_integer
	call	end
	mov	$'m', %ebp
	call	begin
	mov	$LOOPS_TURNS, %edi
	mov	$TABLE, %esi
	call	loop_memory
	call	end
	mov	$'f', %ebp
	call	begin
	mov	$LOOPS_FLOAT_TURNS, %edi
	mov	$TABLE, %esi
	call	loop_float
	call	end
	dec	%ebx
	jnz	1b
2:	hlt
	jmp	2b

/* Says that the loop whose letter is in EBP begins. */
begin:	lea	begin_text(%rip), %rsi
	call	puts
	mov	%ebp, %eax
	out	%al, $DEBUGCON
	mov	$'\n', %al
	out	%al, $DEBUGCON
	ret

/* Says that it ended, with the result that is in RAX. */
end:	mov	%rax, %rdx
	lea	end_text(%rip), %rsi
	call	puts
	mov	%ebp, %eax
	out	%al, $DEBUGCON
	mov	$' ', %al
	out	%al, $DEBUGCON
	mov	$16, %ecx
1:	rol	$4, %rdx
	mov	%edx, %eax
	and	$15, %eax
	add	$'0', %al
	cmp	$'9', %al
	jbe	2f
	add	$('a' - '9' - 1), %al
2:	out	%al, $DEBUGCON
	loop	1b
	mov	$'\n', %al
	out	%al, $DEBUGCON
	ret

puts:	lodsb
	test	%al, %al
	jz	1f
	out	%al, $DEBUGCON
	jmp	puts
1:	ret

begin_text:
	.asciz	LOOPS_BEGIN
end_text:
	.asciz	LOOPS_END

#include "tests/bench/loops.S"

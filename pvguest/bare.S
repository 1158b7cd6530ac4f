/*
 * The way in where no monitor of ours is: by Multiboot (0.6.96) or PVH, in flat 32-bit protected mode. From there to the
 * state that entry.S is entered in, but for RSI, which says that it is so: PVG_BARE_*. RDI is the loader's information.
 */
#include "hypercalls/x86.h"
#include "pvguest/bare.h"

#define HEADER_MAGIC 0x1badb002
#define HEADER_FLAGS 0x10003	/* modules on pages of their own, a memory map, and the addresses that follow */
#define NOTE_PHYS32_ENTRY 18	/* Xen public/elfnote.h */

#define TABLE (X86_PTE_P | X86_PTE_W | X86_PTE_A)
#define PAGE  (TABLE | X86_PTE_D | X86_PTE_PS)
#define LARGE (1 << X86_LARGE_SHIFT)
#define GIBS  (PVG_BARE_MAPPED >> X86_HUGE_SHIFT)

#define SEL_CODE 0x08
#define SEL_DATA 0x10

	.section .pvg.entry, "ax", @progbits
	.balign	8
	/* The addresses make a loader copy the file as it is: QEMU's takes no ELF64 otherwise. */
header:	.long	HEADER_MAGIC, HEADER_FLAGS, -(HEADER_MAGIC + HEADER_FLAGS)
	.long	header, pvg_loaded_start_gpa, pvg_loaded_end_gpa, pvg_needed_end_gpa, by_multiboot

	.balign	8
gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt

	.code32
by_pvh:	mov	$PVG_BARE_PVH, %eax
by_multiboot:				/* EAX is PVG_BARE_MULTIBOOT */
	cli
	cld
	mov	%eax, %esi
	mov	%ebx, %edi

	mov	$pvg_bare_tables_gpa, %ebx	/* PML4, its first table, then the directories in a row */
	lea	(0x1000 + TABLE)(%ebx), %eax
	mov	%eax, (%ebx)
	lea	(0x2000 + TABLE)(%ebx), %eax
	xor	%ecx, %ecx
1:	mov	%eax, 0x1000(%ebx, %ecx, 8)
	add	$0x1000, %eax
	inc	%ecx
	cmp	$GIBS, %ecx
	jb	1b
	mov	$PAGE, %eax
	xor	%ecx, %ecx
1:	mov	%eax, 0x2000(%ebx, %ecx, 8)
	add	$LARGE, %eax
	inc	%ecx
	cmp	$(GIBS * X86_PT_ENTRIES), %ecx
	jb	1b

	mov	$(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT), %eax
	mov	%eax, %cr4
	mov	%ebx, %cr3
	mov	$X86_MSR_EFER, %ecx
	rdmsr
	or	$(X86_EFER_LME | X86_EFER_NXE), %eax
	wrmsr
	mov	$(X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG), %eax
	mov	%eax, %cr0
	lgdt	gdt_pointer
	ljmp	$SEL_CODE, $1f

	.code64
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %fs
	mov	%eax, %gs
	mov	%esi, %esi		/* upper halves are undefined after the change of mode */
	mov	%edi, %edi
	jmp	_start

	.section .note.Xen, "a", @note
	.balign	4
	.long	2f - 1f, 4f - 3f, NOTE_PHYS32_ENTRY
1:	.asciz	"Xen"
2:	.balign	4
3:	.quad	by_pvh
4:	.balign	4

	.bss
	.balign	4096
	.globl	pvg_bare_tables
pvg_bare_tables:
	.skip	(2 + GIBS) * 4096

	.section .note.GNU-stack, "", @progbits

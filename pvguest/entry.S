/*
 * Where the monitor enters the guest: long mode, RAM identity-mapped, interrupts off, RDI = gpa of hvm_start_info, RSI 0.
 * From there to where the image is linked; and the ELF note that says so.
 */
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"

#define BOOT_STACK_SIZE 65536

	/* Runs where it was loaded, below what a high layout is linked at. No unwind information can reach so far. */
	.section .pvg.entry, "ax", @progbits
	.globl	_start
	.type	_start, @function
_start:
	movabs	$pvg_direct_base, %rax
	shr	$39, %rax		/* slot of the PML4 */
	and	$511, %eax
	mov	%cr3, %rcx
	mov	(%rcx), %rdx
	mov	%rdx, (%rcx, %rax, 8)	/* RAM appears there as well */
	movabs	$start_linked, %rax
	jmp	*%rax
	.size	_start, . - _start

	.text
	.type	start_linked, @function
start_linked:
	.cfi_startproc
	.cfi_undefined rip	/* the outermost frame */
	lea	pvg_boot_stack_top(%rip), %rsp
	xor	%ebp, %ebp
	call	pvg_start_c
	ud2
	.cfi_endproc
	.size	start_linked, . - start_linked

	.section .note.ring3, "a", @note
	.balign	4
	.long	2f - 1f			/* name size */
	.long	4f - 3f			/* descriptor size */
	.long	R3_NOTE_ABI
1:	.asciz	R3_NOTE_NAME
2:	.balign	4
3:	.long	R3_ABI_VERSION		/* struct r3_note */
	.long	0
	.quad	pvg_hypercall_page_gpa
4:	.balign	4

	.bss
	.balign	4096
	.globl	pvg_boot_stack_guard
pvg_boot_stack_guard:
	.skip	4096
	.skip	BOOT_STACK_SIZE
pvg_boot_stack_top:

	.section .note.GNU-stack, "", @progbits

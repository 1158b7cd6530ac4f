/*
 * Where the monitor enters the guest: long mode, RAM identity-mapped, interrupts off, RDI = gpa of hvm_start_info.
 * And the ELF note that says so.
 */
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"

#define BOOT_STACK_SIZE 65536

	.text
	.globl	_start
	.type	_start, @function
_start:
	.cfi_startproc
	.cfi_undefined rip	/* the outermost frame */
	lea	pvg_boot_stack_top(%rip), %rsp
	xor	%ebp, %ebp
	call	pvg_start_c
	ud2
	.cfi_endproc
	.size	_start, . - _start

	.section .note.ring3, "a", @note
	.balign	4
	.long	2f - 1f			/* name size */
	.long	4f - 3f			/* descriptor size */
	.long	R3_NOTE_ABI
1:	.asciz	R3_NOTE_NAME
2:	.balign	4
3:	.long	R3_ABI_VERSION		/* struct r3_note */
	.long	0
	.quad	pvg_hypercall_page
4:	.balign	4

	.bss
	.balign	4096
	.skip	BOOT_STACK_SIZE
pvg_boot_stack_top:

	.section .note.GNU-stack, "", @progbits

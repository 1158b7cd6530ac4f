/*
 * The hypercall page. The monitor writes its own code over it before entry; what is here answers where no monitor did.
 */
#include "hypercalls/abi.h"

	.section .pvg.hypercall_page, "ax", @progbits
	.balign	R3_HYPERCALL_PAGE_SIZE
	.globl	pvg_hypercall_page
	.type	pvg_hypercall_page, @function
pvg_hypercall_page:
	.cfi_startproc
	mov	$-R3_ENOSYS, %rax
	ret
	.fill	R3_HYPERCALL_PAGE_SIZE - (. - pvg_hypercall_page), 1, 0xcc
	.cfi_endproc
	.size	pvg_hypercall_page, R3_HYPERCALL_PAGE_SIZE

	.section .note.GNU-stack, "", @progbits

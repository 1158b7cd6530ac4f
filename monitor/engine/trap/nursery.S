/*
 * Code of the nursery (nursery.h). It runs no guest bytes, and nobody but the monitor writes its page of orders.
 */
#include <asm/unistd_64.h>

#include "gate_offsets.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/gate_op.S"
#include "monitor/engine/trap/nursery.h"

	.section .rodata.nursery, "a", @progbits
	.balign 4096
	.globl nursery_text, nursery_text_end

/* Entered once by the forked child, with the host's text still mapped: gives up all but its own pages and the gate. */
nursery_text:
	movl	$HOST_SET_FS, %edi
	xorl	%esi, %esi
	movl	$__NR_arch_prctl, %eax
	syscall
	xorl	%edi, %edi
	movabs	$GATE_TEXT, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lfailed
	movabs	$NURSERY_END, %rdi
	movabs	$LAYOUT_TASK_END, %rsi
	sub	%rdi, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lfailed
	movabs	$NURSERY_ORDER, %rbx
	xorl	%r12d, %r12d

/* R12 the last order, R13 the present one. */
.Lawait:
	movl	NURSERY_ASKED(%rbx), %r13d
	cmp	%r12d, %r13d
	jne	.Lmake
	lea	NURSERY_ASKED(%rbx), %rdi
	movl	$HOST_FUTEX_WAIT, %esi
	movl	%r12d, %edx
	xorl	%r10d, %r10d
	movl	$__NR_futex, %eax
	syscall
	jmp	.Lawait
.Lmake:
	movl	%r13d, %r12d
	movl	$HOST_CHILD, %edi
	xorl	%esi, %esi
	lea	NURSERY_PID(%rbx), %rdx
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
	movl	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	jz	.Lchild
	movl	%eax, NURSERY_ERROR(%rbx)
	xchgl	%r13d, NURSERY_DONE(%rbx)
	lea	NURSERY_DONE(%rbx), %rdi
	movl	$HOST_FUTEX_WAKE, %esi
	movl	$1, %edx
	movl	$__NR_futex, %eax
	syscall
	jmp	.Lawait

/* The monitor may have died before it could be said that the child dies with it. */
.Lchild:
	movl	$HOST_PR_DEATH, %edi
	movl	$HOST_KILL, %esi
	movl	$__NR_prctl, %eax
	syscall
	movl	$__NR_getppid, %eax
	syscall
	cmpl	NURSERY_PARENT(%rbx), %eax
	jne	.Lorphan
	movl	NURSERY_COUNT(%rbx), %r14d
	lea	NURSERY_OPS_AT(%rbx), %r15
1:	test	%r14d, %r14d
	jz	2f
	CALL_OP
	jb	1b
.Lfailed:
	mov	%eax, %edi
	neg	%edi
	jmp	3f
.Lorphan:
	movl	$HOST_ESRCH, %edi
3:	movl	$__NR_exit_group, %eax
	syscall
	ud2
2:	jmp	*NURSERY_BOOT(%rbx)
nursery_text_end:
	.org	nursery_text + 4096

	.section .note.GNU-stack, "", @progbits

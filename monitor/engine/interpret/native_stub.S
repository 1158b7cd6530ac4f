/*
 * The confined task's own code: one page. It addresses memory by constants only. RSP stays its own while copies of
 * guest instructions run.
 */
#include <asm/unistd_64.h>

#include "hypercalls/x86.h"
#include "monitor/engine/interpret/native_task.h"

/* linux/futex.h, linux/seccomp.h; asm/ucontext.h: where a signal's frame keeps registers */
#define FUTEX_WAIT	    0
#define FUTEX_WAKE	    1
#define SECCOMP_MODE_FILTER 1
#define SECCOMP_SPEC_ALLOW  4
#define UC_FPSTATE	    224
#define UC_TRAPNO	    200
#define UC_EFL		    176
#define UC_RIP		    168
#define UC_GREG(n)	    (40 + 8 * (n))

	/* XMM0 to XMM15 from or to the image at RCX: much faster than XRSTOR and XSAVE. */
	.macro each_xmm direction
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.ifc \direction, load
	movaps	X86_FPU_XMM + 16 * \n(%rcx), %xmm\n
	.else
	movaps	%xmm\n, X86_FPU_XMM + 16 * \n(%rcx)
	.endif
	.endr
	.endm

	/* A register of the signal's frame at RDX to the exchange page at RBX. */
	.macro take number greg
	mov	UC_GREG(\greg)(%rdx), %rax
	mov	%rax, TASK_GPR + 8 * \number(%rbx)
	.endm

	.macro futex op value
	lea	TASK_STATE(%rbx), %rdi
	movl	$\op, %esi
	movl	$\value, %edx
	xorl	%r10d, %r10d
	movl	$__NR_futex, %eax
	syscall
	.endm

	.section .rodata.native_stub, "a", @progbits
	.balign 4096
	.globl native_stub, native_stub_end, native_stub_boot, native_stub_handler, native_stub_ret
native_stub:

/*
 * First code of a new task, entered once by the forked child with the host's text still mapped: empties the address
 * space, then shuts itself in. Without the mitigation of speculative store bypass that Linux would add for a filter.
 */
native_stub_boot:
	xorl	%edi, %edi
	movabs	$TASK_TEXT, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lfailed
	movabs	$LAYOUT_GATE_END, %rdi
	movabs	$LAYOUT_TASK_END, %rsi
	sub	%rdi, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lfailed
	movabs	$(TASK_XCHG + TASK_ALTSTACK), %rdi
	xorl	%esi, %esi
	movl	$__NR_sigaltstack, %eax
	syscall
	test	%rax, %rax
	jnz	.Lfailed
	movl	$SECCOMP_MODE_FILTER, %edi
	movl	$SECCOMP_SPEC_ALLOW, %esi
	movabs	$TASK_DATA, %rdx
	movl	$__NR_seccomp, %eax
	syscall
	test	%rax, %rax
	jz	.Lwait
.Lfailed:
	mov	%eax, %edi
	neg	%edi
	movl	$__NR_exit_group, %eax
	syscall
	ud2

/*
 * Hands over and waits. The exchanges are full barriers: the store must be seen before the other side's flag is read, or
 * both sleep.
 */
.Lwait:
	movabs	$TASK_XCHG, %rbx
	movabs	$(TASK_XCHG + TASK_STACK_TOP), %rsp
	movl	$TASK_DONE, %eax
	xchgl	%eax, TASK_STATE(%rbx)
	cmpl	$0, TASK_MONITOR_WAITS(%rbx)
	je	1f
	futex	FUTEX_WAKE, 1
1:	movl	TASK_SPINS(%rbx), %ecx
	incl	%ecx
2:	cmpl	$TASK_DONE, TASK_STATE(%rbx)
	jne	.Lrun
	pause
	decl	%ecx
	jnz	2b
	movl	TASK_YIELDS(%rbx), %r12d
3:	testl	%r12d, %r12d
	jz	4f
	movl	$__NR_sched_yield, %eax
	syscall
	decl	%r12d
	cmpl	$TASK_DONE, TASK_STATE(%rbx)
	je	3b
	jmp	.Lrun
4:	movl	$1, %eax
	xchgl	%eax, TASK_WAITS(%rbx)
5:	cmpl	$TASK_DONE, TASK_STATE(%rbx)
	jne	6f
	futex	FUTEX_WAIT, TASK_DONE
	jmp	5b
6:	movl	$0, TASK_WAITS(%rbx)

.Lrun:
	mov	TASK_MASK(%rbx), %eax
	mov	TASK_MASK + 4(%rbx), %edx
	test	%eax, %eax
	jz	1f
	lea	TASK_IMAGE(%rbx), %rcx
	cmp	$TASK_SSE_ONLY, %eax
	je	2f
	xrstor64 (%rcx)
	jmp	1f
2:	ldmxcsr	X86_FPU_MXCSR(%rcx)
	each_xmm load
1:	mov	TASK_FLAGS(%rbx), %eax
	addb	$0x7f, %al
	sahf
	mov	TASK_GPR + 8 * 0(%rbx), %rax
	mov	TASK_GPR + 8 * 1(%rbx), %rcx
	mov	TASK_GPR + 8 * 2(%rbx), %rdx
	mov	TASK_GPR + 8 * 5(%rbx), %rbp
	mov	TASK_GPR + 8 * 6(%rbx), %rsi
	mov	TASK_GPR + 8 * 7(%rbx), %rdi
	mov	TASK_GPR + 8 * 8(%rbx), %r8
	mov	TASK_GPR + 8 * 9(%rbx), %r9
	mov	TASK_GPR + 8 * 10(%rbx), %r10
	mov	TASK_GPR + 8 * 11(%rbx), %r11
	mov	TASK_GPR + 8 * 12(%rbx), %r12
	mov	TASK_GPR + 8 * 13(%rbx), %r13
	mov	TASK_GPR + 8 * 14(%rbx), %r14
	mov	TASK_GPR + 8 * 15(%rbx), %r15
	mov	TASK_GPR + 8 * 3(%rbx), %rbx
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	call	*(task_call + 8 * \n)(%rip)
	.endr
	mov	%rbx, task_rbx(%rip)
	movabs	$TASK_XCHG, %rbx
	mov	%rax, TASK_GPR + 8 * 0(%rbx)
	lahf
	seto	%al
	movzwl	%ax, %eax
	mov	%rax, TASK_FLAGS(%rbx)
	mov	%rcx, TASK_GPR + 8 * 1(%rbx)
	mov	%rdx, TASK_GPR + 8 * 2(%rbx)
	mov	%rbp, TASK_GPR + 8 * 5(%rbx)
	mov	%rsi, TASK_GPR + 8 * 6(%rbx)
	mov	%rdi, TASK_GPR + 8 * 7(%rbx)
	mov	%r8, TASK_GPR + 8 * 8(%rbx)
	mov	%r9, TASK_GPR + 8 * 9(%rbx)
	mov	%r10, TASK_GPR + 8 * 10(%rbx)
	mov	%r11, TASK_GPR + 8 * 11(%rbx)
	mov	%r12, TASK_GPR + 8 * 12(%rbx)
	mov	%r13, TASK_GPR + 8 * 13(%rbx)
	mov	%r14, TASK_GPR + 8 * 14(%rbx)
	mov	%r15, TASK_GPR + 8 * 15(%rbx)

.Lsave:
	mov	TASK_MASK(%rbx), %eax
	mov	TASK_MASK + 4(%rbx), %edx
	test	%eax, %eax
	jz	.Lwait
	lea	TASK_IMAGE(%rbx), %rcx
	cmp	$TASK_SSE_ONLY, %eax
	je	1f
	xsave64	(%rcx)
	jmp	.Lwait
1:	stmxcsr	X86_FPU_MXCSR(%rcx)
	each_xmm store
	jmp	.Lwait

/*
 * A copy faulted: RDX is the signal's ucontext. Its registers are given back as the end of a run would; the kernel has
 * put the FPU's in the frame. There is no return from the signal: none is blocked, and the stack begins anew.
 */
native_stub_handler:
	movabs	$TASK_XCHG, %rbx
	cld
	take	8, 0
	take	9, 1
	take	10, 2
	take	11, 3
	take	12, 4
	take	13, 5
	take	14, 6
	take	15, 7
	take	7, 8
	take	6, 9
	take	5, 10
	take	3, 11
	take	2, 12
	take	0, 13
	take	1, 14
	mov	UC_RIP(%rdx), %rax
	mov	%rax, TASK_RIP(%rbx)
	movzbl	UC_TRAPNO(%rdx), %eax
	movl	%eax, TASK_VECTOR(%rbx)
	movl	$1, TASK_FAULTED(%rbx)
	movl	UC_EFL(%rdx), %eax
	movzbl	%al, %ecx
	shll	$8, %ecx
	shrl	$11, %eax
	andl	$1, %eax
	orl	%ecx, %eax
	mov	%rax, TASK_FLAGS(%rbx)
	mov	UC_FPSTATE(%rdx), %rcx
	mov	TASK_MASK(%rbx), %eax
	mov	TASK_MASK + 4(%rbx), %edx
	test	%eax, %eax
	jz	.Lwait
	xrstor64 (%rcx)
	jmp	.Lsave

/* What fills the rest of a batch. */
native_stub_ret:
	ret

	.set	task_call, native_stub + (TASK_XCHG - TASK_TEXT) + TASK_CALL
	.set	task_rbx, native_stub + (TASK_XCHG - TASK_TEXT) + TASK_GPR + 8 * 3
native_stub_end:
	.section .note.GNU-stack, "", @progbits

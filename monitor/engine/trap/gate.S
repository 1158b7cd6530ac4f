/*
 * Code of the gate. It runs in cells, in ring 3, next to hostile code that may jump to any byte of it with any
 * registers: so it addresses memory by constant addresses only, and holds no right that the cell's filters do not give.
 */
#include "monitor/engine/trap/gate_macros.S"
#include "monitor/engine/trap/gate_op.S"

	.section .rodata.gate, "a", @progbits
	.balign 4096
	.globl gate_text
gate_text:
	.globl gate_callout
gate_callout:
	SAVE_CALLOUT
	jmp	gate_save_rest

/*
 * Hypercalls enter here from the guest's hypercall page, with the return address on the guest's stack. All registers go
 * to the exchange page; what the monitor puts there is loaded on the way out, wherever that leads.
 */
	.globl gate_hypercall
gate_hypercall:
	movabs	$GATE_XCHG, %r11
	cmpl	$0, XCHG_ARMED(%r11)
	je	.Lhypercall
	cmpl	$R3_HC_iret, %eax
	je	gate_direct
	cmpl	$R3_HC_fpu_switch, %eax
	je	gate_fpu
	cmpl	$R3_HC_user_switch, %eax
	je	gate_switch
.Lhypercall:
	mov	%rbx, XCHG_GPR + 8 * RBX(%r11)
	mov	%r11, %rbx
	SAVE_REGISTERS
	mov	(%rsp), %rcx
	mov	%rcx, XCHG_RIP(%rbx)
	lea	8(%rsp), %rcx
	mov	%rcx, XCHG_GPR + 8 * RSP(%rbx)
	movl	$GATE_KIND_HYPERCALL, XCHG_KIND(%rbx)
gate_save_rest:
	SAVE_BASES
	cmpl	$0, XCHG_XSAVE(%rbx)
	je	gate_hypercall_wait
	mov	XCHG_XCR0(%rbx), %eax
	mov	XCHG_XCR0 + 4(%rbx), %edx
	movabs	$GATE_FPU, %rcx
	xsaveopt64 (%rcx)
gate_hypercall_wait:
	HANDOVER gate_hypercall_told gate_hypercall_asleep AS_IT_IS

/*
 * From here to gate_restore_end registers are being replaced. A kick that arrives in between must not be lost: the
 * handler sends it to gate_reexit, and nothing is lost either, since the exchange page still holds the state.
 */
	LOAD_BASES
	cmpl	$0, XCHG_XRSTOR(%rbx)
	je	1f
	mov	XCHG_XCR0(%rbx), %eax
	mov	XCHG_XCR0 + 4(%rbx), %edx
	movabs	$GATE_FPU, %rcx
	xrstor64 (%rcx)
1:	mov	XCHG_GPR + 8 * RAX(%rbx), %rax
	mov	XCHG_GPR + 8 * RCX(%rbx), %rcx
	mov	XCHG_GPR + 8 * RDX(%rbx), %rdx
	mov	XCHG_GPR + 8 * RBP(%rbx), %rbp
	mov	XCHG_GPR + 8 * RSI(%rbx), %rsi
	mov	XCHG_GPR + 8 * RDI(%rbx), %rdi
	mov	XCHG_GPR + 8 * 8(%rbx), %r8
	mov	XCHG_GPR + 8 * 9(%rbx), %r9
	mov	XCHG_GPR + 8 * 10(%rbx), %r10
	mov	XCHG_GPR + 8 * 11(%rbx), %r11
	mov	XCHG_GPR + 8 * 12(%rbx), %r12
	mov	XCHG_GPR + 8 * 13(%rbx), %r13
	mov	XCHG_GPR + 8 * 14(%rbx), %r14
	mov	XCHG_GPR + 8 * 15(%rbx), %r15
	lea	XCHG_RFLAGS(%rbx), %rsp
gate_restore_end:

/*
 * What is left to load lies in the exchange page, however the gate is left. The stack of signals is free from here: a
 * frame that comes now lies where one of guest code does, and with RFLAGS, RSP, RBX and RIP filled in it is one.
 */
gate_last:
	popfq
	mov	XCHG_GPR + 8 * RSP(%rbx), %rsp
	mov	XCHG_GPR + 8 * RBX(%rbx), %rbx
	jmp	*gate_rip_pointer(%rip)
gate_last_end:

gate_reexit:
	movabs	$GATE_XCHG, %rbx
	movl	$0, XCHG_RUNNER_WAITS(%rbx)
	movl	$GATE_KIND_REEXIT, XCHG_KIND(%rbx)
	jmp	gate_hypercall_wait

#include "monitor/engine/trap/gate_direct.S"
#include "monitor/engine/trap/gate_bare.S"

/*
 * All signals arrive here, on the alternate stack: RDI signal number, RSI siginfo, RDX ucontext, RSP at the frame. The
 * frame is the trap frame; the monitor changes it in place, and it is loaded by the code from gate_leave on, since
 * rt_sigreturn costs more. What only that can load, and the mask of a handler that blocks signals, which is the kick's
 * alone, goes by a frame that says that it is of a kick.
 */
	.globl gate_handler
gate_handler:
	movabs	$GATE_XCHG, %rbx
	mov	UC_RIP(%rdx), %rax
	movabs	$GATE_TEXT, %rcx
	sub	%rcx, %rax
	cmp	$(gate_text_end - gate_text), %rax
	jb	.Lin_gate
.Lexit:	xorl	%r13d, %r13d	/* the host has put the FPU in its initial state */
.Lexit_with_fpu:
	mov	%rsp, XCHG_FRAME(%rbx)
	SAVE_BASES
	/* The frame of a signal that comes while this waits may outlive the program: it shall not have its registers. */
.Lagain:
	xorl	%ebp, %ebp
	.irp	reg, r8d, r9d, r10d, r11d, r12d, r14d, r15d
	xorl	%\reg, %\reg
	.endr
	movl	$GATE_KIND_SIGNAL, XCHG_KIND(%rbx)
	.globl gate_handler_asleep
	HANDOVER gate_told gate_handler_asleep FORGET_FPU
gate_leave:
	LOAD_BASES
	cmpl	$HOST_KICK, SIGFRAME_SIGNO(%rsp)
	je	.Lleave_by_call
	mov	XCHG_XCR0(%rbx), %eax
	mov	XCHG_XCR0 + 4(%rbx), %edx
	mov	SIGFRAME_FPSTATE(%rsp), %rcx
	xrstor64 (%rcx)
	pushfq			/* NT is as guest code left it, as after rt_sigreturn */
	pop	%rax
	and	$X86_RFLAGS_NT, %eax
	or	SIGFRAME_GREGS + GREG_EFL(%rsp), %rax
	mov	%rax, XCHG_RFLAGS(%rbx)
	mov	SIGFRAME_GREGS + GREG_RIP(%rsp), %rax
	mov	%rax, XCHG_RIP(%rbx)
	mov	SIGFRAME_GREGS + GREG_RSP(%rsp), %rax
	mov	%rax, XCHG_GPR + 8 * RSP(%rbx)
	mov	SIGFRAME_GREGS + GREG_RBX(%rsp), %rax
	mov	%rax, XCHG_GPR + 8 * RBX(%rbx)
	mov	SIGFRAME_GREGS + GREG_R8(%rsp), %r8
	mov	SIGFRAME_GREGS + GREG_R9(%rsp), %r9
	mov	SIGFRAME_GREGS + GREG_R10(%rsp), %r10
	mov	SIGFRAME_GREGS + GREG_R11(%rsp), %r11
	mov	SIGFRAME_GREGS + GREG_R12(%rsp), %r12
	mov	SIGFRAME_GREGS + GREG_R13(%rsp), %r13
	mov	SIGFRAME_GREGS + GREG_R14(%rsp), %r14
	mov	SIGFRAME_GREGS + GREG_R15(%rsp), %r15
	mov	SIGFRAME_GREGS + GREG_RDI(%rsp), %rdi
	mov	SIGFRAME_GREGS + GREG_RSI(%rsp), %rsi
	mov	SIGFRAME_GREGS + GREG_RBP(%rsp), %rbp
	mov	SIGFRAME_GREGS + GREG_RDX(%rsp), %rdx
	mov	SIGFRAME_GREGS + GREG_RAX(%rsp), %rax
	mov	SIGFRAME_GREGS + GREG_RCX(%rsp), %rcx
	lea	XCHG_RFLAGS(%rbx), %rsp
	jmp	gate_last
.Lleave_by_call:
	/* What the copies of pages rest on (sites.h), whatever the guest's image of its FPU says. */
	movl	XCHG_PKRU(%rbx), %eax
	test	%eax, %eax
	jz	1f
	mov	SIGFRAME_FPSTATE(%rsp), %rcx
	orq	$X86_XCR0_PKRU, X86_FPU_HEADER(%rcx)
	movl	$GATE_PKRU, (%rcx,%rax)
1:	SIGRETURN
gate_leave_end:

/*
 * A SYSCALL that needs no signal (sites.h): RCX is where it returns to, R11 is free. All is as if SIGSYS had come; a
 * signal that comes once RSP is at the frame lies below it, and is lost if it is a kick, as those are that come while
 * the handler above has not handed over.
 */
	.globl gate_site
gate_site:
	mov	%rsp, gate_rsp_pointer(%rip)
	mov	gate_site_frame_pointer(%rip), %rsp
	mov	%rbx, SIGFRAME_GREGS + GREG_RBX(%rsp)
	movabs	$GATE_XCHG, %rbx
	mov	%rcx, SIGFRAME_GREGS + GREG_RIP(%rsp)
	mov	%rcx, SIGFRAME_GREGS + GREG_RCX(%rsp)
	mov	%rcx, SIGFRAME_GREGS + GREG_CALL(%rsp)
	pushfq
	pop	%rcx
	mov	%rcx, SIGFRAME_GREGS + GREG_EFL(%rsp)
	mov	%rcx, SIGFRAME_GREGS + GREG_R11(%rsp)
	mov	XCHG_GPR + 8 * RSP(%rbx), %rcx
	mov	%rcx, SIGFRAME_GREGS + GREG_RSP(%rsp)
	mov	%rax, SIGFRAME_GREGS + GREG_RAX(%rsp)
	mov	%rdx, SIGFRAME_GREGS + GREG_RDX(%rsp)
	mov	%rbp, SIGFRAME_GREGS + GREG_RBP(%rsp)
	mov	%rsi, SIGFRAME_GREGS + GREG_RSI(%rsp)
	mov	%rdi, SIGFRAME_GREGS + GREG_RDI(%rsp)
	lea	SIGFRAME_GREGS(%rsp), %rcx
	KEEP_REGISTERS
	movl	$HOST_SIGSYS, SIGFRAME_SIGNO(%rsp)
	movl	$HOST_SYS_DISPATCH, GREG_CODE(%rcx)
	movl	$HOST_ARCH, GREG_ARCH(%rcx)
	mov	XCHG_XCR0(%rbx), %eax
	mov	XCHG_XCR0 + 4(%rbx), %edx
	mov	SIGFRAME_FPSTATE(%rsp), %rcx
	xsaveopt64 (%rcx)
	movl	$1, %r13d
	jmp	.Lexit_with_fpu

/*
 * A signal met the gate itself; RAX is where. A kick, or the single-step trap of RFLAGS just loaded, goes on, but not
 * where the kick would be lost. A fault of the guest's stack under the direct path takes the long way. All else is a
 * real fault.
 */
.macro WITHIN from to target
	cmp	$(\from - gate_text), %rax
	jb	1f
	cmp	$(\to - gate_text), %rax
	jb	\target
1:
.endm

.macro REDIRECT from to target
	cmp	$(\from - gate_text), %rax
	jb	1f
	cmp	$(\to - gate_text), %rax
	jae	1f
	lea	\target(%rip), %rax
	mov	%rax, UC_RIP(%rdx)
	jmp	.Lsigreturn
1:
.endm

/* Makes of a frame from between gate_last and gate_last_end one of guest code. */
.macro COMPLETE
	mov	XCHG_RFLAGS(%rbx), %rax
	mov	%rax, UC_RFLAGS(%rdx)
	mov	XCHG_GPR + 8 * RBX(%rbx), %rax
	mov	%rax, UC_RBX(%rdx)
	mov	XCHG_GPR + 8 * RSP(%rbx), %rax
	mov	%rax, UC_RSP(%rdx)
	mov	XCHG_RIP(%rbx), %rax
	mov	%rax, UC_RIP(%rdx)
.endm

.Lin_gate:
	cmpl	$HOST_TRAP, %edi
	je	.Lstep_in_gate
	cmpl	$HOST_SIGSEGV, %edi
	je	.Lfault_in_gate
	cmpl	$HOST_SIGBUS, %edi
	je	.Lfault_in_gate
	cmpl	$HOST_KICK, %edi
	jne	.Lexit
	WITHIN	gate_last, gate_last_end, .Lexit_last
	/* One that came before the monitor gave back control asked for no more than it has. */
	testl	$1, XCHG_STATE(%rbx)
	jnz	.Lsigreturn
	REDIRECT gate_hypercall_told, gate_restore_end, gate_reexit
	REDIRECT gate_direct, gate_direct_committed, gate_direct_undo
	REDIRECT gate_direct_exited, gate_direct_end, gate_peer_exit
	REDIRECT gate_fpu_save, gate_fpu_load, gate_fpu_undo
	REDIRECT gate_switch_begin, gate_switch_committed, gate_switch_undo
	REDIRECT gate_bare, gate_bare_end, gate_bare_kicked
	REDIRECT gate_root_begin, gate_root_committed, gate_root_kicked
	REDIRECT gate_root_committed, gate_root_done, gate_root_again
	REDIRECT gate_root_done, gate_root_end, gate_root_out
	WITHIN	gate_told, gate_leave_end, .Lkicked_again
.Lsigreturn:
	SIGRETURN
/* The first frame holds all that was being loaded: it becomes the kick's. */
.Lkicked_again:
	movl	$0, XCHG_RUNNER_WAITS(%rbx)
	mov	XCHG_FRAME(%rbx), %rsp
	movl	$HOST_KICK, SIGFRAME_SIGNO(%rsp)
	xorl	%r13d, %r13d
	jmp	.Lagain
.Lexit_last:
	COMPLETE
	jmp	.Lexit
/*
 * A single step. Of the flags just loaded: what is left to load, sigreturn does, so that the first instruction stepped
 * is the guest's. Of a guest that called with TF set: the gate is one instruction to it, so TF waits for its end.
 */
.Lstep_in_gate:
	movl	INFO_CODE(%rsi), %ecx
	cmpl	$HOST_TRAP_HWBKPT, %ecx
	je	.Lstep_waits
	cmpl	$HOST_TRAP_TRACE, %ecx
	jne	.Lexit		/* an instruction that asks for it, which would do so again */
	WITHIN	gate_last, gate_last_end, .Lstep_last
.Lstep_waits:
	andl	$~X86_RFLAGS_TF, UC_RFLAGS(%rdx)
	movl	$1, XCHG_STEPPED(%rbx)
	jmp	.Lsigreturn
.Lstep_last:
	COMPLETE
	jmp	.Lsigreturn
.Lfault_in_gate:
	WITHIN	gate_last, gate_last_end, .Lexit_last
	REDIRECT gate_direct, gate_direct_committed, gate_direct_undo
	REDIRECT gate_fpu_save, gate_fpu_load, gate_fpu_undo
	REDIRECT gate_switch_begin, gate_switch_committed, gate_switch_undo
	REDIRECT gate_bare, gate_bare_end, gate_bare_undo
	REDIRECT gate_direct_exited, gate_direct_end, gate_peer_exit
	jmp	.Lexit

/*
 * Filters are installed without the mitigation of speculative store bypass that Linux would add: it protects a task's
 * own memory from code in it, and a cell has no memory to protect from guest code.
 *
 * First code of a new cell, still unfiltered, entered once by the forked child with the host's text still mapped:
 * empties the address space, then parts into runner and mapper.
 */
	.globl gate_boot
gate_boot:
	/* Not WRFSBASE: some hosts give a preempted task back the base that was set by a call. */
	movl	$HOST_SET_FS, %edi
	xorl	%esi, %esi
	movl	$__NR_arch_prctl, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	xorl	%edi, %edi
	movabs	$GATE_TEXT, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	movabs	$LAYOUT_GATE_END, %rdi
	movabs	$LAYOUT_TASK_END, %rsi
	sub	%rdi, %rsi
	movl	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	movl	$HOST_THREAD, %edi
	xorl	%esi, %esi
	movabs	$(GATE_XCHG + XCHG_RUNNER_TID), %rdx
	xorl	%r10d, %r10d
	xorl	%r8d, %r8d
	movl	$__NR_clone, %eax
	syscall
	test	%rax, %rax
	js	.Lboot_failed
	jnz	gate_mapper
	movabs	$(GATE_XCHG + XCHG_ALTSTACK), %rdi
	xorl	%esi, %esi
	movl	$__NR_sigaltstack, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	/*
	 * Every SYSCALL from outside the gate becomes SIGSYS. The filter alone would do but for the few calls that
	 * Linux lets past any filter (uretprobe, uprobe), so a host that has no user dispatch does without.
	 */
	movabs	$GATE_XCHG, %rbx
	cmpl	$0, XCHG_DISPATCH(%rbx)
	je	1f
	movl	$HOST_PR_DISPATCH, %edi
	movl	$HOST_DISPATCH_ON, %esi
	movabs	$GATE_TEXT, %rdx
	movl	$GATE_TEXT_SIZE, %r10d
	xorl	%r8d, %r8d
	movl	$__NR_prctl, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed	/* the filter counts upon it */
1:	movabs	$(GATE_DATA + DATA_RUNNER), %rdx
	movl	$HOST_SECCOMP_FILTER, %edi
	movl	$HOST_SECCOMP_FLAGS, %esi
	movl	$__NR_seccomp, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	ud2	/* the first exit: its frame is the one every later resume fills in */
.Lboot_failed:
	mov	%eax, %edi
	neg	%edi
	movl	$__NR_exit_group, %eax
	syscall
	ud2

/*
 * The mapper: carries out the system calls that the order page lists. The guest sees that page read-only and cannot
 * reach registers, so it cannot steer this; the answer goes through a descriptor to a page that the cell sees read-only,
 * and a runner's filter does not let it write there. R12 last sequence, R13 present sequence, R14 operations left, R15 operation, RBP first error.
 */
gate_mapper:
	movabs	$(GATE_DATA + DATA_MAPPER), %rdx
	movl	$HOST_SECCOMP_FILTER, %edi
	movl	$HOST_SECCOMP_FLAGS, %esi
	movl	$__NR_seccomp, %eax
	syscall
	test	%rax, %rax
	jnz	.Lboot_failed
	movabs	$GATE_ORDER, %rbx
	xorl	%r12d, %r12d
.Lawait:
	movl	ORDER_SEQUENCE(%rbx), %r13d
	cmp	%r12d, %r13d
	jne	.Lorder
	lea	ORDER_SEQUENCE(%rbx), %rdi
	movl	$HOST_FUTEX_WAIT, %esi
	movl	%r12d, %edx
	xorl	%r10d, %r10d
	movl	$__NR_futex, %eax
	syscall
	jmp	.Lawait
.Lorder:
	movl	%r13d, %r12d
	movl	ORDER_COUNT(%rbx), %r14d
	lea	ORDER_OPS(%rbx), %r15
	xorl	%ebp, %ebp
1:	test	%r14d, %r14d
	jz	.Lanswer
	CALL_OP
	jb	1b
	neg	%rax
	movzbl	%al, %ebp
.Lanswer:
	movl	ORDER_ANSWERS_FD(%rbx), %edi
	lea	ORDER_ERRNOS(%rbx,%rbp), %rsi
	movl	$1, %edx
	movl	ORDER_ANSWER(%rbx), %r10d
	movl	$__NR_pwrite64, %eax
	syscall
	cmpl	$0, ORDER_WAITED(%rbx)
	je	.Lawait
	movl	ORDER_ANSWER(%rbx), %eax
	movabs	$GATE_ANSWERS, %rdi
	add	%rax, %rdi
	movl	$1, %edx
	FUTEX	HOST_FUTEX_WAKE
	jmp	.Lawait

	/* An XSAVE image of nothing but initial state. */
	.balign	64
gate_fpu_initial:
	.skip	X86_FPU_HEADER + 64

	.set	gate_rip_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_RIP
	.set	gate_rsp_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_GPR + 8 * RSP
	.set	gate_site_frame_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_SITE_FRAME
	.set	gate_rbx_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_GPR + 8 * RBX
	.globl gate_text_end
gate_text_end:
	.set	gate_entry_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_ENTRY
	.org	gate_text + GATE_TEXT_SIZE /* an error if the text outgrew its pages */

/* The hypercall page: the gate, or for a traced runner a system call that the tracer recognises by its address. */
	.globl gate_hypercall_stub, gate_hypercall_stub_end
gate_hypercall_stub:
	movabs	$(GATE_TEXT), %r11
	add	$(gate_hypercall - gate_text), %r11
	jmp	*%r11
gate_hypercall_stub_end:

	.globl gate_ptrace_stub, gate_ptrace_stub_end
gate_ptrace_stub:
	syscall
	ret
gate_ptrace_stub_end:

	.section .note.GNU-stack, "", @progbits

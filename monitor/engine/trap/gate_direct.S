/*
 * Of the gate: from kernel mode to user mode and back past the monitor, where it has armed the kernel's cell for that.
 */

/*
 * The iret hypercall to user mode, in a kernel cell that the monitor armed: enters the user cell without the monitor,
 * and takes its SYSCALL back into the guest kernel. What is not the plain case goes the long way: the hypercall as such
 * (registers but RAX RCX R11 still untouched), or the user cell's exit as GATE_KIND_PEER (its frame holds all).
 */
gate_direct:
	mov	8 + IRET_CS(%rsp), %rcx
	cmp	XCHG_USER_CS(%r11), %rcx
	jne	.Lhypercall
	mov	8 + IRET_SS(%rsp), %rcx
	cmp	XCHG_USER_SS(%r11), %rcx
	jne	.Lhypercall
	mov	8 + IRET_RFLAGS(%rsp), %rcx
	and	$~DIRECT_RFLAGS_FREE, %rcx
	cmp	$X86_RFLAGS_IF, %rcx
	jne	.Lhypercall
	mov	XCHG_PEER_GREGS(%r11), %rcx
	KEEP_REGISTERS
	mov	%rdi, GREG_RDI(%rcx)
	mov	%rsi, GREG_RSI(%rcx)
	mov	%rbp, GREG_RBP(%rcx)
	mov	%rbx, GREG_RBX(%rcx)
	mov	%rdx, GREG_RDX(%rcx)
	mov	8 + IRET_RAX(%rsp), %rax
	mov	%rax, GREG_RAX(%rcx)
	mov	8 + IRET_RCX(%rsp), %rax
	mov	%rax, GREG_RCX(%rcx)
	mov	8 + IRET_R11(%rsp), %rax
	mov	%rax, GREG_R11(%rcx)
	mov	8 + IRET_RSP(%rsp), %rax
	mov	%rax, GREG_RSP(%rcx)
	mov	8 + IRET_RIP(%rsp), %rax
	mov	%rax, GREG_RIP(%rcx)
	mov	8 + IRET_RFLAGS(%rsp), %rax
	mov	%rax, GREG_EFL(%rcx)
	mov	XCHG_VIF(%r11), %rax
	movb	$1, (%rax)
	mov	%r11, %rbx
gate_direct_committed:
	movl	$0, XCHG_STEPPED(%rbx)
	mov	XCHG_PEER(%rbx), %r14
	mov	XCHG_PEER_TURN(%rbx), %r13
	movl	$GATE_RUN, %eax
	xchgl	%eax, XCHG_STATE(%r14)
	lock incl (%r13)
	xorl	%r15d, %r15d
	xchgq	%r15, XCHG_PREVIOUS(%rbx)
	test	%r15, %r15
	jz	2f
	cmpl	$0, XCHG_RUNNER_WAITS(%r15)
	jne	2f
	/* Another user cell's runner waits awake where this one is to run: it makes room, and wakes it if it sleeps. */
	cmpl	$0, XCHG_RUNNER_WAITS(%r14)
	je	3f
	movl	%r13d, %ecx
	andl	$(GATE_TURN_SIZE - 1), %ecx
	movl	%ecx, XCHG_WAKE(%r15)
3:	movl	$GATE_EXITED, %eax
	movl	$GATE_PARK, %ecx
	lock cmpxchgl %ecx, XCHG_STATE(%r15)
	jne	4f
	cmpl	$0, XCHG_RUNNER_WAITS(%r15)
	je	1f
4:	movl	$GATE_WAKE_NONE, %eax
	xchgl	%eax, XCHG_WAKE(%r15)
	cmpl	$GATE_WAKE_NONE, %eax
	je	1f
2:	cmpl	$0, XCHG_RUNNER_WAITS(%r14)
	je	1f
	mov	%r13, %rdi
	movl	$GATE_WAKE_ALL, %edx
	FUTEX	HOST_FUTEX_WAKE
1:	AWAIT	%r14, GATE_RUN, XCHG_PEER_SPINS, XCHG_PEER_YIELDS, gate_direct_exited
	movl	$1, %eax
	xchgl	%eax, XCHG_MONITOR_WAITS(%r14)
5:	cmpl	$GATE_RUN, XCHG_STATE(%r14)
	jne	6f
	lea	XCHG_STATE(%r14), %rdi
	movl	$GATE_RUN, %edx
	FUTEX	HOST_FUTEX_WAIT
	jmp	5b
6:	movl	$0, XCHG_MONITOR_WAITS(%r14)
gate_direct_exited:
	cmpl	$GATE_KIND_SIGNAL, XCHG_KIND(%r14)
	jne	gate_peer_exit
	mov	XCHG_PEER_FRAME(%rbx), %rax
	cmp	XCHG_FRAME(%r14), %rax
	jne	gate_peer_exit
	mov	XCHG_PEER_GREGS(%rbx), %r15
	cmpl	$HOST_SIGSYS, GREG_SIGNO(%r15)
	jne	gate_peer_exit
	movl	GREG_CODE(%r15), %eax
	subl	$HOST_SYS_SECCOMP, %eax
	cmpl	$(HOST_SYS_DISPATCH - HOST_SYS_SECCOMP), %eax
	ja	gate_peer_exit
	cmpl	$HOST_ARCH, GREG_ARCH(%r15)
	jne	gate_peer_exit
	cmpl	$0x7fff, GREG_CALL_HIGH(%r15)	/* the host's vsyscall page lies in the upper half */
	ja	gate_peer_exit
	/* The frame is user mode's to write, also now: each word is read once. */
	mov	GREG_RIP(%r15), %rcx
	CHECK_RIP %rcx, gate_peer_exit
	mov	GREG_RSP(%r15), %rdx
	CHECK_CANONICAL %rdx, gate_peer_exit
	movl	GREG_EFL(%r15), %r11d
	andl	$JUDGE_RFLAGS_SYSCALL, %r11d
	orl	$(X86_RFLAGS_FIXED | X86_RFLAGS_IF), %r11d
	incl	XCHG_CYCLES(%rbx)
	mov	%rcx, XCHG_SITE_RIP(%rbx)
	movl	GREG_RAX(%r15), %eax
	movl	%eax, XCHG_SITE_NR(%rbx)
	cmpl	$GATE_ARMED_BARE, XCHG_ARMED(%rbx)
	je	gate_bare_entry
	mov	XCHG_RSP0(%rbx), %rsp
	pushq	XCHG_USER_SS(%rbx)
	push	%rdx
	push	%r11
	pushq	XCHG_USER_CS(%rbx)
	push	%rcx
	pushq	$X86_RFLAGS_FIXED
	popfq
	mov	XCHG_VIF(%rbx), %rax
	movb	$0, (%rax)
gate_direct_enter:
	mov	GREG_R8(%r15), %r8
	mov	GREG_R9(%r15), %r9
	mov	GREG_R10(%r15), %r10
	mov	GREG_R12(%r15), %r12
	mov	GREG_R13(%r15), %r13
	mov	GREG_R14(%r15), %r14
	mov	GREG_RDI(%r15), %rdi
	mov	GREG_RSI(%r15), %rsi
	mov	GREG_RBP(%r15), %rbp
	mov	GREG_RBX(%r15), %rbx
	mov	GREG_RDX(%r15), %rdx
	mov	GREG_RAX(%r15), %rax
	mov	GREG_R15(%r15), %r15
	jmp	*gate_entry_pointer(%rip)
/*
 * SYSCALL as the processor does it, RSP included, which may well be canonical no more where the kernel's cell is folded;
 * the translated entry sees to what is virtual.
 */
gate_bare_entry:
	testl	%r11d, XCHG_SYSCALL_ODD(%rbx)
	jnz	gate_peer_exit
	mov	XCHG_FS_BASE(%r14), %rax
	mov	XCHG_GS_BASE(%r14), %rdi
	mov	XCHG_FOLD(%rbx), %r13
	test	%r13, %r13
	jnz	2f
	cmpl	$GATE_BASES_INSNS, XCHG_BASES(%rbx)
	jne	1f
	wrfsbase %rax
	jmp	3f
2:	CHECK_CANONICAL %rax, gate_peer_exit
	CHECK_CANONICAL %rdi, gate_peer_exit
	mov	XCHG_FS_AT(%rbx), %rsi
	mov	%rax, (%rsi)
	add	%r13, %rdx
	add	%r13, %rdi
	mov	XCHG_GS_AT(%rbx), %rsi
	test	%rsi, %rsi
	jz	3f
	mov	%rdi, (%rsi)
	jmp	1f
3:	wrgsbase %rdi
1:	mov	%r11d, %eax
	andl	XCHG_SYSCALL_KEPT(%rbx), %eax
	orl	$X86_RFLAGS_FIXED, %eax
	lea	XCHG_SCRATCH_TOP(%rbx), %rsp
	push	%rax
	popfq
	mov	%rdx, %rsp
	jmp	gate_direct_enter
gate_direct_end:

/*
 * The fpu_switch hypercall in such a cell: the state lies in the user cell's frame. As with iret, what cannot be read or
 * written, and what is odd, takes the long way, which does it all anew: until gate_fpu_load nothing has happened.
 */
gate_fpu:
	cmpl	$GATE_ARMED_PARAVIRT, XCHG_ARMED(%r11)
	jne	.Lhypercall
	cmpl	$0, XCHG_FPU_SIZE(%r11)
	je	.Lhypercall
	cmpl	$0, XCHG_STEPPED(%r11)
	jne	.Lhypercall
	test	%rsi, %rsi
	jz	.Lhypercall
	mov	%edi, %ecx
	orl	%esi, %ecx
	testl	$(FPU_ALIGNMENT - 1), %ecx
	jnz	.Lhypercall
	KEEP_ARGUMENTS
gate_fpu_save:
	cld
	mov	(%rsp), %rcx
	mov	%rcx, XCHG_RIP(%r11)
	test	%rdi, %rdi
	jz	2f
	mov	XCHG_PEER_FPU(%r11), %rsi
	TAKE_IMAGE
	mov	%rdi, %rsi
	mov	XCHG_GPR + 8 * RDI(%r11), %rdi
	movl	XCHG_FPU_SIZE(%r11), %ecx
	rep movsb
	mov	XCHG_GPR + 8 * RSI(%r11), %rsi
2:	TAKE_IMAGE
gate_fpu_load:
	mov	XCHG_PEER_FPU(%r11), %rdi
	GIVE_IMAGE
	GIVE_ARGUMENTS
	xorl	%eax, %eax
	add	$8, %rsp
	jmp	*gate_rip_pointer(%rip)

gate_fpu_undo:
	movabs	$GATE_XCHG, %r11
	GIVE_ARGUMENTS
	movl	$R3_HC_fpu_switch, %eax
	jmp	.Lhypercall

/*
 * The user_switch hypercall in such a cell: another user cell becomes its peer, one that the monitor knows to be as its
 * kernel left it (direct.h). As above, until gate_switch_committed nothing has happened, and from there on nothing stops
 * it: the monitor, which has its registers then, finds the new peer's number.
 */
gate_switch:
	cmpl	$GATE_ARMED_PARAVIRT, XCHG_ARMED(%r11)
	jne	.Lhypercall
	cmpl	$0, XCHG_FPU_SIZE(%r11)
	je	.Lhypercall
	cmpl	$0, XCHG_STEPPED(%r11)
	jne	.Lhypercall
	KEEP_ARGUMENTS
gate_switch_begin:
	cld
	mov	(%rsp), %rcx
	mov	%rcx, XCHG_RIP(%r11)
	mov	CONTEXT_ROOT(%rsi), %rax
	FIND_PEER gate_switch_undo
	mov	PEER_PAGE(%rcx), %rax
	cmp	%rax, XCHG_PEER(%r11)
	je	gate_switch_undo
	mov	%rcx, XCHG_NEXT(%r11)
	mov	CONTEXT_RSP0(%rsi), %rax
	mov	%rax, XCHG_NEXT_RSP0(%r11)
	shr	$JUDGE_CANONICAL_SHIFT, %rax
	jnz	gate_switch_undo
	mov	CONTEXT_FS_BASE(%rsi), %rax
	CHECK_CANONICAL %rax, gate_switch_undo, %rdx
	mov	%rax, XCHG_NEXT_FS_BASE(%r11)
	mov	CONTEXT_GS_BASE(%rsi), %rax
	CHECK_CANONICAL %rax, gate_switch_undo, %rdx
	mov	%rax, XCHG_NEXT_GS_BASE(%r11)
	mov	CONTEXT_FPU(%rdi), %rax
	CHECK_IMAGE %rax, %al, gate_switch_undo
	mov	%rax, XCHG_STORE(%r11)
	/* Bases in the user cell's page are user mode's to write. */
	mov	XCHG_PEER(%r11), %rcx
	mov	XCHG_FS_BASE(%rcx), %rax
	CHECK_CANONICAL %rax, gate_switch_undo, %rdx
	mov	%rax, CONTEXT_FS_BASE(%rdi)
	mov	XCHG_GS_BASE(%rcx), %rax
	CHECK_CANONICAL %rax, gate_switch_undo, %rdx
	mov	%rax, CONTEXT_GS_BASE(%rdi)
	mov	XCHG_PEER_FPU(%r11), %rsi
	TAKE_IMAGE
	mov	%rdi, %rsi
	mov	XCHG_STORE(%r11), %rdi
	movl	XCHG_FPU_SIZE(%r11), %ecx
	rep movsb
	mov	XCHG_GPR + 8 * RSI(%r11), %rsi
	mov	CONTEXT_FPU(%rsi), %rsi
	CHECK_IMAGE %rsi, %sil, gate_switch_undo
	TAKE_IMAGE
gate_switch_committed:
	mov	XCHG_NEXT(%r11), %rdx
	mov	PEER_FPU(%rdx), %rdi
	mov	%rdi, XCHG_PEER_FPU(%r11)
	GIVE_IMAGE
	mov	PEER_PAGE(%rdx), %rcx
	mov	XCHG_NEXT_FS_BASE(%r11), %rax
	mov	%rax, XCHG_FS_BASE(%rcx)
	mov	XCHG_NEXT_GS_BASE(%r11), %rax
	mov	%rax, XCHG_GS_BASE(%rcx)
	mov	XCHG_NEXT_RSP0(%r11), %rax
	mov	%rax, XCHG_RSP0(%r11)
	SET_PEER
	GIVE_ARGUMENTS
	xorl	%eax, %eax
	add	$8, %rsp
	jmp	*gate_rip_pointer(%rip)

gate_switch_undo:
	movabs	$GATE_XCHG, %r11
	GIVE_ARGUMENTS
	movl	$R3_HC_user_switch, %eax
	jmp	.Lhypercall

/* Its own iret frame could not be read after all: the monitor says so to the guest. */
gate_direct_undo:
	movl	$R3_HC_iret, %eax
	movabs	$GATE_XCHG, %r11
	jmp	.Lhypercall

gate_peer_exit:
	movabs	$GATE_XCHG, %rbx
	movl	$GATE_KIND_PEER, XCHG_KIND(%rbx)
	jmp	gate_hypercall_wait

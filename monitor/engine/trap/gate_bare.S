/*
 * Of the gate: where the translation of a bare kernel comes for what it may do past the monitor.
 */

/*
 * IRETQ and SYSRET of a bare kernel, which its translation comes here for as it comes to gate_callout: to user mode if
 * all is plain and the cell is armed, else to the monitor, which executes the instruction. The segments must be those
 * that the monitor saw loaded, from the descriptors that it saw.
 */
	.globl gate_iret
gate_iret:
	SAVE_CALLOUT
	cmpl	$GATE_ARMED_BARE, XCHG_ARMED(%rbx)
	jne	gate_save_rest
gate_bare:
	mov	XCHG_GPR + 8 * RSP(%rbx), %rcx
	mov	0(%rcx), %rdi
	mov	8(%rcx), %rax
	mov	16(%rcx), %rdx
	mov	24(%rcx), %rsi
	mov	32(%rcx), %r11
	cmp	XCHG_USER_CS(%rbx), %rax
	jne	gate_save_rest
	cmp	XCHG_USER_SS(%rbx), %r11
	jne	gate_save_rest
	mov	XCHG_USER_CS_AT(%rbx), %rcx
	mov	(%rcx), %rax
	cmp	XCHG_USER_CS_IS(%rbx), %rax
	jne	gate_save_rest
	mov	XCHG_USER_SS_AT(%rbx), %rcx
	mov	(%rcx), %rax
	cmp	XCHG_USER_SS_IS(%rbx), %rax
	jne	gate_save_rest
	jmp	gate_bare_leave

	.globl gate_sysret
gate_sysret:
	SAVE_CALLOUT
	cmpl	$0, XCHG_SYSRET(%rbx)
	je	gate_save_rest
	mov	XCHG_GPR + 8 * RCX(%rbx), %rdi
	mov	%r11, %rdx
	mov	XCHG_GPR + 8 * RSP(%rbx), %rsi
	sub	XCHG_FOLD(%rbx), %rsi

/* RAX and RCX the guest's bases of FS and GS, where the kernel's cell is folded. */
.macro FOLDED_BASES
	mov	XCHG_GS_AT(%rbx), %rcx
	test	%rcx, %rcx
	jz	8f
	mov	(%rcx), %rcx
	jmp	9f
8:	rdgsbase %rcx
9:	sub	XCHG_FOLD(%rbx), %rcx
	mov	XCHG_FS_AT(%rbx), %rax
	mov	(%rax), %rax
.endm

/*
 * RDI RIP, RDX RFLAGS, RSI RSP of user mode. Where a call loads bases it must not be refused. R11 has been saved.
 */
gate_bare_leave:
	cmpq	$0, XCHG_GS_AT(%rbx)
	je	1f
	FOLDED_BASES
	movabs	$LAYOUT_TASK_END, %r11
	cmp	%r11, %rax
	jae	gate_save_rest
	cmp	%r11, %rcx
	jae	gate_save_rest
1:	CHECK_RIP %rdi, gate_save_rest
	mov	%rdx, %rax
	and	$~BARE_RFLAGS_FREE, %rax
	cmp	$X86_RFLAGS_IF, %rax
	jne	gate_save_rest
	mov	XCHG_PEER_GREGS(%rbx), %rcx
	mov	%rdi, GREG_RIP(%rcx)
	mov	%rdx, GREG_EFL(%rcx)
	mov	%rsi, GREG_RSP(%rcx)
	KEEP_REGISTERS
	mov	%rbp, GREG_RBP(%rcx)
	PASS_ON	RAX, GREG_RAX
	PASS_ON	RCX, GREG_RCX
	PASS_ON	RDX, GREG_RDX
	PASS_ON	RBX, GREG_RBX
	PASS_ON	RSI, GREG_RSI
	PASS_ON	RDI, GREG_RDI
	PASS_ON	11, GREG_R11
	cmpl	$0, XCHG_HELD(%rbx)
	je	3f
	cld
	mov	%rbx, %r11
	mov	XCHG_PEER_FPU(%rbx), %rdi
	GIVE_IMAGE
	movl	$0, XCHG_HELD(%rbx)
	mov	XCHG_PEER_FPU(%rbx), %rdi
	TELL_FPU %rdi
3:	mov	XCHG_PEER(%rbx), %rdx
	cmpq	$0, XCHG_FOLD(%rbx)
	jne	1f
	cmpl	$GATE_BASES_INSNS, XCHG_BASES(%rbx)
	jne	gate_direct_committed
	rdfsbase %rax
	rdgsbase %rcx
	jmp	2f
1:	FOLDED_BASES
2:	mov	%rax, XCHG_FS_BASE(%rdx)
	mov	%rcx, XCHG_GS_BASE(%rdx)
	jmp	gate_direct_committed
gate_bare_end:

/*
 * MOV CR3 of a bare kernel, which its translation comes here for: one of the roots that the monitor knows to change
 * nothing but the root, and so the program that is entered next. Up to gate_root_committed nothing has happened, and the
 * monitor executes the instruction if anything is in the way. From there on it is done, if need be once more; who is
 * to come out does so behind it. The program that ran may run on and read its frame: the FPU's state goes to the kernel's
 * own page.
 */
	.globl gate_root
gate_root:
	SAVE_CALLOUT
	cmpl	$GATE_ARMED_BARE, XCHG_ARMED(%rbx)
	jne	gate_save_rest
	mov	%rbx, %r11
gate_root_begin:
	cld
	mov	XCHG_ROOT_AT(%r11), %rsi
	test	%rsi, %rsi
	jz	gate_save_rest
	mov	ROOT_WANTED(%rsi), %rax
	FIND_PEER gate_save_rest
	mov	%rcx, %r8
	xorl	%r9d, %r9d
	cmpl	$0, XCHG_HELD(%r11)
	jne	gate_root_committed
	mov	XCHG_PEER_FPU(%r11), %rsi
	TAKE_IMAGE
gate_root_committed:
	movl	$1, XCHG_HELD(%r11)
	movabs	$GATE_FPU, %rdi
	TELL_FPU %rdi
	mov	XCHG_UNNAMED(%r11), %rax
	.irp	n, 0, 1, 2
	mov	XCHG_NAMED + 8 * \n(%r11), %rcx
	test	%rcx, %rcx
	jz	1f
	mov	%rax, (%rcx)
1:
	.endr
	.irp	n, 0, 1, 2
	mov	PEER_NAME + 16 * \n(%r8), %rcx
	mov	%rcx, XCHG_NAMED + 8 * \n(%r11)
	test	%rcx, %rcx
	jz	1f
	mov	PEER_NAME + 16 * \n + 8(%r8), %rax
	mov	%rax, (%rcx)
1:
	.endr
	mov	%r8, %rdx
	mov	PEER_FPU(%rdx), %rax
	mov	%rax, XCHG_PEER_FPU(%r11)
	mov	PEER_PAGE(%rdx), %rcx
	SET_PEER
	mov	XCHG_ROOT_AT(%r11), %rsi
	mov	PEER_ROOT(%rdx), %rax
	mov	%rax, ROOT_NOW(%rsi)
gate_root_done:
	test	%r9d, %r9d
	jnz	gate_root_out
	movabs	$(GATE_CACHE_CODE & ~0xffffffff), %rax
	movl	ROOT_FROM(%rsi), %ecx
	lea	GATE_ROOT_JUMP(%rax,%rcx), %rcx
	mov	%rcx, XCHG_RIP(%r11)
	mov	XCHG_GPR + 8 * RDI(%rbx), %rdi
	mov	XCHG_GPR + 8 * RSI(%rbx), %rsi
	mov	XCHG_GPR + 8 * RDX(%rbx), %rdx
	mov	XCHG_GPR + 8 * RCX(%rbx), %rcx
	mov	XCHG_GPR + 8 * RAX(%rbx), %rax
	mov	XCHG_GPR + 8 * 8(%rbx), %r8
	mov	XCHG_GPR + 8 * 9(%rbx), %r9
	mov	XCHG_GPR + 8 * 11(%rbx), %r11
	lea	XCHG_RFLAGS(%rbx), %rsp
	jmp	gate_last
gate_root_end:

gate_root_kicked:
	movabs	$GATE_XCHG, %rbx
	movl	$GATE_KIND_CALLOUT, XCHG_KIND(%rbx)	/* also for who jumps here: no exit that there was before */
	jmp	gate_save_rest

/* Once more: R8 and R11 are as they were. */
gate_root_again:
	movl	$1, %r9d
	jmp	gate_root_committed

gate_root_out:
	movabs	$GATE_XCHG, %rbx
	mov	XCHG_ROOT_AT(%rbx), %rsi
	movl	ROOT_FROM(%rsi), %ecx
	addl	$GATE_ROOT_JUMP, %ecx
	movl	%ecx, XCHG_CALLOUT(%rbx)
	jmp	gate_save_rest

/* The frame or a descriptor could not be read: the monitor shows them, or says to the guest what is wrong. */
gate_bare_undo:
	movabs	$GATE_XCHG, %rbx
	movl	$1, XCHG_UNREADABLE(%rbx)
gate_bare_kicked:
	movabs	$GATE_XCHG, %rbx
	movl	$GATE_KIND_CALLOUT, XCHG_KIND(%rbx)
	jmp	gate_save_rest

/*
 * Code of the gate. It runs in cells, in ring 3, next to hostile code that may jump to any byte of it with any
 * registers: so it addresses memory by constant addresses only, and holds no right that the cell's filters do not give.
 */
#include <asm/unistd_64.h>

#include "gate_offsets.h"
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/gate_op.S"
#include "monitor/engine/trap/judge.h"

#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RSP 4
#define RBP 5
#define RSI 6
#define RDI 7

	.section .rodata.gate, "a", @progbits
	.balign 4096
	.globl gate_text
gate_text:

/* futex(%rdi, op, %edx) under the cookie; clobbers RAX RCX RSI R9-R11. */
.macro FUTEX op
	movl	$\op, %esi
	xorl	%r10d, %r10d
	movl	$GATE_COOKIE, %r9d
	movl	$__NR_futex, %eax
	syscall
.endm

/*
 * Waits while `state` of the exchange page at \base is \value: spins, then yields, as \spins and \yields of this cell's
 * own page say; goes to \done once it changed, and on when patience is at its end. Clobbers RAX RCX R9 R11 R12.
 */
.macro AWAIT base value spins yields done
	movl	\spins(%rbx), %ecx
	incl	%ecx
11:	cmpl	$\value, XCHG_STATE(\base)
	jne	\done
	pause
	decl	%ecx
	jnz	11b
	movl	\yields(%rbx), %r12d
12:	testl	%r12d, %r12d
	jz	13f
	movl	$GATE_COOKIE, %r9d
	movl	$__NR_sched_yield, %eax
	syscall
	decl	%r12d
	cmpl	$\value, XCHG_STATE(\base)
	je	12b
	jmp	\done
13:
.endm

/*
 * Hands over to the monitor and waits: tells it, then spins, yields and at last sleeps on this cell's turn. Parked, it
 * wakes the cell that takes its place on this CPU, which is cheaper than a wake-up from another one, and sleeps at once.
 * RBX = GATE_XCHG; clobbers RAX RCX RDX RSI RDI R8-R12. \told is where the state has been stored. From \asleep, where the sleeping call returns to, all but RSP is
 * set anew: whoever sleeps there, however it came, goes on as if it had handed over (cell_renew).
 *
 * The exchanges are full barriers: the store must be seen before the other side's flag is read, or both sleep.
 */
.macro HANDOVER told asleep
	movl	$GATE_EXITED, %eax
	xchgl	%eax, XCHG_STATE(%rbx)
\told:
	cmpl	$0, XCHG_MONITOR_WAITS(%rbx)
	je	1f
	lea	XCHG_STATE(%rbx), %rdi
	movl	$1, %edx
	FUTEX	HOST_FUTEX_WAKE
1:	AWAIT	%rbx, GATE_EXITED, XCHG_SPINS, XCHG_YIELDS, 4f
	jmp	5f
4:	testl	$1, XCHG_STATE(%rbx)
	jz	9f
5:	movl	$1, %eax
	xchgl	%eax, XCHG_RUNNER_WAITS(%rbx)
	movl	$-1, %edi
	xchgl	%edi, XCHG_WAKE(%rbx)
	cmpl	$-1, %edi
	je	6f
	andl	$(GATE_TURN_SIZE - 4), %edi
	movabs	$GATE_TURN, %rax
	addq	%rax, %rdi
	movl	$GATE_WAKE_ALL, %edx
	FUTEX	HOST_FUTEX_WAKE
6:	movabs	$GATE_XCHG, %rbx
	movl	XCHG_TURN(%rbx), %edi
	andl	$(GATE_TURN_SIZE - 4), %edi
	movabs	$GATE_TURN, %rax
	addq	%rax, %rdi
	movl	(%rdi), %edx
	testl	$1, XCHG_STATE(%rbx)
	jz	8f
	FUTEX	HOST_FUTEX_WAIT
\asleep:
	jmp	6b
8:	movl	$0, XCHG_RUNNER_WAITS(%rbx)
9:
.endm

/* RSP at a signal frame. */
.macro SIGRETURN
	add	$8, %rsp
	movl	$GATE_COOKIE, %r9d
	movl	$__NR_rt_sigreturn, %eax
	syscall
	ud2
.endm

/* Clobbers RAX. */
.macro SAVE_BASES
	cmpl	$GATE_BASES_CALLS, XCHG_BASES(%rbx)
	je	1f
	SAVE_BASE rdfsbase, XCHG_FS_BASE, XCHG_HOST_FS_BASE
	SAVE_BASE rdgsbase, XCHG_GS_BASE, XCHG_HOST_GS_BASE
1:
.endm

.macro SAVE_BASE read base host
	\read	%rax
	mov	%rax, \base(%rbx)
	cmp	%rax, \host(%rbx)
	je	2f
	movq	$GATE_BASE_UNKNOWN, \host(%rbx)
2:
.endm

/* Clobbers RAX, and where the host must be asked what a system call and its arguments take. */
.macro LOAD_BASES
	cmpl	$GATE_BASES_INSNS, XCHG_BASES(%rbx)
	jne	1f
	mov	XCHG_FS_BASE(%rbx), %rax
	wrfsbase %rax
	mov	XCHG_GS_BASE(%rbx), %rax
	wrgsbase %rax
	jmp	2f
1:	TELL_BASE HOST_SET_FS, XCHG_FS_BASE, XCHG_HOST_FS_BASE
	TELL_BASE HOST_SET_GS, XCHG_GS_BASE, XCHG_HOST_GS_BASE
2:
.endm

/* A kick between the call and the note of it has the call made once more. */
.macro TELL_BASE which base host
	mov	\base(%rbx), %rsi
	cmp	%rsi, \host(%rbx)
	je	3f
	movl	$\which, %edi
	movl	$GATE_COOKIE, %r9d
	movl	$__NR_arch_prctl, %eax
	syscall
	mov	%rsi, \host(%rbx)
3:
.endm

/* All but RBX, RCX, RSP and R11. */
.macro SAVE_REGISTERS
	mov	%rax, XCHG_GPR + 8 * RAX(%rbx)
	mov	%rdx, XCHG_GPR + 8 * RDX(%rbx)
	mov	%rbp, XCHG_GPR + 8 * RBP(%rbx)
	mov	%rsi, XCHG_GPR + 8 * RSI(%rbx)
	mov	%rdi, XCHG_GPR + 8 * RDI(%rbx)
	mov	%r8, XCHG_GPR + 8 * 8(%rbx)
	mov	%r9, XCHG_GPR + 8 * 9(%rbx)
	mov	%r10, XCHG_GPR + 8 * 10(%rbx)
	mov	%r12, XCHG_GPR + 8 * 12(%rbx)
	mov	%r13, XCHG_GPR + 8 * 13(%rbx)
	mov	%r14, XCHG_GPR + 8 * 14(%rbx)
	mov	%r15, XCHG_GPR + 8 * 15(%rbx)
.endm

/*
 * Translated code enters the gate by a jump, with all registers and flags the guest's and XCHG_CALLOUT telling which
 * stub it was. The guest's stack is not touched. Leaves RBX = GATE_XCHG.
 */
.macro SAVE_CALLOUT
	mov	%rbx, gate_rbx_pointer(%rip)
	movabs	$GATE_XCHG, %rbx
	SAVE_REGISTERS
	mov	%rcx, XCHG_GPR + 8 * RCX(%rbx)
	mov	%r11, XCHG_GPR + 8 * 11(%rbx)
	mov	%rsp, XCHG_GPR + 8 * RSP(%rbx)
	lea	XCHG_SCRATCH_TOP(%rbx), %rsp
	pushfq
	popq	XCHG_RFLAGS(%rbx)
	movl	$GATE_KIND_CALLOUT, XCHG_KIND(%rbx)
.endm

/* Goes to \odd where no code of user mode is, as judge.c has it. Clobbers RAX. */
.macro CHECK_RIP rip odd
	movabs	$LAYOUT_TASK_END, %rax
	cmp	%rax, \rip
	jae	\odd
	mov	\rip, %rax
	shr	$JUDGE_SLOT_SHIFT, %rax
	cmp	$JUDGE_SLOT, %eax
	je	\odd
.endm

/* Goes to \odd unless an address may be this. Clobbers RSI. */
.macro CHECK_CANONICAL address odd
	mov	\address, %rsi
	sar	$JUDGE_CANONICAL_SHIFT, %rsi
	incq	%rsi
	cmp	$1, %rsi
	ja	\odd
.endm

/* Registers that no entry of the gate has used, to the frame at RCX. */
.macro KEEP_REGISTERS
	mov	%r8, GREG_R8(%rcx)
	mov	%r9, GREG_R9(%rcx)
	mov	%r10, GREG_R10(%rcx)
	mov	%r12, GREG_R12(%rcx)
	mov	%r13, GREG_R13(%rcx)
	mov	%r14, GREG_R14(%rcx)
	mov	%r15, GREG_R15(%rcx)
.endm

/* Of what SAVE_CALLOUT saved, to the frame at RCX. Clobbers RAX. */
.macro PASS_ON from to
	mov	XCHG_GPR + 8 * \from(%rbx), %rax
	mov	%rax, \to(%rcx)
.endm

/*
 * Copies the FPU image at RSI to GATE_FPU, and makes the copy harmless as the monitor does (vcpu_fpu_sanitize). R11 =
 * GATE_XCHG; clobbers RAX RCX RDX RSI RDI.
 */
.macro TAKE_IMAGE
	movabs	$GATE_FPU, %rdi
	movl	$(X86_FPU_SOFTWARE / 8), %ecx
	rep movsq
	xorl	%eax, %eax
	movl	$((X86_FPU_HEADER - X86_FPU_SOFTWARE) / 8), %ecx
	rep stosq
	add	$(X86_FPU_HEADER - X86_FPU_SOFTWARE), %rsi
	lodsq
	and	XCHG_XCR0(%r11), %rax
	mov	%rax, %rdx
	stosq
	xorl	%eax, %eax
	movl	$((X86_FPU_EXTENDED - X86_FPU_HEADER) / 8 - 1), %ecx
	rep stosq
	add	$(X86_FPU_EXTENDED - X86_FPU_HEADER - 8), %rsi
	movl	XCHG_FPU_SIZE(%r11), %ecx
	subl	$X86_FPU_EXTENDED, %ecx
	rep movsb
	movabs	$GATE_FPU, %rdi
	andl	$X86_MXCSR_WRITABLE, X86_FPU_MXCSR(%rdi)
	testl	$X86_XCR0_X87, %edx
	jnz	1f
	movw	%ax, X86_FPU_FOP(%rdi)
	mov	%rax, X86_FPU_FIP(%rdi)
	mov	%rax, X86_FPU_FDP(%rdi)
1:
.endm

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
	HANDOVER gate_hypercall_told gate_hypercall_asleep

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
	cmpl	$GATE_BASES_INSNS, XCHG_BASES(%rbx)
	jne	1f
	mov	XCHG_FS_BASE(%r14), %rax
	mov	XCHG_GS_BASE(%r14), %rdi
	mov	XCHG_FOLD(%rbx), %r13
	test	%r13, %r13
	jnz	2f
	wrfsbase %rax
	jmp	3f
2:	CHECK_CANONICAL %rax, gate_peer_exit
	CHECK_CANONICAL %rdi, gate_peer_exit
	mov	XCHG_FS_AT(%rbx), %rsi
	mov	%rax, (%rsi)
	add	%r13, %rdx
	add	%r13, %rdi
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
	mov	%rdi, XCHG_GPR + 8 * RDI(%r11)
	mov	%rsi, XCHG_GPR + 8 * RSI(%r11)
	mov	%rdx, XCHG_GPR + 8 * RDX(%r11)
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
	/* Between the two parts lie marks of the host's. */
	mov	%rdi, %rsi
	mov	XCHG_PEER_FPU(%r11), %rdi
	movl	$(X86_FPU_SOFTWARE / 8), %ecx
	rep movsq
	add	$(X86_FPU_HEADER - X86_FPU_SOFTWARE), %rsi
	add	$(X86_FPU_HEADER - X86_FPU_SOFTWARE), %rdi
	movl	XCHG_FPU_SIZE(%r11), %ecx
	subl	$X86_FPU_HEADER, %ecx
	rep movsb
	mov	XCHG_GPR + 8 * RDI(%r11), %rdi
	mov	XCHG_GPR + 8 * RSI(%r11), %rsi
	mov	XCHG_GPR + 8 * RDX(%r11), %rdx
	xorl	%eax, %eax
	add	$8, %rsp
	jmp	*gate_rip_pointer(%rip)

gate_fpu_undo:
	movabs	$GATE_XCHG, %r11
	mov	XCHG_GPR + 8 * RDI(%r11), %rdi
	mov	XCHG_GPR + 8 * RSI(%r11), %rsi
	mov	XCHG_GPR + 8 * RDX(%r11), %rdx
	movl	$R3_HC_fpu_switch, %eax
	jmp	.Lhypercall

/* Its own iret frame could not be read after all: the monitor says so to the guest. */
gate_direct_undo:
	movl	$R3_HC_iret, %eax
	movabs	$GATE_XCHG, %r11
	jmp	.Lhypercall

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

/* RDI RIP, RDX RFLAGS, RSI RSP of user mode. */
gate_bare_leave:
	CHECK_RIP %rdi, gate_save_rest
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
	cmpl	$GATE_BASES_INSNS, XCHG_BASES(%rbx)
	jne	gate_direct_committed
	mov	XCHG_PEER(%rbx), %rcx
	rdgsbase %rax
	sub	XCHG_FOLD(%rbx), %rax
	mov	%rax, XCHG_GS_BASE(%rcx)
	cmpq	$0, XCHG_FOLD(%rbx)
	jne	1f
	rdfsbase %rax
	jmp	2f
1:	mov	XCHG_FS_AT(%rbx), %rax
	mov	(%rax), %rax
2:	mov	%rax, XCHG_FS_BASE(%rcx)
	jmp	gate_direct_committed
gate_bare_end:

/* The frame or a descriptor could not be read: the monitor shows them, or says to the guest what is wrong. */
gate_bare_undo:
	movabs	$GATE_XCHG, %rbx
	movl	$1, XCHG_UNREADABLE(%rbx)
gate_bare_kicked:
	movabs	$GATE_XCHG, %rbx
	movl	$GATE_KIND_CALLOUT, XCHG_KIND(%rbx)
	jmp	gate_save_rest

gate_peer_exit:
	movabs	$GATE_XCHG, %rbx
	movl	$GATE_KIND_PEER, XCHG_KIND(%rbx)
	jmp	gate_hypercall_wait

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
.Lexit:	mov	%rsp, XCHG_FRAME(%rbx)
	SAVE_BASES
	/* The frame of a signal that comes while this waits may outlive the program: it shall not have its registers. */
.Lagain:
	xorl	%ebp, %ebp
	xorl	%r8d, %r8d
	xorl	%r13d, %r13d
	xorl	%r14d, %r14d
	xorl	%r15d, %r15d
	movl	$GATE_KIND_SIGNAL, XCHG_KIND(%rbx)
	.globl gate_handler_asleep
	HANDOVER gate_told gate_handler_asleep
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
	SIGRETURN
gate_leave_end:

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
	REDIRECT gate_bare, gate_bare_end, gate_bare_kicked
	WITHIN	gate_told, gate_leave_end, .Lkicked_again
.Lsigreturn:
	SIGRETURN
/* The first frame holds all that was being loaded: it becomes the kick's. */
.Lkicked_again:
	movl	$0, XCHG_RUNNER_WAITS(%rbx)
	mov	XCHG_FRAME(%rbx), %rsp
	movl	$HOST_KICK, SIGFRAME_SIGNO(%rsp)
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

	.set	gate_rip_pointer, gate_text + (GATE_XCHG - GATE_TEXT) + XCHG_RIP
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

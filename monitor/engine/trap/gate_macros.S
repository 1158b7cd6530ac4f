/*
 * Of the gate: how it waits, and what is saved, loaded and checked in more than one place.
 */
#include <asm/unistd_64.h>

#include "gate_offsets.h"
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/judge.h"

#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RSP 4
#define RBP 5
#define RSI 6
#define RDI 7

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

/* Sleeps as it is. */
.macro AS_IT_IS
.endm

/* R13D not 0: the FPU is as guest code left it, and is not to be. Clobbers RAX RDX. */
.macro FORGET_FPU
	testl	%r13d, %r13d
	jz	1f
	mov	XCHG_XCR0(%rbx), %eax
	mov	XCHG_XCR0 + 4(%rbx), %edx
	xrstor64 gate_fpu_initial(%rip)
1:
.endm

/*
 * Hands over to the monitor and waits: tells it, then spins, yields and at last sleeps on this cell's turn. Parked, it
 * wakes the cell that takes its place on this CPU, which is cheaper than a wake-up from another one, and sleeps at
 * once, after \before. RBX = GATE_XCHG; clobbers RAX RCX RDX RSI RDI R8-R12. \told is where the state has been stored.
 * From \asleep, where the sleeping call returns to, all but RSP is set anew: whoever sleeps there, however it came, goes on as if it
 * had handed over (cell_renew).
 *
 * The exchanges are full barriers: the store must be seen before the other side's flag is read, or both sleep.
 */
.macro HANDOVER told asleep before
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
5:	\before
	movl	$1, %eax
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

/* Goes to \odd unless an address may be this. Clobbers \temp. */
.macro CHECK_CANONICAL address odd temp=%rsi
	mov	\address, \temp
	sar	$JUDGE_CANONICAL_SHIFT, \temp
	incq	\temp
	cmp	$1, \temp
	ja	\odd
.endm

/* Goes to \odd unless it may be the address of an FPU image. */
.macro CHECK_IMAGE address low odd
	test	\address, \address
	jz	\odd
	testb	$(FPU_ALIGNMENT - 1), \low
	jnz	\odd
.endm

/*
 * Loads the image at GATE_FPU into the frame of a user cell whose FPU state is at RDI: between the two parts lie marks of
 * the host's. R11 = GATE_XCHG; clobbers RCX RSI RDI.
 */
.macro GIVE_IMAGE
	movabs	$GATE_FPU, %rsi
	movl	$(X86_FPU_SOFTWARE / 8), %ecx
	rep movsq
	add	$(X86_FPU_HEADER - X86_FPU_SOFTWARE), %rsi
	add	$(X86_FPU_HEADER - X86_FPU_SOFTWARE), %rdi
	movl	XCHG_FPU_SIZE(%r11), %ecx
	subl	$X86_FPU_HEADER, %ecx
	rep movsb
.endm

/* RCX = the entry of XCHG_PEERS whose root is in RAX, or goes to \none. R11 = GATE_XCHG; clobbers RDX. */
.macro FIND_PEER none
	lea	XCHG_PEERS(%r11), %rcx
	lea	XCHG_PEERS_END(%r11), %rdx
21:	cmp	%rax, PEER_ROOT(%rcx)
	je	22f
	add	$PEER_SIZE, %rcx
	cmp	%rdx, %rcx
	jb	21b
	jmp	\none
22:
.endm

/*
 * The entry at RDX, whose page is in RCX, is the one that is entered next. Who ran last may wait awake: it stays the same
 * until another one runs. R11 = GATE_XCHG; clobbers RAX.
 */
.macro SET_PEER
	mov	XCHG_PREVIOUS(%r11), %rax
	test	%rax, %rax
	jnz	21f
	mov	XCHG_PEER(%r11), %rax
21:	cmp	%rcx, %rax
	jne	22f
	xorl	%eax, %eax
22:	mov	%rax, XCHG_PREVIOUS(%r11)
	mov	%rcx, XCHG_PEER(%r11)
	mov	PEER_GREGS(%rdx), %rax
	mov	%rax, XCHG_PEER_GREGS(%r11)
	mov	PEER_FRAME(%rdx), %rax
	mov	%rax, XCHG_PEER_FRAME(%r11)
	mov	PEER_TURN(%rdx), %rax
	mov	%rax, XCHG_PEER_TURN(%r11)
	movl	PEER_NUMBER(%rdx), %eax
	movl	%eax, XCHG_CURRENT(%r11)
.endm

/* Translated code finds the FPU's state at \where. R11 = GATE_XCHG; clobbers RCX. */
.macro TELL_FPU where
	mov	XCHG_FPU_AT(%r11), %rcx
	test	%rcx, %rcx
	jz	21f
	mov	\where, (%rcx)
21:
.endm

/* The registers that a hypercall done here works in. R11 = GATE_XCHG. */
.macro KEEP_ARGUMENTS
	mov	%rdi, XCHG_GPR + 8 * RDI(%r11)
	mov	%rsi, XCHG_GPR + 8 * RSI(%r11)
	mov	%rdx, XCHG_GPR + 8 * RDX(%r11)
.endm

.macro GIVE_ARGUMENTS
	mov	XCHG_GPR + 8 * RDI(%r11), %rdi
	mov	XCHG_GPR + 8 * RSI(%r11), %rsi
	mov	XCHG_GPR + 8 * RDX(%r11), %rdx
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

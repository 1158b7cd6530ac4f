/*
 * The stubs that every trap and interrupt enters through, and the two ways back. The monitor pushes the same hardware
 * frame whether it delivers through the IDT or through the trap table.
 *
 * The unwind information describes the interrupted context: CFA is the end of the hardware frame, and the frame is a
 * signal frame, since the saved RIP is not a return address.
 */
#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "pvguest/traps.h"

#define ERROR_CODE_VECTORS                                                                                             \
	(1 << X86_VEC_DF | 1 << X86_VEC_TS | 1 << X86_VEC_NP | 1 << X86_VEC_SS | 1 << X86_VEC_GP | 1 << X86_VEC_PF |   \
	 1 << X86_VEC_AC | 1 << X86_VEC_CP)

	/* rip, cs, rflags, rsp, ss lie in the `words` words below the CFA */
	.macro	cfi_hardware_frame words
	.cfi_signal_frame
	.cfi_def_cfa rsp, \words * 8
	.cfi_offset rip, -40
	.cfi_offset rsp, -16
	.endm

	.macro	push_gpr reg
	push	%\reg
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset \reg, 0
	.endm

	.macro	pop_gpr reg
	pop	%\reg
	.cfi_adjust_cfa_offset -8
	.cfi_restore \reg
	.endm

	.text
	.balign	PVG_TRAP_STUB_SIZE
	.globl	pvg_trap_stubs
	.type	pvg_trap_stubs, @function
pvg_trap_stubs:
	.set	vector, 0
	.rept	X86_VEC_COUNT
	.balign	PVG_TRAP_STUB_SIZE
	.cfi_startproc
	.if	vector < 32 && (ERROR_CODE_VECTORS >> (vector & 31)) & 1
	cfi_hardware_frame 6
	.else
	cfi_hardware_frame 5
	push	$0
	.cfi_adjust_cfa_offset 8
	.endif
	push	$vector
	.cfi_adjust_cfa_offset 8
	jmp	pvg_trap_common
	.cfi_endproc
	.set	vector, vector + 1
	.endr
	.size	pvg_trap_stubs, . - pvg_trap_stubs

	.globl	pvg_trap_common
	.type	pvg_trap_common, @function
pvg_trap_common:
	.cfi_startproc
	cfi_hardware_frame 7
	push_gpr rax
	push_gpr rbx
	push_gpr rcx
	push_gpr rdx
	push_gpr rsi
	push_gpr rdi
	push_gpr rbp
	push_gpr r8
	push_gpr r9
	push_gpr r10
	push_gpr r11
	push_gpr r12
	push_gpr r13
	push_gpr r14
	push_gpr r15
	cld
	mov	%rsp, %rdi
	/* 22 words are on the stack; the processor aligned RSP to 16 before pushing its 5, and the stub made it 7 */
	call	pvg_trap_c
trap_pop:
	pop_gpr	r15
	pop_gpr	r14
	pop_gpr	r13
	pop_gpr	r12
	pop_gpr	r11
	pop_gpr	r10
	pop_gpr	r9
	pop_gpr	r8
	pop_gpr	rbp
	pop_gpr	rdi
	pop_gpr	rsi
	pop_gpr	rdx
	pop_gpr	rcx
	pop_gpr	rbx
	pop_gpr	rax
	add	$16, %rsp		/* vector and error code */
	.cfi_adjust_cfa_offset -16
	jmp	*pvg_trap_return(%rip)
	.cfi_endproc
	.size	pvg_trap_common, . - pvg_trap_common

	/* pvg_trap_leave(frame): as if the trap that came with this frame had been handled. */
	.globl	pvg_trap_leave
	.type	pvg_trap_leave, @function
pvg_trap_leave:
	mov	%rdi, %rsp
	jmp	trap_pop
	.size	pvg_trap_leave, . - pvg_trap_leave

	.globl	pvg_trap_return_iretq
	.type	pvg_trap_return_iretq, @function
pvg_trap_return_iretq:
	.cfi_startproc
	cfi_hardware_frame 5
	iretq
	.cfi_endproc
	.size	pvg_trap_return_iretq, . - pvg_trap_return_iretq

	.globl	pvg_trap_return_hypercall
	.type	pvg_trap_return_hypercall, @function
pvg_trap_return_hypercall:
	.cfi_startproc
	cfi_hardware_frame 5
	push_gpr r11			/* struct r3_iret_frame */
	push_gpr rcx
	push_gpr rax
	mov	$R3_HC_iret, %eax
	call	pvg_hypercall_page
	ud2
	.cfi_endproc
	.size	pvg_trap_return_hypercall, . - pvg_trap_return_hypercall

	.section .note.GNU-stack, "", @progbits

/* Compiled to assembly only; the build turns each marker into a #define for gate.S: offsets and the host's numbers. */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <ucontext.h>

#include "hypercalls/abi.h"
#include "hypercalls/x86.h"
#include "monitor/engine/trap/cell.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/judge.h"
#include "monitor/engine/trap/nursery.h"

/* si_code of SIGSYS: SYS_SECCOMP and SYS_USER_DISPATCH of Linux asm-generic/siginfo.h, which the C library hides. */
#define HOST_SI_SECCOMP	 1
#define HOST_SI_DISPATCH 2

/* From the frame's registers to its siginfo. */
#define GREGS_TO_INFO (offsetof(struct cell_frame, info) - offsetof(struct cell_frame, uc.gregs))

#define OFFSET(name, type, field) __asm__ volatile("\n@@" #name " %c0\n" : : "i"(offsetof(struct type, field)))
#define CONSTANT(name, value)	  __asm__ volatile("\n@@" #name " %c0\n" : : "i"(value))

void gate_offsets(void);
void gate_offsets(void)
{
	OFFSET(XCHG_STATE, gate_xchg, state);
	OFFSET(XCHG_MONITOR_WAITS, gate_xchg, monitor_waits);
	OFFSET(XCHG_RUNNER_WAITS, gate_xchg, runner_waits);
	OFFSET(XCHG_SPINS, gate_xchg, spins);
	OFFSET(XCHG_YIELDS, gate_xchg, yields);
	OFFSET(XCHG_KIND, gate_xchg, kind);
	OFFSET(XCHG_RUNNER_TID, gate_xchg, runner_tid);
	OFFSET(XCHG_TURN, gate_xchg, turn);
	OFFSET(XCHG_WAKE, gate_xchg, wake);
	OFFSET(XCHG_DISPATCH, gate_xchg, dispatch);
	OFFSET(XCHG_FRAME, gate_xchg, frame);
	OFFSET(XCHG_FS_BASE, gate_xchg, fs_base);
	OFFSET(XCHG_HOST_FS_BASE, gate_xchg, host_fs_base);
	OFFSET(XCHG_HOST_GS_BASE, gate_xchg, host_gs_base);
	OFFSET(XCHG_BASES, gate_xchg, bases);
	OFFSET(XCHG_GS_BASE, gate_xchg, gs_base);
	OFFSET(XCHG_XSAVE, gate_xchg, xsave);
	OFFSET(XCHG_STEPPED, gate_xchg, stepped);
	OFFSET(XCHG_CALLOUT, gate_xchg, callout);
	OFFSET(XCHG_XRSTOR, gate_xchg, xrstor);
	OFFSET(XCHG_XCR0, gate_xchg, xcr0);
	OFFSET(XCHG_ARMED, gate_xchg, armed);
	OFFSET(XCHG_CYCLES, gate_xchg, cycles);
	OFFSET(XCHG_PEER_SPINS, gate_xchg, peer_spins);
	OFFSET(XCHG_PEER_YIELDS, gate_xchg, peer_yields);
	OFFSET(XCHG_PEER, gate_xchg, peer);
	OFFSET(XCHG_PEER_GREGS, gate_xchg, peer_gregs);
	OFFSET(XCHG_PEER_FRAME, gate_xchg, peer_frame);
	OFFSET(XCHG_PEER_TURN, gate_xchg, peer_turn);
	OFFSET(XCHG_PEER_FPU, gate_xchg, peer_fpu);
	OFFSET(XCHG_FPU_SIZE, gate_xchg, fpu_size);
	OFFSET(XCHG_PREVIOUS, gate_xchg, previous);
	OFFSET(XCHG_PEERS, gate_xchg, peers);
	OFFSET(XCHG_PEERS_END, gate_xchg, peers_end);
	OFFSET(XCHG_CURRENT, gate_xchg, current);
	OFFSET(XCHG_HELD, gate_xchg, held);
	OFFSET(XCHG_ROOT_AT, gate_xchg, root_at);
	OFFSET(XCHG_FPU_AT, gate_xchg, fpu_at);
	OFFSET(XCHG_NAMED, gate_xchg, named);
	OFFSET(XCHG_UNNAMED, gate_xchg, unnamed);
	OFFSET(ROOT_NOW, gate_root, now);
	OFFSET(ROOT_WANTED, gate_root, wanted);
	OFFSET(ROOT_FROM, gate_root, from);
	OFFSET(XCHG_NEXT, gate_xchg, next);
	OFFSET(XCHG_NEXT_FS_BASE, gate_xchg, next_fs_base);
	OFFSET(XCHG_NEXT_GS_BASE, gate_xchg, next_gs_base);
	OFFSET(XCHG_NEXT_RSP0, gate_xchg, next_rsp0);
	OFFSET(XCHG_STORE, gate_xchg, store);
	OFFSET(PEER_ROOT, gate_peer, root);
	OFFSET(PEER_PAGE, gate_peer, page);
	OFFSET(PEER_GREGS, gate_peer, gregs);
	OFFSET(PEER_FRAME, gate_peer, frame);
	OFFSET(PEER_TURN, gate_peer, turn);
	OFFSET(PEER_FPU, gate_peer, fpu);
	OFFSET(PEER_NUMBER, gate_peer, number);
	OFFSET(PEER_NAME, gate_peer, name);
	CONSTANT(PEER_SIZE, sizeof(struct gate_peer));
	OFFSET(CONTEXT_ROOT, r3_user_context, root);
	OFFSET(CONTEXT_RSP0, r3_user_context, rsp0);
	OFFSET(CONTEXT_FS_BASE, r3_user_context, fs_base);
	OFFSET(CONTEXT_GS_BASE, r3_user_context, gs_base);
	OFFSET(CONTEXT_FPU, r3_user_context, fpu);
	OFFSET(XCHG_VIF, gate_xchg, vif);
	OFFSET(XCHG_ENTRY, gate_xchg, entry);
	OFFSET(XCHG_RSP0, gate_xchg, rsp0);
	OFFSET(XCHG_SITE_RIP, gate_xchg, site_rip);
	OFFSET(XCHG_SITE_NR, gate_xchg, site_nr);
	OFFSET(XCHG_SITE_FRAME, gate_xchg, site_frame);
	OFFSET(XCHG_PKRU, gate_xchg, pkru);
	OFFSET(XCHG_FOLD, gate_xchg, fold);
	OFFSET(XCHG_FS_AT, gate_xchg, fs_at);
	OFFSET(XCHG_GS_AT, gate_xchg, gs_at);
	OFFSET(XCHG_USER_CS, gate_xchg, user_cs);
	OFFSET(XCHG_USER_SS, gate_xchg, user_ss);
	OFFSET(XCHG_USER_CS_AT, gate_xchg, user_cs_at);
	OFFSET(XCHG_USER_CS_IS, gate_xchg, user_cs_is);
	OFFSET(XCHG_USER_SS_AT, gate_xchg, user_ss_at);
	OFFSET(XCHG_USER_SS_IS, gate_xchg, user_ss_is);
	OFFSET(XCHG_SYSRET, gate_xchg, sysret);
	OFFSET(XCHG_SYSCALL_KEPT, gate_xchg, syscall_kept);
	OFFSET(XCHG_SYSCALL_ODD, gate_xchg, syscall_odd);
	OFFSET(XCHG_UNREADABLE, gate_xchg, unreadable);
	OFFSET(XCHG_GPR, gate_xchg, gpr);
	OFFSET(XCHG_RIP, gate_xchg, rip);
	OFFSET(XCHG_RFLAGS, gate_xchg, rflags);
	OFFSET(XCHG_ALTSTACK, gate_xchg, altstack);
	OFFSET(XCHG_SCRATCH_TOP, gate_xchg, scratch_top);
	OFFSET(ORDER_SEQUENCE, gate_order, sequence);
	OFFSET(ORDER_COUNT, gate_order, count);
	OFFSET(ORDER_ANSWERS_FD, gate_order, answers_fd);
	OFFSET(ORDER_ANSWER, gate_order, answer);
	OFFSET(ORDER_WAITED, gate_order, waited);
	OFFSET(ORDER_ERRNOS, gate_order, errnos);
	OFFSET(ORDER_OPS, gate_order, ops);
	OFFSET(NURSERY_ASKED, nursery_order, asked);
	OFFSET(NURSERY_DONE, nursery_order, done);
	OFFSET(NURSERY_PID, nursery_order, pid);
	OFFSET(NURSERY_ERROR, nursery_order, error);
	OFFSET(NURSERY_PARENT, nursery_order, parent);
	OFFSET(NURSERY_COUNT, nursery_order, count);
	OFFSET(NURSERY_BOOT, nursery_order, boot);
	OFFSET(NURSERY_OPS_AT, nursery_order, ops);
	OFFSET(OP_ARGS, gate_op, args);
	CONSTANT(OP_SIZE, sizeof(struct gate_op));
	OFFSET(DATA_RUNNER, gate_data, runner);
	OFFSET(DATA_MAPPER, gate_data, mapper);
	OFFSET(IRET_RAX, r3_iret_frame, rax);
	OFFSET(IRET_RCX, r3_iret_frame, rcx);
	OFFSET(IRET_R11, r3_iret_frame, r11);
	OFFSET(IRET_RIP, r3_iret_frame, rip);
	OFFSET(IRET_CS, r3_iret_frame, cs);
	OFFSET(IRET_RFLAGS, r3_iret_frame, rflags);
	OFFSET(IRET_RSP, r3_iret_frame, rsp);
	OFFSET(IRET_SS, r3_iret_frame, ss);
	CONSTANT(GREG_R8, 8 * REG_R8);
	CONSTANT(GREG_R9, 8 * REG_R9);
	CONSTANT(GREG_R10, 8 * REG_R10);
	CONSTANT(GREG_R11, 8 * REG_R11);
	CONSTANT(GREG_R12, 8 * REG_R12);
	CONSTANT(GREG_R13, 8 * REG_R13);
	CONSTANT(GREG_R14, 8 * REG_R14);
	CONSTANT(GREG_R15, 8 * REG_R15);
	CONSTANT(GREG_RDI, 8 * REG_RDI);
	CONSTANT(GREG_RSI, 8 * REG_RSI);
	CONSTANT(GREG_RBP, 8 * REG_RBP);
	CONSTANT(GREG_RBX, 8 * REG_RBX);
	CONSTANT(GREG_RDX, 8 * REG_RDX);
	CONSTANT(GREG_RAX, 8 * REG_RAX);
	CONSTANT(GREG_RCX, 8 * REG_RCX);
	CONSTANT(GREG_RSP, 8 * REG_RSP);
	CONSTANT(GREG_RIP, 8 * REG_RIP);
	CONSTANT(GREG_EFL, 8 * REG_EFL);
	CONSTANT(GREG_SIGNO, GREGS_TO_INFO + offsetof(siginfo_t, si_signo));
	CONSTANT(GREG_CODE, GREGS_TO_INFO + offsetof(siginfo_t, si_code));
	CONSTANT(GREG_ARCH, GREGS_TO_INFO + offsetof(siginfo_t, si_arch));
	CONSTANT(GREG_CALL, GREGS_TO_INFO + offsetof(siginfo_t, si_call_addr));
	CONSTANT(GREG_CALL_HIGH, GREGS_TO_INFO + offsetof(siginfo_t, si_call_addr) + 4);
	OFFSET(SIGFRAME_GREGS, cell_frame, uc.gregs);
	OFFSET(SIGFRAME_FPSTATE, cell_frame, uc.fpstate);
	OFFSET(SIGFRAME_SIGNO, cell_frame, info.si_signo);
	CONSTANT(INFO_CODE, offsetof(siginfo_t, si_code));
	CONSTANT(JUDGE_SLOT, GATE_HOLE_START >> JUDGE_SLOT_SHIFT);
	CONSTANT(HOST_SIGSYS, SIGSYS);
	CONSTANT(HOST_SIGSEGV, SIGSEGV);
	CONSTANT(HOST_SIGBUS, SIGBUS);
	CONSTANT(HOST_SYS_SECCOMP, HOST_SI_SECCOMP);
	CONSTANT(HOST_SYS_DISPATCH, HOST_SI_DISPATCH);
	CONSTANT(HOST_PR_DISPATCH, PR_SET_SYSCALL_USER_DISPATCH);
	CONSTANT(HOST_DISPATCH_ON, PR_SYS_DISPATCH_ON);
	CONSTANT(HOST_ARCH, AUDIT_ARCH_X86_64);
	CONSTANT(DIRECT_RFLAGS_FREE, X86_RFLAGS_FIXED | (JUDGE_RFLAGS & ~X86_RFLAGS_TF));
	/* What AC does depends on CR0: the monitor's to look at. */
	CONSTANT(BARE_RFLAGS_FREE, X86_RFLAGS_FIXED | (JUDGE_RFLAGS & ~(X86_RFLAGS_TF | X86_RFLAGS_AC)));
	OFFSET(UC_RIP, ucontext_t, uc_mcontext.gregs[REG_RIP]);
	OFFSET(UC_RBX, ucontext_t, uc_mcontext.gregs[REG_RBX]);
	OFFSET(UC_RSP, ucontext_t, uc_mcontext.gregs[REG_RSP]);
	OFFSET(UC_RFLAGS, ucontext_t, uc_mcontext.gregs[REG_EFL]);
	CONSTANT(HOST_FUTEX_WAIT, FUTEX_WAIT);
	CONSTANT(HOST_FUTEX_WAKE, FUTEX_WAKE);
	CONSTANT(HOST_SECCOMP_FILTER, SECCOMP_SET_MODE_FILTER);
	CONSTANT(HOST_SECCOMP_FLAGS, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	CONSTANT(HOST_SET_FS, ARCH_SET_FS);
	CONSTANT(HOST_SET_GS, ARCH_SET_GS);
	CONSTANT(HOST_KICK, GATE_KICK_SIGNAL);
	CONSTANT(FPU_ALIGNMENT, 64); /* SDM 1 13.7: of what XSAVE and XRSTOR take */
	CONSTANT(HOST_TRAP, SIGTRAP);
	CONSTANT(HOST_TRAP_TRACE, TRAP_TRACE);
	CONSTANT(HOST_TRAP_HWBKPT, TRAP_HWBKPT);
	CONSTANT(HOST_PR_DEATH, PR_SET_PDEATHSIG);
	CONSTANT(HOST_KILL, SIGKILL);
	CONSTANT(HOST_ESRCH, ESRCH);
	CONSTANT(HOST_CHILD, CLONE_PARENT | CLONE_PARENT_SETTID | SIGCHLD);
	CONSTANT(HOST_THREAD, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				      CLONE_PARENT_SETTID);
}

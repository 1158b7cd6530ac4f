/* Compiled to assembly only; the build turns each marker into a #define for gate.S: offsets and the host's numbers. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <ucontext.h>

#include "monitor/engine/trap/gate.h"

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
	OFFSET(XCHG_FRAME, gate_xchg, frame);
	OFFSET(XCHG_FS_BASE, gate_xchg, fs_base);
	OFFSET(XCHG_GS_BASE, gate_xchg, gs_base);
	OFFSET(XCHG_XSAVE, gate_xchg, xsave);
	OFFSET(XCHG_XRSTOR, gate_xchg, xrstor);
	OFFSET(XCHG_XCR0, gate_xchg, xcr0);
	OFFSET(XCHG_GPR, gate_xchg, gpr);
	OFFSET(XCHG_RIP, gate_xchg, rip);
	OFFSET(XCHG_RFLAGS, gate_xchg, rflags);
	OFFSET(XCHG_ALTSTACK, gate_xchg, altstack);
	OFFSET(XCHG_SCRATCH_TOP, gate_xchg, scratch_top);
	OFFSET(ORDER_SEQUENCE, gate_order, sequence);
	OFFSET(ORDER_COUNT, gate_order, count);
	OFFSET(ORDER_REPLY_FD, gate_order, reply_fd);
	OFFSET(ORDER_ERRNOS, gate_order, errnos);
	OFFSET(ORDER_OPS, gate_order, ops);
	OFFSET(OP_ARGS, gate_op, args);
	CONSTANT(OP_SIZE, sizeof(struct gate_op));
	OFFSET(DATA_RUNNER, gate_data, runner);
	OFFSET(DATA_MAPPER, gate_data, mapper);
	OFFSET(UC_RIP, ucontext_t, uc_mcontext.gregs[REG_RIP]);
	CONSTANT(HOST_FUTEX_WAIT, FUTEX_WAIT);
	CONSTANT(HOST_FUTEX_WAKE, FUTEX_WAKE);
	CONSTANT(HOST_SECCOMP_FILTER, SECCOMP_SET_MODE_FILTER);
	CONSTANT(HOST_KICK, GATE_KICK_SIGNAL);
	CONSTANT(HOST_TRAP, SIGTRAP);
	CONSTANT(HOST_THREAD, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
				      CLONE_PARENT_SETTID);
}

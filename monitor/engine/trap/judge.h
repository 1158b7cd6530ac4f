/*
 * What the exit of a user cell claims, judged. Frame and exchange page lie where guest user code can write them, so its
 * kernel is shown nothing but what a processor could show it: whoever wrote the claim. Nothing a user cell says, and
 * not its death either, is more than an exception of the process in it.
 *
 * The gate judges the SYSCALL that it takes to the kernel without the monitor (gate_direct.S, gate_direct_exited) by
 * the same numbers; what it does not find plain comes here.
 */
#ifndef MONITOR_ENGINE_TRAP_JUDGE_H
#define MONITOR_ENGINE_TRAP_JUDGE_H

#include "hypercalls/x86.h"
#include "monitor/vm/layout.h"

/*
 * The RFLAGS that guest code really runs with, and is believed to have: never IOPL, VM, NT, VIF, VIP; IF is the virtual
 * one.
 */
#define JUDGE_RFLAGS                                                                                                   \
	(X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_TF |               \
	 X86_RFLAGS_DF | X86_RFLAGS_OF | X86_RFLAGS_RF | X86_RFLAGS_AC | X86_RFLAGS_ID)
/* SYSCALL clears RF before it saves the others. */
#define JUDGE_RFLAGS_SYSCALL (JUDGE_RFLAGS & ~X86_RFLAGS_RF)

/* Code of user mode lies below the gate, as most does, or between it and the end of what Linux gives a process. */
#define JUDGE_RIP_LOW_END GATE_HOLE_START
#define JUDGE_SLOT_SHIFT  39 /* what lies between is one entry of the top level of page tables */
/* An address is canonical if its bits from here up are equal. */
#define JUDGE_CANONICAL_SHIFT 47

#ifndef __ASSEMBLER__

_Static_assert(GATE_HOLE_START % (1ull << JUDGE_SLOT_SHIFT) == 0, "the gate's slot begins there");
_Static_assert(GATE_HOLE_END == GATE_HOLE_START + (1ull << JUDGE_SLOT_SHIFT), "and is all of it");

struct vcpu;
struct vm_exit;

/*
 * The vCPU is in user mode, its registers and *exit are as the cell left them. Afterwards they are what a processor
 * could have shown; EXIT_DEAD: no processor could have made this exit, the cell that claims it must go.
 */
void judge_user_exit(struct vcpu *vcpu, struct vm_exit *exit);

#endif
#endif

/*
 * User mode entered without the monitor. A paravirtual kernel that left FPU and segment bases to user mode
 * (R3_CALLBACK_DIRECT) has its iret hypercalls and the SYSCALLs that answer them done by the gate: the kernel cell sees
 * the user cell's exchange page and signal frame, resumes it, waits for it, and enters the kernel's SYSCALL handler.
 * The monitor sleeps meanwhile; it arms a kernel cell whenever it resumes it, and learns of anything but a SYSCALL as
 * an exit of the user cell. So it goes from one program to another by itself (user_switch): the kernel's cell knows the
 * user cells that ran of late and are as the monitor left them, and the monitor looks afterwards at which one it is. No
 * more than that number is believed, and it must be one of those. Nothing here is new power: a guest kernel may do to
 * its user mode what it likes.
 *
 * A bare kernel has the same done, as its translation comes to the gate for IRETQ, SYSRET and behind SYSCALL. The FPU's
 * state stays in the user cell, and translated code leaves where it wants it. So do the bases where the host wants a
 * system call for each; elsewhere the gate carries them over.
 */
#ifndef MONITOR_ENGINE_TRAP_DIRECT_H
#define MONITOR_ENGINE_TRAP_DIRECT_H

#include <stdbool.h>

#include "monitor/engine/trap/cell.h"
#include "monitor/vm/vcpu.h"

struct trap;
struct vm;

struct direct {
	bool known; /* cs and ss are */
	/* Set by an engine that translates: the kernel does without what is lent to user mode, and where its SYSCALL
	 * entry is executed at present, 0 if user mode is not to be entered directly. */
	bool lends;
	uint64_t bare_entry;

	/*
	 * Likewise: so much higher the kernel's cell has guest memory, and the vCPU RSP and GS when it is entered. Not
	 * 0: where the cell has the guest's FS, whose place is taken, and its GS, so much higher, 0: in GS; the bases
	 * that are the guest's then.
	 */
	uint64_t fold, fs_at, gs_at, fs_base, gs_base;

	/* Likewise: where its code looks for the FPU's state in user mode's frame, 0 where it is not to be had; or
	 * NULL. */
	uint64_t *fpu_at;
	uint64_t fpu_slot; /* where its cell has that, 0: nowhere */

	/*
	 * Likewise, where one kernel cell does for all roots: its struct gate_root, else 0; what a root has to have in
	 * GATE_CACHE_SLOTS, false: too much; a number that is advanced when that changes for any root; and what is
	 * there without.
	 */
	uint64_t root_at;
	bool (*names)(struct vm *vm, uint64_t root, struct gate_name names[GATE_NAMES]);
	uint64_t named, unnamed;

	struct vcpu_segment cs, ss; /* what user mode runs with, as the monitor loaded them */
	uint64_t total;		    /* direct entries ever */
};

/* The vCPU is about to run user mode in `cell`: remembers what it takes to go there directly. */
void direct_note_user(struct trap *trap, struct cell *cell, const struct vcpu *vcpu);
/* The vCPU is about to run kernel mode in `cell`: arms it if user mode may be entered directly, else disarms it. */
void direct_arm(struct trap *trap, struct cell *cell, struct vcpu *vcpu);
/* Has the cell, and the one that it enters directly, run where the placement says now, while they run. */
void direct_place(struct trap *trap, struct cell *cell);
/* The user cell that an armed cell enters while it runs: it may have changed that by itself. */
struct cell *direct_peer_now(const struct trap *trap, const struct cell *cell);
/* An exit of the cell: takes over what user_switch has changed, if it is armed and names a peer that it knows. */
void direct_follow(struct trap *trap, struct cell *cell, struct vcpu *vcpu);
/* FPU state, and bases, stay where user mode has them while the kernel runs. */
bool direct_lends_fpu(const struct trap *trap, const struct vcpu *vcpu);
bool direct_lends_bases(const struct trap *trap, const struct vcpu *vcpu);
/* Direct entries from the cell since this was asked last: for statistics and placement, the guest can falsify it. */
unsigned direct_cycles(struct trap *trap, struct cell *cell);
/* An exit of the kernel cell in kernel mode, after so many direct entries. */
void direct_take_kernel(struct trap *trap, struct cell *cell, struct vcpu *vcpu, unsigned cycles);
/* An exit of `cell`, which was armed: bases are those of its peer. */
void direct_take_bases(const struct trap *trap, const struct cell *cell, struct vcpu *vcpu);
/* The armed cell reports its peer's exit: the vCPU is in user mode now. */
void direct_take_user(struct trap *trap, struct vcpu *vcpu);

#endif

/*
 * Arming kernel cells for direct entry to user mode, and taking the vCPU's state after one.
 */
#include "monitor/engine/trap/direct.h"
#include "monitor/engine/trap/bases.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vm.h"

void direct_note_user(struct trap *trap, struct cell *cell, const struct vcpu *vcpu)
{
	trap->direct.known = vcpu->pv.direct && !trap->transport->traced;
	trap->cells.user = cell;
	if (trap->direct.known)
		placement_direct(&trap->placement, &trap->cells);
	trap->direct.cs = vcpu->sreg[SREG_CS];
	trap->direct.ss = vcpu->sreg[SREG_SS];
}

/* The user cell to enter from here: of the user root in force, with its state in the signal frame. */
static struct cell *direct_peer(struct trap *trap, const struct vcpu *vcpu)
{
	if (vcpu->debug.attached || !trap->direct.known || !vcpu->pv.direct || !vcpu->pv.syscall_entry ||
	    !vcpu->pv.rsp0 || !vcpu->pv.shared_gpa)
		return NULL;
	struct spt_space *space = spt_space_find(vcpu->vm->spt, vcpu_user_root(vcpu), SPT_USER);
	struct cell *user = space ? *spt_space_owner(space) : NULL;
	return user && !user->dead && !user->fresh && user->in_signal ? user : NULL;
}

/* Shows the guest's shared-info page in the gate, where the virtual interrupt flag is set and cleared. */
static bool direct_show_shared(struct cell *cell, struct vcpu *vcpu)
{
	uint64_t gpa = vcpu->pv.shared_gpa;
	struct gate_op op = {SYS_mmap,
			     {GATE_SHARED, GATE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
			      vcpu->vm->mem.fd, gpa}};
	if (cell->shared_gpa == gpa)
		return true;
	if (cell_queue(cell, &op) || cell_flush(cell))
		return false;
	cell->shared_gpa = gpa;
	return true;
}

/* Where the kernel's SYSCALL handler is executed; 0: it must be entered by the monitor. */
static uint64_t direct_entry(const struct trap *trap, struct vcpu *vcpu)
{
	return trap->translated ? trap->translated(vcpu, vcpu->pv.syscall_entry) : vcpu->pv.syscall_entry;
}

static uint64_t peer_address(const struct cell *peer)
{
	return GATE_PEERS + (uint64_t)peer->slot * GATE_OWN_SIZE;
}

static void direct_describe(struct gate_xchg *xchg, struct trap *trap, const struct cell *peer, struct vcpu *vcpu)
{
	uint64_t gregs = peer->frame_gate + offsetof(struct cell_frame, uc.gregs);
	xchg->peer = peer_address(peer);
	xchg->peer_gregs = peer_address(peer) + (gregs - GATE_XCHG);
	xchg->peer_frame = peer->frame_gate;
	xchg->peer_turn = GATE_TURN + peer->slot * sizeof(uint32_t);
	const struct cell *user = trap->cells.user;
	xchg->previous = user && user != peer && !user->dead ? peer_address(user) : 0;
	xchg->peer_spins = trap->placement.peer.spins;
	xchg->peer_yields = trap->placement.peer.yields;
	xchg->vif = GATE_SHARED + offsetof(struct r3_shared_info, vcpu) + vcpu->id * sizeof(struct r3_vcpu_info) +
		    offsetof(struct r3_vcpu_info, vif);
	xchg->entry = direct_entry(trap, vcpu);
	xchg->rsp0 = vcpu->pv.rsp0;
	xchg->user_cs = trap->direct.cs.selector;
	xchg->user_ss = trap->direct.ss.selector;
}

void direct_arm(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	struct cell *peer = direct_peer(trap, vcpu);
	if (peer && !trap_flush(vcpu->vm, peer))
		peer = NULL;
	cell->armed = peer && !vcpu->interrupt_waits && direct_entry(trap, vcpu) && direct_show_shared(cell, vcpu);
	cell->peer = peer;
	if (cell->armed) {
		cell_place(peer);
		trap_hold_fpu(trap, peer, vcpu);
		direct_describe(cell->xchg, trap, peer, vcpu);
		bases_give(peer, vcpu);
	}
	cell->xchg->armed = cell->armed;
	/* The guest left the FPU to user mode: the kernel cell's own is of no interest. */
	cell->xchg->xsave = !vcpu->pv.direct;
}

unsigned direct_cycles(struct trap *trap, struct cell *cell)
{
	if (!cell->kernel)
		return 0;
	uint32_t now = cell->xchg->cycles;
	unsigned since = now - cell->cycles;
	cell->cycles = now;
	trap->direct.total += since;
	if (since && cell->peer)
		trap->cells.user = cell->peer;
	return since;
}

void direct_take_bases(const struct cell *cell, struct vcpu *vcpu)
{
	bases_take(cell->peer, vcpu);
}

void direct_take_user(struct trap *trap, struct vcpu *vcpu)
{
	vcpu->cpl = 3;
	vcpu->sreg[SREG_CS] = trap->direct.cs;
	vcpu->sreg[SREG_SS] = trap->direct.ss;
}

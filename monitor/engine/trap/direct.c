/*
 * Arming kernel cells for direct entry to user mode, and taking the vCPU's state after one.
 */
#include "monitor/engine/trap/direct.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "monitor/emulate/emulate.h"
#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/judge.h"
#include "monitor/engine/trap/space.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

bool direct_lends_fpu(const struct trap *trap, const struct vcpu *vcpu)
{
	return vcpu->pv.direct || trap->direct.lends;
}

bool direct_lends_bases(const struct trap *trap, const struct vcpu *vcpu)
{
	return vcpu->pv.direct || (trap->direct.lends && trap->cells.bases != GATE_BASES_INSNS && !trap->direct.fold);
}

void direct_note_user(struct trap *trap, struct cell *cell, const struct vcpu *vcpu)
{
	trap->direct.known = direct_lends_fpu(trap, vcpu) && !trap->transport->traced;
	cell_note_user(cell);
	if (trap->direct.known)
		placement_direct(&trap->placement);
	trap->direct.cs = vcpu->sreg[SREG_CS];
	trap->direct.ss = vcpu->sreg[SREG_SS];
}

static bool is_paravirtual(const struct vcpu *vcpu)
{
	return vcpu->pv.direct && vcpu->pv.syscall_entry && vcpu->pv.rsp0 && vcpu->pv.shared_gpa;
}

/* The user cell to enter from here: of the user root in force, with its state in the signal frame. */
static struct cell *direct_peer(struct trap *trap, const struct vcpu *vcpu)
{
	if (vcpu->debug.attached || vcpu->interrupt_waits || !trap->direct.known || trap->narrow)
		return NULL;
	struct cell *user = trap->cells.user;
	if (!user || !space_shown(user, vcpu, vcpu_user_root(vcpu), SPT_USER)) {
		struct spt_cpu paging = vcpu_paging(vcpu);
		paging.cr3 = vcpu_user_root(vcpu);
		struct spt_space *space = spt_space_find(vcpu->vm->spt, &paging, SPT_USER);
		user = space ? *spt_space_owner(space) : NULL;
	}
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

static struct gate_peer peer_of(const struct cell *peer)
{
	uint64_t gregs = peer->frame_gate + offsetof(struct cell_frame, uc.gregs);
	return (struct gate_peer){
		.page = peer_address(peer),
		.gregs = peer_address(peer) + (gregs - GATE_XCHG),
		.frame = peer->frame_gate,
		.turn = GATE_TURN + peer->slot * sizeof(uint32_t),
		.fpu = peer_address(peer) + (uint64_t)(peer->fpstate - (uint8_t *)peer->xchg),
	};
}

/* How the peer is entered and left, whatever the kernel. */
static void describe_peer(struct gate_xchg *xchg, struct trap *trap, const struct cell *peer)
{
	const struct gate_peer is = peer_of(peer);
	xchg->peer = is.page;
	xchg->peer_gregs = is.gregs;
	xchg->peer_frame = is.frame;
	xchg->peer_fpu = is.fpu;
	xchg->peer_turn = is.turn;
	const struct cell *user = trap->cells.user;
	xchg->previous = user && user != peer && !user->dead ? peer_address(user) : 0;
	xchg->user_cs = trap->direct.cs.selector;
	xchg->user_ss = trap->direct.ss.selector;
}

/* ------------------------------------------------------------------------------------------- changing the peer */

/* The peer's number among those that ran of late. */
static uint32_t remember(struct cells *cells, struct cell *peer, uint64_t root)
{
	unsigned n = 0;
	while (n < GATE_PEERS_KNOWN && cells->recent[n].cell != peer)
		n++;
	if (n == GATE_PEERS_KNOWN)
		n = cells->recent_next++ % GATE_PEERS_KNOWN;
	if (cells->recent[n].cell != peer || cells->recent[n].root != root)
		cells->recent[n] = (struct cell_recent){peer, root, .looked_at = UINT64_MAX, .named_at = UINT64_MAX};
	return n;
}

/*
 * The kernel may have user mode go on there without the monitor: nothing waits to be done in that cell, and its frame
 * is what its runner will load.
 */
static bool is_ready(const struct cell_recent *recent)
{
	const struct cell *user = recent->cell;
	return user && user->space && !user->dead && !user->fresh && user->in_signal && !user->queued &&
	       spt_space_root(user->space) == (recent->root & X86_PTE_ADDR);
}

/* A bare kernel loads the root itself, without the monitor. */
static bool is_alike(struct vm *vm, struct cell_recent *recent)
{
	uint64_t now = spt_agreements(vm->spt);
	if (recent->looked_at != now)
		recent->agrees = spt_root_agrees(vm->spt, recent->cell->space);
	recent->looked_at = now;
	return recent->agrees;
}

/* All that the root has to have in GATE_CACHE_SLOTS can be named. */
static bool is_named(struct vm *vm, struct cell_recent *recent)
{
	const struct direct *direct = &trap_of(vm)->direct;
	if (recent->named_at != direct->named)
		recent->all_named = direct->names(vm, recent->root, recent->name);
	recent->named_at = direct->named;
	return recent->all_named;
}

static void forget_peers(struct cell *cell)
{
	for (unsigned n = 0; n < GATE_PEERS_KNOWN; n++)
		cell->xchg->peers[n].root = GATE_PEER_NONE;
	cell->known = 0;
}

static void know_peers(struct trap *trap, struct cell *cell, struct vm *vm)
{
	struct cells *cells = &trap->cells;
	const bool bare = cell->armed == GATE_ARMED_BARE;
	cell->known = 0;
	for (unsigned n = 0; n < GATE_PEERS_KNOWN; n++) {
		struct cell_recent *recent = &cells->recent[n];
		struct gate_peer *peer = &cell->xchg->peers[n], is;
		peer->root = GATE_PEER_NONE;
		if (!is_ready(recent) || (bare && !is_alike(vm, recent)))
			continue;
		is = peer_of(recent->cell);
		if (bare && !is_named(vm, recent))
			continue;
		if (bare)
			memcpy(is.name, recent->name, sizeof(is.name));
		cell_place(recent->cell);
		is.root = recent->root;
		is.number = n;
		*peer = is;
		cell->known |= 1u << n;
	}
}

/* The gate may go on with another root, or program. */
static bool may_switch(const struct trap *trap, const struct cell *cell, const struct vm *vm)
{
	const bool paravirt = cell->armed == GATE_ARMED_PARAVIRT;
	/* Where a kernel has the bases of its programs, the host is told them by who changes the program; and what to
	 * load a root would take away is the monitor's to find. */
	return (paravirt || trap->direct.root_at) &&
	       (trap->cells.bases == GATE_BASES_INSNS || (!paravirt && trap->direct.fold)) &&
	       spt_users_are_synced(vm->spt);
}

/* GATE_ARMED_BARE: what the gate goes by when it loads a root. False: the one in force has more places than it takes
 * back.
 */
static bool describe_root(struct trap *trap, struct cell *cell, struct vm *vm)
{
	struct gate_xchg *xchg = cell->xchg;
	struct cell_recent *now = &trap->cells.recent[cell->current];
	const bool all = is_named(vm, now);
	for (unsigned n = 0; n < GATE_NAMES; n++)
		xchg->named[n] = now->name[n].at;
	xchg->unnamed = trap->direct.unnamed;
	xchg->root_at = trap->direct.root_at;
	xchg->fpu_at = trap->direct.fpu_slot;
	xchg->held = 0;
	return all;
}

/* Where the cell says to be: NULL if it says what it cannot know. */
static const struct cell_recent *direct_now(const struct trap *trap, const struct cell *cell, uint32_t current)
{
	bool known = current < GATE_PEERS_KNOWN && (cell->known >> current & 1);
	return known && trap->cells.recent[current].cell ? &trap->cells.recent[current] : NULL;
}

struct cell *direct_peer_now(const struct trap *trap, const struct cell *cell)
{
	uint32_t current = cell->xchg->current;
	const struct cell_recent *now = current != cell->current ? direct_now(trap, cell, current) : NULL;
	return now ? now->cell : cell->peer;
}

/*
 * A bare kernel has loaded roots: `now` is where it is, NULL if it does not say so. The FPU's state lies with the peer
 * that was entered last, or in the cell.
 */
static void follow_root(struct trap *trap, struct cell *cell, struct vcpu *vcpu, const struct cell_recent *now)
{
	const bool held = cell->xchg->held;
	if (now && now->cell != cell->peer) {
		cell->current = (uint32_t)(now - trap->cells.recent);
		cell->peer = now->cell;
		trap->cells.holder = now->cell;
		vcpu_load_cr3(vcpu, now->root);
	}
	if (held)
		trap_keep_fpu(trap, cell);
}

void direct_follow(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	uint32_t current = cell->xchg->current;
	uint64_t rsp0 = cell->xchg->rsp0;
	const struct cell_recent *now = cell->armed ? direct_now(trap, cell, current) : NULL;
	if (cell->armed == GATE_ARMED_BARE) {
		follow_root(trap, cell, vcpu, now);
		return;
	}
	if (!now || current == cell->current || rsp0 >= LAYOUT_TASK_END)
		return;
	cell->current = current;
	cell->peer = now->cell;
	trap->cells.holder = now->cell;
	vcpu->pv.user_root = now->root;
	vcpu->pv.rsp0 = rsp0;
	/* Not the last program's, if what is there now is no base. */
	vcpu->sreg[SREG_FS].base = vcpu->sreg[SREG_GS].base = 0;
	bases_take(now->cell, vcpu);
}

void direct_place(struct trap *trap, struct cell *cell)
{
	cell_place(cell);
	struct cell *peer = cell->armed ? direct_peer_now(trap, cell) : NULL;
	if (!peer)
		return;
	cell_place(peer);
	struct patience patience = placement_peer(&trap->placement);
	cell->xchg->peer_spins = patience.spins;
	cell->xchg->peer_yields = patience.yields;
}

static bool arm_paravirtual(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	struct gate_xchg *xchg = cell->xchg;
	uint64_t entry = direct_entry(trap, vcpu);
	if (!entry || !direct_show_shared(cell, vcpu))
		return false;
	xchg->vif = GATE_SHARED + offsetof(struct r3_shared_info, vcpu) + vcpu->id * sizeof(struct r3_vcpu_info) +
		    offsetof(struct r3_vcpu_info, vif);
	xchg->entry = entry;
	xchg->rsp0 = vcpu->pv.rsp0;
	/* The hypercall's return address is the guest's: where its code is translated, nothing to go to. */
	xchg->fpu_size = trap->translated ? 0 : trap->fpu_size;
	return true;
}

/* A segment of user mode's is still as its descriptor in the GDT says, which lies at *at. */
static bool is_as_described(struct vcpu *vcpu, const struct vcpu_segment *segment, uint64_t *at)
{
	struct gm_fault fault;
	uint64_t descriptor;
	*at = vcpu->gdtr.base + (segment->selector & X86_SEL_INDEX);
	return !(segment->selector & X86_SEL_TI) && seg_read(vcpu, segment->selector, &descriptor, &fault) &&
	       descriptor == segment->descriptor;
}

/* IRETQ would take a data segment away. */
static bool drops_segments(const struct vcpu *vcpu)
{
	struct vcpu after = {0};
	memcpy(after.sreg, vcpu->sreg, sizeof(after.sreg));
	seg_drop_privileged(&after, 3);
	for (unsigned n = 0; n < SREG_COUNT; n++)
		if (after.sreg[n].present != vcpu->sreg[n].present)
			return true;
	return false;
}

/* SYSRET loads the very segments that IRETQ loaded last: emu_sysret. */
static bool sysret_matches(const struct trap *trap, const struct vcpu *vcpu)
{
	const struct vcpu_segment *cs = &trap->direct.cs, *ss = &trap->direct.ss;
	uint16_t base = (uint16_t)(vcpu->star >> X86_STAR_SYSRET_SHIFT);
	return cs->selector == ((base + 16) | X86_SEL_RPL) && cs->descriptor == SEG_FLAT_CODE(3u) &&
	       ss->selector == ((base + 8) | (vcpu->vm->cpu.amd ? 0 : X86_SEL_RPL)) &&
	       ss->descriptor == SEG_FLAT_DATA(3u);
}

static bool arm_bare(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	struct gate_xchg *xchg = cell->xchg;
	const struct direct *direct = &trap->direct;
	uint64_t cs_at = 0, ss_at = 0;
	if (!direct->bare_entry)
		return false;
	bool described = is_as_described(vcpu, &direct->cs, &cs_at) && is_as_described(vcpu, &direct->ss, &ss_at);
	bool sysret = sysret_matches(trap, vcpu);
	if ((!described && !sysret) || drops_segments(vcpu))
		return false;
	xchg->user_cs_at = described ? cs_at + direct->fold : 0;
	xchg->user_ss_at = described ? ss_at + direct->fold : 0;
	xchg->fold = direct->fold;
	xchg->fs_at = direct->fs_at;
	xchg->gs_at = direct->gs_at;
	xchg->user_cs_is = direct->cs.descriptor;
	xchg->user_ss_is = direct->ss.descriptor;
	xchg->sysret = sysret;
	xchg->fpu_size = trap->fpu_size;
	xchg->syscall_kept = (uint32_t)~vcpu->sfmask & JUDGE_RFLAGS;
	xchg->syscall_odd = (uint32_t)~vcpu->sfmask & (X86_RFLAGS_TF | X86_RFLAGS_AC);
	xchg->entry = direct->bare_entry;
	return true;
}

static uint32_t arm(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	if (is_paravirtual(vcpu))
		return arm_paravirtual(trap, cell, vcpu) ? GATE_ARMED_PARAVIRT : 0;
	return arm_bare(trap, cell, vcpu) ? GATE_ARMED_BARE : 0;
}

void direct_arm(struct trap *trap, struct cell *cell, struct vcpu *vcpu)
{
	struct cell *peer = direct_peer(trap, vcpu);
	uint32_t armed = peer ? arm(trap, cell, vcpu) : 0;
	/* Orders to a cell that is not entered wait: what is unmapped now is mapped when it is, most often. */
	if (armed && !space_flush(vcpu->vm, peer)) {
		armed = 0;
		peer = NULL;
	}
	cell->armed = armed;
	cell->peer = peer;
	if (cell->armed) {
		direct_place(trap, cell);
		trap_hold_fpu(trap, peer, vcpu);
		describe_peer(cell->xchg, trap, peer);
		cell->current = remember(&trap->cells, peer, vcpu_user_root(vcpu));
		cell->xchg->current = cell->current;
		bool may = armed != GATE_ARMED_BARE || describe_root(trap, cell, vcpu->vm);
		if (may && may_switch(trap, cell, vcpu->vm))
			know_peers(trap, cell, vcpu->vm);
		else
			forget_peers(cell);
		/* The gate does it where the kernel's are not the guest's. */
		if (!trap->direct.fold)
			bases_give(peer, vcpu->sreg[SREG_FS].base, vcpu->sreg[SREG_GS].base);
	}
	cell->xchg->armed = armed;
	if (armed != GATE_ARMED_BARE && cell->xchg->sysret)
		cell->xchg->sysret = 0;
	if (trap->direct.fpu_at)
		*trap->direct.fpu_at = armed == GATE_ARMED_BARE ? cell->xchg->peer_fpu : 0;
	/* The guest left the FPU to user mode: the kernel cell's own is of no interest. */
	cell->xchg->xsave = !direct_lends_fpu(trap, vcpu);
}

unsigned direct_cycles(struct trap *trap, struct cell *cell)
{
	if (!cell->kernel)
		return 0;
	uint32_t now = cell->xchg->cycles;
	unsigned since = now - cell->cycles;
	cell->cycles = now;
	trap->direct.total += since;
	struct cell *peer = since ? direct_peer_now(trap, cell) : NULL;
	if (peer)
		cell_note_user(peer);
	return since;
}

/* The gate could not read them: the cell is shown the page next time. */
static void fill(struct cell *cell, struct vcpu *vcpu, uint64_t gva)
{
	struct vm *vm = vcpu->vm;
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_outcome outcome;
	if (cell->space && spt_fault(cell->space, &paging, gva, 0, &outcome) == SPT_HOST_REFUSED)
		vm->engine_ops->space_lost(vm, cell->space, outcome.host_error);
}

void direct_take_kernel(struct trap *trap, struct cell *cell, struct vcpu *vcpu, unsigned cycles)
{
	if (!cell->armed || is_paravirtual(vcpu))
		return;
	if (cycles)
		emu_load_syscall_segments(vcpu);
	if (!cell->xchg->unreadable)
		return;
	cell->xchg->unreadable = 0;
	fill(cell, vcpu, vcpu->gdtr.base + (trap->direct.cs.selector & X86_SEL_INDEX));
	fill(cell, vcpu, vcpu->gdtr.base + (trap->direct.ss.selector & X86_SEL_INDEX));
}

void direct_take_bases(const struct trap *trap, const struct cell *cell, struct vcpu *vcpu)
{
	/* A kernel's own that no call loads looks like the 0 that a program has in its place. */
	if (trap->direct.fold) {
		vcpu->sreg[SREG_FS].base = trap->direct.gs_at ? 0 : trap->direct.fs_base;
		vcpu->sreg[SREG_GS].base = trap->direct.gs_at ? 0 : trap->direct.gs_base;
	}
	bases_take(cell->peer, vcpu);
}

void direct_take_user(struct trap *trap, struct vcpu *vcpu)
{
	vcpu->cpl = 3;
	/* The gate enters user mode with interrupts let in only, and may have masked them for the kernel since. */
	vcpu_set_if(vcpu, true);
	vcpu->sreg[SREG_CS] = trap->direct.cs;
	vcpu->sreg[SREG_SS] = trap->direct.ss;
}

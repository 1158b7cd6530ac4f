/*
 * Transport by signals: the kernel's signal frame on the gate's stack, in memory shared with the monitor, is the trap
 * frame. Hypercalls come without a signal, through the exchange page. Both lie in memory that the guest can write, at
 * any time: each field is read once.
 */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "monitor/engine/trap/bases.h"
#include "monitor/engine/trap/handover.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/vm/vcpu.h"

/* Index into the frame's registers of each general register, in vcpu order. */
static const uint8_t greg[GPR_COUNT] = {
	[RAX] = REG_RAX, [RCX] = REG_RCX, [RDX] = REG_RDX, [RBX] = REG_RBX, [RSP] = REG_RSP, [RBP] = REG_RBP,
	[RSI] = REG_RSI, [RDI] = REG_RDI, [R8] = REG_R8,   [R9] = REG_R9,   [R10] = REG_R10, [R11] = REG_R11,
	[R12] = REG_R12, [R13] = REG_R13, [R14] = REG_R14, [R15] = REG_R15,
};

static int signal_attach(struct cell *cell)
{
	return 0;
}

/*
 * What only rt_sigreturn loads: mask and alternate stack of a cell that served another program, RIP wherever it is, TF
 * in time for the first instruction, and RF where breakpoints are in debug registers.
 */
static bool is_loaded_by_call(const struct cell *cell, const struct vcpu *vcpu, uint64_t rflags)
{
	return cell->fresh || vcpu->rip >= LAYOUT_TASK_END || (rflags & X86_RFLAGS_TF) ||
	       (vcpu->debug.attached && (rflags & X86_RFLAGS_RF));
}

static void signal_load_frame(struct cell *cell, const struct vcpu *vcpu)
{
	uint64_t *gregs = cell->frame->uc.gregs;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		gregs[greg[i]] = vcpu->gpr[i];
	gregs[REG_RIP] = vcpu->rip;
	const uint64_t rflags = transport_real_rflags(vcpu);
	gregs[REG_EFL] = rflags;
	gregs[REG_CSGSFS] = cell->csgsfs;
	cell->frame->uc.flags = cell->uc_flags;
	if (is_loaded_by_call(cell, vcpu, rflags))
		cell->frame->info.si_signo = GATE_KICK_SIGNAL;
	if (cell->fresh) {
		cell->frame->uc.sigmask = 0;
		cell->fresh = false;
	}
}

static void signal_load_xchg(struct cell *cell, const struct vcpu *vcpu)
{
	struct gate_xchg *xchg = cell->xchg;
	memcpy(xchg->gpr, vcpu->gpr, sizeof(xchg->gpr));
	xchg->rip = vcpu->rip;
	xchg->rflags = transport_real_rflags(vcpu);
}

static void signal_resume(struct trap *trap, struct cell *cell, const struct vcpu *vcpu)
{
	if (cell->in_signal)
		signal_load_frame(cell, vcpu);
	else
		signal_load_xchg(cell, vcpu);
	if (!cell->kernel || !direct_lends_bases(trap, vcpu))
		bases_give(cell, vcpu->sreg[SREG_FS].base, vcpu->sreg[SREG_GS].base);
	/* A program that had it sleep on another would be kicked from sleep to sleep. */
	if (cell->xchg->turn != cell->slot * sizeof(uint32_t))
		cell->xchg->turn = cell->slot * sizeof(uint32_t);
	struct cell *place = trap->cells.last != cell ? trap->cells.last : NULL;
	bool split = trap->placement.mode == PLACEMENT_SPLIT;
	handover_resume(cell, place, place && !(split && place->kernel != cell->kernel));
}

static enum transport_wait signal_wait(struct trap *trap, struct cell *cell, unsigned kicks)
{
	struct placement *placement = &trap->placement;
	const unsigned quiet_ns = !kicks ? HANDOVER_QUIET_NS : kicks == 1 ? HANDOVER_FIRST_NS : HANDOVER_KICK_NS;
	struct patience patience = placement_monitor(placement, cell->kernel);
	unsigned direct;
	struct cell *peer;
	for (;;) {
		bool watch = kicks || placement_watches(placement) || cell->armed;
		switch (handover_wait(cell, patience, watch ? quiet_ns : 0)) {
		case HANDOVER_EXITED:
			return TRANSPORT_EXITED;
		case HANDOVER_NUDGED:
			return TRANSPORT_NUDGED;
		case HANDOVER_QUIET:
			if (kicks)
				return TRANSPORT_NUDGED;
			direct = direct_cycles(trap, cell);
			placement_quiet(placement, &trap->cells, direct);
			direct_place(trap, cell);
			peer = direct_peer_now(trap, cell);
			if (direct && peer && sites_note(peer, direct, cell->xchg->site_rip, cell->xchg->site_nr))
				return TRANSPORT_NUDGED;
			patience = (struct patience){0, 0};
		}
	}
}

static void signal_fetch_frame(struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct cell_frame *frame = cell->frame;
	cell->in_signal = true;
	for (unsigned i = 0; i < GPR_COUNT; i++)
		vcpu->gpr[i] = frame->uc.gregs[greg[i]];
	vcpu->rip = frame->uc.gregs[REG_RIP];
	transport_take_rflags(vcpu, frame->uc.gregs[REG_EFL]);
	siginfo_t info = frame->info;
	transport_classify(&info, frame->uc.gregs[REG_TRAPNO], frame->uc.gregs[REG_ERR], frame->uc.gregs[REG_CR2], vcpu,
			   exit);
}

/*
 * Lent bases are user mode's, wherever the exit is. Translated code changes none: where the host does not keep them
 * apart (GATE_BASES_CALLS_AND_READ) what its cell reads may be another program's.
 */
static void signal_fetch_bases(const struct trap *trap, const struct cell *cell, struct vcpu *vcpu, uint32_t kind)
{
	bool translated = cell->kernel && cell->owner->cache_fd >= 0;
	bool users = cell->kernel && (direct_lends_bases(trap, vcpu) || kind == GATE_KIND_PEER);
	if (users && cell->armed && cell->peer)
		direct_take_bases(trap, cell, vcpu);
	if (!users && !(translated && cell->owner->bases != GATE_BASES_INSNS))
		bases_take(cell, vcpu);
}

static void signal_fetch_xchg(struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct gate_xchg *xchg = cell->xchg;
	cell->in_signal = false;
	xchg->xrstor = 0;
	memcpy(vcpu->gpr, xchg->gpr, sizeof(vcpu->gpr));
	vcpu->rip = xchg->rip;
	transport_take_rflags(vcpu, xchg->stepped ? X86_RFLAGS_TF : 0);
	xchg->stepped = 0;
	exit->reason = EXIT_HYPERCALL;
}

/* RIP becomes the stub's address, as if a signal had come there. */
static void signal_fetch_callout(struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct gate_xchg *xchg = cell->xchg;
	uint32_t stub = xchg->callout;
	cell->in_signal = false;
	xchg->xrstor = 0;
	memcpy(vcpu->gpr, xchg->gpr, sizeof(vcpu->gpr));
	vcpu->rip = GATE_CACHE + (uint32_t)(stub - (uint32_t)GATE_CACHE) % GATE_CACHE_SIZE;
	transport_take_rflags(vcpu, xchg->rflags);
	exit->reason = EXIT_KICK;
}

/* The kernel cell waits in its gate; the exit is its peer's. */
static struct cell *signal_fetch_peer(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct cell *peer = cell->peer;
	cell->in_signal = false;
	cell_note_user(peer);
	direct_take_user(trap, vcpu);
	if (!peer->dead && peer->xchg->kind == GATE_KIND_SIGNAL && peer->xchg->frame == peer->frame_gate)
		signal_fetch_frame(peer, vcpu, exit);
	return peer;
}

static struct cell *signal_fetch(struct trap *trap, struct cell *cell, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct gate_xchg *xchg = cell->xchg;
	uint32_t kind = xchg->kind;
	*exit = (struct vm_exit){.reason = EXIT_DEAD};
	/* Guest code can have moved the bases itself. A re-exit moved nothing: vcpu has what was loading. */
	if (kind != GATE_KIND_REEXIT)
		signal_fetch_bases(trap, cell, vcpu, kind);
	if (kind == GATE_KIND_SIGNAL && xchg->frame == cell->frame_gate)
		signal_fetch_frame(cell, vcpu, exit);
	else if (kind == GATE_KIND_HYPERCALL)
		signal_fetch_xchg(cell, vcpu, exit);
	else if (kind == GATE_KIND_REEXIT && !cell->in_signal)
		exit->reason = EXIT_KICK;
	else if (kind == GATE_KIND_CALLOUT && cell->kernel && cell->owner->cache_fd >= 0)
		signal_fetch_callout(cell, vcpu, exit);
	else if (kind == GATE_KIND_PEER && cell->armed && cell->peer)
		return signal_fetch_peer(trap, cell, vcpu, exit);
	return cell;
}

/*
 * The image in the frame carries the kernel's own marks behind the legacy registers (struct _fpx_sw_bytes) and behind
 * the end; they stay as the kernel wrote them.
 */
#define FPU_LEGACY 464
#define FPU_HEADER 512

static bool signal_fpu_get(struct cell *cell, void *image, unsigned size)
{
	memcpy(image, cell->in_signal ? cell->fpstate : cell->fpu, size);
	return true;
}

static void signal_fpu_set(struct cell *cell, const void *image, unsigned size)
{
	if (cell->in_signal) {
		memcpy(cell->fpstate, image, FPU_LEGACY);
		memcpy(cell->fpstate + FPU_HEADER, (const uint8_t *)image + FPU_HEADER, size - FPU_HEADER);
	} else {
		memcpy(cell->fpu, image, size);
		cell->xchg->xrstor = 1;
	}
}

void transport_kick(struct cell *cell)
{
	cell->kicked = true;
	if (!cell->dead)
		syscall(SYS_tgkill, cell->pid, cell->runner, GATE_KICK_SIGNAL);
}

const struct transport transport_signal = {
	.name = "signal",
	.summary = "exits are signals on shared memory (default)",
	.attach = signal_attach,
	.resume = signal_resume,
	.wait = signal_wait,
	.fetch = signal_fetch,
	.fpu_get = signal_fpu_get,
	.fpu_set = signal_fpu_set,
	.nudge = handover_nudge,
	.stub = gate_hypercall_stub,
	.stub_end = gate_hypercall_stub_end,
};

/*
 * Moving two machines by one instruction, or to the next exit that the guest can tell.
 */
#include <stdatomic.h>

#include "monitor/boot/image.h"
#include "monitor/cli/lockstep/pair.h"
#include "monitor/host/clock.h"
#include "monitor/host/events.h"
#include "monitor/run/exits.h"
#include "monitor/run/inject.h"
#include "monitor/run/run.h"

#define ARITHMETIC (X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF)

/* Guest code that makes no exit for this long is stepped through instead; the second engine may be much slower. */
#define PATIENCE_NS   1000000000
#define SECOND_SLOWER 30

static struct vcpu *vcpu_of(struct lockstep *ls, unsigned n)
{
	return ls->vm[n].vcpu[0];
}

static void deliver(struct vcpu *vcpu)
{
	while (vcpu->event_pending && !vcpu->vm->ended)
		inject_event(vcpu);
}

/* False: a signal asks for the end. */
static bool heed_attention(struct vm *vm)
{
	if (atomic_load(&vm->attention))
		atomic_store(&vm->attention, false);
	return !events_quit_signal();
}

/* A hypercall is one step, however often it gives way. */
static void handle(struct vcpu *vcpu, const struct vm_exit *exit)
{
	exit_handle(vcpu, exit);
	while (vcpu->call.unfinished && heed_attention(vcpu->vm))
		exit_hypercall(vcpu);
}

/* The guest can tell the exit, which was handled: not those that the monitor makes for its own ends. */
static bool is_visible(const struct vcpu *vcpu, const struct vm_exit *exit)
{
	if (vcpu->vm->ended || vcpu->event_pending)
		return true;
	return exit->reason != EXIT_KICK && !(exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF);
}

/* ------------------------------------------------------------------------------------------------- one instruction */

/* The instruction was made, or what it did led elsewhere. */
static bool is_through(const struct vcpu *vcpu, const struct vm_exit *exit, uint64_t rip)
{
	return !vcpu->debug.step || is_visible(vcpu, exit) || (exit->reason != EXIT_KICK && vcpu->rip != rip);
}

/* One instruction, or one iteration of it; what it raised is delivered. */
static bool step_once(struct lockstep *ls, struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];
	struct vm_exit exit;
	uint64_t rip;
	vcpu->debug.step = vcpu->debug.hold = true;
	do {
		if (!heed_attention(vm))
			return false;
		if (!vm_prepare(vcpu))
			break;
		rip = vcpu->rip;
		vm->engine_ops->enter(vcpu, &exit);
		handle(vcpu, &exit);
		ls->visible = ls->visible || (vm == ls->vm && is_visible(vcpu, &exit));
	} while (!is_through(vcpu, &exit, rip));
	vcpu->debug.step = vcpu->debug.hold = false;
	deliver(vcpu);
	return true;
}

/* The offset of RIP in the hypercall page, -1 outside. */
static int64_t in_hypercall(struct vcpu *vcpu)
{
	uint64_t page = image_hypercall_page(vcpu->vm), gpa;
	bool inside = page && vcpu->cpl == 0 && gm_probe(vcpu, vcpu->rip, &gpa) && (gpa & ~X86_PAGE_MASK) == page;
	return inside ? (int64_t)(gpa & X86_PAGE_MASK) : -1;
}

static bool repeats(const struct emu_insn *insn)
{
	return insn->info.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE | ZYDIS_ATTRIB_HAS_REPNE);
}

/*
 * A whole instruction: with all its repetitions, or a hypercall from its page and back. How the call travels after the
 * page's first byte is the engine's own affair.
 */
static bool step(struct lockstep *ls, struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];
	bool again;
	do {
		uint64_t count = vcpu->gpr[RCX];
		if (!step_once(ls, vm))
			return false;
		bool repeated =
			ls->decoded && repeats(&ls->insn) && vcpu->rip == ls->before.rip && vcpu->gpr[RCX] != count;
		again = !vm->ended && !vcpu->halted && (repeated || in_hypercall(vcpu) > 0);
	} while (again);
	return true;
}

/* After a load of SS the processor's single-step trap comes an instruction late: the other machine has one to catch up.
 */
static bool catch_up(struct lockstep *ls)
{
	for (unsigned n = 0; n < 2; n++) {
		struct vcpu *late = vcpu_of(ls, n);
		if (late->interrupt_shadow && !vcpu_of(ls, !n)->interrupt_shadow &&
		    ls->insn.info.mnemonic != ZYDIS_MNEMONIC_STI && !step(ls, &ls->vm[n]))
			return false;
	}
	return true;
}

/*
 * What the manual or the ABI leaves open may differ, and is made the same, so that it makes no difference later:
 * undefined flags, and the registers that a hypercall clobbers.
 */
static void level(struct lockstep *ls, bool hypercall)
{
	struct vcpu *a = vcpu_of(ls, 0), *b = vcpu_of(ls, 1);
	uint64_t open = 0;
	if (hypercall) {
		open = ARITHMETIC;
		b->gpr[RCX] = a->gpr[RCX];
		b->gpr[R11] = a->gpr[R11];
	} else if (ls->decoded && ls->insn.info.cpu_flags) {
		open = ls->insn.info.cpu_flags->undefined & ARITHMETIC;
	}
	ls->levelled += ((a->rflags ^ b->rflags) & open) != 0;
	b->rflags = (b->rflags & ~open) | (a->rflags & open);
}

static void begin(struct lockstep *ls, bool close)
{
	ls->before = *vcpu_of(ls, 0);
	ls->close = close;
	ls->decoded = ls->visible = ls->stuck = ls->apart = false;
}

bool lockstep_step(struct lockstep *ls)
{
	struct vcpu *a = vcpu_of(ls, 0);
	bool hypercall = in_hypercall(a) == 0;
	begin(ls, true);
	ls->decoded = !hypercall && emu_peek(a, &ls->insn);
	if (!step(ls, &ls->vm[0]) || !step(ls, &ls->vm[1]) || (ls->decoded && !catch_up(ls)))
		return false;
	level(ls, hypercall);
	return true;
}

/* ---------------------------------------------------------------------------------------------- to the next exit */

/* Where a machine stopped: at an exit not handled yet, or at a page fault that is handled. */
struct stop {
	enum { STOP_EXIT, STOP_BEFORE, STOP_HANDLED, STOP_NEVER, STOP_SIGNAL } kind;
	struct vm_exit exit;
	uint64_t rip; /* of the instruction, or after it: as the exit has it */
	uint64_t end; /* STOP_BEFORE: after the instruction */
};

/* An exit may be told from none only by handling it: a fault that fills a shadow table is no exit to the guest. */
static bool take_exit(struct vcpu *vcpu, struct stop *stop)
{
	struct emu_insn insn;
	stop->rip = vcpu->rip;
	if (vcpu->debug.paused) {
		stop->kind = STOP_BEFORE;
		stop->end = stop->rip + (emu_peek(vcpu, &insn) ? insn.info.length : 0);
		return true;
	}
	stop->kind = STOP_EXIT;
	if (stop->exit.reason == EXIT_EXCEPTION ? stop->exit.vector != X86_VEC_PF
						: stop->exit.reason != EXIT_KICK && stop->exit.reason != EXIT_EMULATED)
		return true;
	stop->kind = STOP_HANDLED;
	handle(vcpu, &stop->exit);
	return vcpu->event_pending || vcpu->halted || vcpu->vm->ended;
}

/*
 * Runs until an exit that the guest can tell. No interrupt is taken on the way: the two machines make their own exits
 * at different places, and an interrupt is to come where both are.
 */
static struct stop run_to_stop(struct lockstep *ls, struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpu[0];
	struct stop stop = {.kind = STOP_HANDLED};
	uint64_t patience = ls->patience ? ls->patience : PATIENCE_NS;
	uint64_t deadline = clock_ns() + (vm == ls->vm ? patience : patience * SECOND_SLOWER);
	vcpu->debug.hold = vcpu->debug.pause = true;
	do {
		if (!heed_attention(vm) || clock_ns() >= deadline) {
			stop.kind = events_quit_signal() ? STOP_SIGNAL : STOP_NEVER;
			break;
		}
		if (!vm_prepare(vcpu))
			break;
		vm_arm(vm, deadline);
		vcpu->debug.paused = false;
		vm->engine_ops->enter(vcpu, &stop.exit);
	} while (!take_exit(vcpu, &stop));
	vcpu->debug.hold = vcpu->debug.pause = false;
	return stop;
}

/*
 * An interpreter stops before every sensitive instruction, direct execution where one traps. The same place, and both
 * are about to do the same; elsewhere it has met one that the other passed without noticing, and goes on.
 */
static bool agree(const struct stop *a, const struct stop *b)
{
	/* INT3 and INTO come out after themselves. */
	bool after = a->kind == STOP_EXIT && b->kind == STOP_BEFORE && a->exit.reason == EXIT_EXCEPTION &&
		     (a->exit.vector == X86_VEC_BP || a->exit.vector == X86_VEC_OF);
	if (after)
		return a->rip == b->end;
	if (a->kind != STOP_EXIT || b->kind != STOP_EXIT)
		return a->rip == b->rip;
	return a->rip == b->rip && a->exit.reason == b->exit.reason && a->exit.vector == b->exit.vector;
}

static bool perform(struct lockstep *ls, struct vm *vm, const struct stop *stop)
{
	struct vcpu *vcpu = vm->vcpu[0];
	if (stop->kind == STOP_BEFORE)
		return step_once(ls, vm);
	if (stop->kind == STOP_EXIT)
		handle(vcpu, &stop->exit);
	deliver(vcpu);
	return true;
}

bool lockstep_leap(struct lockstep *ls)
{
	struct stop stop[2];
	begin(ls, false);
	stop[0] = run_to_stop(ls, &ls->vm[0]);
	stop[1] = stop[0].kind == STOP_NEVER ? stop[0] : run_to_stop(ls, &ls->vm[1]);
	for (;;) {
		if (stop[0].kind == STOP_SIGNAL || stop[1].kind == STOP_SIGNAL)
			return false;
		ls->stuck = stop[0].kind == STOP_NEVER || stop[1].kind == STOP_NEVER;
		if (ls->stuck || agree(&stop[0], &stop[1]) || agree(&stop[1], &stop[0]))
			break;
		bool second = stop[1].kind == STOP_BEFORE;
		ls->apart = second == (stop[0].kind == STOP_BEFORE);
		if (ls->apart)
			break;
		if (!perform(ls, &ls->vm[second], &stop[second]))
			return false;
		stop[second] = run_to_stop(ls, &ls->vm[second]);
	}
	for (unsigned n = 0; n < 2; n++)
		ls->stop[n] = stop[n].rip;
	if (ls->stuck || ls->apart)
		return true;
	ls->visible = true;
	if (!perform(ls, &ls->vm[0], &stop[0]) || !perform(ls, &ls->vm[1], &stop[1]))
		return false;
	level(ls, stop[0].kind == STOP_EXIT && stop[0].exit.reason == EXIT_HYPERCALL);
	return true;
}

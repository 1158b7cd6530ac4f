/*
 * The engine `trap`: guest code, kernel and user, runs directly in cells. Trap-and-emulate for what traps; what the
 * processor does silently in ring 3, it does silently here.
 */
#include "monitor/engine/trap/trap.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/trap/handover.h"
#include "monitor/engine/trap/judge.h"
#include "monitor/engine/trap/resist.h"
#include "monitor/engine/trap/space.h"
#include "monitor/engine/trap/step.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/debug_registers.h"
#include "monitor/host/events.h"
#include "monitor/host/refusal.h"
#include "monitor/vm/vm.h"

struct engine {
	struct trap trap;
};

struct trap *trap_of(struct vm *vm)
{
	return &vm->engine->trap;
}

static const struct transport *const transports[] = {&transport_signal, &transport_ptrace, NULL};

/* ---------------------------------------------------------------------------------------------- choosing a cell */

/* The cell that has the same root in the other mode, where both live in one. */
static struct cell *twin_cell(struct vm *vm, struct spt_space *space, const struct spt_cpu *paging)
{
	const struct trap *trap = &vm->engine->trap;
	enum spt_mode other = spt_space_mode(space) == SPT_USER ? SPT_KERNEL : SPT_USER;
	bool both = trap->narrow && trap->one_cell && paging->paging != SPT_4_LEVEL;
	struct spt_space *twin = both ? spt_space_find(vm->spt, paging, other) : NULL;
	struct cell *cell = twin ? *spt_space_owner(twin) : NULL;
	if (!cell)
		return NULL;
	/* What it has mapped so far it has mapped nowhere. */
	spt_space_empty(space);
	return cell_adopt(cell, space) ? cell : NULL;
}

/* What the kernel has in the lower half by this root lives in its cell, and in no other one it was in before. */
static void trap_show_lower(struct vm *vm, struct cell *cell, const struct spt_cpu *paging)
{
	struct spt_space *space = spt_space_get(vm->spt, paging, SPT_KERNEL);
	struct cell *was = space ? *spt_space_owner(space) : NULL;
	if (!space || was == cell)
		return;
	space_leave(vm, space);
	space = spt_space_get(vm->spt, paging, SPT_KERNEL);
	if (space)
		cell_adopt(cell, space);
}

static enum spt_mode trap_mode(const struct vcpu *vcpu)
{
	return vcpu->cpl == 3 ? SPT_USER : vcpu->vm->engine->trap.upper ? SPT_UPPER : SPT_KERNEL;
}

/* The cell for the vCPU's root and mode, or NULL after vm_kill. */
static struct cell *find_cell(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct trap *trap = &vm->engine->trap;
	struct spt_cpu paging = vcpu_paging(vcpu);
	struct spt_space *space = spt_space_get(vm->spt, &paging, trap_mode(vcpu));
	if (!space) {
		vm_refused(vm, "no memory left for shadow page tables: end other programs first");
		return NULL;
	}
	struct cell *cell = *spt_space_owner(space);
	if (!cell)
		cell = twin_cell(vm, space, &paging);
	if (!cell) {
		unsigned before = trap->cells.made;
		cell = cell_take(&trap->cells, space);
		if (cell && trap->cells.made != before &&
		    (trap->transport->attach(cell) || trap_watch_cell(&trap->watch, cell, trap->transport->traced))) {
			cell_destroy(cell);
			cell = NULL;
		}
		if (!cell) {
			spt_space_discard(space);
			vm_end(vm, VM_STATUS_HOST); /* the refusal was printed where it happened */
			return NULL;
		}
		*spt_space_owner(space) = cell;
	}
	if (spt_space_mode(space) == SPT_UPPER && trap->lower)
		trap_show_lower(vm, cell, &paging);
	return cell;
}

/* Most exits change neither root nor mode. */
static struct cell *trap_cell(struct vcpu *vcpu)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	struct cell *cell = trap->cells.last;
	if (!cell || !space_shown(cell, vcpu, vcpu_root(vcpu), trap_mode(vcpu)))
		cell = find_cell(vcpu);
	if (cell)
		cell->used = ++trap->entries;
	return cell;
}

/* ----------------------------------------------------------------------------------------------------- FPU state */

/* The cell's state as it may be loaded; the state after reset if the cell does not have it any more. */
static void fpu_take(struct trap *trap, struct cell *cell, void *image, unsigned size)
{
	if (!trap->transport->fpu_get(cell, image, size))
		vcpu_fpu_reset(image, size);
	vcpu_fpu_sanitize(image, size, trap->cells.xcr0);
	if (trap->show_fpu)
		trap->show_fpu(trap, image);
}

void trap_keep_fpu(struct trap *trap, struct cell *cell)
{
	memcpy(trap->fpu, cell->fpu, trap->fpu_size);
	vcpu_fpu_sanitize(trap->fpu, trap->fpu_size, trap->cells.xcr0);
	if (trap->show_fpu)
		trap->show_fpu(trap, trap->fpu);
	trap->fpu_kept = true;
	trap->cells.holder = NULL;
}

static __attribute__((noinline)) void fpu_pass(struct trap *trap, struct cell *from, struct cell *to)
{
	uint8_t image[GATE_FPU_SIZE] __attribute__((aligned(64)));
	fpu_take(trap, from, image, trap->fpu_size);
	trap->transport->fpu_set(to, image, trap->fpu_size);
}

/*
 * The FPU state belongs to the vCPU; it lies in the runner that ran last. A kernel that left it to user mode has none.
 */
void trap_hold_fpu(struct trap *trap, struct cell *cell, const struct vcpu *vcpu)
{
	struct cell *holder = trap->cells.holder;
	bool lent = cell->kernel && direct_lends_fpu(trap, vcpu);
	if (lent && holder == cell) {
		/* From now on the cell does not save it. */
		fpu_take(trap, holder, trap->fpu, trap->fpu_size);
		trap->fpu_kept = true;
		trap->cells.holder = NULL;
	}
	if (holder == cell || lent)
		return;
	if (holder) {
		fpu_pass(trap, holder, cell);
	} else if (trap->fpu_kept) {
		trap->transport->fpu_set(cell, trap->fpu, trap->fpu_size);
	}
	trap->fpu_kept = false;
	trap->cells.holder = cell;
}

static unsigned trap_fpu_size(struct vm *vm)
{
	return vm->engine->trap.fpu_size;
}

static void trap_fpu_get(struct vcpu *vcpu, void *image, unsigned size)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	if (trap->cells.holder)
		fpu_take(trap, trap->cells.holder, image, size);
	else if (trap->fpu_kept)
		memcpy(image, trap->fpu, size);
}

static void trap_fpu_set(struct vcpu *vcpu, void *image, unsigned size)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	vcpu_fpu_sanitize(image, size, trap->cells.xcr0);
	if (trap->cells.holder) {
		trap->transport->fpu_set(trap->cells.holder, image, size);
		return;
	}
	memcpy(trap->fpu, image, size);
	trap->fpu_kept = true;
}

/* ------------------------------------------------------------------------------------------------------- running */

/* Guest code met the gate: no address of the guest's. */
static void trap_in_gate(struct vcpu *vcpu, struct vm_exit *exit)
{
	vm_kill(vcpu->vm, "guest code at %#lx lies in the monitor's gate: bad jump, or a hypercall without a stack",
		vcpu->rip);
	exit->reason = EXIT_DEAD;
}

/*
 * A user cell that broke down takes only its process with it: the guest kernel sees #GP at the place last known, and
 * the next entry gets a new cell.
 */
static void trap_user_broken(struct vcpu *vcpu, struct cell *cell, struct vm_exit *exit)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	bool held = trap->cells.holder == cell;
	cell_release(cell);
	cell_destroy(cell);
	/* Not what another program left in the cell that runs next. */
	if (held) {
		vcpu_fpu_reset(trap->fpu, trap->fpu_size);
		trap->fpu_kept = true;
	}
	*exit = (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = X86_VEC_GP};
}

static const char *trap_broken_reason(const struct cell *cell)
{
	if (cell->resisted)
		return "guest code could not be stopped: it blocks signals, or stays in the monitor's gate";
	return cell->dead ? "the process that ran guest code died" : "forged signal frame";
}

/*
 * The host's return to a task faults where RSP is not canonical (IRET), also from its own interrupts: whose fault it is
 * the interpreter finds out, which executes what is entered with such an RSP.
 */
static bool trap_cannot_return(const struct vcpu *vcpu)
{
	return !vcpu_canonical(vcpu->gpr[RSP]);
}

static void trap_take_exit(struct vcpu *vcpu, struct cell *cell, struct vm_exit *exit)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	*exit = (struct vm_exit){.reason = EXIT_DEAD};
	if (!cell->dead)
		cell = trap->transport->fetch(trap, cell, vcpu, exit);
	if (vcpu->cpl == 3 && !cell->kernel) {
		sites_take_exit(trap, cell, vcpu, exit);
		judge_user_exit(vcpu, exit);
	}
	if (exit->reason == EXIT_DEAD && vcpu->cpl == 3 && trap->narrow && cell->twin[0])
		vm_refused(vcpu->vm, "%s: in which mode is not known: give it --cells two", trap_broken_reason(cell));
	else if (exit->reason == EXIT_DEAD && vcpu->cpl == 3)
		trap_user_broken(vcpu, cell, exit);
	else if (exit->reason == EXIT_DEAD)
		vm_kill(vcpu->vm, "%s", trap_broken_reason(cell));
	else if (vcpu->cpl != 3 && vcpu->rip - GATE_TEXT < GATE_PEERS_END - GATE_TEXT)
		trap_in_gate(vcpu, exit);
	else if (exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_GP && trap_cannot_return(vcpu))
		exit->reason = EXIT_KICK;
}

/* A cell may die while another one runs: nobody waits for it then. */
static void trap_look_after_cells(struct trap *trap)
{
	unsigned children = events_children();
	if (children == trap->children)
		return;
	trap->children = children;
	for (struct cell *cell = trap->cells.all; cell; cell = cell->next)
		cell_is_dead(cell);
}

/*
 * Waits until the runner is out, kicking it if the monitor has something else to do. Guest code may hold it in places
 * where one kick is lost, or block the signal altogether: kicks go on, and a user cell that resists them all is ended.
 */
static void trap_wait(struct vcpu *vcpu, struct cell *cell)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	struct resist resist = {0};
	while (trap->transport->wait(trap, cell, resist.kicks) == TRANSPORT_NUDGED) {
		struct cell *peer = cell->armed ? direct_peer_now(trap, cell) : NULL;
		if (peer && peer->dead)
			peer = NULL;
		trap_look_after_cells(trap);
		/* A child's end is told by the host; where kicks are in vain it is asked. */
		bool ask = resist.kicks || trap->transport->traced;
		if (ask ? cell_is_dead(cell) : cell->dead)
			return;
		if (resist_note(&resist, cell, peer)) {
			cell_kill(peer ? peer : cell);
			cell->resisted = !peer;
			resist = (struct resist){0};
		}
		if (peer && (ask ? cell_is_dead(peer) : peer->dead))
			handover_give_up(peer);
		/* While its peer runs the kernel's cell sleeps: woken later, if it does not after all. */
		bool peers_turn = peer && resist.kicks == 1 && handover_runs(peer);
		if (!peers_turn)
			transport_kick(cell);
		if (peer)
			transport_kick(peer);
	}
}

/* Nobody interprets here: a kernel ends its guest, a program of user mode is told by the guest's kernel. */
static void refuse_mode(struct vcpu *vcpu)
{
	char names[ENGINE_NAMES_MAX];
	vm_kill(vcpu->vm, "%u-bit code at %#lx, which engine trap does not run: take --engine %s", vcpu_code_bits(vcpu),
		vcpu->rip, engine_names(engine_has_any_mode, names, sizeof(names)));
}

static void trap_enter(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vm *vm = vcpu->vm;
	struct trap *trap = &vm->engine->trap;
	struct stats_vcpu *stats = &vm->stats.vcpu[vcpu->id];
	*exit = (struct vm_exit){.reason = EXIT_KICK};

	if (vcpu_code_bits(vcpu) != 64 && !trap->narrow) {
		refuse_mode(vcpu);
		return;
	}
	if (trap_cannot_return(vcpu)) {
		interpret_one(vcpu, exit);
		return;
	}
	trap_look_after_cells(trap);
	sites_allow(trap, vcpu);
	struct cell *cell = trap_cell(vcpu);
	if (!cell)
		return;
	if (!cell->dead && (cell->queued || cell->empty) && !(cell->kernel && trap->elsewhere))
		space_prefill(vcpu, cell);
	bool ready = !cell->dead && cell->space && space_flush(vm, cell);
	if (!ready && cell->dead)
		trap_take_exit(vcpu, cell, exit);
	if (!ready)
		return;
	cell_place(cell);
	trap_hold_fpu(trap, cell, vcpu);
	if (cell->kernel)
		direct_arm(trap, cell, vcpu);
	else
		direct_note_user(trap, cell, vcpu);

	atomic_store(&trap->inside, cell);
	if (atomic_load(&vm->attention)) {
		atomic_store(&trap->inside, NULL);
		cell_note_entry(cell);
		return;
	}
	struct step step = step_begin(vcpu);
	uint64_t rip = vcpu->rip;
	uint64_t entry = clock_tsc();
	trap->transport->resume(trap, cell, vcpu);
	/* A kick that came after the look above and before the runner went found nobody to stop. */
	if (atomic_load(&vm->attention))
		trap->transport->nudge(cell);
	cell_note_entry(cell);
	trap_wait(vcpu, cell);
	uint64_t out = clock_tsc();
	atomic_store_explicit(&trap->inside, NULL, memory_order_release);

	stats_stay(stats, entry, out);
	direct_follow(trap, cell, vcpu);
	unsigned direct = direct_cycles(trap, cell);
	stats->exits[STAT_direct] = trap->direct.total;
	trap_take_exit(vcpu, cell, exit);
	if (vcpu->cpl == 0 && cell->kernel)
		direct_take_kernel(trap, cell, vcpu, direct);
	sites_look(trap, cell, vcpu, direct, exit);
	/* Kicked or faulted before the instruction in the shadow was through: it is in the shadow still. */
	if (vcpu->rip != rip || (step.ours && exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_DB))
		vcpu->interrupt_shadow = false;
	step_end(step, vcpu, exit);
	placement_note(&trap->placement, &trap->cells, entry, out, direct);
	vm->stats.contended = trap->placement.contention.begun;
}

static void trap_kick(struct vcpu *vcpu)
{
	struct engine *engine = vcpu->vm->engine;
	struct cell *cell = engine ? atomic_load(&engine->trap.inside) : NULL;
	if (cell)
		engine->trap.transport->nudge(cell);
}

static unsigned trap_cells(struct vm *vm)
{
	return vm->engine->trap.cells.count;
}

/* The runner whose memory is the vCPU's at present; only ptrace's can be read by others that trace. */
static pid_t trap_tracee(struct vcpu *vcpu)
{
	struct trap *trap = &vcpu->vm->engine->trap;
	struct cell *cell = trap->cells.last;
	if (!trap->transport->traced || !cell || cell->dead || !cell->space)
		return 0;
	bool present =
		spt_space_root(cell->space) == (vcpu_root(vcpu) & X86_PTE_ADDR) && cell->kernel == (vcpu->cpl != 3);
	return present ? cell->runner : 0;
}

/* ------------------------------------------------------------------------------------------------ start and end */

static unsigned fpu_size(void)
{
	return host_xsave_size() <= GATE_FPU_SIZE ? host_state_size() : 0;
}

static const struct transport *transport_find(const char *name)
{
	for (unsigned i = 0; transports[i]; i++)
		if (!name || !strcmp(transports[i]->name, name))
			return transports[i];
	return NULL;
}

static int trap_init(struct vm *vm)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	if (!engine)
		return -ENOMEM;
	vm->engine = engine;
	struct trap *trap = &engine->trap;
	trap->transport = transport_find(vm->config->transport);
	trap->fpu_size = fpu_size();
	if (vm->config->gdb)
		debug_registers_fire(); /* tried while the monitor may still do what that takes */
	if (!trap->transport || !trap->fpu_size) {
		fprintf(stderr, "ring3: this processor's register state is larger than the gate holds\n");
		return -ENOTSUP;
	}
	/* Inherited by cells; the monitor too, else each hand-over would switch it. */
	if (vm->config->cpu.chosen && host_cpuid_keep())
		fputs("ring3: --cpu: CPUID cannot be made to fault on this host: code that runs directly sees the "
		      "host's\n",
		      stderr);
	/* A cell is born with the registers of the monitor, which are no affair of the guest's. */
	vcpu_fpu_reset(trap->fpu, trap->fpu_size);
	trap->fpu_kept = true;
	sites_init(&trap->cells.sites, !trap->transport->traced && !vm->config->no_patch, &vm->stats.sites_undone);
	int error = cells_init(&trap->cells, &trap->placement, vm->mem.fd, trap->transport->traced);
	if (!error)
		error = placement_init(&trap->placement, trap->transport->traced ? 1 : vm->config->cpus);
	return error;
}

static void trap_fill_hypercall_page(struct vm *vm)
{
	const struct transport *transport = vm->engine->trap.transport;
	image_fill_hypercall_page(vm, transport->stub, transport->stub_end - transport->stub);
}

static void trap_exit(struct vm *vm)
{
	/* What interpret_one made. */
	interpret_destroy(vm);
	struct engine *engine = vm->engine;
	if (!engine)
		return;
	cells_exit(&engine->trap.cells);
	placement_exit(&engine->trap.placement);
	host_cpuid_give();
	/* A signal that comes now kicks the vCPU: it must find no engine, or a whole one. */
	vm->engine = NULL;
	atomic_signal_fence(memory_order_seq_cst);
	free(engine);
}

const struct engine_ops engine_trap = {
	.name = "trap",
	.summary = "guest code runs directly, what traps is emulated",
	.init = trap_init,
	.exit = trap_exit,
	.fill_hypercall_page = trap_fill_hypercall_page,
	.space_lost = space_lost,
	.space_drop = space_drop,
	.settle = space_settle_all,
	.enter = trap_enter,
	.kick = trap_kick,
	.tracee = trap_tracee,
	.cells = trap_cells,
	.watch = trap_watch,
	.watch_hits = trap_watch_hits,
	.fpu_size = trap_fpu_size,
	.fpu_get = trap_fpu_get,
	.fpu_set = trap_fpu_set,
	.spt_ops = &space_ops,
};

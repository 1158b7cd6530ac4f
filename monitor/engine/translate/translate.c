/*
 * The engine `translate`: the guest's kernel is translated into code that runs in cells, its user mode runs there
 * directly. Whatever a sensitive instruction is to do, its translation does or asks the monitor to do; so every kernel
 * behaves as the manual says.
 */
#include <errno.h>

#include "monitor/engine/hybrid/hybrid.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/translate/translate.h"
#include "monitor/engine/trap/gate.h"
#include "monitor/engine/trap/space.h"
#include "monitor/engine/trap/trap.h"
#include "monitor/host/unforked.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/vm.h"

struct translate *translate_of(struct vm *vm)
{
	return trap_of(vm)->translate;
}

/* Instructions without a sensitive one that a kernel gets where its cell cannot run it. */
#define PATIENCE 200
/* Those by which it loads a stack pointer. */
#define ODD_MAX 16

/* Bytes of an operand in memory that is not counted by a register. */
#define OPERAND_MAX 4096

/* --------------------------------------------------------------------------------------------------- kernel mode */

/* What needs instructions one by one, or an eye on each access. */
static bool must_interpret(const struct vcpu *vcpu)
{
	return !(vcpu_code_bits(vcpu) == 64 || form_is_narrow(vcpu)) || (vcpu->rflags & X86_RFLAGS_TF) ||
	       vcpu->window_wanted || vcpu->debug.step || (vcpu->dr[7] & (X86_DR7_ALL_ENABLED | X86_DR7_GD)) ||
	       interpret_watching(vcpu);
}

/* The same, and what user mode of 32 bits is refused. */
static bool must_interpret_narrow(const struct vcpu *vcpu)
{
	bool aligned = (vcpu->rflags & X86_RFLAGS_AC) && (vcpu->cr0 & X86_CR0_AM);
	bool refused = vcpu->cpl == 3 && (aligned || (vcpu->cr4 & X86_CR4_TSD));
	return refused || trap_of(vcpu->vm)->transport->traced || must_interpret(vcpu);
}

/* Where to go on: in the middle of the block that was stopped, or at a block's start. 0: the interpreter is to do it.
 */
static uint64_t entry_point(struct translate *t, struct vcpu *vcpu, struct bt_link *link, struct vm_exit *exit)
{
	const struct bt_block *stopped = t->resume.block;
	bool here = stopped && t->resume.rip == vcpu->rip && block_is_live(stopped) &&
		    stopped->flavour == flavour_of(t, vcpu);
	if (here)
		return cache_address(t->resume.host);
	uint64_t emptied = t->emptied;
	struct bt_block *block = region_find(t, vcpu, vcpu->rip, exit);
	if (!block)
		return 0;
	if (link && t->emptied == emptied && link->from->flavour == block->flavour && !link->to && !link->from->dead &&
	    link->from->page->live)
		link_set(t, link, block);
	return cache_address(block->host);
}

/* Indirect jumps to RIP find its block from now on. */
static void publish(struct translate *t, struct vcpu *vcpu)
{
	struct bt_block *block = block_find(t, vcpu->rip, flavour_of(t, vcpu));
	if (block)
		block_publish(t, block);
}

/*
 * Runs translated code at `host` until the kernel cell comes out, and brings the vCPU's state to the guest's. Alignment
 * is checked in ring 3 only, so AC stays behind.
 */
static enum leave run(struct translate *t, struct vcpu *vcpu, uint64_t host, struct vm_exit *exit,
		      struct bt_link **link)
{
	uint64_t aligned = vcpu->rflags & X86_RFLAGS_AC, rip = vcpu->rip, root = vcpu->cr3;
	struct form_saved saved;
	bool shadow = vcpu->interrupt_shadow;
	unsigned cpl = vcpu->cpl;
	state_fill(t, vcpu);
	struct direct *direct = &trap_of(t->vm)->direct;
	direct->bare_entry = entry_address(t, vcpu);
	if (direct->bare_entry)
		state_expect_syscall(t, vcpu);
	direct->fold = t->form == FORM_UPPER ? UPPER_BASE : 0;
	direct->root_at = trap_of(t->vm)->upper ? GATE_CACHE_STATE + offsetof(struct bt_state, root) : 0;
	direct->fs_at = GATE_CACHE_STATE + offsetof(struct bt_state, fs);
	direct->gs_at = form_has_gs_slot(t) ? GATE_CACHE_STATE + offsetof(struct bt_state, gs) : 0;
	direct->fs_base = vcpu->sreg[SREG_FS].base;
	direct->gs_base = vcpu->sreg[SREG_GS].base;
	vcpu->rip = host;
	vcpu->rflags &= ~(uint64_t)X86_RFLAGS_AC;
	form_enter(t, vcpu, &saved);
	engine_trap.enter(vcpu, exit);
	state_take(t, vcpu);
	/* The gate may have loaded it. */
	if (vcpu->cr3 != root)
		pages_sync(t, vcpu);
	if (vcpu->cpl != cpl)
		return LEAVE_STOPPED; /* user mode was entered directly, and its exit is its own */
	vcpu->rflags |= aligned;
	state_take_if(t, vcpu);
	bool follows_sti = false;
	enum leave leave = LEAVE_STOPPED;
	if (exit->reason != EXIT_DEAD && exit->reason != EXIT_HYPERCALL)
		leave = leave_cache(t, vcpu, link, &follows_sti);
	/* The place last known. */
	if (leave == LEAVE_FORGED)
		vcpu->rip = rip;
	form_leave(t, vcpu, &saved);
	if (t->form == FORM_NARROW)
		cross_take(t, vcpu);
	if (exit->reason == EXIT_DEAD || exit->reason == EXIT_HYPERCALL)
		return leave;
	/* Or nothing has been executed. */
	if (follows_sti || (vcpu->rip == rip && leave == LEAVE_STOPPED && shadow))
		vcpu->interrupt_shadow = true;
	return leave;
}

/* An operand at the end of the lower half may reach out of it, which is no page fault whatever is mapped there. */
static bool may_cross(uint64_t gva)
{
	return gva >= GVA_LOWER_END - OPERAND_MAX && gva < GVA_LOWER_END;
}

/*
 * A page fault where the cell shows nothing of the guest's, or an address that is not canonical there: the guest's
 * instruction tells what it wants, and the interpreter knows what comes of that.
 */
static bool is_stray(const struct translate *t, struct vm_exit *exit)
{
	if (exit->reason != EXIT_EXCEPTION)
		return false;
	/* A stack that is none: which exception comes of that the manual has a table for. Or user mode's own image. */
	if (t->doubtful && exit->vector != X86_VEC_PF)
		return true;
	if (t->form == FORM_PLAIN && exit->vector != X86_VEC_PF)
		return false;
	if (exit->vector == X86_VEC_PF)
		return !form_guest(t, exit->gva, &exit->gva) || (t->form != FORM_PLAIN && may_cross(exit->gva));
	return exit->vector == X86_VEC_GP || exit->vector == X86_VEC_SS;
}

static void execute_stray(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (t->form == FORM_UPPER)
		learn(t, vcpu);
	high_note_stray(t);
	interpret_one(vcpu, exit);
}

static bool is_store_to_code(struct translate *t, struct vcpu *vcpu, const struct vm_exit *exit)
{
	uint64_t gpa;
	return exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF && (exit->error & X86_PF_W) &&
	       gm_probe(vcpu, exit->gva, &gpa) && pages_hold(t, gpa);
}

static bool is_device(struct vcpu *vcpu, uint64_t gva)
{
	uint64_t gpa;
	return gm_probe(vcpu, gva, &gpa) && !gm_is_ram(&vcpu->vm->mem, gpa, 1);
}

/* Who patches code makes more than one store. */
static void store_to_code(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	const struct vm_exit store = *exit;
	interpret_one(vcpu, exit);
	if (exit->reason == EXIT_KICK)
		linger_begin(t, vcpu, &store);
}

/* Code that is not translated. Who wants to stop before sensitive instructions does so here as well. */
static void execute_one(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (vcpu->debug.pause)
		leave_execute(t, vcpu, exit);
	else
		interpret_one(vcpu, exit);
}

/* A kernel of the lower half reaches for the upper one, which its cell does not have. */
static bool is_beyond(const struct translate *t, const struct vm_exit *exit)
{
	return t->form == FORM_PLAIN && exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF &&
	       !(exit->error & X86_PF_I) && exit->gva >> 63;
}

static void enter_translated(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	struct bt_link *link = NULL;
	bool here, missed = false;
	for (;;) {
		unsigned cpl = vcpu->cpl;
		*exit = (struct vm_exit){.reason = EXIT_KICK};
		if (atomic_load(&vcpu->vm->attention))
			return;
		state_set_mode(t, vcpu);
		pages_sync(t, vcpu);
		uint64_t host = form_fits(t, vcpu) ? entry_point(t, vcpu, link, exit) : 0;
		link = NULL;
		if (missed)
			publish(t, vcpu);
		missed = false;
		if (!host) {
			if (exit->reason == EXIT_KICK)
				execute_one(t, vcpu, exit);
			return;
		}
		switch (run(t, vcpu, host, exit, &link)) {
		case LEAVE_CROSSING:
			if (exit->reason != EXIT_EXCEPTION)
				return;
			cross_show(t, vcpu, exit);
			leave_execute(t, vcpu, exit);
			return;
		case LEAVE_STOPPED:
			/* Else user mode was entered directly, and the exit is its own. */
			here = t->form == FORM_NARROW || vcpu->cpl == cpl;
			if (here && is_stray(t, exit))
				execute_stray(t, vcpu, exit);
			else if (here && stay_reach(t, vcpu, exit))
				return;
			else if (vcpu->cpl == 0 && exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_DE)
				learn_division(t, vcpu);
			else if (here && is_store_to_code(t, vcpu, exit))
				store_to_code(t, vcpu, exit);
			else if (here && is_beyond(t, exit))
				linger_beyond(t, vcpu, exit);
			/* Where one page is missing others are; a device has more than one register. */
			if (exit->reason == EXIT_EXCEPTION && exit->vector == X86_VEC_PF &&
			    (t->form == FORM_NARROW || is_device(vcpu, exit->gva))) {
				if (here && vcpu->cpl == 0)
					learn_device(t, vcpu, exit);
				linger_begin(t, vcpu, exit);
			}
			return;
		case LEAVE_INSN:
			leave_execute(t, vcpu, exit);
			if (exit->reason == EXIT_EMULATED)
				linger_begin(t, vcpu, exit);
			return;
		case LEAVE_FORGED:
			if (vcpu->cpl == 3) {
				*exit = (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = X86_VEC_GP};
				return;
			}
			vm_kill(vcpu->vm, "translated code of the guest went astray: forged signal frame");
			exit->reason = EXIT_DEAD;
			return;
		case LEAVE_MISS:
			missed = true;
			break;
		case LEAVE_LINK:
			break;
		}
	}
}

static void enter_user(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (t->form == FORM_NARROW)
		form_choose(t, vcpu);
	if (!stay_run(t, vcpu, exit))
		engine_trap.enter(vcpu, exit);
	linger_begin(t, vcpu, exit);
}

static void enter_kernel(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	stay_note_fault(t, vcpu);
	if (!linger(t, vcpu, exit))
		enter_translated(t, vcpu, exit);
}

/*
 * No cell can run it. A kernel of the upper half that SYSCALL left with user mode's RSP loads its own within a few
 * instructions; from there on its cell can.
 */
static void enter_odd(struct translate *t, struct vcpu *vcpu, struct vm_exit *exit)
{
	if (!form_lacks_stack(t, vcpu)) {
		interpret_on(vcpu, exit, PATIENCE);
		return;
	}
	bool goes_on = true;
	for (unsigned n = 0; n < ODD_MAX && goes_on && form_lacks_stack(t, vcpu); n++) {
		interpret_one(vcpu, exit);
		goes_on = exit->reason == EXIT_KICK && !atomic_load(&vcpu->vm->attention) && !vcpu->event_pending &&
			  vcpu->cpl == 0;
	}
	if (goes_on && form_fits(t, vcpu))
		enter_kernel(t, vcpu, exit);
}

static void translate_enter(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct translate *t = translate_of(vcpu->vm);
	struct direct *direct = &trap_of(vcpu->vm)->direct;
	bool user = vcpu->cpl == 3, narrow = form_is_narrow(vcpu);
	cross_learn_call(t, vcpu);
	/* In a guest that never enters user mode there is nobody to lend to. */
	entry_count(t, user);
	direct->lends = (direct->lends || user) && entry_lends(t, vcpu);
	if (narrow ? must_interpret_narrow(vcpu) : user ? hybrid_interprets_user(vcpu) : must_interpret(vcpu))
		interpret_enter(vcpu, exit);
	else if (user && !narrow)
		enter_user(t, vcpu, exit);
	else if (!form_choose(t, vcpu))
		enter_odd(t, vcpu, exit);
	else
		enter_kernel(t, vcpu, exit);
}

/* ---------------------------------------------------------------------------------------------- the contract */

/* Where the gate enters the kernel from user mode; only what is compiled and live will do. */
static uint64_t translated(struct vcpu *vcpu, uint64_t gva)
{
	struct translate *t = translate_of(vcpu->vm);
	const struct bt_block *block = block_find(t, gva, flavour_of(t, vcpu));
	return block ? cache_address(block->host) : 0;
}

static int translate_init(struct vm *vm)
{
	struct translate *t = unforked_alloc(sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->vm = vm;
	t->model = vm->cpu.chosen ? &vm->cpu : NULL;
	t->fd = -1;
	int error = engine_trap.init(vm);
	if (error) {
		unforked_free(t, sizeof(*t));
		return error;
	}
	struct trap *trap = trap_of(vm);
	/* Nothing holds yet of what cross.c is to learn. */
	t->crossing.gdtr.base = UINT64_MAX;
	trap->translate = t;
	trap->translated = translated;
	trap->show_fpu = leave_show_fpu;
	trap->direct.names = form_names;
	trap->direct.unnamed = FORM_NOWHERE;
	t->sets_bases = trap->cells.bases == GATE_BASES_INSNS;
	t->one_cell = trap->one_cell = t->sets_bases && !trap->transport->traced && !vm->config->two_cells;
	error = interpret_create(vm, &engine_trap);
	if (!error)
		error = cache_create(t, vm->config->code_cache, trap->transport->traced);
	if (error)
		return error;
	interpret_set_stored(vm, pages_stored);
	trap->cells.cache_fd = t->fd;
	spt_set_written(vm->spt, SPT_WATCH_CODE, pages_written);
	return 0;
}

static void translate_exit(struct vm *vm)
{
	struct translate *t = vm->engine ? translate_of(vm) : NULL;
	interpret_destroy(vm);
	engine_trap.exit(vm);
	if (t)
		cache_destroy(t);
	unforked_free(t, sizeof(*t));
}

const struct engine_ops engine_translate = {
	.name = "translate",
	.summary = "the kernel is translated, user mode runs directly",
	.kernel_anywhere = true,
	.any_mode = true,
	.software = CPU_SOME,
	.init = translate_init,
	.exit = translate_exit,
	.enter = translate_enter,
	.fill_hypercall_page = interpret_fill_hypercall_page,
	.space_lost = hybrid_space_lost,
	.space_drop = hybrid_space_drop,
	.settle = space_settle_all,
	.watch = interpret_watch,
	.watch_hits = interpret_watch_hits,
	.kick = hybrid_kick,
	.cells = hybrid_cells,
	.list_code = list_code,
	.fpu_size = hybrid_fpu_size,
	.fpu_get = hybrid_fpu_get,
	.fpu_set = hybrid_fpu_set,
	.spt_ops = &pieces_spt_ops,
};

/*
 * Two machines in lockstep: what is compared when, and how a difference is traced to the instruction that made it.
 *
 * Registers are compared at every step. All of memory is compared now and then, so often that it takes a small part of
 * the time. A difference found late, in memory or after many instructions, is looked for in another run: once more from
 * the start, the same to the last bit, since nothing but the guest decides what happens; then the pages that were found
 * to differ are compared at every step, and the last stretch is gone through instruction by instruction. An instruction
 * is the culprit only if all of memory was the same right before it: it may have read what another one wrote, and have
 * written over it.
 */
#include "monitor/cli/lockstep/pair.h"

#include <string.h>

#include "monitor/boot/image.h"
#include "monitor/cli/lockstep/memory_diff.h"
#include "monitor/device/machine.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/events.h"
#include "monitor/run/run.h"
#include "monitor/start/parts.h"

/* What a point takes, as the guest sees it: timers of guests are meant to expire every some thousand instructions. */
#define INSTRUCTION_NS 100
#define EXIT_NS	       2000
/* Between two comparisons of all memory, this many times what one takes. */
#define MEMORY_SHARE 8
/* Each run tells more of where a difference comes from; so many are enough, or it is not the guest's. */
#define RUNS_MAX (LOCKSTEP_CLOSE + LOCKSTEP_SPINS + 8)

static struct vcpu *vcpu_of(struct lockstep *ls, unsigned n)
{
	return ls->vm[n].vcpu[0];
}

/* ------------------------------------------------------------------------------------------------------- comparing */

static bool uses_fpu(const struct emu_insn *insn)
{
	return emu_has_vector(insn) || insn->info.meta.category == ZYDIS_CATEGORY_XSAVE ||
	       insn->info.meta.category == ZYDIS_CATEGORY_X87_ALU || insn->info.meta.category == ZYDIS_CATEGORY_SSE;
}

static void compare_fpu(struct lockstep *ls)
{
	static uint8_t image[2][ENGINE_FPU_MAX] __attribute__((aligned(64)));
	unsigned size = ls->vm[0].engine_ops->fpu_size(&ls->vm[0]);
	for (unsigned n = 0; n < 2; n++) {
		vcpu_fpu_reset(image[n], size);
		ls->vm[n].engine_ops->fpu_get(vcpu_of(ls, n), image[n], size);
	}
	ls->fpu = state_diff_fpu(image[0], image[1], size);
}

static void compare_memory(struct lockstep *ls)
{
	ls->pages =
		memory_diff(&ls->vm[0].mem, &ls->vm[1].mem, image_hypercall_page(&ls->vm[0]), ls->page, LOCKSTEP_PAGES);
	ls->memory_checks++;
}

static bool is_watching(const struct lockstep *ls)
{
	return ls->plan.page_count && ls->points >= ls->plan.watch_from;
}

static bool watched_differ(struct lockstep *ls)
{
	uint64_t at;
	for (unsigned n = 0; n < ls->plan.page_count; n++)
		if (memory_diff_page(&ls->vm[0].mem, &ls->vm[1].mem, ls->plan.pages[n], &at))
			return true;
	return false;
}

static bool compare_ends(struct lockstep *ls)
{
	const struct vm *a = &ls->vm[0], *b = &ls->vm[1];
	ls->ends_differ = a->ended != b->ended || (a->ended && a->status != b->status);
	return ls->ends_differ;
}

/* The latest step may have filled buffers of devices. */
static bool reaches_devices(const struct lockstep *ls)
{
	return !ls->close || ls->visible || !ls->decoded;
}

/* True: the states differ. `all`: all of memory too, and the FPU. */
static bool compare(struct lockstep *ls, bool all)
{
	bool differ = compare_ends(ls);
	ls->differences = state_diff(vcpu_of(ls, 0), vcpu_of(ls, 1), ls->difference, LOCKSTEP_DIFFERENCES);
	ls->differences += state_diff_devices(&ls->vm[0], &ls->vm[1], all || reaches_devices(ls),
					      ls->difference + ls->differences, LOCKSTEP_DIFFERENCES - ls->differences);
	if (all || !ls->close || (ls->decoded && uses_fpu(&ls->insn)))
		compare_fpu(ls);
	differ = differ || ls->differences || ls->fpu || ls->apart || (is_watching(ls) && watched_differ(ls));
	if (all || differ)
		compare_memory(ls);
	differ = differ || ls->pages;
	if (all && !differ) {
		ls->memory_step = ls->steps;
		ls->memory_point = ls->points;
	}
	return differ;
}

/* ------------------------------------------------------------------------------------------------------- one run */

/* Of the engine that runs more code directly. */
static enum cpu_software less_software(const struct lockstep *ls)
{
	enum cpu_software a = ls->engines[0]->software, b = ls->engines[1]->software;
	return a < b ? a : b;
}

static bool up(struct lockstep *ls)
{
	clock_freeze();
	for (unsigned n = 0; n < 2; n++) {
		struct vm *vm = &ls->vm[n];
		stats_start(&vm->stats);
		vm->start_ns = vm->stats.start_ns;
		cpu_share(&ls->config[n].cpu, less_software(ls));
		vm->config = &ls->config[n];
		vm->engine_ops = ls->engines[n];
		ls->parts[n] = parts_up(vm);
		if (vm->ended)
			return false;
		vm->vcpu[0]->debug.attached = true;
	}
	for (unsigned n = 0; n < 2 && !host_cpuid_is_kept(); n++)
		cpu_follow(&ls->vm[n].cpu, less_software(ls));
	ls->runs++;
	return true;
}

void lockstep_down(struct lockstep *ls)
{
	for (unsigned n = 2; n-- > 0;) {
		parts_down(&ls->vm[n], ls->parts[n]);
		ls->parts[n] = 0;
		memset(&ls->vm[n], 0, sizeof(ls->vm[n]));
	}
}

/* The vCPU is where its next instruction is to run, an interrupt taken if one is due. */
static void prepare(struct lockstep *ls, unsigned n)
{
	struct vcpu *vcpu = vcpu_of(ls, n);
	const struct stats_vcpu *stats = &ls->vm[n].stats.vcpu[0];
	uint64_t injected = stats->injected;
	vm_poll(&ls->vm[n], clock_guest_ns());
	vm_prepare(vcpu);
	ls->interrupt = stats->injected != injected;
	ls->vector = vcpu->event.vector;
}

/* Both wait: time passes until something is due. False: nothing ever is. */
static bool pass_time(struct lockstep *ls)
{
	uint64_t next = timers_next(&ls->vm[0].timers), now = clock_guest_ns();
	machine_flush(&ls->vm[0]);
	if (next == TIMER_NEVER || !vcpu_if(vcpu_of(ls, 0)))
		return false;
	clock_advance(next > now ? next - now : 1);
	return true;
}

/* The stretch from the latest point to the next is on the plan. */
static bool is_planned(const struct lockstep *ls)
{
	for (unsigned n = 0; n < ls->plan.close_count; n++)
		if (ls->plan.close[n] == ls->points)
			return true;
	return false;
}

/* All of memory is to be compared here. */
static bool is_check(const struct lockstep *ls)
{
	return ls->plan.check.point == ls->points && ls->plan.check.step == ls->step;
}

static bool spins(const struct lockstep *ls)
{
	for (unsigned n = 0; n < ls->plan.spin_count; n++)
		if (ls->plan.spins[n] == ls->stretch_rip)
			return true;
	return false;
}

static void pass_point(struct lockstep *ls, uint64_t ns)
{
	ls->points++;
	ls->step = 0;
	ls->at_point = true;
	clock_advance(ns);
}

static bool advance(struct lockstep *ls)
{
	bool by_instruction = ls->grain == LOCKSTEP_INSTRUCTION;
	/* An interrupt waits for the next instruction's end: that is a place for both to be at. */
	bool window = vcpu_of(ls, 0)->window_wanted;
	if (ls->at_point || !ls->steps)
		ls->stretch_rip = vcpu_of(ls, 0)->rip;
	ls->at_point = false;
	ls->from = (struct lockstep_place){ls->points, ls->step};
	bool spin = spins(ls);
	if (!(by_instruction || window || spin || is_planned(ls) ? lockstep_step(ls) : lockstep_leap(ls)))
		return false;
	ls->steps++;
	ls->step++;
	if (by_instruction)
		pass_point(ls, INSTRUCTION_NS);
	else if (ls->visible)
		pass_point(ls, EXIT_NS);
	else if (spin)
		clock_advance(EXIT_NS);
	return true;
}

static enum lockstep_end run(struct lockstep *ls)
{
	uint64_t memory_due = 0;
	for (;;) {
		for (unsigned n = 0; n < 2; n++)
			prepare(ls, n);
		uint64_t now = clock_ns();
		bool last = ls->vm[0].ended || (ls->limit && ls->points >= ls->limit);
		bool all = last || now >= memory_due || is_check(ls);
		if (compare(ls, all))
			return LOCKSTEP_DIFFERS;
		if (last)
			return ls->vm[0].ended ? LOCKSTEP_ENDED : LOCKSTEP_LIMIT;
		if (all)
			memory_due = clock_ns() + MEMORY_SHARE * (clock_ns() - now);
		if (events_quit_signal())
			return LOCKSTEP_SIGNAL;
		if (ls->deadline && now >= ls->deadline)
			return LOCKSTEP_TIMEOUT;
		if (vcpu_of(ls, 0)->halted) {
			if (!pass_time(ls))
				return LOCKSTEP_IDLE;
			continue;
		}
		if (!advance(ls))
			return LOCKSTEP_SIGNAL;
		if (ls->stuck)
			return LOCKSTEP_DIFFERS;
	}
}

/* ------------------------------------------------------------------------------------------------------- all runs */

/* Adds the stretch before the present point. False: it is on the plan, or there is no room for it. */
static bool plan_close(struct lockstep *ls, struct lockstep_plan *plan)
{
	if (ls->stuck) {
		if (plan->spin_count == LOCKSTEP_SPINS)
			return false;
		plan->spins[plan->spin_count++] = ls->stretch_rip;
		return true;
	}
	for (unsigned n = 0; n < plan->close_count; n++)
		if (plan->close[n] == ls->from.point)
			return false;
	if (plan->close_count == LOCKSTEP_CLOSE)
		return false;
	plan->close[plan->close_count++] = ls->from.point;
	plan->check = ls->from;
	return true;
}

/* Every page that differs is one of those watched. */
static bool pages_watched(const struct lockstep *ls)
{
	unsigned found = 0;
	for (unsigned n = 0; n < ls->pages; n++)
		for (unsigned m = 0; m < ls->plan.page_count; m++)
			found += ls->plan.pages[m] == ls->page[n];
	return is_watching(ls) && found == ls->pages;
}

/* What the next run is to look at more closely. False: all is known. */
static bool plan_next(struct lockstep *ls, struct lockstep_plan *plan)
{
	bool same_before = ls->memory_step + 1 >= ls->steps;
	*plan = ls->plan;
	plan->doubt = plan->doubt || (!ls->stuck && !ls->apart);
	if (ls->pages && !same_before && !pages_watched(ls)) {
		plan->watch_from = ls->memory_point;
		plan->page_count = ls->pages;
		memcpy(plan->pages, ls->page, sizeof(plan->pages));
		return true;
	}
	if (!ls->close)
		return plan_close(ls, plan);
	plan->check = ls->from;
	return !same_before;
}

/* As far as the difference and no further; there is no second time for the guest's console. */
static bool up_again(struct lockstep *ls, const struct lockstep_plan *plan)
{
	const struct engine_ops *a = ls->engines[0], *b = ls->engines[1];
	struct lockstep next = {.engines = {a, b},
				.config = {ls->config[0], ls->config[1]},
				.grain = ls->grain,
				.limit = ls->limit,
				.patience = ls->patience,
				.deadline = ls->deadline,
				.plan = *plan,
				.runs = ls->runs,
				.memory_checks = ls->memory_checks};
	lockstep_down(ls);
	*ls = next;
	return up(ls);
}

enum lockstep_end lockstep_run(struct lockstep *ls)
{
	struct lockstep_plan plan;
	for (unsigned n = 0; n < 2; n++) {
		ls->config[n].no_input = true;
		ls->config[n].no_output = ls->config[n].no_output || n == 1;
	}
	if (!up(ls))
		return LOCKSTEP_HOST;
	enum lockstep_end end = run(ls);
	while (end == LOCKSTEP_DIFFERS && plan_next(ls, &plan)) {
		if (ls->runs == RUNS_MAX)
			return LOCKSTEP_NO_REPEAT;
		if (!up_again(ls, &plan))
			return LOCKSTEP_HOST;
		end = run(ls);
	}
	bool alike = end == LOCKSTEP_ENDED || end == LOCKSTEP_IDLE || end == LOCKSTEP_LIMIT;
	return alike && ls->plan.doubt && !ls->levelled ? LOCKSTEP_NO_REPEAT : end;
}

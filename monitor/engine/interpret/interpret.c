/*
 * The engine `interpret`: entering and leaving, and what the contract of an engine asks for.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "monitor/engine/interpret/interpret.h"

#include "monitor/boot/image.h"
#include "monitor/engine/interpret/interp.h"
#include "monitor/engine/interpret/ops.h"
#include "monitor/engine/interpret/quick.h"
#include "monitor/host/clock.h"
#include "monitor/host/cpuid.h"
#include "monitor/host/prefault.h"
#include "monitor/host/unforked.h"
#include "monitor/vm/segment.h"
#include "monitor/vm/vm.h"

#define ARITHMETIC (X86_RFLAGS_CF | X86_RFLAGS_PF | X86_RFLAGS_AF | X86_RFLAGS_ZF | X86_RFLAGS_SF | X86_RFLAGS_OF)

/* ----------------------------------------------------------------------------------------------------- the state */

/* What CS and SS make of code and stack. */
static void load_mode(struct engine_vcpu *c)
{
	const struct vcpu *vcpu = c->vcpu;
	const struct vcpu_segment *cs = &vcpu->sreg[SREG_CS];
	c->wide = vcpu_code_bits(vcpu) == 64;
	c->flat = true;
	c->offsets = c->stack = UINT64_MAX;
	c->kept = 0;
	c->key = emu_mode(vcpu) | KEY_FLAT;
	c->cs_base = 0;
	if (c->wide)
		return;
	c->cs_base = cs->base;
	c->cs_limit = cs->limit;
	c->offsets = UINT32_MAX;
	bool narrow = vcpu_stack_bits(vcpu) == 16;
	c->stack = narrow ? UINT16_MAX : UINT32_MAX;
	c->kept = narrow ? ~c->stack : 0;
	c->flat = seg_are_flat(vcpu);
	if (!c->flat)
		c->key &= ~KEY_FLAT;
}

void interp_load(struct engine_vcpu *c)
{
	const struct vcpu *vcpu = c->vcpu;
	memcpy(c->gpr, vcpu->gpr, sizeof(vcpu->gpr));
	c->rip = vcpu->rip;
	c->flags = (vcpu->rflags & ARITHMETIC & 0xff) << 8 | !!(vcpu->rflags & X86_RFLAGS_OF);
	c->paging = vcpu_paging(vcpu);
	c->user = vcpu->cpl == 3 ? X86_PF_U : 0;
	c->smap = vcpu->cr4 & X86_CR4_SMAP;
	bool ready = !(vcpu->cr0 & X86_CR0_TS);
	c->sse = ready && !(vcpu->cr0 & X86_CR0_EM) && (vcpu->cr4 & X86_CR4_OSFXSR);
	c->avx = ready && (vcpu->cr4 & X86_CR4_OSXSAVE) && !((X86_XCR0_SSE | X86_XCR0_AVX) & ~vcpu->xcr0);
	c->aligned = vcpu_checks_alignment(vcpu);
	c->xmm_ready = false;
	c->fs = vcpu->sreg[SREG_FS].base;
	c->gs = vcpu->sreg[SREG_GS].base;
	load_mode(c);
}

void interp_store(struct engine_vcpu *c)
{
	struct vcpu *vcpu = c->vcpu;
	uint64_t flags = (c->flags >> 8 & ARITHMETIC) | (c->flags & FLAG_OF ? X86_RFLAGS_OF : 0);
	memcpy(vcpu->gpr, c->gpr, sizeof(vcpu->gpr));
	vcpu->rip = interp_rip(c);
	vcpu->rflags = (vcpu->rflags & ~ARITHMETIC) | flags;
}

void interp_raise(struct engine_vcpu *c, const struct insn *i, uint8_t vector, uint32_t error)
{
	c->rip = c->base + i->start;
	c->leave = true;
	*c->exit = (struct vm_exit){EXIT_EXCEPTION, vector, error, 0};
}

bool interp_leaves_to_cell(struct engine_vcpu *c, const struct insn *i)
{
	if (likely(!c->visits))
		return false;
	c->rip = c->base + i->start;
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_KICK};
	return true;
}

static unsigned fpu_size(void)
{
	return host_xsave_size() <= ENGINE_FPU_MAX ? host_state_size() : 0;
}

bool interp_create(struct vcpu *vcpu)
{
	struct engine_vcpu *c = unforked_alloc(sizeof(*c));
	if (!c)
		return false;
	prefault(c, sizeof(*c));
	vcpu->engine = c;
	c->vcpu = vcpu;
	c->vm = vcpu->vm;
	c->limit = UINT64_MAX;
	c->told = INTERP_NOT_TOLD;
	c->fpu_size = fpu_size();
	vcpu_fpu_reset(c->fpu, c->fpu_size);
	memory_flush(c);
	c->native = native_create();
	c->code = c->native ? code_create(c) : NULL;
	if (c->code && c->fpu_size)
		return true;
	interp_destroy(vcpu);
	return false;
}

void interp_destroy(struct vcpu *vcpu)
{
	struct engine_vcpu *c = vcpu->engine;
	if (!c)
		return;
	code_destroy(c);
	native_destroy(c->native);
	unforked_free(c, sizeof(*c));
	vcpu->engine = NULL;
}

/* ------------------------------------------------------------------------------------------------------- running */

/* Instructions that a block counted but that an early end left out. */
static unsigned not_executed(const struct engine_vcpu *c, const struct block *block)
{
	uint64_t reached = c->rip - c->base;
	unsigned left = 0;
	for (unsigned n = 0; n < block->count; n++)
		left += block->insn[n].start >= reached;
	return left;
}

/* Runs the block at c->rip, and what follows on it. */
static void run_blocks(struct engine_vcpu *c, const struct block *block)
{
	c->deepest = stack_pointer() - FOLLOW_STACK;
	enter_block(c, block);
	if (unlikely(c->stop) && (c->leave || c->broken))
		c->executed -= not_executed(c, c->block);
}

/* The block at c->rip, where control came from the end of `from`, NULL: from elsewhere. */
static const struct block *next_block(struct engine_vcpu *c, const struct block *from)
{
	for (unsigned n = 0; likely(from != NULL) && n < sizeof(from->after) / sizeof(from->after[0]); n++)
		if (jump_is_good(c, &from->after[n], c->rip))
			return from->after[n].block;
	return code_find_after(c, from);
}

/* Of a debugger's conditions: those on execution, as bits. */
static unsigned execution(const struct engine_watch *watch)
{
	unsigned bits = 0;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++) {
		unsigned field = (unsigned)(watch->control >> X86_DR7_FIELD_SHIFT(i)) & 3;
		if ((watch->control & X86_DR7_L(i)) && field == X86_DR7_RW_EXECUTE)
			bits |= 1u << i;
	}
	return bits;
}

/* Those on data. */
static bool watches_data(const struct engine_watch *watch)
{
	unsigned bits = execution(watch);
	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if ((watch->control & X86_DR7_L(i)) && !(bits & 1u << i))
			return true;
	return false;
}

/* The debugger is told before this instruction, once: when the guest goes on, it runs. */
static bool stop_here(struct engine_vcpu *c)
{
	uint64_t gva = code_address(c, c->rip), told = c->told;
	unsigned hits = 0;
	for (unsigned i = 0; i < ENGINE_WATCHES; i++)
		if ((c->stops & 1u << i) && c->watch.address[i] == gva)
			hits |= 1u << i;
	c->told = INTERP_NOT_TOLD;
	if (!hits || gva == told)
		return false;
	c->told = gva;
	c->watch_hits = hits;
	c->leave = true;
	*c->exit = (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = X86_VEC_DB, .error = hits};
	return true;
}

static void run(struct engine_vcpu *c)
{
	const struct block *block = NULL;
	do {
		if (unlikely(c->stops) && stop_here(c))
			return;
		block = next_block(c, block);
		if (unlikely(!block))
			return;
		run_blocks(c, block);
		block = c->block;
		if (unlikely(c->stop)) {
			if (c->broken)
				code_collect(c);
			block = NULL;
		}
	} while (likely(may_go_on(c)));
}

static void run_single(struct engine_vcpu *c)
{
	uint8_t untold = c->vcpu->data_hits;
	c->watch_hits = 0;
	if (c->watching && breakpoint_here(c))
		return;
	const struct block *block = code_single(c);
	if (!block)
		return;
	run_blocks(c, block);
	if (c->leave)
		c->watch_hits = 0;
	/* The instruction has not happened. */
	if (c->leave && c->exit->reason != EXIT_EMULATED)
		c->vcpu->data_hits = untold;
}

static void run_watched(struct engine_vcpu *c)
{
	atomic_bool *attention = &c->vm->attention;
	do {
		if (c->stops && stop_here(c))
			return;
		run_single(c);
		if (c->broken)
			code_collect(c);
		if (!c->leave)
			c->vcpu->rflags &= ~X86_RFLAGS_RF;
	} while (!c->watch_hits && !breakpoint_due(c->vcpu) && !c->leave && !c->yield &&
		 !atomic_load_explicit(attention, memory_order_relaxed));
}

/* An instruction is through: what the debugger and the guest's debug registers have to say about it. */
static void report_hits(struct engine_vcpu *c, struct vm_exit *exit, bool stepping)
{
	struct vcpu *vcpu = c->vcpu;
	bool step = vcpu->debug.step;
	vcpu->rflags &= ~X86_RFLAGS_RF;
	vcpu->debug.step = false;
	if (stepping || (c->watch_hits && !step)) {
		uint32_t status = (stepping ? X86_DR6_BS : 0) | c->watch_hits;
		*exit = (struct vm_exit){.reason = EXIT_EXCEPTION, .vector = X86_VEC_DB, .error = status};
	} else if (c->yield) {
		exit->reason = EXIT_EMULATED;
	}
}

static void interpret(struct engine_vcpu *c, struct vm_exit *exit)
{
	struct vcpu *vcpu = c->vcpu;
	bool stepping = vcpu->rflags & X86_RFLAGS_TF, iterates = stepping || vcpu->window_wanted || vcpu->debug.step,
	     one = c->one || iterates;
	c->exit = exit;
	c->leave = c->yield = false;
	c->watching = watches_data(&c->watch) || (vcpu->dr[7] & X86_DR7_ALL_ENABLED);
	c->single = iterates;
	interp_load(c);
	memory_revalidate(c);
	code_collect(c);
	*exit = (struct vm_exit){.reason = EXIT_KICK};
	if (unlikely(breakpoint_due(vcpu)) && !c->one) {
		breakpoint_tell(vcpu, exit);
		return;
	}
	if (one)
		run_single(c);
	else if (c->watching)
		run_watched(c);
	else
		run(c);
	if (c->rounding)
		vector_settle(c);
	if (unlikely(c->borrowed))
		native_fpu_return(c);
	interp_store(c);
	if (!c->leave)
		report_hits(c, exit, stepping);
	if (unlikely(vcpu->data_hits))
		breakpoint_tell(vcpu, exit);
}

void interpret_enter(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct engine_vcpu *c = vcpu->engine;
	struct stats_vcpu *stats = &vcpu->vm->stats.vcpu[vcpu->id];
	*exit = (struct vm_exit){.reason = EXIT_KICK};
	if (atomic_load(&vcpu->vm->attention))
		return;
	uint64_t entry = clock_tsc();
	interpret(c, exit);
	stats_stay(stats, entry, clock_tsc());
	stats->interpreted += c->executed;
	c->executed = 0;
}

void interpret_one(struct vcpu *vcpu, struct vm_exit *exit)
{
	*exit = (struct vm_exit){.reason = EXIT_DEAD};
	if (!vcpu->engine && !interp_create(vcpu)) {
		vm_refused(vcpu->vm, "no memory left for the interpreter: end other programs first");
		return;
	}
	struct engine_vcpu *c = vcpu->engine;
	c->fpu_of = vcpu->vm->engine_ops;
	c->one = true;
	interpret_enter(vcpu, exit);
	c->one = false; /* `hybrid` runs the kernel with the same state */
}

unsigned interpret_on(struct vcpu *vcpu, struct vm_exit *exit, unsigned patience)
{
	struct engine_vcpu *c = vcpu->engine;
	c->patience = c->limit = patience;
	c->met = 0;
	interpret_enter(vcpu, exit);
	c->limit = UINT64_MAX;
	return c->met;
}

bool interpret_visit(struct vcpu *vcpu, struct vm_exit *exit, unsigned patience)
{
	struct engine_vcpu *c = vcpu->engine;
	c->visits = true;
	interpret_on(vcpu, exit, patience);
	c->visits = false;
	/* Of the fault before: there are no breakpoints that it would be for. */
	vcpu->rflags &= ~X86_RFLAGS_RF;
	switch (exit->reason) {
	case EXIT_SYSCALL:
	case EXIT_INT80:
	case EXIT_DEAD:
		return true;
	case EXIT_EXCEPTION:
		/* Others are the processor's to find: what the interpreter does not know, it may. */
		if (exit->vector == X86_VEC_PF)
			return true;
		*exit = (struct vm_exit){.reason = EXIT_KICK};
		return false;
	default:
		return atomic_load(&vcpu->vm->attention) || vcpu->event_pending;
	}
}

/* ----------------------------------------------------------------------------------------------- the contract */

void interpret_destroy(struct vm *vm)
{
	for (unsigned n = 0; n < vm->vcpu_count; n++)
		interp_destroy(vm->vcpu[n]);
}

int interpret_create(struct vm *vm, const struct engine_ops *fpu_of)
{
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		if (!interp_create(vm->vcpu[n])) {
			fprintf(stderr, "ring3: this host has no memory left for the interpreter: end other programs "
					"first\n");
			return -ENOMEM;
		}
		vm->vcpu[n]->engine->fpu_of = fpu_of;
	}
	return 0;
}

static int interpret_init(struct vm *vm)
{
	return interpret_create(vm, NULL);
}

/* Nothing runs outside `enter`: what shadowpt would have the host map, the walk of each access finds. */
static void *frame(void *ctx, uint64_t gpa)
{
	struct vm *vm = ctx;
	return gm_ptr(&vm->mem, gpa, X86_PAGE_SIZE);
}

static int map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	return 0;
}

static int unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	return 0;
}

static int protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	return 0;
}

static const struct spt_ops spt_ops = {.frame = frame, .map = map, .unmap = unmap, .protect = protect};

static void space_lost(struct vm *vm, struct spt_space *space, int error)
{
	vm_refused(vm, "no memory left for page tables: %s", strerror(-error));
}

static void space_drop(struct vm *vm, struct spt_space *space)
{
	spt_space_discard(space);
}

/* `enter` looks at vm->attention itself. */
static void kick(struct vcpu *vcpu)
{
}

/* Whatever is executed at the page's start makes the call; natively it would be #UD. */
void interpret_fill_hypercall_page(struct vm *vm)
{
	static const uint8_t ud2[] = {0x0f, 0x0b};
	image_fill_hypercall_page(vm, ud2, sizeof(ud2));
}

static unsigned interpret_fpu_size(struct vm *vm)
{
	return vm->vcpu[0]->engine->fpu_size;
}

static void fpu_get(struct vcpu *vcpu, void *image, unsigned size)
{
	memcpy(image, vcpu->engine->fpu, size);
}

static void fpu_set(struct vcpu *vcpu, void *image, unsigned size)
{
	vcpu_fpu_sanitize(image, size, vcpu->vm->cpu.xcr0 & R3_GUEST_XCR0);
	memcpy(vcpu->engine->fpu, image, size);
}

int interpret_watch(struct vm *vm, const struct engine_watch *wanted)
{
	for (unsigned n = 0; n < vm->vcpu_count; n++) {
		struct engine_vcpu *c = vm->vcpu[n]->engine;
		c->watch = *wanted;
		c->watch_hits = 0;
		c->stops = execution(wanted);
		code_drop_all(c);
	}
	return 0;
}

bool interpret_watching(const struct vcpu *vcpu)
{
	return vcpu->engine->watch.control;
}

unsigned interpret_watch_hits(struct vcpu *vcpu)
{
	unsigned hits = vcpu->engine->watch_hits;
	vcpu->engine->watch_hits = 0;
	return hits;
}

const struct engine_ops engine_interpret = {
	.name = "interpret",
	.summary = "all guest code is interpreted: a processor in software",
	.kernel_anywhere = true,
	.any_mode = true,
	.software = CPU_ALL_CODE,
	.init = interpret_init,
	.exit = interpret_destroy,
	.enter = interpret_enter,
	.fill_hypercall_page = interpret_fill_hypercall_page,
	.space_lost = space_lost,
	.space_drop = space_drop,
	.watch = interpret_watch,
	.watch_hits = interpret_watch_hits,
	.kick = kick,
	.fpu_size = interpret_fpu_size,
	.fpu_get = fpu_get,
	.fpu_set = fpu_set,
	.spt_ops = &spt_ops,
};

/*
 * The engine `hybrid`: the guest's kernel is interpreted, its user mode runs directly in the cells of `trap`. Popek and
 * Goldberg's theorem 3: it is enough that user mode has no sensitive instruction that passes silently.
 */
#include "monitor/engine/hybrid/hybrid.h"
#include "monitor/engine/interpret/interpret.h"
#include "monitor/engine/trap/space.h"
#include "monitor/vm/engine.h"
#include "monitor/vm/layout.h"
#include "monitor/vm/vm.h"

#define GATE_SLOT (GATE_HOLE_START >> 39)

static int hybrid_init(struct vm *vm)
{
	int error = engine_trap.init(vm);
	return error ? error : interpret_create(vm, &engine_trap);
}

static void hybrid_exit(struct vm *vm)
{
	interpret_destroy(vm);
	engine_trap.exit(vm);
}

/* The guest maps something for its user mode where each cell has the gate: it would see the gate instead. */
static bool takes_gate_slot(const struct vcpu *vcpu)
{
	uint64_t entry = 0, slot = (vcpu_root(vcpu) & X86_PTE_ADDR) + GATE_SLOT * sizeof(entry);
	return gm_read(&vcpu->vm->mem, slot, &entry, sizeof(entry)) && (entry & X86_PTE_P) && (entry & X86_PTE_U);
}

/*
 * What the processor would refuse or stop user mode at, and the host's does not: the FPU switched off, RDTSC withheld,
 * breakpoints in the guest's debug registers, alignment that is not checked; what cells cannot map; and code that is
 * not 64-bit. As long as a guest has it so, or a debugger watches, its user mode is interpreted too.
 */
bool hybrid_interprets_user(const struct vcpu *vcpu)
{
	bool unchecked = (vcpu->rflags & X86_RFLAGS_AC) && !vcpu_checks_alignment(vcpu);
	return vcpu_code_bits(vcpu) != 64 || (vcpu->cr0 & (X86_CR0_TS | X86_CR0_EM)) || (vcpu->cr4 & X86_CR4_TSD) ||
	       (vcpu->dr[7] & X86_DR7_ALL_ENABLED) || unchecked || interpret_watching(vcpu) || takes_gate_slot(vcpu);
}

static void hybrid_enter(struct vcpu *vcpu, struct vm_exit *exit)
{
	if (vcpu->cpl == 3 && !hybrid_interprets_user(vcpu))
		engine_trap.enter(vcpu, exit);
	else
		interpret_enter(vcpu, exit);
}

void hybrid_space_lost(struct vm *vm, struct spt_space *space, int error)
{
	engine_trap.space_lost(vm, space, error);
}

void hybrid_space_drop(struct vm *vm, struct spt_space *space)
{
	engine_trap.space_drop(vm, space);
}

void hybrid_kick(struct vcpu *vcpu)
{
	engine_trap.kick(vcpu);
}

unsigned hybrid_cells(struct vm *vm)
{
	return engine_trap.cells(vm);
}

unsigned hybrid_fpu_size(struct vm *vm)
{
	return engine_trap.fpu_size(vm);
}

void hybrid_fpu_get(struct vcpu *vcpu, void *image, unsigned size)
{
	engine_trap.fpu_get(vcpu, image, size);
}

void hybrid_fpu_set(struct vcpu *vcpu, void *image, unsigned size)
{
	engine_trap.fpu_set(vcpu, image, size);
}

static void *hybrid_frame(void *ctx, uint64_t gpa)
{
	return engine_trap.spt_ops->frame(ctx, gpa);
}

/* Only user mode has an address space of its own; a kernel space, which fault handling may make, maps nothing. */
static int hybrid_map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	return *spt_space_owner(space) ? engine_trap.spt_ops->map(ctx, space, gva, gpa, len, prot) : 0;
}

static int hybrid_unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	return *spt_space_owner(space) ? engine_trap.spt_ops->unmap(ctx, space, gva, len) : 0;
}

static int hybrid_protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	return *spt_space_owner(space) ? engine_trap.spt_ops->protect(ctx, space, gva, len, prot) : 0;
}

static int hybrid_settle(void *ctx, struct spt_space *space)
{
	return engine_trap.spt_ops->settle(ctx, space);
}

static const struct spt_ops hybrid_spt_ops = {hybrid_frame, hybrid_map, hybrid_unmap, hybrid_protect, hybrid_settle};

const struct engine_ops engine_hybrid = {
	.name = "hybrid",
	.summary = "the kernel is interpreted, user mode runs directly",
	.kernel_anywhere = true,
	.any_mode = true,
	.software = CPU_ALL_KERNELS,
	.init = hybrid_init,
	.exit = hybrid_exit,
	.enter = hybrid_enter,
	.fill_hypercall_page = interpret_fill_hypercall_page,
	.space_lost = hybrid_space_lost,
	.space_drop = hybrid_space_drop,
	.settle = space_settle_all,
	.watch = interpret_watch,
	.watch_hits = interpret_watch_hits,
	.kick = hybrid_kick,
	.cells = hybrid_cells,
	.fpu_size = hybrid_fpu_size,
	.fpu_get = hybrid_fpu_get,
	.fpu_set = hybrid_fpu_set,
	.spt_ops = &hybrid_spt_ops,
};

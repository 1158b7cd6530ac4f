/*
 * Changes of the shadow page tables: fills, and the layer between the tables and the engine's effects.
 */
#include <string.h>

#include "monitor/host/clock.h"
#include "monitor/trace/ring.h"

uint64_t trace_pages_mapped(const struct vm *vm)
{
	struct spt_stats stats;

	spt_get_stats(vm->spt, &stats);
	return stats.pages_mapped;
}

void trace_shadow_fill(struct vcpu *vcpu, uint64_t gva, uint32_t access)
{
	struct trace_ring *t = trace_ring_of(vcpu);
	struct trace_event *event = trace_record(vcpu, TRACE_shadow, TRACE_SHADOW_FILL);

	event->arg[0] = gva;
	event->arg[2] = trace_pages_mapped(vcpu->vm) - t->pages_mapped;
	event->arg[3] = access;
	event->arg[4] = vcpu->cpl == 3 ? SPT_USER : SPT_KERNEL;
}

/* The effects have no vCPU of their own; they are made on the first one's behalf while there is one. */
static void record_effect(struct vm *vm, enum trace_shadow reason, struct spt_space *space, const uint64_t arg[4],
			  int result, uint64_t since_tsc)
{
	struct trace_event *event = trace_record(vm->vcpu[0], TRACE_shadow, reason);

	trace_record_cost(event, since_tsc);
	event->root = spt_space_root(space);
	memcpy(event->arg, arg, 4 * sizeof(arg[0]));
	event->arg[4] = spt_space_mode(space);
	event->result = (uint64_t)(int64_t)result;
	event->flags |= TRACE_HAS_RESULT;
}

static int shadow_map(void *ctx, struct spt_space *space, uint64_t gva, uint64_t gpa, uint64_t len, unsigned prot)
{
	struct vm *vm = ctx;
	bool wanted = trace_wants(vm, TRACE_shadow);
	uint64_t since = wanted ? clock_tsc() : 0;
	int result = vm->engine_ops->spt_ops->map(ctx, space, gva, gpa, len, prot);

	if (wanted)
		record_effect(vm, TRACE_SHADOW_MAP, space, (uint64_t[]){gva, gpa, len, prot}, result, since);
	return result;
}

static int shadow_unmap(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len)
{
	struct vm *vm = ctx;
	bool wanted = trace_wants(vm, TRACE_shadow);
	uint64_t since = wanted ? clock_tsc() : 0;
	int result = vm->engine_ops->spt_ops->unmap(ctx, space, gva, len);

	if (wanted)
		record_effect(vm, TRACE_SHADOW_UNMAP, space, (uint64_t[]){gva, 0, len, 0}, result, since);
	return result;
}

static int shadow_protect(void *ctx, struct spt_space *space, uint64_t gva, uint64_t len, unsigned prot)
{
	struct vm *vm = ctx;
	bool wanted = trace_wants(vm, TRACE_shadow);
	uint64_t since = wanted ? clock_tsc() : 0;
	int result = vm->engine_ops->spt_ops->protect(ctx, space, gva, len, prot);

	if (wanted)
		record_effect(vm, TRACE_SHADOW_PROTECT, space, (uint64_t[]){gva, 0, len, prot}, result, since);
	return result;
}

const struct spt_ops *trace_shadow_ops(struct vm *vm)
{
	vm->shadow_ops = *vm->engine_ops->spt_ops;
	vm->shadow_ops.map = shadow_map;
	vm->shadow_ops.unmap = shadow_unmap;
	vm->shadow_ops.protect = shadow_protect;
	return &vm->shadow_ops;
}

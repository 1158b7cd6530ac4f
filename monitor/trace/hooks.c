/*
 * What the parts of the monitor call when something happens: each makes one event of it.
 */
#include <string.h>

#include "monitor/debug/trace/internal.h"
#include "monitor/device/machine.h"
#include "monitor/device/pic.h"
#include "monitor/emulate/emulate.h"

static struct trace_vcpu *trace_vcpu_of(struct vcpu *vcpu)
{
	return vcpu->vm->trace->vcpu[vcpu->id];
}

static void take_instruction(struct trace_event *event, const struct emu_insn *insn)
{
	event->length = insn->info.length;
	memcpy(event->bytes, insn->bytes, sizeof(event->bytes));
}

static void take_cost(struct trace_event *event, uint64_t since_tsc)
{
	event->cost = event->tsc - since_tsc;
	event->tsc = since_tsc;
	event->flags |= TRACE_HAS_COST;
}

struct trace_place trace_place_of(const struct vcpu *vcpu)
{
	return (struct trace_place){.rip = vcpu->rip, .root = vcpu_root(vcpu) & X86_PTE_ADDR, .cpl = vcpu->cpl};
}

static void at_place(struct trace_event *event, const struct trace_place *place)
{
	event->rip = place->rip;
	event->root = place->root;
	event->cpl = (uint8_t)place->cpl;
}

/* -------------------------------------------------------------------------------------------- exits and switches */

static void look_for_switch(struct vcpu *vcpu, struct trace_vcpu *t)
{
	uint64_t root = vcpu_root(vcpu) & X86_PTE_ADDR;
	unsigned reason = TRACE_SWITCH_ROOT;
	struct trace_event *event;

	if (root == t->left.root && vcpu->cpl == t->left.cpl)
		return;
	if (vcpu->cpl != t->left.cpl)
		reason = vcpu->cpl == 3 ? TRACE_SWITCH_USER : TRACE_SWITCH_KERNEL;
	if (t->entered_tsc && trace_wants(vcpu->vm, TRACE_switch)) {
		event = trace_record(vcpu, TRACE_switch, reason);
		event->arg[0] = t->left.root;
		event->arg[1] = t->left.cpl;
	}
}

static void close_exit(struct trace_vcpu *t, uint64_t tsc)
{
	if (!t->open)
		return;
	t->open->cost = tsc - t->open->tsc;
	t->open->flags = (t->open->flags & (uint8_t)~TRACE_OPEN) | TRACE_HAS_COST;
	t->open = NULL;
}

void trace_enter(struct vcpu *vcpu)
{
	struct trace_vcpu *t = trace_vcpu_of(vcpu);

	look_for_switch(vcpu, t);
	t->entered_tsc = clock_tsc();
	close_exit(t, t->entered_tsc);
}

void trace_exit_done(struct vcpu *vcpu)
{
	close_exit(trace_vcpu_of(vcpu), clock_tsc());
}

/* System calls that passed between user and kernel mode of the guest without the monitor. */
static void look_for_direct(struct vcpu *vcpu, struct trace_vcpu *t)
{
	uint64_t direct = vcpu->vm->stats.vcpu[vcpu->id].exits[STAT_direct];

	if (direct != t->direct)
		trace_record(vcpu, TRACE_exit, STAT_direct)->arg[0] = direct - t->direct;
	t->direct = direct;
}

static uint64_t pages_mapped(const struct vm *vm)
{
	struct spt_stats stats;

	spt_get_stats(vm->spt, &stats);
	return stats.pages_mapped;
}

/* What it is called as long as nothing better is known. */
static unsigned raw_reason(const struct vm_exit *exit)
{
	switch (exit->reason) {
	case EXIT_EMULATED:
		return TRACE_EXIT_EMULATED;
	case EXIT_DEAD:
		return TRACE_EXIT_DEAD;
	default:
		return TRACE_EXIT_OTHER;
	}
}

void trace_leave(struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct trace_vcpu *t = trace_vcpu_of(vcpu);
	const uint64_t *gpr = vcpu->gpr;
	struct trace_event *event;

	/* User mode may have gone to kernel mode, and back, without the monitor. */
	t->left = trace_place_of(vcpu);
	if (trace_wants(vcpu->vm, TRACE_shadow))
		t->pages_mapped = pages_mapped(vcpu->vm);
	if (!trace_wants(vcpu->vm, TRACE_exit))
		return;
	look_for_direct(vcpu, t);
	event = trace_record(vcpu, TRACE_exit, raw_reason(exit));
	event->flags = TRACE_OPEN;
	event->arg[1] = exit->error;
	event->arg[7] = t->entered_tsc ? event->tsc - t->entered_tsc : 0;
	if (exit->reason == EXIT_SYSCALL) {
		const uint64_t arg[] = {gpr[RAX], gpr[RDI], gpr[RSI], gpr[RDX], gpr[R10], gpr[R8], gpr[R9]};
		memcpy(event->arg, arg, sizeof(arg));
	}
	t->open = event;
}

/* The first says what the exit is; those after it came without an exit of their own. */
void trace_exit_reason(struct vcpu *vcpu, enum stats_exit reason, uint64_t detail, const struct emu_insn *insn)
{
	struct trace_event *event = trace_vcpu_of(vcpu)->open;

	if (!trace_wants(vcpu->vm, TRACE_exit))
		return;
	if (!event || event->reason < TRACE_EXIT_INTERPRETED)
		event = trace_record(vcpu, TRACE_exit, reason);
	event->reason = reason;
	event->arg[0] = detail;
	if (insn)
		take_instruction(event, insn);
}

void trace_interpreted(struct vcpu *vcpu, const struct emu_insn *insn)
{
	take_instruction(trace_record(vcpu, TRACE_exit, TRACE_EXIT_INTERPRETED), insn);
}

void trace_halt(struct vcpu *vcpu, uint64_t since_tsc)
{
	take_cost(trace_record(vcpu, TRACE_exit, STAT_halt), since_tsc);
}

/* -------------------------------------------------------------------------------------------------- hypercalls */

void trace_hypercall(struct vcpu *vcpu, uint64_t nr, const uint64_t *arg, int64_t result, uint64_t since_tsc,
		     bool nested)
{
	struct trace_event *event = trace_record(vcpu, TRACE_hypercall, nr < UINT16_MAX ? (unsigned)nr : UINT16_MAX);

	take_cost(event, since_tsc);
	at_place(event, &trace_vcpu_of(vcpu)->left);
	memcpy(event->arg, arg, 6 * sizeof(arg[0]));
	event->arg[6] = nr;
	event->result = (uint64_t)result;
	event->flags |= TRACE_HAS_RESULT | (nested ? TRACE_NESTED : 0);
}

/* ---------------------------------------------------------------------------------------- faults and interrupts */

/* The controller's line that raises the vector; the vector itself if it is none of its. */
static unsigned line_of(struct vcpu *vcpu, uint8_t vector)
{
	const struct pic *pic = machine_pic(vcpu->vm);

	for (unsigned chip = 0; chip < 2; chip++) {
		if ((vector & ~7u) == pic->chip[chip].base)
			return chip * 8 + (vector & 7);
	}
	return vector;
}

static void inject_irq(struct vcpu *vcpu, const struct trace_place *from, uint8_t vector)
{
	struct trace_vcpu *t = trace_vcpu_of(vcpu);
	bool event_channel = vector == vcpu->pv.event_vector;
	struct trace_event *event;

	if (!trace_wants(vcpu->vm, TRACE_irq))
		return;
	event = trace_record(vcpu, TRACE_irq, TRACE_IRQ_DELIVERED);
	at_place(event, from);
	event->arg[0] = vector;
	event->arg[1] = event_channel;
	event->arg[2] = event_channel ? 0 : line_of(vcpu, vector);
	event->arg[3] = t->waits_since ? event->tsc - t->waits_since : 0;
	event->arg[4] = vcpu->rip;
	t->waits_since = 0;
}

void trace_inject(struct vcpu *vcpu, const struct trace_place *from)
{
	bool through = vcpu->chain_len == 0; /* else: the end of the guest */
	const struct vcpu_event *chain = through ? vcpu->last_chain : vcpu->chain;
	unsigned length = through ? vcpu->last_chain_len : vcpu->chain_len;
	const struct vcpu_event *first = &chain[0], *last = &chain[length - 1];
	struct trace_event *event;

	if (first->kind == EVENT_INTERRUPT)
		inject_irq(vcpu, from, first->vector);
	if ((first->kind == EVENT_INTERRUPT && length == 1) || !trace_wants(vcpu->vm, TRACE_fault))
		return;
	event = trace_record(vcpu, TRACE_fault, last->vector);
	at_place(event, from);
	event->arg[0] = last->error;
	event->arg[1] = last->cr2;
	event->arg[2] = through ? vcpu->rip : 0;
	event->arg[3] = vcpu->cpl;
	event->arg[4] = last->kind;
	event->arg[5] = last->has_error;
	event->arg[6] = first->vector;
}

void trace_irq_waits(struct vcpu *vcpu, bool waits)
{
	struct trace_vcpu *t = trace_vcpu_of(vcpu);
	struct trace_event *event;

	if (!waits)
		t->waits_since = 0;
	if (!waits || t->waits_since || !trace_wants(vcpu->vm, TRACE_irq))
		return;
	event = trace_record(vcpu, TRACE_irq, TRACE_IRQ_PENDING);
	t->waits_since = event->tsc;
	event->arg[1] = vcpu_if(vcpu);
	event->arg[5] = vcpu->interrupt_shadow;
}

/* ------------------------------------------------------------------------------------------------------- shadow */

void trace_shadow_fill(struct vcpu *vcpu, uint64_t gva, uint32_t access)
{
	struct trace_vcpu *t = trace_vcpu_of(vcpu);
	struct trace_event *event = trace_record(vcpu, TRACE_shadow, TRACE_SHADOW_FILL);

	event->arg[0] = gva;
	event->arg[2] = pages_mapped(vcpu->vm) - t->pages_mapped;
	event->arg[3] = access;
	event->arg[4] = vcpu->cpl == 3 ? SPT_USER : SPT_KERNEL;
}

/* The effects have no vCPU of their own; they are made on the first one's behalf while there is one. */
static void record_effect(struct vm *vm, enum trace_shadow reason, struct spt_space *space, const uint64_t arg[4],
			  int result, uint64_t since_tsc)
{
	struct trace_event *event = trace_record(vm->vcpu[0], TRACE_shadow, reason);

	take_cost(event, since_tsc);
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

/* ------------------------------------------------------------------------------------------- devices and timers */

static const char *device_name(const struct bus *bus, uint16_t port)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct bus_range *range = &bus->range[i];
		if (port >= range->base && port - range->base < range->length)
			return range->name;
	}
	return NULL;
}

void trace_device(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t value, uint64_t since_tsc)
{
	struct trace_event *event = trace_record(vcpu, TRACE_device, write ? TRACE_DEVICE_WRITE : TRACE_DEVICE_READ);

	take_cost(event, since_tsc);
	event->arg[0] = port;
	event->arg[1] = size;
	event->arg[2] = value;
	event->arg[3] = (uintptr_t)device_name(&vcpu->vm->bus, port);
}

void trace_timer(struct vm *vm, uint64_t deadline, uint64_t now)
{
	struct trace_event *event;

	if (!vm->vcpu_count)
		return;
	event = trace_record(vm->vcpu[0], TRACE_timer, TRACE_TIMER_EXPIRED);
	event->arg[0] = deadline;
	event->arg[1] = now - deadline;
}

/*
 * What the parts of the monitor call when something happens, and what is taken from the run loop: each makes one event
 * of it.
 */
#include <string.h>

#include "monitor/host/clock.h"
#include "monitor/trace/ring.h"

static void take_instruction(struct trace_event *event, const struct vcpu *vcpu, const uint8_t *bytes, unsigned length)
{
	event->code_bits = (uint8_t)vcpu_code_bits(vcpu);
	event->length = (uint8_t)length;
	memset(event->bytes, 0, sizeof(event->bytes));
	memcpy(event->bytes, bytes, length);
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

static void look_for_switch(struct vcpu *vcpu, struct trace_ring *t)
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

static void close_exit(struct trace_ring *t, uint64_t tsc)
{
	if (!t->open)
		return;
	t->open->cost = tsc - t->open->tsc;
	t->open->flags = (t->open->flags & (uint8_t)~TRACE_OPEN) | TRACE_HAS_COST;
	t->open = NULL;
}

static void enter(struct observer *self, struct vcpu *vcpu)
{
	struct trace_ring *t = trace_ring_of(vcpu);

	look_for_switch(vcpu, t);
	t->entered_tsc = clock_tsc();
	close_exit(t, t->entered_tsc);
}

void trace_exit_done(struct vcpu *vcpu)
{
	close_exit(trace_ring_of(vcpu), clock_tsc());
}

/* System calls that passed between user and kernel mode of the guest without the monitor. */
static void look_for_direct(struct vcpu *vcpu, struct trace_ring *t)
{
	uint64_t direct = vcpu->vm->stats.vcpu[vcpu->id].exits[STAT_direct];

	if (direct != t->direct)
		trace_record(vcpu, TRACE_exit, STAT_direct)->arg[0] = direct - t->direct;
	t->direct = direct;
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

static void leave(struct observer *self, struct vcpu *vcpu, const struct vm_exit *exit, bool *taken)
{
	struct trace_ring *t = trace_ring_of(vcpu);
	const uint64_t *gpr = vcpu->gpr;
	struct trace_event *event;

	/* User mode may have gone to kernel mode, and back, without the monitor. */
	t->left = trace_place_of(vcpu);
	if (trace_wants(vcpu->vm, TRACE_shadow))
		t->pages_mapped = trace_pages_mapped(vcpu->vm);
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
void trace_exit_reason(struct vcpu *vcpu, enum stats_exit reason, uint64_t detail, const uint8_t *bytes,
		       unsigned length)
{
	struct trace_event *event = trace_ring_of(vcpu)->open;

	if (!trace_wants(vcpu->vm, TRACE_exit))
		return;
	if (!event || event->reason < TRACE_EXIT_INTERPRETED)
		event = trace_record(vcpu, TRACE_exit, reason);
	event->reason = reason;
	event->arg[0] = detail;
	if (length)
		take_instruction(event, vcpu, bytes, length);
}

static void interpreted(struct observer *self, struct vcpu *vcpu, const uint8_t *bytes, unsigned length)
{
	if (trace_wants(vcpu->vm, TRACE_exit))
		take_instruction(trace_record(vcpu, TRACE_exit, TRACE_EXIT_INTERPRETED), vcpu, bytes, length);
}

static void rest(struct observer *self, struct vcpu *vcpu)
{
	trace_exit_done(vcpu);
}

static void woke(struct observer *self, struct vcpu *vcpu, uint64_t since_tsc)
{
	if (trace_wants(vcpu->vm, TRACE_exit))
		trace_record_cost(trace_record(vcpu, TRACE_exit, STAT_halt), since_tsc);
}

/* -------------------------------------------------------------------------------------------------- hypercalls */

void trace_hypercall(struct vcpu *vcpu, uint64_t nr, const uint64_t *arg, int64_t result, uint64_t since_tsc,
		     bool nested)
{
	struct trace_event *event = trace_record(vcpu, TRACE_hypercall, nr < UINT16_MAX ? (unsigned)nr : UINT16_MAX);

	trace_record_cost(event, since_tsc);
	at_place(event, &trace_ring_of(vcpu)->left);
	memcpy(event->arg, arg, 6 * sizeof(arg[0]));
	event->arg[6] = nr;
	event->result = (uint64_t)result;
	event->flags |= TRACE_HAS_RESULT | (nested ? TRACE_NESTED : 0);
}

/* ---------------------------------------------------------------------------------------- faults and interrupts */

static void inject_irq(struct vcpu *vcpu, const struct trace_place *from, const struct vcpu_event *irq)
{
	struct trace_ring *t = trace_ring_of(vcpu);
	bool event_channel = irq->line == VCPU_NO_LINE;
	struct trace_event *event;

	if (!trace_wants(vcpu->vm, TRACE_irq))
		return;
	event = trace_record(vcpu, TRACE_irq, TRACE_IRQ_DELIVERED);
	at_place(event, from);
	event->arg[0] = irq->vector;
	event->arg[1] = event_channel;
	event->arg[2] = event_channel ? 0 : irq->line;
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
		inject_irq(vcpu, from, first);
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

static void waits_or_not(struct observer *self, struct vcpu *vcpu, bool waits)
{
	struct trace_ring *t = trace_ring_of(vcpu);
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

/* ------------------------------------------------------------------------------------------- devices and timers */

void trace_device(struct vcpu *vcpu, uint16_t port, unsigned size, bool write, uint32_t value, uint64_t since_tsc)
{
	struct trace_event *event = trace_record(vcpu, TRACE_device, write ? TRACE_DEVICE_WRITE : TRACE_DEVICE_READ);

	trace_record_cost(event, since_tsc);
	event->arg[0] = port;
	event->arg[1] = size;
	event->arg[2] = value;
}

static void device(struct observer *self, struct vcpu *vcpu, const struct observed_access *access)
{
	struct trace_event *event;

	if (!trace_wants(vcpu->vm, TRACE_device))
		return;
	event = trace_record(vcpu, TRACE_device, access->write ? TRACE_DEVICE_WRITE : TRACE_DEVICE_READ);
	trace_record_cost(event, access->since_tsc);
	event->arg[0] = access->gpa;
	event->arg[1] = access->len;
	event->arg[2] = access->value;
	event->arg[3] = true;
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

const struct observer_ops trace_recorder_ops = {
	.waits = waits_or_not,
	.enter = enter,
	.leave = leave,
	.rest = rest,
	.woke = woke,
	.interpreted = interpreted,
	.device = device,
};

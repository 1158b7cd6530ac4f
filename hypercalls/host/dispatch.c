/*
 * From a number to its handler. The table comes from calls.def, as does everything else that lists the calls.
 */
#include <stdlib.h>

#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"
#include "monitor/host/clock.h"
#include "monitor/trace/trace.h"
#include "monitor/vm/state.h"
#include "monitor/vm/vm.h"

static int64_t (*const calls[])(struct vcpu *vcpu, const uint64_t arg[HC_ARGS]) = {
#define R3_CALL(nr, name, args, doc) [nr] = hc_call_##name,
#include "hypercalls/calls.def"
#undef R3_CALL
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int64_t hc_call(struct vcpu *vcpu, uint64_t nr, const uint64_t arg[HC_ARGS])
{
	return nr < CALLS && calls[nr] ? calls[nr](vcpu, arg) : -R3_ENOSYS;
}

void hc_dispatch(struct vcpu *vcpu)
{
	const uint64_t *gpr = vcpu->gpr;
	const uint64_t arg[HC_ARGS] = {gpr[RDI], gpr[RSI], gpr[RDX], gpr[R10], gpr[R8], gpr[R9]};
	uint64_t nr = gpr[RAX], since;
	int64_t result;

	if (vcpu->cpl != 0) {
		vcpu_raise_error(vcpu, X86_VEC_GP, 0);
		return;
	}
	if (!vcpu->call.unfinished) {
		vcpu->call.entries = vcpu->call.updates = 0;
		stats_hypercall(&vcpu->vm->stats, nr);
	}
	since = trace_wants(vcpu->vm, TRACE_hypercall) ? clock_tsc() : 0;
	result = hc_call(vcpu, nr, arg);
	vcpu->call.unfinished = result == HC_GAVE_WAY;
	if (vcpu->call.unfinished)
		return;
	vm_settle(vcpu->vm);
	if (since)
		trace_hypercall(vcpu, nr, arg, result, since, false);
	/* iret loads a whole context, RAX with it, unless its frame cannot be read. */
	if (nr != R3_HC_iret || result != 0)
		vcpu->gpr[RAX] = (uint64_t)result;
}

#define STATE_OF struct hc
static const struct state_field hc_fields[] = {
	STATE_HOST(vm),
	STATE_HOST(shared),
	STATE_NAMED("event channels open", open),
	STATE_NAMED_ARRAY("event channel of virtual line", virq_port),
	STATE_NAMED("event channels unposted", unposted),
	STATE_NAMED("event channels delivered", delivered),
	STATE_HOST(clock), /* drawn from the host's counter */
	STATE_NAMED_PART("paravirtual timer", timer, timer_state),
	STATE_NAMED("paravirtual timer's time", timer_deadline),
};
#undef STATE_OF
const struct state_list hc_state = STATE_LIST(struct hc, hc_fields);

struct hc *hc_create(struct vm *vm)
{
	struct hc *hc = calloc(1, sizeof(*hc));

	if (!hc)
		return NULL;
	hc->vm = vm;
	hc_event_init(hc);
	hc_time_init(hc);
	return hc;
}

void hc_destroy(struct hc *hc)
{
	free(hc);
}

void hc_sync_shared(struct vcpu *vcpu, bool interrupt_waits)
{
	struct hc *hc = vcpu->vm->hc;
	struct r3_vcpu_info *info;

	if (!hc->shared)
		return;
	info = &hc->shared->vcpu[vcpu->id];
	__atomic_store_n(&info->pending, interrupt_waits, __ATOMIC_RELAXED);
	hc_time_sync(hc);
}

/*
 * Event channels: ports 0 to 63 of one machine, their pending and mask words in the shared page, and block. The guest
 * may write both words at any moment, so the monitor only ever sets or clears single bits, atomically.
 *
 * A vector is delivered on an edge: for a port that is pending and unmasked and of which the guest was not told yet.
 * What the guest was told is forgotten, at the next look, once it has cleared or masked the port; a port it cleared
 * and that was set again before any look counts as new, because posting it forgets too.
 */
#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"
#include "monitor/device/console.h"
#include "monitor/vm/vm.h"

static bool port_open(const struct hc *hc, uint64_t port)
{
	return port < R3_EVTCHN_PORTS && (hc->open & R3_BIT(port));
}

void hc_event_init(struct hc *hc)
{
	for (unsigned i = 0; i < R3_VIRQ_COUNT; i++)
		hc->virq_port[i] = HC_NO_PORT;
}

void hc_event_post(struct hc *hc, unsigned port)
{
	uint64_t bit = R3_BIT(port);

	if (!hc->shared)
		hc->unposted |= bit;
	else if (!(__atomic_fetch_or(&hc->shared->evtchn_pending, bit, __ATOMIC_SEQ_CST) & bit))
		hc->delivered &= ~bit;
}

void hc_event_publish(struct hc *hc)
{
	__atomic_fetch_or(&hc->shared->evtchn_pending, hc->unposted, __ATOMIC_SEQ_CST);
	hc->unposted = 0;
	hc->delivered = 0;
}

void hc_raise_virq(struct vm *vm, unsigned virq)
{
	if (vm->hc->virq_port[virq] != HC_NO_PORT)
		hc_event_post(vm->hc, vm->hc->virq_port[virq]);
}

/* Ports that are pending and unmasked now. */
static uint64_t active(const struct hc *hc)
{
	if (!hc->shared)
		return 0;
	return __atomic_load_n(&hc->shared->evtchn_pending, __ATOMIC_SEQ_CST) &
	       ~__atomic_load_n(&hc->shared->evtchn_mask, __ATOMIC_SEQ_CST);
}

/* Events go to the first vCPU. */
bool hc_event_pending(struct vcpu *vcpu)
{
	struct hc *hc = vcpu->vm->hc;
	uint64_t ports;

	if (vcpu->id != 0 || !vcpu->pv.event_vector)
		return false;
	ports = active(hc);
	hc->delivered &= ports;
	return ports & ~hc->delivered;
}

uint8_t hc_event_ack(struct vcpu *vcpu)
{
	vcpu->vm->hc->delivered = active(vcpu->vm->hc);
	return vcpu->pv.event_vector;
}

static int64_t open_port(struct hc *hc)
{
	unsigned port;

	if (!~hc->open)
		return -R3_ENOSPC;
	port = (unsigned)__builtin_ctzll(~hc->open);
	hc->open |= R3_BIT(port);
	return port;
}

int64_t hc_call_evtchn_bind_virq(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct hc *hc = vcpu->vm->hc;
	uint64_t virq = arg[0];
	int64_t port;

	if (virq >= R3_VIRQ_COUNT)
		return -R3_EINVAL;
	if (hc->virq_port[virq] != HC_NO_PORT)
		return hc->virq_port[virq];
	port = open_port(hc);
	if (port < 0)
		return port;
	hc->virq_port[virq] = (unsigned)port;
	if (virq == R3_VIRQ_CONSOLE) {
		console_listen(vcpu->vm->console);
		if (console_input_pending(vcpu->vm->console))
			hc_event_post(hc, (unsigned)port);
	}
	return port;
}

int64_t hc_call_evtchn_alloc(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	return open_port(vcpu->vm->hc);
}

int64_t hc_call_evtchn_send(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	if (!port_open(vcpu->vm->hc, arg[0]))
		return -R3_EBADF;
	hc_event_post(vcpu->vm->hc, (unsigned)arg[0]);
	return 0;
}

int64_t hc_call_evtchn_close(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct hc *hc = vcpu->vm->hc;
	uint64_t bit;

	if (!port_open(hc, arg[0]))
		return -R3_EBADF;
	bit = R3_BIT(arg[0]);
	hc->open &= ~bit;
	hc->unposted &= ~bit;
	hc->delivered &= ~bit;
	if (hc->shared)
		__atomic_fetch_and(&hc->shared->evtchn_pending, ~bit, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < R3_VIRQ_COUNT; i++)
		if (hc->virq_port[i] == arg[0])
			hc->virq_port[i] = HC_NO_PORT;
	return 0;
}

/* The run loop wakes the vCPU: at once if something is pending already. */
int64_t hc_call_block(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	vcpu_set_if(vcpu, true);
	vcpu->halted = true;
	return 0;
}

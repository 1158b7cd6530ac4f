/*
 * Event channels (pv=on): bits in the shared page, delivered together through one vector.
 */
#include "pvguest/internal.h"

struct r3_shared_info *pvg_shared_info;

static uint64_t ready_ports(void)
{
	return __atomic_load_n(&pvg_shared_info->evtchn_pending, __ATOMIC_ACQUIRE) &
	       ~__atomic_load_n(&pvg_shared_info->evtchn_mask, __ATOMIC_RELAXED);
}

/* Takes one pending, unmasked port; -1 if there is none. The bit goes before the handler runs: what is sent meanwhile
 * sets it again. */
static int take_port(void)
{
	uint64_t ready = ready_ports();
	int port;

	if (!ready)
		return -1;
	port = __builtin_ctzll(ready);
	__atomic_fetch_and(&pvg_shared_info->evtchn_pending, ~R3_BIT(port), __ATOMIC_ACQ_REL);
	return port;
}

/*
 * One upcall tells of all ports pending, but the first one's handler may switch contexts, and whoever runs then must
 * hear of the others. A port that the monitor has seen masked is new to it once it is not.
 */
static void tell_again(uint64_t ports)
{
	__atomic_fetch_or(&pvg_shared_info->evtchn_mask, ports, __ATOMIC_ACQ_REL);
	pvg_hypercall0(R3_HC_abi_version);
	__atomic_fetch_and(&pvg_shared_info->evtchn_mask, ~ports, __ATOMIC_ACQ_REL);
	pvg_hypercall0(R3_HC_abi_version);
}

static void upcall(struct pvg_frame *frame, void *arg)
{
	int port;

	(void)frame, (void)arg;
	while ((port = take_port()) >= 0) {
		uint64_t others = ready_ports();

		if (others)
			tell_again(others);
		pvg_irq_dispatch((unsigned)port);
	}
}

void pvg_event_init(void)
{
	pvg_shared_info->evtchn_mask = UINT64_MAX;
	pvg_trap_register(PVG_VEC_EVENT, upcall, NULL);
}

void pvg_event_mask(unsigned port, bool masked)
{
	if (!pvg_shared_info || port >= R3_EVTCHN_PORTS)
		return;
	if (masked) {
		__atomic_fetch_or(&pvg_shared_info->evtchn_mask, R3_BIT(port), __ATOMIC_ACQ_REL);
		return;
	}
	__atomic_fetch_and(&pvg_shared_info->evtchn_mask, ~R3_BIT(port), __ATOMIC_ACQ_REL);
	/* What came while the port was masked waits for a hypercall. */
	if (__atomic_load_n(&pvg_shared_info->evtchn_pending, __ATOMIC_ACQUIRE) & R3_BIT(port))
		pvg_hypercall0(R3_HC_abi_version);
}

int pvg_event_bind(unsigned source)
{
	switch (source) {
	case PVG_IRQ_TIMER:
		return (int)pvg_hypercall1(R3_HC_evtchn_bind_virq, R3_VIRQ_TIMER);
	case PVG_IRQ_CONSOLE:
		return (int)pvg_hypercall1(R3_HC_evtchn_bind_virq, R3_VIRQ_CONSOLE);
	default:
		return -R3_EINVAL;
	}
}

int pvg_event_alloc(void)
{
	return pvg_is_paravirt() ? (int)pvg_hypercall0(R3_HC_evtchn_alloc) : -R3_ENOSYS;
}

int pvg_event_send(unsigned port)
{
	return pvg_is_paravirt() ? (int)pvg_hypercall1(R3_HC_evtchn_send, port) : -R3_ENOSYS;
}

int pvg_event_close(unsigned port)
{
	if (!pvg_is_paravirt())
		return -R3_ENOSYS;
	pvg_event_mask(port, true);
	return (int)pvg_hypercall1(R3_HC_evtchn_close, port);
}

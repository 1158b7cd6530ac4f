/*
 * Event channels: sent, masked, unmasked and closed (pv=on).
 */
#include <pvguest/pvguest.h>

static volatile unsigned calls[2];

static void count(void *arg)
{
	(*(volatile unsigned *)arg)++;
}

static void test_send(unsigned a, unsigned b)
{
	pvg_test_equal((uint64_t)pvg_event_send(a), 0, "send");
	pvg_test_equal(calls[0], 1, "delivered at once");
	pvg_test_equal(calls[1], 0, "to its own handler only");

	pvg_irq_disable();
	pvg_event_send(a);
	pvg_event_send(a);
	pvg_event_send(b);
	pvg_test_equal(calls[0], 1, "interrupts masked: not delivered");
	pvg_irq_enable();
	pvg_test_equal(calls[0], 2, "unmasked: delivered, twice sent is once pending");
	pvg_test_equal(calls[1], 1, "both ports in one upcall");
}

static void test_mask(unsigned a, unsigned b)
{
	calls[0] = calls[1] = 0;
	pvg_event_mask(a, true);
	pvg_event_send(a);
	pvg_test_equal(calls[0], 0, "masked port: not delivered");
	pvg_event_send(b);
	pvg_test_equal(calls[1], 1, "another port is");
	pvg_test_equal(calls[0], 0, "and the masked one still not");
	pvg_event_mask(a, false);
	pvg_test_equal(calls[0], 1, "unmasked port: delivered");
}

/* The handler sends to its own port once: the bit was cleared before the handler ran. */
static void send_again(void *arg)
{
	if (calls[0]++ == 0)
		pvg_event_send(*(unsigned *)arg);
}

static void test_resend(unsigned a)
{
	calls[0] = 0;
	pvg_irq_register_line(a, send_again, &a);
	pvg_event_send(a);
	pvg_test_equal(calls[0], 2, "what is sent from the handler is delivered after it");
	pvg_irq_register_line(a, count, (void *)&calls[0]);
}

static void test_close(unsigned a)
{
	pvg_test_equal((uint64_t)pvg_event_close(a), 0, "close");
	pvg_test_equal((uint64_t)pvg_event_send(a), (uint64_t)-R3_EBADF, "send to a closed port");
	pvg_test_equal((uint64_t)pvg_event_close(a), (uint64_t)-R3_EBADF, "close twice");
	pvg_test_equal((uint64_t)pvg_event_alloc(), a, "the port is given out again");
}

static void test_exhaustion(void)
{
	unsigned given = 0;
	int port;

	while ((port = pvg_event_alloc()) >= 0 && given <= R3_EVTCHN_PORTS)
		given++;
	pvg_test_equal((uint64_t)port, (uint64_t)-R3_ENOSPC, "no port is left after %u", given);
	pvg_test(given < R3_EVTCHN_PORTS, "not more than there are");
}

static void test_virq(void)
{
	int64_t port = pvg_hypercall1(R3_HC_evtchn_bind_virq, R3_VIRQ_TIMER);

	pvg_test(port >= 0 && port < R3_EVTCHN_PORTS, "the timer has a port");
	pvg_test_equal((uint64_t)pvg_hypercall1(R3_HC_evtchn_bind_virq, R3_VIRQ_TIMER), (uint64_t)port,
		       "the same when bound again");
}

int main(const char *cmdline)
{
	int a = pvg_event_alloc(), b = pvg_event_alloc();

	(void)cmdline;
	pvg_test(a >= 0 && b >= 0 && a != b, "two ports");
	pvg_irq_register_line((unsigned)a, count, (void *)&calls[0]);
	pvg_irq_register_line((unsigned)b, count, (void *)&calls[1]);
	test_send((unsigned)a, (unsigned)b);
	test_mask((unsigned)a, (unsigned)b);
	test_resend((unsigned)a);
	test_virq();
	test_close((unsigned)a);
	test_exhaustion();
	return pvg_test_finish();
}

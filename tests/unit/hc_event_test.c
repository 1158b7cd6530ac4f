/*
 * Event channels: ports, and when exactly the guest is told of what is pending.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <unistd.h>

#include "monitor/device/console.h"
#include "monitor/run/inject.h"
#include "tests/unit/hc_fixture.h"

#define VECTOR 0x40

/* A guest ready for events: page, vector, one port open. Returns the port. */
static unsigned ready(struct hc_fixture *f, struct r3_shared_info **shared)
{
	int64_t port;

	*shared = hcf_share(f);
	assert_int_equal(HC(f, set_callback, R3_CALLBACK_EVENT, VECTOR), 0);
	port = HC(f, evtchn_alloc);
	assert_in_range(port, 0, R3_EVTCHN_PORTS - 1);
	return (unsigned)port;
}

static void assert_delivers_once(struct hc_fixture *f)
{
	assert_true(hc_event_pending(f->vcpu));
	assert_int_equal(hc_event_ack(f->vcpu), VECTOR);
	assert_false(hc_event_pending(f->vcpu));
}

/* ------------------------------------------------------------------------------------------------------ ports */

static void ports_run_out_and_come_back(void **state)
{
	struct hc_fixture *f = *state;
	uint64_t seen = 0;

	for (unsigned i = 0; i < R3_EVTCHN_PORTS; i++) {
		int64_t port = HC(f, evtchn_alloc);

		assert_in_range(port, 0, R3_EVTCHN_PORTS - 1);
		assert_int_equal(seen & R3_BIT(port), 0);
		seen |= R3_BIT(port);
	}
	assert_int_equal(HC(f, evtchn_alloc), -R3_ENOSPC);
	assert_int_equal(HC(f, evtchn_bind_virq, R3_VIRQ_TIMER), -R3_ENOSPC);
	assert_int_equal(HC(f, evtchn_close, 17), 0);
	assert_int_equal(HC(f, evtchn_close, 17), -R3_EBADF);
	assert_int_equal(HC(f, evtchn_bind_virq, R3_VIRQ_TIMER), 17);
}

static void port_numbers_are_checked(void **state)
{
	static const uint64_t bad[] = {5, 64, 65, 1ull << 32, UINT64_MAX};
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;

	assert_int_not_equal(ready(f, &shared), 5);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(HC(f, evtchn_send, bad[i]), -R3_EBADF);
		assert_int_equal(HC(f, evtchn_close, bad[i]), -R3_EBADF);
	}
	assert_int_equal(shared->evtchn_pending, 0);
	assert_int_equal(HC(f, evtchn_bind_virq, R3_VIRQ_COUNT), -R3_EINVAL);
	assert_int_equal(HC(f, evtchn_bind_virq, UINT64_MAX), -R3_EINVAL);
}

static void binding_twice_gives_the_same_port(void **state)
{
	struct hc_fixture *f = *state;
	int64_t timer = HC(f, evtchn_bind_virq, R3_VIRQ_TIMER), console = HC(f, evtchn_bind_virq, R3_VIRQ_CONSOLE);

	assert_true(timer >= 0 && console >= 0 && timer != console);
	assert_int_equal(HC(f, evtchn_bind_virq, R3_VIRQ_TIMER), timer);
	assert_int_equal(HC(f, evtchn_close, (uint64_t)timer), 0);
	hc_raise_virq(f->vm, R3_VIRQ_TIMER);
	assert_int_equal(hcf_share(f)->evtchn_pending, 0);
}

/* --------------------------------------------------------------------------------------------------- delivery */

static void event_is_delivered_once(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	assert_false(hc_event_pending(f->vcpu));
	assert_int_equal(HC(f, evtchn_send, port), 0);
	assert_int_equal(shared->evtchn_pending, R3_BIT(port));
	assert_delivers_once(f);
	/* The guest is in its handler, the bit still set: no storm, whatever else exits. */
	HC(f, abi_version);
	assert_false(hc_event_pending(f->vcpu));
	/* Set again before it was cleared: the handler will find it. */
	HC(f, evtchn_send, port);
	assert_false(hc_event_pending(f->vcpu));
	shared->evtchn_pending = 0;
	assert_false(hc_event_pending(f->vcpu));
	HC(f, evtchn_send, port);
	assert_delivers_once(f);
}

/* Cleared by the guest and set again with no look in between. */
static void event_after_clearing_is_not_lost(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	HC(f, evtchn_send, port);
	assert_delivers_once(f);
	shared->evtchn_pending = 0;
	HC(f, evtchn_send, port);
	assert_delivers_once(f);
}

static void second_port_is_new(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned first = ready(f, &shared), second = (unsigned)HC(f, evtchn_alloc);

	HC(f, evtchn_send, first);
	assert_delivers_once(f);
	HC(f, evtchn_send, second);
	assert_delivers_once(f);
	/* Both at once are one delivery. */
	shared->evtchn_pending = 0;
	assert_false(hc_event_pending(f->vcpu));
	HC(f, evtchn_send, first);
	HC(f, evtchn_send, second);
	assert_delivers_once(f);
}

static void mask_holds_and_releases(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	shared->evtchn_mask = R3_BIT(port);
	HC(f, evtchn_send, port);
	assert_false(hc_event_pending(f->vcpu));
	assert_int_equal(shared->evtchn_pending, R3_BIT(port));
	shared->evtchn_mask = 0;
	HC(f, abi_version);
	assert_delivers_once(f);
	/* Masked and unmasked while pending, with a look in between: told again. */
	shared->evtchn_mask = R3_BIT(port);
	assert_false(hc_event_pending(f->vcpu));
	shared->evtchn_mask = 0;
	assert_delivers_once(f);
}

static void polled_away_before_delivery(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	HC(f, evtchn_send, port);
	assert_true(hc_event_pending(f->vcpu));
	shared->evtchn_pending = 0;
	assert_false(hc_event_pending(f->vcpu));
}

static void no_vector_no_event(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	HC(f, set_callback, R3_CALLBACK_EVENT, 0);
	HC(f, evtchn_send, port);
	assert_false(hc_event_pending(f->vcpu));
	HC(f, set_callback, R3_CALLBACK_EVENT, VECTOR);
	assert_delivers_once(f);
}

static void closing_takes_the_event_back(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	HC(f, evtchn_send, port);
	assert_int_equal(HC(f, evtchn_close, port), 0);
	assert_int_equal(shared->evtchn_pending, 0);
	assert_false(hc_event_pending(f->vcpu));
	/* The next owner of the number starts clean. */
	assert_int_equal(HC(f, evtchn_alloc), port);
	HC(f, evtchn_send, port);
	assert_delivers_once(f);
}

static void event_waits_for_the_page(void **state)
{
	struct hc_fixture *f = *state;
	unsigned port = (unsigned)HC(f, evtchn_alloc);

	HC(f, set_callback, R3_CALLBACK_EVENT, VECTOR);
	HC(f, evtchn_send, port);
	assert_false(hc_event_pending(f->vcpu));
	assert_int_equal(hcf_share(f)->evtchn_pending, R3_BIT(port));
	assert_delivers_once(f);
}

/* Both words are the guest's to scribble on: it can fool itself, not the monitor. */
static void scribbled_words_do_no_harm(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;

	ready(f, &shared);
	shared->evtchn_pending = UINT64_MAX;
	assert_delivers_once(f);
	for (unsigned i = 0; i < 100; i++) {
		shared->evtchn_pending = i * 0x9e3779b97f4a7c15;
		shared->evtchn_mask = i * 0xc2b2ae3d27d4eb4f;
		if (hc_event_pending(f->vcpu))
			assert_int_equal(hc_event_ack(f->vcpu), VECTOR);
		assert_false(hc_event_pending(f->vcpu));
	}
	assert_false(f->vm->ended);
}

/* ------------------------------------------------------------------------------------- flag, block, console */

static void flag_in_the_page_opens_the_window(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	shared->vcpu[0].vif = 0;
	HC(f, evtchn_send, port);
	assert_true(hc_event_pending(f->vcpu));
	assert_false(inject_window_open(f->vcpu));
	shared->vcpu[0].vif = 1;
	assert_true(inject_window_open(f->vcpu));
}

static void block_unmasks_and_waits(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	unsigned port = ready(f, &shared);

	shared->vcpu[0].vif = 0;
	assert_int_equal(HC(f, block), 0);
	assert_true(f->vcpu->halted);
	assert_int_equal(shared->vcpu[0].vif, 1);
	/* What was pending before it blocked still wakes it. */
	f->vcpu->halted = false;
	HC(f, evtchn_send, port);
	HC(f, block);
	assert_true(inject_window_open(f->vcpu));
	assert_delivers_once(f);
}

static void console_input_raises_its_event(void **state)
{
	struct hc_fixture *f = *state;
	struct r3_shared_info *shared;
	int64_t port;

	ready(f, &shared);
	port = HC(f, evtchn_bind_virq, R3_VIRQ_CONSOLE);
	assert_int_equal(write(f->in[1], "k", 1), 1);
	hcf_await_input(f, 1);
	assert_true(console_poll(f->vm->console));
	hc_raise_virq(f->vm, R3_VIRQ_CONSOLE);
	assert_int_equal(shared->evtchn_pending, R3_BIT(port));
	/* Bound when input waits already: told at once. */
	HC(f, evtchn_close, (uint64_t)port);
	assert_int_equal(shared->evtchn_pending, 0);
	assert_int_equal(HC(f, evtchn_bind_virq, R3_VIRQ_CONSOLE), port);
	assert_int_equal(shared->evtchn_pending, R3_BIT(port));
	assert_delivers_once(f);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, hcf_setup, hcf_teardown)
	const struct CMUnitTest tests[] = {
		T(ports_run_out_and_come_back),
		T(port_numbers_are_checked),
		T(binding_twice_gives_the_same_port),
		T(event_is_delivered_once),
		T(event_after_clearing_is_not_lost),
		T(second_port_is_new),
		T(mask_holds_and_releases),
		T(polled_away_before_delivery),
		T(no_vector_no_event),
		T(closing_takes_the_event_back),
		T(event_waits_for_the_page),
		T(scribbled_words_do_no_harm),
		T(flag_in_the_page_opens_the_window),
		T(block_unmasks_and_waits),
		T(console_input_raises_its_event),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

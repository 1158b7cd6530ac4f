/*
 * Paravirtual time: the clock in the shared page, which the guest reads without an exit, and the one-shot timer.
 *
 * The page gives a line (counter reading, time, slope) for the guest to extend. The first slope is a rough estimate,
 * since start-up waits for no measurement, so the line is drawn anew as time goes on, ever more seldom. A new line
 * starts where the old one has got to, or later: the guest never sees time go back.
 */
#include <stdatomic.h>

#include "hypercalls/host/hc.h"
#include "hypercalls/host/hc_internal.h"
#include "monitor/vm/vm.h"

#define FIRST_INTERVAL_NS   1000000ull
#define LONGEST_INTERVAL_NS CLOCK_NS_PER_SEC

/* The most that a clock which is early is slowed down by, as a fraction: 500 ppm, like adjtime's. */
#define SLEW_DIVISOR 2000

/* --------------------------------------------------------------------------------------------------------- clock */

uint64_t hc_clock_read(const struct hc_clock *clock, uint64_t tsc)
{
	return tsc > clock->tsc ? clock->ns + clock_rate_ns(clock->rate, tsc - clock->tsc) : clock->ns;
}

static void set_due(struct hc_clock *clock)
{
	uint64_t ns_per_mega_tick = clock_rate_ns(clock->rate, 1 << 20);

	clock->due = clock->tsc + (clock->interval << 20) / (ns_per_mega_tick ? ns_per_mega_tick : 1);
}

void hc_clock_start(struct hc_clock *clock, struct clock_moment now, struct clock_rate rate)
{
	clock->tsc = now.tsc;
	clock->ns = now.ns - clock->start_ns;
	clock->rate = rate;
	clock->interval = FIRST_INTERVAL_NS;
	set_due(clock);
}

void hc_clock_update(struct hc_clock *clock, struct clock_moment now, struct clock_rate rate)
{
	uint64_t shown = hc_clock_read(clock, now.tsc), real = now.ns - clock->start_ns;

	if (clock->interval < LONGEST_INTERVAL_NS)
		clock->interval *= 2;
	if (shown > real) {
		uint64_t early = shown - real, most = clock->interval / SLEW_DIVISOR;

		rate.mul -= (uint32_t)((unsigned __int128)rate.mul * (early < most ? early : most) / clock->interval);
		real = shown;
	}
	clock->tsc = now.tsc > clock->tsc ? now.tsc : clock->tsc;
	clock->ns = real;
	clock->rate = rate;
	set_due(clock);
}

/* The page may be read by another vCPU meanwhile: odd while it changes. */
static void write_page(struct hc *hc)
{
	struct r3_clock *page = &hc->shared->clock;
	const struct hc_clock *clock = &hc->clock;

	__atomic_store_n(&page->version, ++hc->clock.version, __ATOMIC_RELAXED);
	atomic_thread_fence(memory_order_release);
	page->tsc = clock->tsc;
	page->system_ns = clock->ns;
	page->mul = clock->rate.mul;
	page->shift = clock->rate.shift;
	__atomic_store_n(&page->version, ++hc->clock.version, __ATOMIC_RELEASE);
}

void hc_time_publish(struct hc *hc)
{
	if (!hc->clock.rate.mul)
		hc_clock_start(&hc->clock, clock_guest_now(), clock_guest_rate());
	hc->shared->clock.wall_ns = clock_guest_wall_ns() - (clock_guest_ns() - hc->clock.start_ns);
	write_page(hc);
}

void hc_time_sync(struct hc *hc)
{
	if (clock_guest_tsc() < hc->clock.due)
		return;
	hc_clock_update(&hc->clock, clock_guest_now(), clock_guest_rate());
	write_page(hc);
}

void hc_time_held(struct vm *vm, uint64_t since)
{
	struct hc *hc = vm->hc;
	struct hc_clock *clock = &hc->clock;
	uint64_t shown = hc_clock_read(clock, since);

	if (!clock->rate.mul || clock_frozen())
		return;
	clock->tsc = clock_tsc();
	clock->ns = shown;
	set_due(clock);
	if (hc->shared)
		write_page(hc);
}

uint64_t hc_clock_ns(struct vm *vm, uint64_t now)
{
	uint64_t start = vm->hc->clock.start_ns;

	return now > start ? now - start : 0;
}

/* --------------------------------------------------------------------------------------------------------- timer */

/* Time as the guest would read it now. */
static uint64_t guest_now(const struct hc *hc)
{
	return hc->shared ? hc_clock_read(&hc->clock, clock_guest_tsc()) : hc_clock_ns(hc->vm, clock_guest_ns());
}

/* Raises the timer's event if the guest's clock has reached the deadline, and waits for the rest of the time if not. */
static void expire_or_wait(struct hc *hc)
{
	uint64_t now = guest_now(hc), host = clock_guest_ns();

	if (hc->timer_deadline <= now)
		hc_raise_virq(hc->vm, R3_VIRQ_TIMER);
	else if (hc->timer_deadline - now < TIMER_NEVER - host)
		timer_arm(&hc->timer, host + (hc->timer_deadline - now));
}

static void expired(void *arg, uint64_t now)
{
	expire_or_wait(arg);
}

int64_t hc_call_set_timer(struct vcpu *vcpu, const uint64_t arg[HC_ARGS])
{
	struct hc *hc = vcpu->vm->hc;

	timer_arm(&hc->timer, TIMER_NEVER);
	hc->timer_deadline = arg[0];
	if (arg[0])
		expire_or_wait(hc);
	return 0;
}

void hc_time_init(struct hc *hc)
{
	clock_start();
	hc->clock.start_ns = clock_guest_ns();
	timer_add(&hc->vm->timers, &hc->timer, expired, hc);
}

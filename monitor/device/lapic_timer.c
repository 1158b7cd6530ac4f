/*
 * The local APIC's timer (SDM 3A 10.5.4). No tick is counted: what the counter shows is computed from host time when
 * somebody looks. However late the host is, at most one interrupt waits.
 */
#include "monitor/device/lapic_internal.h"

#include "monitor/host/clock.h"

/* A period below this is served at this interval: a guest can ask for a thousand million interrupts a second. */
#define SHORTEST_INTERVAL_NS 50000
/* A deadline that the host timer reached early by the error of the counter's estimated rate. */
#define AGAIN_NS 1000
/* Ticks that are never waited for: decades. */
#define FARTHEST (UINT64_MAX >> 3)

static enum lapic_timer_mode mode(const struct lapic *apic)
{
	return LAPIC_TIMER_MODE(apic->lvt[LAPIC_LVT_TIMER]);
}

/* Table in 10.5.4: 2, 4, ... 128, 1 */
static unsigned divider_shift(const struct lapic *apic)
{
	return ((apic->divide & 3) + (apic->divide >> 1 & 4) + 1) & 7;
}

static uint64_t period_ns(const struct lapic *apic)
{
	return (uint64_t)apic->initial << divider_shift(apic);
}

static uint64_t guest_tsc(const struct lapic *apic)
{
	return clock_guest_tsc() + apic->vcpu->tsc_offset;
}

uint32_t lapic_timer_count(const struct lapic *apic)
{
	uint64_t gone = (apic->clock() - apic->start) >> divider_shift(apic);

	if (!apic->initial || apic->stopped || mode(apic) == LAPIC_DEADLINE)
		return 0;
	if (mode(apic) == LAPIC_PERIODIC)
		return apic->initial - (uint32_t)(gone % apic->initial);
	return gone < apic->initial ? apic->initial - (uint32_t)gone : 0;
}

static uint64_t next_deadline(const struct lapic *apic)
{
	uint64_t now = guest_tsc(apic), left = apic->deadline > now ? apic->deadline - now : 0;

	if (!apic->deadline || left > FARTHEST)
		return TIMER_NEVER;
	return apic->clock() + clock_rate_ns(clock_guest_rate(), left);
}

/* The next time the count reaches 0. */
static uint64_t next_zero(const struct lapic *apic)
{
	uint64_t period = period_ns(apic), gone = apic->clock() - apic->start;

	if (!period || apic->stopped)
		return TIMER_NEVER;
	if (mode(apic) == LAPIC_PERIODIC)
		return apic->start + (gone / period + 1) * period;
	return gone < period ? apic->start + period : TIMER_NEVER;
}

/* A masked timer counts all the same, and a deadline is kept until it is unmasked. */
void lapic_timer_arm(struct lapic *apic)
{
	bool silent = !lapic_is_on(apic) || (apic->lvt[LAPIC_LVT_TIMER] & APIC_MASKED);

	if (silent)
		timer_arm(&apic->timer, TIMER_NEVER);
	else
		timer_arm(&apic->timer, mode(apic) == LAPIC_DEADLINE ? next_deadline(apic) : next_zero(apic));
}

static void expired(void *arg, uint64_t now)
{
	struct lapic *apic = arg;

	if (mode(apic) == LAPIC_DEADLINE) {
		if (guest_tsc(apic) < apic->deadline) {
			lapic_timer_arm(apic);
			if (apic->timer.deadline < now + AGAIN_NS)
				timer_arm(&apic->timer, now + AGAIN_NS);
			return;
		}
		apic->deadline = 0;
	}
	lapic_local(apic, LAPIC_LVT_TIMER);
	if (mode(apic) != LAPIC_PERIODIC)
		return;
	lapic_timer_arm(apic);
	if (apic->timer.deadline < now + SHORTEST_INTERVAL_NS)
		timer_arm(&apic->timer, now + SHORTEST_INTERVAL_NS);
}

/* After a change of mode or divider the count goes on from where it was. */
static void count_from(struct lapic *apic, uint32_t left)
{
	apic->stopped = !left;
	apic->start = apic->clock() - ((uint64_t)(apic->initial - left) << divider_shift(apic));
}

/* To and from deadlines the timer is disarmed. */
void lapic_timer_set_mode(struct lapic *apic, uint32_t lvt)
{
	enum lapic_timer_mode before = mode(apic);
	uint32_t left = lapic_timer_count(apic);

	apic->lvt[LAPIC_LVT_TIMER] = lvt;
	if ((before == LAPIC_DEADLINE) != (mode(apic) == LAPIC_DEADLINE)) {
		apic->deadline = 0;
		apic->initial = 0;
	} else if (before != mode(apic)) {
		count_from(apic, left);
	}
	lapic_timer_arm(apic);
}

/* A deadline that is written has the counter's register stand still. */
void lapic_timer_load(struct lapic *apic, uint32_t initial)
{
	if (mode(apic) == LAPIC_DEADLINE)
		return;
	apic->initial = initial;
	apic->stopped = false;
	apic->start = apic->clock();
	lapic_timer_arm(apic);
}

void lapic_timer_divide(struct lapic *apic, uint32_t divide)
{
	uint32_t left = lapic_timer_count(apic);

	apic->divide = divide;
	count_from(apic, left);
	lapic_timer_arm(apic);
}

void lapic_write_deadline(struct lapic *apic, uint64_t tsc)
{
	if (mode(apic) != LAPIC_DEADLINE)
		return;
	apic->deadline = tsc;
	lapic_timer_arm(apic);
}

void lapic_timer_init(struct lapic *apic, struct timers *timers)
{
	timer_add(timers, &apic->timer, expired, apic);
}

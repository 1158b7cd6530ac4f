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
/*
 * Deadlines that come at intervals between these are expected to go on so. What they are late or early by is less than
 * a 256th part of the interval: a kernel reads its counter some hundred instructions before it sets the next one.
 */
#define EXPECTED_FROM_NS   100000
#define EXPECTED_TO_NS	   20000000
#define EXPECTED_TOLERANCE 8 /* as a shift */
#define EXPECTED_LONGER	   8 /* so many in a row are the rule */
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

/* When the counter has come to the deadline, 0: none. */
static uint64_t time_of(const struct lapic *apic, uint64_t deadline)
{
	uint64_t now = guest_tsc(apic), left = deadline > now ? deadline - now : 0;

	if (!deadline || left > FARTHEST)
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

static bool is_silent(const struct lapic *apic)
{
	return !lapic_is_on(apic) || (apic->lvt[LAPIC_LVT_TIMER] & APIC_MASKED);
}

/* A masked timer counts all the same, and a deadline is kept until it is unmasked. */
void lapic_timer_arm(struct lapic *apic)
{
	apic->expected = 0;
	if (is_silent(apic))
		timer_arm(&apic->timer, TIMER_NEVER);
	else
		timer_arm(&apic->timer, mode(apic) == LAPIC_DEADLINE ? time_of(apic, apic->deadline) : next_zero(apic));
}

static uint64_t tolerance(const struct lapic *apic)
{
	return apic->interval >> EXPECTED_TOLERANCE;
}

/* The timer is armed for the latest deadline that would be expected. */
static void expect(struct lapic *apic)
{
	uint64_t interval_ns = clock_rate_ns(clock_guest_rate(), apic->interval);

	if (!apic->expects || interval_ns < EXPECTED_FROM_NS || interval_ns > EXPECTED_TO_NS)
		return;
	uint64_t gone = (guest_tsc(apic) - apic->expired) / apic->interval;
	apic->expected = apic->expired + (gone + 1) * apic->interval;
	timer_arm(&apic->timer, time_of(apic, apic->expected + tolerance(apic)));
}

uint64_t lapic_expect_deadline(struct lapic *apic)
{
	apic->expects = true;
	if (mode(apic) != LAPIC_DEADLINE || is_silent(apic))
		return UINT64_MAX;
	if (apic->deadline)
		return apic->deadline;
	return apic->expected ? apic->expected - tolerance(apic) : UINT64_MAX;
}

/* Ticks that came late have others left out, so that longer intervals come between. */
static void note_interval(struct lapic *apic, uint64_t interval)
{
	bool missed = apic->interval && interval > apic->interval + tolerance(apic) && ++apic->longer < EXPECTED_LONGER;

	if (missed)
		return;
	apic->interval = interval;
	apic->longer = 0;
}

/* Else the next look at it is later. */
static bool deadline_is_due(struct lapic *apic, uint64_t now)
{
	uint64_t due = apic->deadline;

	if (!due || guest_tsc(apic) < due) {
		if (!due)
			apic->interval = 0;
		lapic_timer_arm(apic);
		if (apic->timer.deadline < now + AGAIN_NS)
			timer_arm(&apic->timer, now + AGAIN_NS);
		return false;
	}
	note_interval(apic, due - apic->expired);
	apic->expired = due;
	apic->deadline = apic->expected = 0;
	expect(apic);
	return true;
}

static void expired(void *arg, uint64_t now)
{
	struct lapic *apic = arg;

	if (mode(apic) == LAPIC_DEADLINE && !deadline_is_due(apic, now))
		return;
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
	/* The timer stays as it is. */
	if (apic->expected && tsc + tolerance(apic) - apic->expected <= 2 * tolerance(apic))
		return;
	/* Where it was expected in vain it is to be learned anew: each time costs an exit. */
	if (apic->expected)
		apic->interval = 0;
	lapic_timer_arm(apic);
}

void lapic_timer_init(struct lapic *apic, struct timers *timers)
{
	timer_add(timers, &apic->timer, expired, apic);
}

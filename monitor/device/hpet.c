/*
 * The HPET (IA-PC HPET specification 1.0a). No tick is counted: the counter is computed from host time when somebody
 * looks, and a comparator's next match is a deadline of the host.
 */
#include "monitor/device/hpet.h"

#define REG_CAPABILITIES 0x000
#define REG_CONFIG	 0x010
#define REG_STATUS	 0x020
#define REG_COUNTER	 0x0f0
#define REG_TIMERS	 0x100
#define TIMER_STRIDE	 0x20
#define TIMER_CONFIG	 0x00
#define TIMER_MATCH	 0x08
#define LENGTH		 0x400

#define TICK_FS (HPET_TICK_NS * 1000000ull)

#define CONFIG_ENABLE 1u
#define CONFIG_LEGACY 2u

#define TIMER_LEVEL    0x0002u
#define TIMER_ENABLE   0x0004u
#define TIMER_PERIODIC 0x0008u
#define TIMER_CAN_BE   0x0030u /* periodic, 64 bits wide */
#define TIMER_SET      0x0040u
#define TIMER_NARROW   0x0100u
#define TIMER_WRITABLE 0x3f0eu /* besides TIMER_SET, which reads as 0 */
#define TIMER_ROUTE(c) ((unsigned)((c) >> 9) & 31)
#define TIMER_PINS     (0x00f00000ull << 32) /* 20 to 23, which nothing else drives */
#define FIRST_PIN      20
#define LAST_PIN       23

/* A period below this is served at this interval: a guest can ask for millions of interrupts a second. */
#define SHORTEST_INTERVAL_NS 50000

static const unsigned legacy_line[HPET_TIMERS - 1] = {0, 8};

static bool runs(const struct hpet *hpet)
{
	return hpet->config & CONFIG_ENABLE;
}

static uint64_t counter_now(const struct hpet *hpet)
{
	return hpet->counter + (runs(hpet) ? (hpet->clock() - hpet->start) / HPET_TICK_NS : 0);
}

bool hpet_replaces(const struct hpet *hpet)
{
	return hpet->config & CONFIG_LEGACY;
}

/* -------------------------------------------------------------------------------------------------- comparators */

/* A comparator that nothing takes the interrupts of drives none. */
static void drive(const struct hpet_comparator *c, bool level)
{
	struct hpet *hpet = c->hpet;
	unsigned pin = TIMER_ROUTE(c->config);

	if (hpet_replaces(hpet) && c->index < HPET_TIMERS - 1)
		hpet->set(hpet->arg, true, legacy_line[c->index], level);
	else if (pin >= FIRST_PIN && pin <= LAST_PIN)
		hpet->set(hpet->arg, false, pin, level);
}

/* Counts until the match: all of the range if it is now. */
static uint64_t left(const struct hpet_comparator *c)
{
	uint64_t counts = c->match - counter_now(c->hpet);

	if (c->config & TIMER_NARROW)
		counts &= UINT32_MAX;
	else if (!counts)
		counts = UINT64_MAX;
	return counts ? counts : (uint64_t)UINT32_MAX + 1;
}

static void arm(struct hpet_comparator *c)
{
	const struct hpet *hpet = c->hpet;
	uint64_t counts = left(c), now = hpet->clock();

	if (!runs(hpet) || !(c->config & TIMER_ENABLE) || counts > (UINT64_MAX - now) / HPET_TICK_NS)
		timer_arm(&c->timer, TIMER_NEVER);
	else
		timer_arm(&c->timer, now + counts * HPET_TICK_NS);
}

/* The match after this one; those that the host was late for coalesce. */
static void advance(struct hpet_comparator *c)
{
	uint64_t late = counter_now(c->hpet) - c->match;

	if (c->config & TIMER_NARROW)
		late &= UINT32_MAX;
	c->match += (late / c->period + 1) * c->period;
}

static void expired(void *arg, uint64_t now)
{
	struct hpet_comparator *c = arg;
	bool again = (c->config & TIMER_PERIODIC) && c->period;

	if (again)
		advance(c);
	if (c->config & TIMER_LEVEL)
		c->hpet->status |= 1u << c->index;
	else
		drive(c, false); /* an edge; the line stays up until the next */
	drive(c, true);
	arm(c);
	if (again && c->timer.deadline < now + SHORTEST_INTERVAL_NS)
		timer_arm(&c->timer, now + SHORTEST_INTERVAL_NS);
}

/* ----------------------------------------------------------------------------------------------------- registers */

static void write_config(struct hpet *hpet, uint64_t value)
{
	uint64_t counter = counter_now(hpet);

	hpet->config = value & (CONFIG_ENABLE | CONFIG_LEGACY);
	hpet->counter = counter;
	hpet->start = hpet->clock();
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		arm(&hpet->comparator[n]);
}

/* Writing a one ends a level. */
static void write_status(struct hpet *hpet, uint64_t value)
{
	uint64_t ended = hpet->status & value;

	hpet->status &= ~value;
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		if (ended >> n & 1)
			drive(&hpet->comparator[n], false);
}

static void write_counter(struct hpet *hpet, uint64_t value)
{
	hpet->counter = value;
	hpet->start = hpet->clock();
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		arm(&hpet->comparator[n]);
}

/* In periodic mode a write is the period, and after TIMER_SET the match as well. */
static void write_match(struct hpet_comparator *c, uint64_t value)
{
	if (c->config & TIMER_NARROW)
		value &= UINT32_MAX;
	if (!(c->config & TIMER_PERIODIC) || (c->config & TIMER_SET))
		c->match = value;
	if (c->config & TIMER_PERIODIC)
		c->period = value;
	c->config &= ~(uint64_t)TIMER_SET;
	arm(c);
}

static void write_timer_config(struct hpet_comparator *c, uint64_t value)
{
	c->config = (c->config & ~(uint64_t)TIMER_WRITABLE) | (value & (TIMER_WRITABLE | TIMER_SET));
	if (!(c->config & TIMER_LEVEL) || !(c->config & TIMER_ENABLE)) {
		c->hpet->status &= ~(1ull << c->index);
		drive(c, false);
	}
	arm(c);
}

static uint64_t read_timer(const struct hpet_comparator *c, uint32_t offset)
{
	if (offset == TIMER_CONFIG)
		return c->config & ~(uint64_t)TIMER_SET;
	return offset == TIMER_MATCH ? c->match : 0;
}

static uint64_t read_register(const struct hpet *hpet, uint32_t offset)
{
	unsigned n = (offset - REG_TIMERS) / TIMER_STRIDE;

	switch (offset) {
	case REG_CAPABILITIES:
		return HPET_CAPABILITIES | TICK_FS << 32;
	case REG_CONFIG:
		return hpet->config;
	case REG_STATUS:
		return hpet->status;
	case REG_COUNTER:
		return counter_now(hpet);
	default:
		return n < HPET_TIMERS ? read_timer(&hpet->comparator[n], offset % TIMER_STRIDE) : 0;
	}
}

static void write_register(struct hpet *hpet, uint32_t offset, uint64_t value)
{
	unsigned n = (offset - REG_TIMERS) / TIMER_STRIDE;

	switch (offset) {
	case REG_CONFIG:
		write_config(hpet, value);
		return;
	case REG_STATUS:
		write_status(hpet, value);
		return;
	case REG_COUNTER:
		write_counter(hpet, value);
		return;
	default:
		if (n < HPET_TIMERS && offset % TIMER_STRIDE == TIMER_CONFIG)
			write_timer_config(&hpet->comparator[n], value);
		else if (n < HPET_TIMERS && offset % TIMER_STRIDE == TIMER_MATCH)
			write_match(&hpet->comparator[n], value);
	}
}

/* Registers have 64 bits and take halves; parts of a half can be read. */
static void access_hpet(void *device, uint32_t offset, unsigned size, bool write, uint64_t *value)
{
	struct hpet *hpet = device;
	uint32_t at = offset & ~7u, shift = 8 * (offset & 7);
	uint64_t whole = read_register(hpet, at);

	if (!write) {
		*value = whole >> shift;
	} else if (size == 8) {
		write_register(hpet, at, *value);
	} else if (size == 4) {
		/* A status that is written back as it was read would be cleared. */
		uint64_t kept = at == REG_STATUS ? 0 : whole & ~((uint64_t)UINT32_MAX << shift);
		write_register(hpet, at, kept | *value << shift);
	}
}

void hpet_init(struct hpet *hpet, struct bus *bus, struct timers *timers, uint64_t (*clock)(void),
	       void (*set)(void *arg, bool isa, unsigned line, bool level), void *arg)
{
	*hpet = (struct hpet){.clock = clock, .set = set, .arg = arg};
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		struct hpet_comparator *c = &hpet->comparator[n];
		*c = (struct hpet_comparator){
			.hpet = hpet, .index = n, .config = TIMER_CAN_BE | TIMER_PINS, .match = UINT64_MAX};
		timer_add(timers, &c->timer, expired, c);
	}
	bus_map(bus, HPET_BASE, LENGTH, 8, access_hpet, hpet, "hpet");
}

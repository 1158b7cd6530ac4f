/*
 * The 8254 at ports 0x40 to 0x43 and port 0x61 (Intel 8254 data sheet). No tick is counted: what a counter would show
 * is computed from host time when somebody looks. Channel 0 raises IRQ 0 through a host timer, and however late the
 * host is, at most one tick waits: lost ticks coalesce and the next one comes at its proper place in the period.
 */
#include "monitor/device/pit.h"

#include "hypercalls/x86.h"
#include "monitor/host/clock.h"

#define PORT_CONTROL   3
#define COUNTS_BINARY  0x10000u
#define COUNTS_DECIMAL 10000u

/* Control word */
#define CW_BCD		   0x01
#define CW_MODE(v)	   ((v) >> 1 & 7)
#define CW_ACCESS(v)	   ((v) >> 4 & 3)
#define CW_CHANNEL(v)	   ((v) >> 6)
#define CW_READ_BACK	   3
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STAT  0x10
#define STATUS_OUT	   0x80
#define STATUS_NULL_COUNT  0x40

/* System control port B */
#define SYSB_GATE2    0x01
#define SYSB_SPEAKER  0x02
#define SYSB_REFRESH  0x10
#define SYSB_OUT2     0x20
#define REFRESH_TICKS 18 /* the refresh bit toggles every 15 us */

/* A period below this is served at this interval: a guest can ask for a million interrupts a second. */
#define SHORTEST_INTERVAL_NS 50000

static uint64_t ticks_now(const struct pit *pit)
{
	return (uint64_t)((unsigned __int128)(pit->clock() - pit->epoch) * PIT_HZ / CLOCK_NS_PER_SEC);
}

/* The first ns at which ticks_now() is at least `tick`. */
static uint64_t tick_ns(const struct pit *pit, uint64_t tick)
{
	return pit->epoch + (uint64_t)(((unsigned __int128)tick * CLOCK_NS_PER_SEC + PIT_HZ - 1) / PIT_HZ);
}

/* ------------------------------------------------------------------------------------------------ the counters */

static bool periodic(const struct pit_channel *ch)
{
	return ch->mode == 2 || ch->mode == 3;
}

static bool gate_triggered(const struct pit_channel *ch)
{
	return ch->mode == 1 || ch->mode == 5;
}

static bool counting(const struct pit_channel *ch)
{
	return ch->loaded && (!gate_triggered(ch) || ch->triggered);
}

/* A low gate stops the counter, except in the modes that a rising gate triggers. */
static uint64_t elapsed(const struct pit_channel *ch, uint64_t now)
{
	return ch->gate || gate_triggered(ch) ? now - ch->start : ch->held;
}

static uint16_t to_bcd(uint32_t n)
{
	return (uint16_t)(n / 1000 % 10 << 12 | n / 100 % 10 << 8 | n / 10 % 10 << 4 | n % 10);
}

static uint32_t from_bcd(uint16_t n)
{
	return (n >> 12) * 1000u + (n >> 8 & 15) * 100u + (n >> 4 & 15) * 10u + (n & 15);
}

static uint16_t counter(const struct pit_channel *ch, uint64_t now)
{
	uint32_t range = ch->bcd ? COUNTS_DECIMAL : COUNTS_BINARY;
	uint64_t gone = counting(ch) ? elapsed(ch, now) : 0;
	uint32_t left;

	if (ch->mode == 2)
		left = ch->count - (uint32_t)(gone % ch->count);
	else if (ch->mode == 3) /* down by two, twice a period */
		left = ch->count - (uint32_t)(2 * gone % ch->count);
	else
		left = (uint32_t)((ch->count + range - gone % range) % range);
	left %= range;
	return ch->bcd ? to_bcd(left) : (uint16_t)left;
}

static bool output(const struct pit_channel *ch, uint64_t now)
{
	uint64_t gone = elapsed(ch, now);

	if (!counting(ch))
		return ch->mode != 0;
	switch (ch->mode) {
	case 0:
	case 1:
		return gone >= ch->count;
	case 2:
		return !ch->gate || gone % ch->count != ch->count - 1;
	case 3:
		return !ch->gate || gone % ch->count < (ch->count + 1) / 2;
	default: /* strobes: low for one tick */
		return gone != ch->count;
	}
}

/* ------------------------------------------------------------------------------------------ channel 0 and IRQ 0 */

/* Arms the timer for the next rising edge of channel 0's output. */
static void arm(struct pit *pit, uint64_t now)
{
	const struct pit_channel *ch = &pit->channel[0];
	uint64_t gone = now - ch->start;
	uint64_t edge = ch->count;

	if (periodic(ch))
		edge *= gone / ch->count + 1;
	else if (ch->mode == 4)
		edge++; /* the strobe ends */
	if (counting(ch) && edge > gone)
		timer_arm(&pit->timer, tick_ns(pit, ch->start + edge));
	else
		timer_arm(&pit->timer, TIMER_NEVER);
}

static void expired(void *arg, uint64_t now)
{
	struct pit *pit = arg;

	/* The line stays up until the next tick: a guest that masks interrupts for half a period loses nothing. */
	irq_set(&pit->irq, false);
	irq_set(&pit->irq, true);
	arm(pit, ticks_now(pit));
	if (pit->timer.deadline < now + SHORTEST_INTERVAL_NS)
		timer_arm(&pit->timer, now + SHORTEST_INTERVAL_NS);
}

/* ----------------------------------------------------------------------------------------------------- registers */

static void load(struct pit *pit, struct pit_channel *ch, uint16_t value)
{
	uint64_t now = ticks_now(pit);
	uint32_t count = ch->bcd ? from_bcd(value) : value;

	if (count == 0)
		count = ch->bcd ? COUNTS_DECIMAL : COUNTS_BINARY;
	/* A count of 1 is illegal in the periodic modes; 2 is the nearest that means something. */
	if (count == 1 && periodic(ch))
		count = 2;
	ch->count = count;
	ch->loaded = true;
	if (!gate_triggered(ch)) {
		ch->start = now;
		ch->held = 0;
	}
	if (ch == &pit->channel[0]) {
		irq_set(&pit->irq, false);
		arm(pit, now);
	}
}

static void write_count(struct pit *pit, struct pit_channel *ch, uint8_t value)
{
	switch (ch->access) {
	case PIT_LOW:
		load(pit, ch, value);
		return;
	case PIT_HIGH:
		load(pit, ch, (uint16_t)(value << 8));
		return;
	default:
		if (ch->write_high)
			load(pit, ch, (uint16_t)(value << 8 | ch->low));
		else
			ch->low = value;
		ch->write_high = !ch->write_high;
		return;
	}
}

static uint8_t read_count(struct pit *pit, struct pit_channel *ch)
{
	uint16_t value = ch->count_latched ? ch->latch : counter(ch, ticks_now(pit));
	bool high = ch->access == PIT_HIGH || (ch->access == PIT_LOW_HIGH && ch->read_high);

	if (ch->status_latched) {
		ch->status_latched = false;
		return ch->status;
	}
	if (ch->access == PIT_LOW_HIGH)
		ch->read_high = !ch->read_high;
	if (ch->access != PIT_LOW_HIGH || high)
		ch->count_latched = false;
	return (uint8_t)(high ? value >> 8 : value);
}

/* A second latch command before the first was read is ignored. */
static void latch_count(struct pit *pit, struct pit_channel *ch)
{
	if (ch->count_latched)
		return;
	ch->latch = counter(ch, ticks_now(pit));
	ch->count_latched = true;
}

static void latch_status(struct pit *pit, struct pit_channel *ch)
{
	if (ch->status_latched)
		return;
	ch->status = (uint8_t)(ch->access << 4 | ch->mode << 1 | ch->bcd);
	if (output(ch, ticks_now(pit)))
		ch->status |= STATUS_OUT;
	if (!ch->loaded)
		ch->status |= STATUS_NULL_COUNT;
	ch->status_latched = true;
}

static void read_back(struct pit *pit, uint8_t command)
{
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		if (!(command & 2u << i))
			continue;
		if (!(command & READ_BACK_NO_COUNT))
			latch_count(pit, &pit->channel[i]);
		if (!(command & READ_BACK_NO_STAT))
			latch_status(pit, &pit->channel[i]);
	}
}

static void set_mode(struct pit *pit, struct pit_channel *ch, uint8_t word)
{
	uint8_t mode = CW_MODE(word);

	ch->mode = mode > 5 ? mode - 4 : mode; /* 6 and 7 are 2 and 3 */
	ch->bcd = word & CW_BCD;
	ch->access = CW_ACCESS(word);
	ch->write_high = false;
	ch->read_high = false;
	ch->loaded = false;
	ch->triggered = false;
	ch->count_latched = false;
	ch->status_latched = false;
	if (ch == &pit->channel[0]) {
		irq_set(&pit->irq, false);
		timer_arm(&pit->timer, TIMER_NEVER);
	}
}

static void write_control(struct pit *pit, uint8_t word)
{
	if (CW_CHANNEL(word) == CW_READ_BACK)
		read_back(pit, word);
	else if (CW_ACCESS(word) == PIT_LATCH_COMMAND)
		latch_count(pit, &pit->channel[CW_CHANNEL(word)]);
	else
		set_mode(pit, &pit->channel[CW_CHANNEL(word)], word);
}

static void access_pit(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct pit *pit = device;

	if (offset == PORT_CONTROL) {
		if (write)
			write_control(pit, (uint8_t)*value);
		else
			*value = 0xff;
	} else if (write) {
		write_count(pit, &pit->channel[offset], (uint8_t)*value);
	} else {
		*value = read_count(pit, &pit->channel[offset]);
	}
}

/* ----------------------------------------------------------------------------------------- system control port B */

static void set_gate(struct pit_channel *ch, bool gate, uint64_t now)
{
	if (gate == ch->gate)
		return;
	if (!gate) {
		ch->held = now - ch->start;
	} else if (gate_triggered(ch) || periodic(ch)) { /* a rising gate starts anew */
		ch->triggered = ch->loaded;
		ch->start = now;
	} else {
		ch->start = now - ch->held;
	}
	ch->gate = gate;
}

static void access_port_b(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct pit *pit = device;
	struct pit_channel *ch = &pit->channel[2];
	uint64_t now = ticks_now(pit);

	if (write) {
		set_gate(ch, *value & SYSB_GATE2, now);
		pit->speaker = *value & SYSB_SPEAKER;
		return;
	}
	*value = pit->speaker;
	if (ch->gate)
		*value |= SYSB_GATE2;
	if (output(ch, now))
		*value |= SYSB_OUT2;
	if (now / REFRESH_TICKS & 1)
		*value |= SYSB_REFRESH;
}

void pit_init(struct pit *pit, struct bus *bus, struct timers *timers, struct irq_line irq, uint64_t (*clock)(void))
{
	*pit = (struct pit){.irq = irq, .clock = clock, .epoch = clock()};
	for (unsigned i = 0; i < PIT_CHANNELS; i++) {
		pit->channel[i].access = PIT_LOW_HIGH;
		pit->channel[i].count = COUNTS_BINARY;
		pit->channel[i].gate = i != 2;
	}
	timer_add(timers, &pit->timer, expired, pit);
	bus_register(bus, X86_PORT_PIT, 4, 1, access_pit, pit, "pit");
	bus_register(bus, X86_PORT_SYSB, 1, 1, access_port_b, pit, "port-b");
}

/*
 * The MC146818 at ports 0x70 and 0x71 (Motorola data sheet). The clock is not ticked: what it shows is computed from
 * host time when somebody looks, and timers run only while an interrupt is wanted.
 */
#include "monitor/device/rtc.h"

#include <time.h>

#include "hypercalls/x86.h"
#include "monitor/host/clock.h"

enum {
	SECONDS,
	SECONDS_ALARM,
	MINUTES,
	MINUTES_ALARM,
	HOURS,
	HOURS_ALARM,
	WEEKDAY,
	DAY,
	MONTH,
	YEAR,
	REG_A,
	REG_B,
	REG_C,
	REG_D,
	CENTURY = 0x32,
};

#define INDEX_MASK 0x7f /* bit 7 of the index port gates NMI, which this machine has none of */

#define A_UPDATING 0x80
#define A_RATE	   0x0f
#define A_RESET	   0x26 /* the divider runs at 32768 Hz, periodic rate 1024 Hz */
#define B_SET	   0x80
#define B_PERIODIC 0x40
#define B_ALARM	   0x20
#define B_UPDATED  0x10
#define B_BINARY   0x04
#define B_24_HOURS 0x02
#define C_IRQ	   0x80 /* the other bits of C are those of B that came true */
#define D_VALID	   0x80
#define ALARM_ANY  0xc0
#define HOUR_PM	   0x80

#define RTC_HZ	  32768u
#define UPDATE_NS 244000u /* the update flag rises so long before the second changes */

static uint64_t second_of(uint64_t ns)
{
	return ns / CLOCK_NS_PER_SEC;
}

static int64_t now_seconds(const struct rtc *rtc)
{
	return (int64_t)second_of(rtc->clock()) + rtc->offset;
}

/* ------------------------------------------------------------------------------------------- the clock's registers */

static uint8_t encode(const struct rtc *rtc, unsigned value)
{
	return (uint8_t)(rtc->bytes[REG_B] & B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode(const struct rtc *rtc, uint8_t value)
{
	return rtc->bytes[REG_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 15);
}

static uint8_t encode_hour(const struct rtc *rtc, unsigned hour)
{
	if (rtc->bytes[REG_B] & B_24_HOURS)
		return encode(rtc, hour);
	return encode(rtc, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

static unsigned decode_hour(const struct rtc *rtc, uint8_t value)
{
	if (rtc->bytes[REG_B] & B_24_HOURS)
		return decode(rtc, value);
	return decode(rtc, value & (uint8_t)~HOUR_PM) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Brings the clock bytes up to date with the time. */
static void latch(struct rtc *rtc)
{
	time_t now = now_seconds(rtc);
	struct tm tm;

	if (rtc->bytes[REG_B] & B_SET || !gmtime_r(&now, &tm))
		return;
	rtc->bytes[SECONDS] = encode(rtc, (unsigned)tm.tm_sec);
	rtc->bytes[MINUTES] = encode(rtc, (unsigned)tm.tm_min);
	rtc->bytes[HOURS] = encode_hour(rtc, (unsigned)tm.tm_hour);
	rtc->bytes[WEEKDAY] = encode(rtc, (unsigned)tm.tm_wday + 1);
	rtc->bytes[DAY] = encode(rtc, (unsigned)tm.tm_mday);
	rtc->bytes[MONTH] = encode(rtc, (unsigned)tm.tm_mon + 1);
	rtc->bytes[YEAR] = encode(rtc, (unsigned)tm.tm_year % 100);
	rtc->bytes[CENTURY] = encode(rtc, (unsigned)tm.tm_year / 100 + 19);
}

/* The clock goes on from what its bytes say, nonsense included: days that do not exist spill into the next month. */
static void set_time(struct rtc *rtc)
{
	struct tm tm = {
		.tm_sec = (int)decode(rtc, rtc->bytes[SECONDS]),
		.tm_min = (int)decode(rtc, rtc->bytes[MINUTES]),
		.tm_hour = (int)decode_hour(rtc, rtc->bytes[HOURS]),
		.tm_mday = (int)decode(rtc, rtc->bytes[DAY]),
		.tm_mon = (int)decode(rtc, rtc->bytes[MONTH]) - 1,
		.tm_year = (int)(decode(rtc, rtc->bytes[CENTURY]) * 100 + decode(rtc, rtc->bytes[YEAR])) - 1900,
	};

	rtc->offset = timegm(&tm) - (int64_t)second_of(rtc->clock());
}

static bool is_clock_byte(unsigned index)
{
	return index == SECONDS || index == MINUTES || index == HOURS || (index >= WEEKDAY && index <= YEAR) ||
	       index == CENTURY;
}

/* ------------------------------------------------------------------------------------------------------ interrupts */

static void raise_flag(struct rtc *rtc, uint8_t flag)
{
	rtc->bytes[REG_C] |= flag;
	if (rtc->bytes[REG_B] & flag) {
		rtc->bytes[REG_C] |= C_IRQ;
		irq_set(&rtc->irq, true);
	}
}

static bool alarm_matches(const struct rtc *rtc)
{
	static const uint8_t pairs[][2] = {{SECONDS_ALARM, SECONDS}, {MINUTES_ALARM, MINUTES}, {HOURS_ALARM, HOURS}};

	for (unsigned i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		uint8_t alarm = rtc->bytes[pairs[i][0]];

		if ((alarm & ALARM_ANY) != ALARM_ANY && alarm != rtc->bytes[pairs[i][1]])
			return false;
	}
	return true;
}

static uint64_t period_ns(const struct rtc *rtc)
{
	unsigned rate = rtc->bytes[REG_A] & A_RATE;

	if (!rate)
		return 0;
	/* Rates 1 and 2 are those of 8 and 9. */
	return CLOCK_NS_PER_SEC * (uint64_t)(1u << ((rate < 3 ? rate + 7 : rate) - 1)) / RTC_HZ;
}

/* Arms what somebody wants to be told of. */
static void arm(struct rtc *rtc)
{
	uint8_t wanted = rtc->bytes[REG_B];
	uint64_t now = rtc->clock(), period = period_ns(rtc);
	bool seconds = (wanted & (B_ALARM | B_UPDATED)) && !(wanted & B_SET);

	timer_arm(&rtc->second, seconds ? (second_of(now) + 1) * CLOCK_NS_PER_SEC : TIMER_NEVER);
	if (!(wanted & B_PERIODIC) || !period)
		timer_arm(&rtc->period, TIMER_NEVER);
	else
		timer_arm(&rtc->period, now + period - (now - rtc->period_start) % period);
}

static void second_passed(void *arg, uint64_t now)
{
	struct rtc *rtc = arg;

	latch(rtc);
	raise_flag(rtc, B_UPDATED);
	if (alarm_matches(rtc))
		raise_flag(rtc, B_ALARM);
	arm(rtc);
}

static void period_passed(void *arg, uint64_t now)
{
	struct rtc *rtc = arg;

	raise_flag(rtc, B_PERIODIC);
	arm(rtc);
}

/* ------------------------------------------------------------------------------------------------------- the ports */

static uint8_t read_byte(struct rtc *rtc)
{
	uint8_t value;

	if (is_clock_byte(rtc->index))
		latch(rtc);
	value = rtc->bytes[rtc->index];
	switch (rtc->index) {
	case REG_A:
		if (!(rtc->bytes[REG_B] & B_SET) && rtc->clock() % CLOCK_NS_PER_SEC >= CLOCK_NS_PER_SEC - UPDATE_NS)
			value |= A_UPDATING;
		break;
	case REG_C: /* reading acknowledges */
		rtc->bytes[REG_C] = 0;
		irq_set(&rtc->irq, false);
		break;
	default:
		break;
	}
	return value;
}

static void write_b(struct rtc *rtc, uint8_t value)
{
	uint8_t old = rtc->bytes[REG_B];

	latch(rtc); /* in the old format */
	rtc->bytes[REG_B] = value & B_SET ? value & (uint8_t)~B_UPDATED : value;
	if ((old & B_SET) && !(value & B_SET))
		set_time(rtc);
	if (!(old & B_PERIODIC))
		rtc->period_start = rtc->clock();
	arm(rtc);
}

static void write_byte(struct rtc *rtc, uint8_t value)
{
	switch (rtc->index) {
	case REG_A:
		rtc->bytes[REG_A] = value & (uint8_t)~A_UPDATING;
		arm(rtc);
		return;
	case REG_B:
		write_b(rtc, value);
		return;
	case REG_C:
	case REG_D:
		return;
	default:
		break;
	}
	if (is_clock_byte(rtc->index))
		latch(rtc);
	rtc->bytes[rtc->index] = value;
	if (is_clock_byte(rtc->index) && !(rtc->bytes[REG_B] & B_SET))
		set_time(rtc);
}

static void access_rtc(void *device, uint16_t offset, unsigned size, bool write, uint32_t *value)
{
	struct rtc *rtc = device;

	if (!offset && write)
		rtc->index = *value & INDEX_MASK;
	else if (!offset)
		*value = 0xff;
	else if (write)
		write_byte(rtc, (uint8_t)*value);
	else
		*value = read_byte(rtc);
}

void rtc_init(struct rtc *rtc, struct bus *bus, struct timers *timers, struct irq_line irq, uint64_t (*clock)(void),
	      uint64_t wall_ns)
{
	*rtc = (struct rtc){.irq = irq, .clock = clock};
	rtc->offset = (int64_t)second_of(wall_ns) - (int64_t)second_of(clock());
	rtc->bytes[REG_A] = A_RESET;
	rtc->bytes[REG_B] = B_24_HOURS;
	rtc->bytes[REG_D] = D_VALID;
	timer_add(timers, &rtc->second, second_passed, rtc);
	timer_add(timers, &rtc->period, period_passed, rtc);
	bus_register(bus, X86_PORT_RTC, 2, 1, access_rtc, rtc, "rtc");
}

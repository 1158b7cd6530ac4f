/*
 * The MC146818 under a clock that the test moves: Motorola's data sheet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/rtc.h"

#define SECOND 1000000000ull
/* Sunday, 29 February 2032, 23:59:58 UTC */
#define WALL (1961711998ull * SECOND)

static struct bus bus;
static struct timers timers;
static struct rtc rtc;
static uint64_t now;
static unsigned edges;
static bool line;

static uint64_t fake_clock(void)
{
	return now;
}

static void set_line(void *controller, unsigned number, bool level)
{
	assert_int_equal(number, 8);
	edges += level && !line;
	line = level;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	timers = (struct timers){0};
	edges = 0;
	line = false;
	now = 5 * SECOND;
	rtc_init(&rtc, &bus, &timers, (struct irq_line){.set = set_line, .line = 8}, fake_clock, WALL);
	return 0;
}

static uint8_t get(uint8_t index)
{
	uint32_t value = index;

	bus_io(&bus, X86_PORT_RTC, 1, true, &value);
	bus_io(&bus, X86_PORT_RTC + 1, 1, false, &value);
	return (uint8_t)value;
}

static void set(uint8_t index, uint8_t datum)
{
	uint32_t value = index;

	bus_io(&bus, X86_PORT_RTC, 1, true, &value);
	value = datum;
	bus_io(&bus, X86_PORT_RTC + 1, 1, true, &value);
}

/* What the run loop does, until the time given. */
static void run_until(uint64_t end)
{
	unsigned calls = 0;

	for (uint64_t next; (next = timers_next(&timers)) <= end; timers_run(&timers, now)) {
		now = next > now ? next : now;
		assert_true(++calls < 100000);
	}
	now = end;
}

static void is_time(uint8_t hour, uint8_t minute, uint8_t second)
{
	assert_int_equal(get(4), hour);
	assert_int_equal(get(2), minute);
	assert_int_equal(get(0), second);
}

static void test_time(void **state)
{
	is_time(0x23, 0x59, 0x58);
	assert_int_equal(get(6), 1); /* Sunday */
	assert_int_equal(get(7), 0x29);
	assert_int_equal(get(8), 0x02);
	assert_int_equal(get(9), 0x32);
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(get(0x0d), 0x80);
	now += 2 * SECOND;
	is_time(0, 0, 0);
	assert_int_equal(get(7), 1);
	assert_int_equal(get(8), 3);
	assert_int_equal(get(6), 2);
}

static void test_binary_and_12_hours(void **state)
{
	set(0x0b, 0x04); /* binary, 12 hours */
	is_time(0x80 | 11, 59, 58);
	now += 2 * SECOND;
	is_time(12, 0, 0);
	now += 13 * 3600 * SECOND;
	is_time(0x80 | 1, 0, 0);
}

static void test_setting(void **state)
{
	set(0x0b, 0x82); /* the clock stands */
	set(4, 0x12);
	set(2, 0x34);
	set(0, 0x56);
	set(7, 0x31);
	set(8, 0x12);
	set(9, 0x99);
	set(0x32, 0x19);
	now += 10 * SECOND;
	is_time(0x12, 0x34, 0x56);
	set(0x0b, 0x02);
	now += 4 * SECOND;
	is_time(0x12, 0x35, 0x00);
	assert_int_equal(get(9), 0x99);
	assert_int_equal(get(6), 6); /* 31 December 1999 was a Friday */
}

/* Every byte can be written, and no value leads anywhere but to a time. */
static void test_nonsense(void **state)
{
	for (unsigned value = 0; value < 256; value++) {
		for (unsigned index = 0; index < 128; index++)
			set((uint8_t)index, (uint8_t)(value ^ index));
		set(0x0b, 0x72);
		run_until(now + 3 * SECOND);
		for (unsigned index = 0; index < 128; index++)
			get((uint8_t)index);
	}
}

static void test_update_flag(void **state)
{
	unsigned seen = 0;

	for (unsigned ms = 0; ms < 10000; ms++) {
		now += SECOND / 10000;
		seen += get(0x0a) >> 7;
	}
	assert_in_range(seen, 2, 3); /* 244 us of each second */
	set(0x0b, 0x82);
	for (unsigned ms = 0; ms < 10000; ms++) {
		now += SECOND / 10000;
		assert_int_equal(get(0x0a) & 0x80, 0);
	}
}

static void test_alarm(void **state)
{
	set(5, 0x00);
	set(3, 0x00);
	set(1, 0x03);
	set(0x0b, 0x22);
	run_until(now + 4 * SECOND);
	assert_int_equal(edges, 0);
	run_until(now + SECOND);
	assert_int_equal(edges, 1);
	assert_int_equal(get(0x0c) & 0xa0, 0xa0);
	assert_false(line);
	assert_int_equal(get(0x0c), 0);
	/* Every minute at that second. */
	set(5, 0xc0);
	set(3, 0xff);
	run_until(now + 120 * SECOND);
	get(0x0c);
	assert_int_equal(edges, 2);
}

static void test_update_interrupt(void **state)
{
	set(0x0b, 0x12);
	for (unsigned i = 1; i <= 5; i++) {
		run_until(now + SECOND);
		assert_int_equal(edges, i);
		assert_int_equal(get(0x0c) & 0x90, 0x90);
	}
	set(0x0b, 0x02);
	run_until(now + 5 * SECOND);
	assert_int_equal(edges, 5);
	assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

static void test_periodic(void **state)
{
	set(0x0a, 0x26); /* 1024 Hz */
	set(0x0b, 0x42);
	for (unsigned i = 0; i < 1024; i++) {
		run_until(now + SECOND / 1024 + 1);
		assert_int_equal(get(0x0c) & 0xc0, 0xc0);
	}
	assert_in_range(edges, 1023, 1024);
	/* Nobody reads C: one waits, and no more. */
	edges = 0;
	run_until(now + SECOND);
	assert_int_equal(edges, 1);
	set(0x0a, 0x20);
	assert_int_equal(timers_next(&timers), TIMER_NEVER);
}

static void test_nvram(void **state)
{
	for (uint8_t i = 0x0e; i < 0x32; i++)
		set(i, (uint8_t)(i ^ 0x5a));
	for (uint8_t i = 0x0e; i < 0x32; i++)
		assert_int_equal(get(i), i ^ 0x5a);
	/* Bit 7 of the index is the NMI's gate. */
	assert_int_equal(get(0x80 | 0x20), 0x20 ^ 0x5a);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(time),  T(binary_and_12_hours), T(setting),  T(nonsense), T(update_flag),
		T(alarm), T(update_interrupt),	  T(periodic), T(nvram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

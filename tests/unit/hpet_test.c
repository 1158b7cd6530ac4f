/*
 * The HPET under a clock that the test moves: IA-PC HPET specification 1.0a.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "monitor/device/hpet.h"

#define CONFIG	 0x10
#define STATUS	 0x20
#define COUNTER	 0xf0
#define TIMER(n) (0x100u + 0x20 * (n))
#define MATCH	 8

#define ENABLE	 4u
#define PERIODIC 8u
#define SET	 0x40u
#define LEVEL	 2u
#define PIN(n)	 ((n) << 9)

static struct bus bus;
static struct timers timers;
static struct hpet hpet;
static uint64_t now;
static unsigned edges, last;
static bool isa, line;

static uint64_t fake_clock(void)
{
	return now;
}

static void set_line(void *arg, bool is_isa, unsigned number, bool level)
{
	edges += level && !line;
	line = level;
	isa = is_isa;
	last = number;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	timers = (struct timers){0};
	edges = 0;
	line = false;
	now = 1000000000;
	hpet_init(&hpet, &bus, &timers, fake_clock, set_line, NULL);
	return 0;
}

static uint64_t get(unsigned offset)
{
	uint64_t value;

	bus_read(&bus, HPET_BASE + offset, &value, sizeof(value));
	return value;
}

static void set(unsigned offset, uint64_t value)
{
	bus_write(&bus, HPET_BASE + offset, &value, sizeof(value));
}

static void set32(unsigned offset, uint32_t value)
{
	bus_write(&bus, HPET_BASE + offset, &value, sizeof(value));
}

static void pass(uint64_t counts)
{
	now += counts * HPET_TICK_NS;
	timers_run(&timers, now);
}

static void test_counter(void **state)
{
	assert_int_equal(get(0) & 0xffffffff, 0x8086a201);
	assert_int_equal(get(0) >> 32, HPET_TICK_NS * 1000000);
	pass(100);
	assert_int_equal(get(COUNTER), 0);
	set(COUNTER, 0xfffffff0);
	set(CONFIG, 1);
	pass(0x20);
	assert_true(get(COUNTER) == 0x100000010);
	uint32_t high;
	bus_read(&bus, HPET_BASE + COUNTER + 4, &high, sizeof(high));
	assert_int_equal(high, 1);
	set(CONFIG, 0);
	pass(100);
	assert_true(get(COUNTER) == 0x100000010);
	set32(COUNTER + 4, 7);
	assert_true(get(COUNTER) == 0x700000010);
}

static void test_one_shot(void **state)
{
	set(CONFIG, 1);
	set(TIMER(2), ENABLE | PIN(20));
	set(TIMER(2) + MATCH, 100);
	pass(99);
	assert_int_equal(edges, 0);
	pass(1);
	assert_int_equal(edges, 1);
	assert_false(isa);
	assert_int_equal(last, 20);
	pass(1000000);
	assert_int_equal(edges, 1);
}

static void test_periodic(void **state)
{
	set(CONFIG, 3);
	assert_true(hpet_replaces(&hpet));
	set(TIMER(0), ENABLE | PERIODIC | SET);
	set(TIMER(0) + MATCH, 5000);
	set(TIMER(0) + MATCH, 2000);
	pass(5000);
	assert_int_equal(edges, 1);
	assert_true(isa && last == 0);
	pass(2000);
	assert_int_equal(edges, 2);
	pass(7000); /* three late ones are one */
	assert_int_equal(edges, 3);
	pass(1000);
	assert_int_equal(edges, 4);
	assert_int_equal(get(TIMER(0) + MATCH), 17000);
	set(TIMER(0), PERIODIC);
	pass(10000);
	assert_int_equal(edges, 4);
}

static void test_storm_is_bounded(void **state)
{
	set(CONFIG, 3);
	set(TIMER(0), ENABLE | PERIODIC | SET);
	set(TIMER(0) + MATCH, 1);
	pass(1);
	assert_true(timers_next(&timers) >= now + 10000);
	set(TIMER(0), ENABLE | PERIODIC | SET);
	set(TIMER(0) + MATCH, 0); /* a period of nothing */
	pass(1000000);
}

static void test_level(void **state)
{
	set(CONFIG, 1);
	set(TIMER(1), ENABLE | LEVEL | PIN(21));
	set(TIMER(1) + MATCH, 10);
	pass(10);
	assert_true(line);
	assert_int_equal(get(STATUS), 2);
	set(STATUS, 1);
	assert_true(line);
	set32(STATUS, 2);
	assert_false(line);
	assert_int_equal(get(STATUS), 0);
}

static void test_narrow(void **state)
{
	set(COUNTER, 0x1ffffff00);
	set(CONFIG, 1);
	set(TIMER(2), ENABLE | 0x100 | PIN(23));
	set(TIMER(2) + MATCH, 0x10);
	pass(0x10f);
	assert_int_equal(edges, 0);
	pass(1);
	assert_int_equal(edges, 1);
}

static void test_pins(void **state)
{
	set(CONFIG, 1);
	assert_true(get(TIMER(0)) >> 32 == 0x00f00000);
	set(TIMER(0), ENABLE | PIN(5)); /* not one that it can drive */
	set(TIMER(0) + MATCH, 10);
	pass(10);
	assert_int_equal(edges, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_counter, setup),  cmocka_unit_test_setup(test_one_shot, setup),
		cmocka_unit_test_setup(test_periodic, setup), cmocka_unit_test_setup(test_storm_is_bounded, setup),
		cmocka_unit_test_setup(test_level, setup),    cmocka_unit_test_setup(test_narrow, setup),
		cmocka_unit_test_setup(test_pins, setup),
	};

	return cmocka_run_group_tests_name("hpet", tests, NULL, NULL);
}

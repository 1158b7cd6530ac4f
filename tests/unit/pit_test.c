/*
 * The 8254 under a clock that the test moves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/pit.h"
#include "tests/unit/ports.h"

#define CONTROL (X86_PORT_PIT + 3)
#define SECOND	1000000000ull

#define LATCH(ch)      ((ch) << 6)
#define CW(ch, mode)   ((ch) << 6 | 3 << 4 | (mode) << 1)
#define CW_LOW(ch, m)  ((ch) << 6 | 1 << 4 | (m) << 1)
#define CW_HIGH(ch, m) ((ch) << 6 | 2 << 4 | (m) << 1)
#define BCD	       1

#define GATE2	0x01
#define SPEAKER 0x02
#define REFRESH 0x10
#define OUT2	0x20

#define STATUS_OUT  0x80
#define STATUS_NULL 0x40

static struct bus bus;
static struct timers timers;
static struct pit pit;
static uint64_t now;
static unsigned edges; /* rising edges of IRQ 0 */
static bool line;

static uint64_t fake_clock(void)
{
	return now;
}

static void set_line(void *controller, unsigned number, bool level)
{
	assert_int_equal(number, 0);
	edges += level && !line;
	line = level;
}

/* The first ns at which `ticks` more ticks have passed. */
static void advance(uint64_t ticks)
{
	uint64_t done = (uint64_t)((unsigned __int128)(now - pit.epoch) * PIT_HZ / SECOND);

	now = pit.epoch + (uint64_t)(((unsigned __int128)(done + ticks) * SECOND + PIT_HZ - 1) / PIT_HZ);
}

/* What the run loop does, until the time given: sleep to the deadline, run what expired. */
static void run_until(uint64_t end)
{
	while (timers_next(&timers) <= end) {
		assert_true(timers_next(&timers) >= now);
		now = timers_next(&timers);
		timers_run(&timers, now);
	}
	now = end;
}

static uint8_t in(uint16_t port)
{
	return port_in(&bus, port);
}

static void out(uint16_t port, unsigned byte)
{
	port_out(&bus, port, (uint8_t)byte);
}

static void program(unsigned ch, unsigned word, unsigned count)
{
	out(CONTROL, word);
	out((uint16_t)(X86_PORT_PIT + ch), count & 0xff);
	out((uint16_t)(X86_PORT_PIT + ch), count >> 8);
}

static unsigned read16(unsigned ch)
{
	unsigned low = in((uint16_t)(X86_PORT_PIT + ch));

	return low | (unsigned)in((uint16_t)(X86_PORT_PIT + ch)) << 8;
}

static int setup(void **state)
{
	bus = (struct bus){0};
	timers = (struct timers){0};
	now = 12345678901234;
	edges = 0;
	line = false;
	pit_init(&pit, &bus, &timers, (struct irq_line){.set = set_line}, fake_clock);
	return 0;
}

/* ------------------------------------------------------------------------------------------------- channel 0 */

static void silent_until_programmed(void **state)
{
	assert_true(timers_next(&timers) == TIMER_NEVER);
	out(CONTROL, CW(0, 2));
	out(X86_PORT_PIT, 0x10);
	assert_true(timers_next(&timers) == TIMER_NEVER);
	out(X86_PORT_PIT, 0x27);
	assert_true(timers_next(&timers) != TIMER_NEVER);
	assert_int_equal(edges, 0);
}

static void periodic_modes_keep_the_rate(void **state)
{
	for (unsigned mode = 2; mode <= 3; mode++) {
		setup(NULL);
		program(0, CW(0, mode), PIT_HZ / 100);
		run_until(now + 10 * SECOND);
		assert_in_range(edges, 1000, 1001);
	}
}

static void modes_6_and_7_are_2_and_3(void **state)
{
	program(0, CW(0, 6), 1000);
	out(CONTROL, 0xe2); /* status of channel 0 */
	assert_int_equal(in(X86_PORT_PIT) >> 1 & 7, 2);
	program(0, CW(0, 7), 1000);
	out(CONTROL, 0xe2);
	assert_int_equal(in(X86_PORT_PIT) >> 1 & 7, 3);
}

static void count_zero_is_65536(void **state)
{
	uint64_t start = now;

	program(0, CW(0, 2), 0);
	assert_in_range(timers_next(&timers) - start, 65536 * SECOND / PIT_HZ, 65536 * SECOND / PIT_HZ + 1);
}

static void one_shot_fires_once(void **state)
{
	uint64_t start = now;

	program(0, CW(0, 0), 1193);
	run_until(start + 999 * 1000);
	assert_int_equal(edges, 0);
	run_until(start + 1001 * 1000);
	assert_int_equal(edges, 1);
	run_until(start + 5 * SECOND);
	assert_int_equal(edges, 1);
	program(0, CW(0, 4), 1193);
	assert_false(line);
	run_until(now + SECOND);
	assert_int_equal(edges, 2);
}

/* A host that stalls for a second at 1000 Hz: one tick afterwards, the next in its place, no storm. */
static void lost_ticks_coalesce(void **state)
{
	uint64_t start = now;

	program(0, CW(0, 2), PIT_HZ / 1000);
	now += SECOND + 300000;
	timers_run(&timers, now);
	assert_int_equal(edges, 1);
	timers_run(&timers, now);
	assert_int_equal(edges, 1);
	assert_in_range(timers_next(&timers), now + 1, now + 1001000);
	assert_in_range((timers_next(&timers) - start) * PIT_HZ / SECOND % (PIT_HZ / 1000), 0, 1);
}

static void absurd_rates_are_bounded(void **state)
{
	program(0, CW(0, 2), 1);
	run_until(now + SECOND / 10);
	assert_in_range(edges, 1900, 2100);
}

static void control_word_stops_the_ticks(void **state)
{
	program(0, CW(0, 2), 1000);
	out(CONTROL, CW(0, 2));
	assert_true(timers_next(&timers) == TIMER_NEVER);
}

/* --------------------------------------------------------------------------------------------------- reading */

static void counters_count_down(void **state)
{
	static const struct {
		unsigned mode, count, ticks, expect;
	} cases[] = {
		{0, 1000, 0, 1000},	 {0, 1000, 400, 600}, {0, 1000, 1000, 0},    {0, 1000, 1001, 0xffff},
		{0, 0, 1, 0xffff},	 {2, 1000, 999, 1},   {2, 1000, 1000, 1000}, {2, 1000, 2500, 500},
		{3, 1000, 100, 800},	 {3, 1000, 499, 2},   {3, 1000, 500, 1000},  {3, 1000, 750, 500},
		{4, 1000, 1002, 0xfffe}, {2, 0, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(NULL);
		program(0, CW(0, cases[i].mode), cases[i].count);
		advance(cases[i].ticks);
		out(CONTROL, LATCH(0));
		assert_int_equal(read16(0), cases[i].expect);
	}
}

static void latch_holds_until_read(void **state)
{
	program(1, CW(1, 2), 50000);
	advance(1000);
	out(CONTROL, LATCH(1));
	advance(1000);
	out(CONTROL, LATCH(1)); /* ignored */
	assert_int_equal(read16(1), 49000);
	assert_int_equal(read16(1), 48000);
}

static void single_byte_access(void **state)
{
	out(CONTROL, CW_HIGH(0, 2));
	out(X86_PORT_PIT, 0x12);
	advance(0x100);
	assert_int_equal(in(X86_PORT_PIT), 0x11);
	out(CONTROL, CW_LOW(0, 2));
	out(X86_PORT_PIT, 0x80);
	advance(1);
	assert_int_equal(in(X86_PORT_PIT), 0x7f);
	assert_int_equal(in(X86_PORT_PIT), 0x7f);
}

static void decimal_counting(void **state)
{
	program(0, CW(0, 2) | BCD, 0x1000);
	advance(1);
	out(CONTROL, LATCH(0));
	assert_int_equal(read16(0), 0x0999);
	program(0, CW(0, 0) | BCD, 0);
	advance(1);
	out(CONTROL, LATCH(0));
	assert_int_equal(read16(0), 0x9999);
}

static void read_back_latches_several(void **state)
{
	program(0, CW(0, 2), 10000);
	program(2, CW(2, 3), 20000);
	out(X86_PORT_SYSB, GATE2);
	advance(100);
	out(CONTROL, 0xc0 | 2 | 8); /* count and status of 0 and 2 */
	advance(500);
	assert_int_equal(in(X86_PORT_PIT), STATUS_OUT | 3 << 4 | 2 << 1);
	assert_int_equal(read16(0), 9900);
	assert_int_equal(in(X86_PORT_PIT + 2), STATUS_OUT | 3 << 4 | 3 << 1);
	assert_int_equal(read16(2), 19800);
	assert_int_equal(read16(0), 9400);
}

static void status_shows_null_count_and_output(void **state)
{
	out(CONTROL, CW(0, 0) | BCD);
	out(CONTROL, 0xe2);
	assert_int_equal(in(X86_PORT_PIT), STATUS_NULL | 3 << 4 | BCD);
	program(0, CW(0, 0), 100);
	out(CONTROL, 0xe2);
	assert_int_equal(in(X86_PORT_PIT), 3 << 4);
	advance(100);
	out(CONTROL, 0xe2);
	assert_int_equal(in(X86_PORT_PIT), STATUS_OUT | 3 << 4);
}

/* ----------------------------------------------------------------------------------- channel 2 and port B */

static bool out2(void)
{
	return in(X86_PORT_SYSB)&OUT2;
}

/* How kernels calibrate their delay loops. */
static void channel_2_times_a_delay(void **state)
{
	out(X86_PORT_SYSB, GATE2);
	program(2, CW(2, 0), PIT_HZ / 20);
	assert_false(out2());
	now += SECOND / 20 - 10000;
	assert_false(out2());
	now += 20000;
	assert_true(out2());
}

static void gate_stops_and_restarts(void **state)
{
	out(X86_PORT_SYSB, GATE2);
	program(2, CW(2, 0), 1000);
	advance(300);
	out(X86_PORT_SYSB, 0);
	advance(5000);
	out(CONTROL, LATCH(2));
	assert_int_equal(read16(2), 700);
	assert_false(out2());
	out(X86_PORT_SYSB, GATE2);
	advance(699);
	assert_false(out2());
	advance(1);
	assert_true(out2());

	program(2, CW(2, 2), 1000);
	advance(300);
	out(X86_PORT_SYSB, 0);
	out(X86_PORT_SYSB, GATE2);
	out(CONTROL, LATCH(2));
	assert_int_equal(read16(2), 1000);
}

static void square_wave(void **state)
{
	out(X86_PORT_SYSB, GATE2);
	program(2, CW(2, 3), 101);
	assert_true(out2());
	advance(50);
	assert_true(out2());
	advance(1);
	assert_false(out2());
	advance(49);
	assert_false(out2());
	advance(1);
	assert_true(out2());
	out(X86_PORT_SYSB, 0);
	advance(60);
	assert_true(out2());
}

static void gate_triggers_modes_1_and_5(void **state)
{
	out(X86_PORT_SYSB, 0);
	program(2, CW(2, 1), 100);
	advance(1000);
	assert_true(out2());
	out(X86_PORT_SYSB, GATE2);
	assert_false(out2());
	advance(60);
	out(X86_PORT_SYSB, 0);	   /* has no influence once triggered */
	out(X86_PORT_SYSB, GATE2); /* triggers anew */
	advance(60);
	assert_false(out2());
	advance(40);
	assert_true(out2());

	out(X86_PORT_SYSB, 0);
	program(2, CW(2, 5), 100);
	out(X86_PORT_SYSB, GATE2);
	assert_true(out2());
	advance(100);
	assert_false(out2());
	advance(1);
	assert_true(out2());
}

static void port_b_bits(void **state)
{
	uint8_t first;

	out(X86_PORT_SYSB, 0xff);
	assert_int_equal(in(X86_PORT_SYSB)&0x0f, GATE2 | SPEAKER);
	first = in(X86_PORT_SYSB)&REFRESH;
	advance(18);
	assert_int_not_equal(in(X86_PORT_SYSB)&REFRESH, first);
	assert_int_equal(in(CONTROL), 0xff);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(silent_until_programmed),
		T(periodic_modes_keep_the_rate),
		T(modes_6_and_7_are_2_and_3),
		T(count_zero_is_65536),
		T(one_shot_fires_once),
		T(lost_ticks_coalesce),
		T(absurd_rates_are_bounded),
		T(control_word_stops_the_ticks),
		T(counters_count_down),
		T(latch_holds_until_read),
		T(single_byte_access),
		T(decimal_counting),
		T(read_back_latches_several),
		T(status_shows_null_count_and_output),
		T(channel_2_times_a_delay),
		T(gate_stops_and_restarts),
		T(square_wave),
		T(gate_triggers_modes_1_and_5),
		T(port_b_bits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

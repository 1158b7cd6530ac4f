/*
 * Local APIC and I/O APIC together, under a clock that the test moves: SDM 3A chapter 10, the 82093AA's data sheet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/ioapic.h"
#include "monitor/device/lapic.h"
#include "monitor/host/clock.h"
#include "monitor/vm/cpu.h"
#include "monitor/vm/vcpu.h"

enum {
	ID = 0x20,
	VERSION = 0x30,
	TASK = 0x80,
	PROCESSOR = 0xa0,
	EOI = 0xb0,
	LOGICAL = 0xd0,
	FORMAT = 0xe0,
	SPURIOUS = 0xf0,
	IN_SERVICE = 0x100,
	LEVELS = 0x180,
	REQUESTS = 0x200,
	ERRORS = 0x280,
	COMMAND = 0x300,
	COMMAND_HIGH = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0,
};

static struct bus bus;
static struct timers timers;
static struct vcpu vcpu;
static struct lapic apic;
static struct ioapic io;
static uint64_t now;

static uint64_t fake_clock(void)
{
	return now;
}

static bool send(void *arg, const struct apic_message *message)
{
	return lapic_receive(arg, message);
}

static int setup(void **state)
{
	bus = (struct bus){0};
	timers = (struct timers){0};
	vcpu = (struct vcpu){.apic_base = X86_APIC_BASE_RESET | X86_APIC_BASE_ENABLE | X86_APIC_BASE_BSP};
	now = CLOCK_NS_PER_SEC;
	lapic_init(&apic, &vcpu, &bus, &timers, fake_clock, ioapic_eoi, &io);
	ioapic_init(&io, &bus, send, &apic);
	return 0;
}

static uint32_t get(unsigned offset)
{
	uint32_t value;

	bus_read(&bus, X86_APIC_BASE_RESET + offset, &value, sizeof(value));
	return value;
}

static void set(unsigned offset, uint32_t value)
{
	bus_write(&bus, X86_APIC_BASE_RESET + offset, &value, sizeof(value));
}

static uint32_t io_get(uint32_t reg)
{
	uint32_t value;

	bus_write(&bus, IOAPIC_BASE, &reg, sizeof(reg));
	bus_read(&bus, IOAPIC_BASE + 0x10, &value, sizeof(value));
	return value;
}

static void io_set(uint32_t reg, uint32_t value)
{
	bus_write(&bus, IOAPIC_BASE, &reg, sizeof(reg));
	bus_write(&bus, IOAPIC_BASE + 0x10, &value, sizeof(value));
}

static void pass(uint64_t ns)
{
	now += ns;
	timers_run(&timers, now);
}

/* The one interrupt that waits is this. */
static void assert_takes(uint8_t vector)
{
	assert_true(lapic_pending(&apic));
	assert_int_equal(lapic_ack(&apic), vector);
}

/* --------------------------------------------------------------------------------------------------- local APIC */

static void test_as_firmware_leaves_it(void **state)
{
	assert_int_equal(get(ID), 0);
	assert_int_equal(get(VERSION), 0x00050014);
	assert_int_equal(get(SPURIOUS), 0x1ff);
	assert_int_equal(get(FORMAT), 0xffffffff);
	assert_int_equal(get(LVT_TIMER), 0x10000);
	assert_true(lapic_passes_8259(&apic));
	set(LVT_LINT0, 0x10700);
	assert_false(lapic_passes_8259(&apic));
	/* Switched off, the processor's pin is the 8259's again. */
	assert_true(lapic_write_base(&apic, X86_APIC_BASE_RESET | X86_APIC_BASE_BSP));
	assert_true(lapic_passes_8259(&apic));
	assert_int_equal(get(VERSION), UINT32_MAX);
}

static void test_priorities(void **state)
{
	set(COMMAND, 1 << 18 | 0x51);
	set(COMMAND, 1 << 18 | 0x62);
	set(COMMAND, 1 << 18 | 0x63);
	assert_int_equal(get(REQUESTS + 0x30), 1u << 2 | 1u << 3);
	assert_takes(0x63);
	assert_int_equal(get(IN_SERVICE + 0x30), 1u << 3);
	assert_int_equal(get(PROCESSOR), 0x60);
	assert_false(lapic_pending(&apic)); /* of the same class */
	assert_true(lapic_held(&apic));
	set(EOI, 0);
	assert_false(lapic_held(&apic)); /* it waits for nothing but to be taken */
	set(TASK, 0x65);
	assert_true(lapic_held(&apic));
	assert_int_equal(vcpu.cr8, 6);
	assert_int_equal(get(PROCESSOR), 0x65);
	assert_false(lapic_pending(&apic));
	vcpu.cr8 = 5; /* MOV CR8 */
	assert_int_equal(get(TASK), 0x55);
	assert_takes(0x62);
	set(EOI, 0);
	assert_false(lapic_pending(&apic));
	set(TASK, 0);
	assert_takes(0x51);
	assert_int_equal(lapic_ack(&apic), 0xff); /* nothing waits: spurious */
	assert_false(lapic_held(&apic));
}

static void test_commands(void **state)
{
	set(COMMAND_HIGH, 0);
	set(COMMAND, 0x41); /* to itself by number */
	assert_takes(0x41);
	set(EOI, 0);
	set(COMMAND_HIGH, 1u << 24);
	set(COMMAND, 0x41); /* to nobody */
	assert_false(lapic_pending(&apic));
	set(LOGICAL, 2u << 24);
	set(COMMAND_HIGH, 3u << 24);
	set(COMMAND, 0x842);
	assert_takes(0x42);
	set(EOI, 0);
	set(FORMAT, 0x0fffffff); /* clusters */
	set(LOGICAL, 0x12u << 24);
	set(COMMAND_HIGH, 0x22u << 24);
	set(COMMAND, 0x843);
	assert_false(lapic_pending(&apic));
	set(COMMAND_HIGH, 0x13u << 24);
	set(COMMAND, 0x843);
	assert_takes(0x43);
	set(EOI, 0);
	set(COMMAND, 3 << 18 | 0x44); /* all but itself */
	assert_false(lapic_pending(&apic));
	set(COMMAND, 1 << 18 | 0x400);
	assert_true(lapic_take_nmi(&apic));
	assert_false(lapic_take_nmi(&apic));
	set(COMMAND, 2 << 18 | 0x500); /* INIT, start-up: nobody else is there */
	set(COMMAND, 3 << 18 | 0x699);
	assert_false(lapic_pending(&apic));
}

static void test_errors(void **state)
{
	set(LVT_ERROR, 0x33);
	set(COMMAND, 1 << 18 | 3);
	assert_int_equal(get(ERRORS), 0);
	set(ERRORS, 0);
	assert_int_equal(get(ERRORS), 0x20);
	assert_takes(0x33);
	set(EOI, 0);
	set(0x2f0, 1); /* no such register */
	set(ERRORS, 0);
	assert_int_equal(get(ERRORS), 0x80);
	set(LVT_ERROR, 0x8); /* an error whose own vector is one */
	set(0x2f0, 1);
	set(ERRORS, 0);
	assert_int_equal(get(ERRORS), 0xc0);
}

static void test_software_switch(void **state)
{
	set(LVT_TIMER, 0x40);
	set(SPURIOUS, 0xff);
	assert_int_equal(get(LVT_TIMER), 0x10040);
	set(LVT_TIMER, 0x40);
	assert_int_equal(get(LVT_TIMER), 0x10040);
	set(COMMAND, 1 << 18 | 0x41);
	assert_false(lapic_pending(&apic));
	set(COMMAND, 1 << 18 | 0x400);
	assert_true(lapic_take_nmi(&apic));
}

static void test_odd_accesses(void **state)
{
	uint8_t byte;
	uint64_t wide = 0;
	uint16_t half = 0xffff;

	bus_read(&bus, X86_APIC_BASE_RESET + VERSION + 2, &byte, 1);
	assert_int_equal(byte, 5);
	bus_read(&bus, X86_APIC_BASE_RESET + VERSION, &wide, 8);
	assert_true(wide == 0x00050014);
	bus_write(&bus, X86_APIC_BASE_RESET + TASK, &half, 2);
	bus_write(&bus, X86_APIC_BASE_RESET + TASK + 1, &wide, 8);
	assert_int_equal(get(TASK), 0);
	bus_read(&bus, X86_APIC_BASE_RESET + 0xffd, &wide, 8); /* over the end */
}

/* ---------------------------------------------------------------------------------------------------------- timer */

static void test_one_shot(void **state)
{
	set(LVT_TIMER, 0x40);
	set(DIVIDE, 3); /* by 16 */
	set(INITIAL, 1000);
	assert_int_equal(get(CURRENT), 1000);
	pass(8000);
	assert_int_equal(get(CURRENT), 500);
	assert_false(lapic_pending(&apic));
	pass(8000);
	assert_takes(0x40);
	set(EOI, 0);
	assert_int_equal(get(CURRENT), 0);
	pass(1000000);
	assert_false(lapic_pending(&apic));
	set(INITIAL, 1000);
	set(INITIAL, 0); /* stops it */
	pass(1000000);
	assert_false(lapic_pending(&apic));
}

static void test_periodic(void **state)
{
	set(LVT_TIMER, 0x20040);
	set(DIVIDE, 0xb); /* by 1 */
	set(INITIAL, 1000000);
	for (unsigned n = 0; n < 3; n++) {
		pass(999999);
		assert_false(lapic_pending(&apic));
		pass(1);
		assert_takes(0x40);
		set(EOI, 0);
	}
	pass(250000);
	assert_int_equal(get(CURRENT), 750000);
	pass(5000000); /* ticks that nobody saw are one */
	assert_takes(0x40);
	set(EOI, 0);
	assert_false(lapic_pending(&apic));
	pass(750000); /* and the next comes in its place */
	assert_takes(0x40);
	set(EOI, 0);
	set(LVT_TIMER, 0x30040); /* masked it goes on counting */
	pass(1250000);
	assert_false(lapic_pending(&apic));
	assert_int_equal(get(CURRENT), 750000);
}

static void test_divider_change(void **state)
{
	set(LVT_TIMER, 0x40);
	set(DIVIDE, 0xb);
	set(INITIAL, 1000);
	pass(400);
	set(DIVIDE, 0); /* by 2 */
	assert_int_equal(get(CURRENT), 600);
	pass(1199);
	assert_false(lapic_pending(&apic));
	pass(1);
	assert_takes(0x40);
}

/* The count goes on from where it is in the other mode, and what has come to 0 stays there. */
static void test_mode_change(void **state)
{
	set(LVT_TIMER, 0x20040);
	set(DIVIDE, 0xb);
	set(INITIAL, 1000000);
	pass(2250000);
	assert_takes(0x40);
	set(EOI, 0);
	set(LVT_TIMER, 0x40); /* one shot */
	assert_int_equal(get(CURRENT), 750000);
	pass(749999);
	assert_false(lapic_pending(&apic));
	pass(1);
	assert_takes(0x40);
	set(EOI, 0);
	assert_int_equal(get(CURRENT), 0);
	set(LVT_TIMER, 0x20040);
	pass(5000000);
	assert_int_equal(get(CURRENT), 0);
	assert_int_equal(get(INITIAL), 1000000);
	set(DIVIDE, 0);
	pass(5000000);
	assert_int_equal(get(CURRENT), 0);
	assert_false(lapic_pending(&apic));
	set(INITIAL, 1000);
	pass(2000);
	assert_takes(0x40);
}

static void test_storm_is_bounded(void **state)
{
	set(LVT_TIMER, 0x20040);
	set(DIVIDE, 0xb);
	set(INITIAL, 1);
	pass(1);
	assert_true(timers_next(&timers) >= now + 10000);
}

static void test_deadline(void **state)
{
	set(LVT_TIMER, 0x40040);
	lapic_write_deadline(&apic, clock_guest_tsc() + (UINT64_MAX >> 2)); /* never */
	assert_true(timers_next(&timers) == TIMER_NEVER);
	lapic_write_deadline(&apic, 1); /* long ago */
	pass(0);
	assert_takes(0x40);
	set(EOI, 0);
	assert_true(apic.deadline == 0);
	lapic_write_deadline(&apic, clock_guest_tsc() + 1000000000000);
	assert_true(timers_next(&timers) > now && timers_next(&timers) != TIMER_NEVER);
	pass(0);
	assert_false(lapic_pending(&apic));
	assert_true(apic.deadline != 0);
	timers_run(&timers, timers_next(&timers)); /* early: it waits on */
	assert_false(lapic_pending(&apic));
	assert_true(timers_next(&timers) != TIMER_NEVER);
	set(LVT_TIMER, 0x40); /* another mode disarms it */
	assert_true(timers_next(&timers) == TIMER_NEVER && apic.deadline == 0);
	lapic_write_deadline(&apic, 1);
	pass(0);
	assert_false(lapic_pending(&apic));
}

/* Of the guest's counter, in a millisecond, as its rate was known at first. */
static uint64_t ms_ticks(void)
{
	const uint64_t long_time = 1 << 30;
	static uint64_t ticks;

	if (!ticks)
		ticks = long_time * 1000000 / clock_rate_ns(clock_guest_rate(), long_time);
	return ticks;
}

/* A tick so long after the one before, in microseconds; then what may be written without a look. */
static uint64_t tick_after(uint64_t *due, unsigned us)
{
	*due += us * ms_ticks() / 1000;
	lapic_write_deadline(&apic, *due);
	pass(0);
	assert_takes(0x40);
	set(EOI, 0);
	return lapic_expect_deadline(&apic);
}

/* Ticks at equal intervals: the next one is looked for where it will be, with a timer that fires by then. */
static void test_deadline_expected(void **state)
{
	const uint64_t ms = ms_ticks(), start = clock_guest_tsc();
	uint64_t due = start - 1000 * ms, from;

	assert_true(lapic_expect_deadline(&apic) == UINT64_MAX);
	set(LVT_TIMER, 0x40040);
	assert_true(lapic_expect_deadline(&apic) == UINT64_MAX);
	tick_after(&due, 4000);
	assert_true(timers_next(&timers) == TIMER_NEVER);
	from = tick_after(&due, 4000);
	/* Those that are over by now are left out. */
	assert_true(from > start && from < clock_guest_tsc() + 4 * ms);
	uint64_t next = due + (from - due + 2 * ms) / (4 * ms) * (4 * ms);
	assert_true(from <= next && next - from < ms / 10);
	uint64_t armed = timers_next(&timers);
	assert_true(armed > now && armed < now + 5000000);
	lapic_write_deadline(&apic, next);
	assert_true(timers_next(&timers) == armed);
	assert_true(lapic_expect_deadline(&apic) == next);
	/* Elsewhere after all: it is as if nothing had been expected, and nothing is until there are two again. */
	lapic_write_deadline(&apic, next + 1000 * ms);
	assert_true(timers_next(&timers) > now + 900000000);
	due = start - 500 * ms;
	assert_true(tick_after(&due, 1000) == UINT64_MAX);
	assert_true(tick_after(&due, 1000) != UINT64_MAX);
	set(LVT_TIMER, 0x50040); /* masked */
	assert_true(lapic_expect_deadline(&apic) == UINT64_MAX && timers_next(&timers) == TIMER_NEVER);
	set(LVT_TIMER, 0x40);
	assert_true(lapic_expect_deadline(&apic) == UINT64_MAX);
}

/* Looked for in vain: no interrupt, and no look again. */
static void test_deadline_in_vain(void **state)
{
	uint64_t due = clock_guest_tsc() - 1000 * ms_ticks();

	set(LVT_TIMER, 0x40040);
	lapic_expect_deadline(&apic);
	tick_after(&due, 4000);
	assert_true(tick_after(&due, 4000) != UINT64_MAX);
	now = timers_next(&timers);
	pass(0);
	assert_false(lapic_pending(&apic));
	assert_true(timers_next(&timers) == TIMER_NEVER && lapic_expect_deadline(&apic) == UINT64_MAX);
}

/* Intervals out of bounds are not expected; longer ones only once they are the rule. */
static void test_deadline_intervals(void **state)
{
	uint64_t due = clock_guest_tsc() - 10000 * ms_ticks();

	set(LVT_TIMER, 0x40040);
	lapic_expect_deadline(&apic);
	tick_after(&due, 1000);
	assert_true(tick_after(&due, 50) == UINT64_MAX);
	assert_true(tick_after(&due, 40) == UINT64_MAX);
	for (unsigned n = 1; n < 8; n++)
		assert_true(tick_after(&due, 4000) == UINT64_MAX);
	assert_true(tick_after(&due, 4000) != UINT64_MAX);
	assert_true(tick_after(&due, 1000) != UINT64_MAX);
	for (unsigned n = 1; n < 8; n++)
		tick_after(&due, 50000);
	assert_true(tick_after(&due, 50000) == UINT64_MAX);
}

static void test_quiet_ends(void **state)
{
	assert_false(lapic_ends_quietly(&apic));
	lapic_receive(&apic, &(struct apic_message){.vector = 0x40, .mode = APIC_FIXED, .destination = apic.id});
	assert_false(lapic_ends_quietly(&apic));
	assert_takes(0x40);
	assert_true(lapic_ends_quietly(&apic));
	lapic_receive(&apic, &(struct apic_message){.vector = 0x30, .mode = APIC_FIXED, .destination = apic.id});
	assert_false(lapic_ends_quietly(&apic)); /* it would let that in */
	lapic_end(&apic);
	assert_takes(0x30);
	assert_true(lapic_ends_quietly(&apic));
	lapic_receive(&apic, &(struct apic_message){.vector = 0x50, .mode = APIC_FIXED, .destination = apic.id});
	assert_takes(0x50);
	assert_false(lapic_ends_quietly(&apic)); /* of two */
	lapic_end(&apic);
	lapic_end(&apic);
	lapic_receive(&apic, &(struct apic_message){
				     .vector = 0x40, .mode = APIC_FIXED, .destination = apic.id, .level = true});
	assert_takes(0x40);
	assert_false(lapic_ends_quietly(&apic)); /* the I/O APIC is told */
}

/* --------------------------------------------------------------------------------------------------------- x2APIC */

#define MODE_X2APIC (X86_APIC_BASE_RESET | X86_APIC_BASE_ENABLE | X86_APIC_BASE_X2APIC | X86_APIC_BASE_BSP)

static void test_modes(void **state)
{
	assert_false(lapic_write_base(&apic, X86_APIC_BASE_RESET | X86_APIC_BASE_X2APIC));
	assert_false(lapic_write_base(&apic, MODE_X2APIC | 1));
	assert_false(lapic_write_base(&apic, MODE_X2APIC | R3_BIT(CPU_PHYSICAL_BITS)));
	assert_true(lapic_write_base(&apic, MODE_X2APIC));
	assert_int_equal(get(VERSION), UINT32_MAX);
	assert_false(lapic_write_base(&apic, MODE_X2APIC & ~X86_APIC_BASE_X2APIC));
	assert_true(lapic_write_base(&apic, X86_APIC_BASE_RESET));
	assert_false(lapic_write_base(&apic, MODE_X2APIC));
	assert_true(lapic_write_base(&apic, 0x12345000 | X86_APIC_BASE_ENABLE));
	uint32_t version;
	bus_read(&bus, 0x12345000 + VERSION, &version, sizeof(version));
	assert_int_equal(version, 0x00050014);
}

static void test_msrs(void **state)
{
	uint64_t value;

	assert_false(lapic_read_msr(&apic, 3, &value));
	assert_true(lapic_write_base(&apic, MODE_X2APIC));
	assert_true(lapic_read_msr(&apic, 3, &value) && value == 0x00050014);
	assert_true(lapic_read_msr(&apic, 0xd, &value) && value == 1);
	assert_false(lapic_read_msr(&apic, 0xe, &value));
	assert_false(lapic_read_msr(&apic, 0xb, &value));
	assert_false(lapic_read_msr(&apic, 0x31, &value));
	assert_false(lapic_write_msr(&apic, 3, 0));
	assert_false(lapic_write_msr(&apic, 8, 0x100));
	assert_true(lapic_write_msr(&apic, 8, 0x20));
	assert_int_equal(vcpu.cr8, 2);
	assert_true(lapic_write_msr(&apic, 0x3f, 0x45)); /* SELF IPI */
	assert_takes(0x45);
	assert_false(lapic_write_msr(&apic, 0xb, 1));
	assert_true(lapic_write_msr(&apic, 0xb, 0));
	assert_true(lapic_write_msr(&apic, 0x30, R3_U64(0xffffffff) << 32 | 0x46));
	assert_takes(0x46);
	assert_true(lapic_read_msr(&apic, 0x30, &value) && value == (R3_U64(0xffffffff) << 32 | 0x46));
}

/* ------------------------------------------------------------------------------------------------------- I/O APIC */

static void test_table(void **state)
{
	assert_int_equal(io_get(0), 0);
	assert_int_equal(io_get(1), 0x00170011);
	assert_int_equal(io_get(0x10), 0x10000);
	io_set(0x11, 0xffffffff);
	assert_int_equal(io_get(0x11), 0xff000000);
	io_set(0x10, 0xffffffff);
	assert_int_equal(io_get(0x10), 0x1afff);
	assert_int_equal(io_get(0x3f), 0x00000000);
	assert_int_equal(io_get(0x40), 0);
	assert_int_equal(io_get(0xff), 0);
	io_set(0xff, 0xffffffff);
}

static void test_edge(void **state)
{
	io_set(0x10 + 2 * 4, 0x54);
	ioapic_set_line(&io, 4, true);
	assert_takes(0x54);
	ioapic_set_line(&io, 4, true); /* no edge */
	set(EOI, 0);
	assert_false(lapic_pending(&apic));
	ioapic_set_line(&io, 4, false);
	io_set(0x10 + 2 * 4, 0x10054);
	ioapic_set_line(&io, 4, true); /* masked: lost */
	io_set(0x10 + 2 * 4, 0x54);
	assert_false(lapic_pending(&apic));
}

static void test_level(void **state)
{
	io_set(0x10 + 2 * 9, 0x8059);
	ioapic_set_line(&io, 9, true);
	assert_int_equal(io_get(0x10 + 2 * 9), 0xc059);
	assert_takes(0x59);
	assert_int_equal(get(LEVELS + 0x20), 1u << 0x19);
	assert_false(lapic_pending(&apic)); /* remote IRR holds it back */
	set(EOI, 0);
	assert_takes(0x59); /* still up */
	ioapic_set_line(&io, 9, false);
	set(EOI, 0);
	assert_int_equal(io_get(0x10 + 2 * 9), 0x8059);
	assert_false(lapic_pending(&apic));
	io_set(0x10 + 2 * 9, 0x18059);
	ioapic_set_line(&io, 9, true);
	assert_false(lapic_pending(&apic));
	io_set(0x10 + 2 * 9, 0x8059); /* a level outlasts the mask */
	assert_takes(0x59);
}

static void test_8259_and_nmi(void **state)
{
	assert_false(ioapic_passes_8259(&io));
	io_set(0x10, 0x700);
	assert_true(ioapic_passes_8259(&io));
	io_set(0x10 + 2 * 5, 0x400);
	ioapic_set_line(&io, 5, true);
	assert_true(lapic_take_nmi(&apic));
	io_set(0x10 + 2 * 6, 0x56);
	io_set(0x11 + 2 * 6, 7u << 24); /* a processor that is not there */
	ioapic_set_line(&io, 6, true);
	assert_false(lapic_pending(&apic));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_as_firmware_leaves_it, setup),
		cmocka_unit_test_setup(test_priorities, setup),
		cmocka_unit_test_setup(test_commands, setup),
		cmocka_unit_test_setup(test_errors, setup),
		cmocka_unit_test_setup(test_software_switch, setup),
		cmocka_unit_test_setup(test_odd_accesses, setup),
		cmocka_unit_test_setup(test_one_shot, setup),
		cmocka_unit_test_setup(test_periodic, setup),
		cmocka_unit_test_setup(test_divider_change, setup),
		cmocka_unit_test_setup(test_mode_change, setup),
		cmocka_unit_test_setup(test_storm_is_bounded, setup),
		cmocka_unit_test_setup(test_deadline, setup),
		cmocka_unit_test_setup(test_deadline_expected, setup),
		cmocka_unit_test_setup(test_deadline_in_vain, setup),
		cmocka_unit_test_setup(test_deadline_intervals, setup),
		cmocka_unit_test_setup(test_quiet_ends, setup),
		cmocka_unit_test_setup(test_modes, setup),
		cmocka_unit_test_setup(test_msrs, setup),
		cmocka_unit_test_setup(test_table, setup),
		cmocka_unit_test_setup(test_edge, setup),
		cmocka_unit_test_setup(test_level, setup),
		cmocka_unit_test_setup(test_8259_and_nmi, setup),
	};

	return cmocka_run_group_tests_name("apic", tests, NULL, NULL);
}

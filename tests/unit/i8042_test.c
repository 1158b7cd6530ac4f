/*
 * The keyboard controller and its keyboard, as a driver meets them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hypercalls/x86.h"
#include "monitor/device/i8042.h"

static struct bus bus;
static struct i8042 kbd;
static unsigned edges, resets, pulls;
static bool line;
static const char *typed; /* what pull has typed, one character at a time */

static void set_line(void *controller, unsigned number, bool level)
{
	edges += level && !line;
	line = level;
}

static void reset(void *arg)
{
	resets++;
}

static void type(uint8_t character)
{
	i8042_type(&kbd, i8042_key_of(character));
}

static void pull(void *arg)
{
	pulls++;
	if (typed && *typed && i8042_wants_key(&kbd))
		type((uint8_t)*typed++);
}

static int setup(void **state)
{
	bus = (struct bus){0};
	edges = resets = pulls = 0;
	line = false;
	typed = NULL;
	i8042_init(&kbd, &bus, (struct irq_line){.set = set_line, .line = 1}, pull, reset, NULL);
	return 0;
}

static void out(uint16_t port, uint8_t datum)
{
	uint32_t value = datum;

	bus_io(&bus, port, 1, true, &value);
}

static uint8_t in(uint16_t port)
{
	uint32_t value = 0;

	bus_io(&bus, port, 1, false, &value);
	return (uint8_t)value;
}

#define DATA   X86_PORT_KBD_DATA
#define STATUS X86_PORT_KBD_COMMAND

static void answers(const char *bytes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(in(STATUS)&1, 1);
		assert_int_equal(in(DATA), (uint8_t)bytes[i]);
	}
	assert_int_equal(in(STATUS)&1, 0);
}

static void test_self_test(void **state)
{
	out(STATUS, 0xaa);
	answers("\x55", 1);
	out(STATUS, 0xab);
	answers("\x00", 1);
	assert_int_equal(in(STATUS)&4, 4);
}

static void test_config(void **state)
{
	out(STATUS, 0x60);
	assert_int_equal(in(STATUS)&8, 8);
	out(DATA, 0x45);
	out(STATUS, 0x20);
	answers("\x45", 1);
	out(STATUS, 0xad);
	out(STATUS, 0x20);
	answers("\x55", 1);
	out(STATUS, 0xae);
	out(STATUS, 0x20);
	answers("\x45", 1);
}

static void test_keyboard(void **state)
{
	out(DATA, 0xff);
	answers("\xfa\xaa", 2);
	out(DATA, 0xf2);
	answers("\xfa\xab\x41", 3);
	out(DATA, 0xed);
	answers("\xfa", 1);
	out(DATA, 0x07);
	answers("\xfa", 1);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x00);
	answers("\xfa\x41", 2); /* 2, translated as all that comes from the keyboard */
	out(DATA, 0xee);
	answers("\xee", 1);
	out(DATA, 0x01);
	answers("\xfe", 1);
}

/* No mouse: what is sent to it vanishes, and the test of its port fails. */
static void test_no_mouse(void **state)
{
	out(STATUS, 0xa9);
	answers("\x01", 1);
	out(STATUS, 0xd4);
	out(DATA, 0xf2);
	assert_int_equal(in(STATUS)&1, 0);
	/* What a mouse would have said comes as a key's: bit 5 of the status tells. */
	out(STATUS, 0xd3);
	out(DATA, 0x5a);
	assert_int_equal(in(STATUS)&0x21, 1);
	answers("\x5a", 1);
}

static void test_keys(void **state)
{
	out(DATA, 0xf4);
	answers("\xfa", 1);
	type('a');
	answers("\x1e\x9e", 2);
	type('A');
	answers("\x2a\x1e\x9e\xaa", 4);
	type(3); /* Ctrl-C */
	answers("\x1d\x2e\xae\x9d", 4);
	type('\r');
	answers("\x1c\x9c", 2);
	type(0x1b);
	answers("\x01\x81", 2);
	type(0x7f);
	answers("\x0e\x8e", 2);
	type(0xc3); /* no key has it */
	assert_int_equal(in(STATUS)&1, 0);
	type('~');
	answers("\x2a\x29\xa9\xaa", 4);
}

/* What terminals send for them; behind 0xe0 those that the first PC's keyboard had not. */
static void test_sequences(void **state)
{
	i8042_type(&kbd, i8042_key_of_sequence("[A"));
	answers("\xe0\x48\xe0\xc8", 4);
	i8042_type(&kbd, i8042_key_of_sequence("[3~"));
	answers("\xe0\x53\xe0\xd3", 4);
	i8042_type(&kbd, i8042_key_of_sequence("[18~"));
	answers("\x41\xc1", 2); /* F7, whose code of set 2 has bit 7 */
	i8042_type(&kbd, i8042_key_of_sequence("OP"));
	answers("\x3b\xbb", 2);
	assert_int_equal(i8042_key_of_sequence("").code, 0);
	assert_int_equal(i8042_key_of_sequence("[99~").code, 0);
	i8042_type(&kbd, (struct i8042_key){.code = 0x10, .alt = true});
	answers("\x38\x10\x90\xb8", 4);
}

/* Without translation set 2 comes as it is; or set 1, if the keyboard is asked for it. */
static void test_sets(void **state)
{
	out(STATUS, 0x60);
	out(DATA, 0x01);
	out(DATA, 0xf2);
	answers("\xfa\xab\x83", 3);
	type('A');
	answers("\x12\x1c\xf0\x1c\xf0\x12", 6);
	i8042_type(&kbd, i8042_key_of_sequence("[D"));
	answers("\xe0\x6b\xe0\xf0\x6b", 5);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x03); /* a set that it has not */
	answers("\xfe", 1);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x01);
	answers("\xfa", 1);
	type('a');
	answers("\x1e\x9e", 2);
	out(DATA, 0xf0);
	answers("\xfa", 1);
	out(DATA, 0x00);
	answers("\xfa\x01", 2);
}

/* Each key has a code of its own in set 2, from which the controller makes that of set 1 again. */
static void test_translation(void **state)
{
	for (uint8_t code = 1; code <= 0x58; code++) {
		assert_int_not_equal(i8042_set_2(code), 0);
		assert_int_equal(i8042_translate(i8042_set_2(code)), code);
	}
	assert_int_equal(i8042_set_2(0), 0);
	assert_int_equal(i8042_set_2(0xff), 0);
	assert_int_equal(i8042_translate(0xfa), 0xfa);
}

static void test_pulled(void **state)
{
	typed = "ok";
	assert_int_equal(in(STATUS)&1, 0); /* nobody has talked to it: it may not be there for the guest at all */
	out(DATA, 0xf4);
	assert_int_equal(in(DATA), 0xfa);
	answers("\x18\x98\x25\xa5", 4);
	out(DATA, 0xf5);
	assert_int_equal(in(DATA), 0xfa);
	typed = "x";
	assert_int_equal(in(STATUS)&1, 0);
}

/* Who reads the status again and again polls; a driver that waits for the controller between commands does not. */
static void test_polled(void **state)
{
	typed = "k";
	for (unsigned i = 0; i < 100; i++) {
		if (i % 10 == 0)
			out(STATUS, 0xae);
		assert_int_equal(in(STATUS)&1, 0);
	}
	for (unsigned i = 0; i < 40 && !(in(STATUS)&1); i++)
		;
	answers("\x25\xa5", 2);
}

/* Each byte is an edge, as long as the command byte lets it through. */
static void test_interrupts(void **state)
{
	out(DATA, 0xf2);
	assert_int_equal(edges, 0);
	out(STATUS, 0x60);
	out(DATA, 0x41);
	assert_int_equal(edges, 1);
	for (unsigned i = 2; i <= 3; i++) {
		in(DATA);
		assert_int_equal(edges, i);
	}
	in(DATA);
	assert_int_equal(edges, 3);
	assert_false(line);
}

static void test_reset(void **state)
{
	out(STATUS, 0xfe);
	assert_int_equal(resets, 1);
	out(STATUS, 0xff); /* no line goes low */
	assert_int_equal(resets, 1);
	out(STATUS, 0xd1);
	out(DATA, 0xfe);
	assert_int_equal(resets, 2);
	out(X86_PORT_SYSA, 3);
	assert_int_equal(resets, 3);
	out(X86_PORT_SYSA, 2);
	assert_int_equal(resets, 3);
	assert_int_equal(in(X86_PORT_SYSA), 2);
}

/* Whatever is written, in whatever order: the queue has its bound. */
static void test_flood(void **state)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1103515245 + 12345;
		out(seed >> 8 & 1 ? DATA : STATUS, (uint8_t)(seed >> 16));
		if ((seed >> 9 & 7) == 0)
			in(DATA);
		type((uint8_t)(seed >> 24));
		assert_true(kbd.queued <= I8042_QUEUE);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(test_##name, setup)
	const struct CMUnitTest tests[] = {
		T(self_test),  T(config), T(keyboard),	T(no_mouse), T(keys), T(pulled),      T(reset),
		T(interrupts), T(flood),  T(sequences), T(polled),   T(sets), T(translation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
